/* SPDX-License-Identifier: Apache-2.0 */
#include "control/key_uses.h"

void key_uses_note(struct cluster *cluster, int64_t key_id, int64_t used_ms)
{
    const struct api_key *key = cluster_find(cluster, KIND_API_KEY, key_id);
    if (!key || used_ms < key->last_used_at + KEY_USE_STEP_MS)
        return;
    struct api_key copy = {0};
    record_copy(&api_key_type, &copy, key);
    copy.last_used_at = used_ms;
    cluster_put(cluster, KIND_API_KEY, &copy, key->updated_at);
}
