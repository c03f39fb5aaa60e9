/* SPDX-License-Identifier: Apache-2.0 */
#include "control/states.h"

#include "control/events.h"

/* The code of the event that entering the state from `before` is, or EVENT_CODE_COUNT. */
static enum event_code code_of(enum instance_state before, enum instance_state state)
{
    switch (state) {
    case INSTANCE_PENDING:
        return EVENT_UNPLACED;
    case INSTANCE_SCHEDULED:
        return before == INSTANCE_PENDING ? EVENT_PLACED : EVENT_CODE_COUNT;
    case INSTANCE_RUNNING:
        return before == INSTANCE_RUNNING ? EVENT_CODE_COUNT : EVENT_SERVES;
    case INSTANCE_UNREACHABLE:
        return EVENT_UNREACHABLE;
    case INSTANCE_ERROR:
        return EVENT_FAILED;
    case INSTANCE_ANALYZING:
    case INSTANCE_INITIALIZING:
    case INSTANCE_DOWNLOADING:
    case INSTANCE_STARTING:
    case INSTANCE_STATE_COUNT:
        break;
    }
    return EVENT_CODE_COUNT;
}

static char *args_of(const struct model_instance *instance, enum event_code code)
{
    struct buf text = {0};
    struct json_writer w = json_writer_into(&text);
    json_begin_object(&w);
    if (instance->worker_name)
        json_put_string(&w, "worker", instance->worker_name);
    if (code == EVENT_FAILED || code == EVENT_UNPLACED)
        json_put_string(&w, "reason", reason_name((enum reason)instance->state_reason));
    json_end_object(&w);
    return buf_take(&text);
}

/* Returns owned. */
static char *words_of(const struct model_instance *instance, enum event_code code)
{
    if (instance->state_message && *instance->state_message)
        return mem_strdup(instance->state_message);
    const char *words = code == EVENT_SERVES ? "serves" : code == EVENT_PLACED ? "placed" : "";
    return mem_printf("%s on worker %s", words, instance->worker_name ? instance->worker_name : "");
}

void state_enter(struct cluster *cluster, struct model_instance *copy, enum instance_state state,
                 const struct cause *cause, int64_t now_ms)
{
    enum instance_state before = (enum instance_state)copy->state;
    bool is_same = before == state && copy->state_reason == (int)cause->reason;
    instance_set_state(copy, state, cause, now_ms);
    enum event_code code = is_same ? EVENT_CODE_COUNT : code_of(before, state);
    if (code == EVENT_CODE_COUNT)
        return;
    auto_free char *args = args_of(copy, code);
    auto_free char *words = words_of(copy, code);
    events_note(cluster, KIND_INSTANCE, copy, code, args, now_ms, "%s", words);
}
