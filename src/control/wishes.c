/* SPDX-License-Identifier: Apache-2.0 */
#include "control/wishes.h"

struct wishes wishes_of(const struct model *model)
{
    struct wishes wishes = {0};
    auto_fini(json_release) json_t *root = NULL;
    if (!model->gpu_selector || json_read(str_of(model->gpu_selector), &root, NULL) < 0)
        return wishes;
    size_t i;
    json_t *id;
    json_array_foreach(json_object_get(root, "gpu_ids"), i, id)
        string_list_add(&wishes.gpu_ids, json_string_value(id));
    int64_t per_replica = json_member_int(root, "gpus_per_replica", 0);
    size_t replicas = model->replicas > 1 ? (size_t)model->replicas : 1;
    size_t share = wishes.gpu_ids.count / replicas;
    wishes.device_count = per_replica > 0             ? (size_t)per_replica
                          : wishes.gpu_ids.count == 0 ? 0
                          : share > 0                 ? share
                                                      : 1;
    return wishes;
}

void wishes_fini(struct wishes *wishes)
{
    string_list_fini(&wishes->gpu_ids);
}

bool wishes_allow(const struct wishes *wishes, const struct worker *worker, int64_t index)
{
    if (wishes->gpu_ids.count == 0)
        return true;
    for (size_t i = 0; i < worker->device_indexes.count; i++) {
        if (worker->device_indexes.items[i] != index)
            continue;
        auto_free char *id = mem_printf("%s:%s:%lld", worker->name, worker->device_types.items[i],
                                        (long long)index);
        return string_list_has(&wishes->gpu_ids, id);
    }
    return true;
}
