/* SPDX-License-Identifier: Apache-2.0 */
/* Mistakes made on purpose, each in one seam of the simulator, to prove that it can fail. */
#pragma once

enum sabotage {
    SABOTAGE_NONE,
    SABOTAGE_EARLY_REPLY,       /* replies leave before their turn is durable */
    SABOTAGE_EARLY_DESIRED,     /* desired states are told from memory, durable or not */
    SABOTAGE_ADOPT_BY_PID,      /* adoption compares the pid alone, not the start time */
    SABOTAGE_ADOPT_RECORDED,    /* adoption doesn't look for engines that have no record */
    SABOTAGE_ANY_GENERATION,    /* reports of an engine with older settings count */
    SABOTAGE_STOP_WHEN_ALONE,   /* lost contact is taken for "nothing is wanted" */
    SABOTAGE_REUSE_IDS,         /* after a restart control gives deleted ids again */
    SABOTAGE_COMMIT_AFTER_FAIL, /* the store goes on after a commit that failed */
    SABOTAGE_SPAWN_UNRECORDED,  /* an engine starts though its record can't be written */
    SABOTAGE_LATE_REPORTS,      /* late and doubled reports are taken for news */
    SABOTAGE_NO_GRACE,          /* a silent worker is given up at once */
    SABOTAGE_GIVE_UP_MANY,      /* also when many fell silent together */
    SABOTAGE_TAKE_COPIES,       /* a copied uuid counts as the same machine */
    SABOTAGE_GO_EARLY,          /* a rank starts before all are prepared */
    SABOTAGE_SHARE_PORTS,       /* a block of ports is given out twice */
    SABOTAGE_FORGET_DEVICES,    /* after a restart control doesn't know who holds which device */
    SABOTAGE_COUNT
};

/* "early_reply"; "none" for SABOTAGE_NONE. */
const char *sabotage_name(enum sabotage sabotage);

/* SABOTAGE_COUNT when there is no such name. */
enum sabotage sabotage_parse(const char *name);
