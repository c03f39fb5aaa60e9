/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/sabotage.h"

#include <string.h>

static const char *const names[SABOTAGE_COUNT] = {
    [SABOTAGE_NONE] = "none",
    [SABOTAGE_EARLY_REPLY] = "early_reply",
    [SABOTAGE_EARLY_DESIRED] = "early_desired",
    [SABOTAGE_ADOPT_BY_PID] = "adopt_by_pid",
    [SABOTAGE_ADOPT_RECORDED] = "adopt_recorded",
    [SABOTAGE_ANY_GENERATION] = "any_generation",
    [SABOTAGE_STOP_WHEN_ALONE] = "stop_when_alone",
    [SABOTAGE_REUSE_IDS] = "reuse_ids",
    [SABOTAGE_COMMIT_AFTER_FAIL] = "commit_after_fail",
    [SABOTAGE_SPAWN_UNRECORDED] = "spawn_unrecorded",
    [SABOTAGE_LATE_REPORTS] = "late_reports",
    [SABOTAGE_NO_GRACE] = "no_grace",
    [SABOTAGE_GIVE_UP_MANY] = "give_up_many",
    [SABOTAGE_TAKE_COPIES] = "take_copies",
    [SABOTAGE_GO_EARLY] = "go_early",
    [SABOTAGE_SHARE_PORTS] = "share_ports",
    [SABOTAGE_FORGET_DEVICES] = "forget_devices",
};

const char *sabotage_name(enum sabotage sabotage)
{
    return names[sabotage];
}

enum sabotage sabotage_parse(const char *name)
{
    int i = 0;
    while (i < SABOTAGE_COUNT && strcmp(names[i], name) != 0)
        i++;
    return (enum sabotage)i;
}
