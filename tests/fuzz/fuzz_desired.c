/* SPDX-License-Identifier: Apache-2.0 */
/* A line of the desired stream: any bytes give a checked state or an error that says something. */
#include "engine/peers.h"
#include "worker/desired.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const struct desired_state *state, const struct desired_instance *instance)
{
    struct desired_instance copy = {0};
    struct peers peers = {0};
    assert(desired_state_find(state, instance->id) == instance);
    assert(instance->rank >= 0 && instance->rank < instance->rank_count);
    assert(peers_read(instance->ranks, &peers, NULL) == 0);
    assert(!desired_instance_is_gang(instance) || !instance->go ||
           (int64_t)peers.count == instance->rank_count);
    desired_instance_copy(&copy, instance);
    assert(desired_instance_is_same_try(&copy, instance));
    desired_instance_fini(&copy);
    peers_fini(&peers);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct desired_state state = {0};
    struct err err = {0};
    if (desired_state_read(str_sub((const char *)data, size), &state, &err) < 0) {
        assert(err.text[0] != '\0' && !state.known && !state.items);
        return 0;
    }
    for (size_t i = 0; i < state.count; i++)
        use(&state, &state.items[i]);
    for (size_t i = 0; i < state.inspection_count; i++)
        assert(state.inspections[i].path[0] == '/');
    for (size_t i = 0; i < state.model_file_count; i++) {
        const struct desired_model_file *file = &state.model_files[i];
        assert(file->id > 0 && file->lease > 0 && file->source);
        assert(strlen(file->repo_id) <= DESIRED_REPO_MAX);
    }
    desired_state_fini(&state);
    return 0;
}
