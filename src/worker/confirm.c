/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/confirm.h"

static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static const struct device *find_device(const struct device_list *devices, int64_t index)
{
    for (size_t i = 0; i < devices->count; i++)
        if (devices->items[i].index == index)
            return &devices->items[i];
    return NULL;
}

/*
 * What others will still take of the device: their claims, less what its use has grown by since the
 * first of them was launched.
 */
static uint64_t pending_on(const struct confirm_input *input, const struct device *device)
{
    uint64_t claimed = 0, used_before = device->memory.used_bytes;
    for (size_t i = 0; i < input->other_count; i++) {
        const struct confirm_other *other = &input->others[i];
        uint64_t bytes = claim_device_bytes(other->claim, device->index);
        uint64_t used = claim_device_bytes(other->before, device->index);
        claimed += bytes;
        if (bytes && used < used_before)
            used_before = used;
    }
    return less(claimed, device->memory.used_bytes - used_before);
}

static bool fits_on(const struct confirm_input *input, const struct claim_device *claimed,
                    struct shortage *ret)
{
    const struct device *device = find_device(input->devices, claimed->index);
    if (!device || device->memory.total_bytes == 0)
        return true;
    uint64_t total = device->memory.total_bytes;
    uint64_t free_bytes =
        less(less(total, device->memory.used_bytes), pending_on(input, device));
    if (claimed->bytes <= free_bytes + total / CONFIRM_TOLERANCE)
        return true;
    *ret = (struct shortage){.gpu_index = claimed->index,
                             .needs_bytes = claimed->bytes,
                             .free_bytes = free_bytes,
                             .total_bytes = total};
    return false;
}

static bool fits_on_host(const struct confirm_input *input, struct shortage *ret)
{
    uint64_t total = input->ram_total_bytes, free_bytes = input->ram_available_bytes;
    for (size_t i = 0; i < input->other_count; i++)
        free_bytes =
            less(free_bytes, less(input->others[i].claim->ram_bytes, input->others[i].ram_bytes));
    if (total == 0 || input->claim->ram_bytes <= free_bytes + total / CONFIRM_TOLERANCE)
        return true;
    *ret = (struct shortage){.gpu_index = -1,
                             .needs_bytes = input->claim->ram_bytes,
                             .free_bytes = free_bytes,
                             .total_bytes = total};
    return false;
}

bool confirm_claim(const struct confirm_input *input, struct shortage *ret)
{
    const struct resource_claim *claim = input->claim;
    for (size_t i = 0; i < claim->device_count; i++)
        if (!fits_on(input, &claim->devices[i], ret))
            return false;
    return fits_on_host(input, ret);
}
