/* SPDX-License-Identifier: Apache-2.0 */
#include "accel/accel.h"

#include "accel/accel_impl.h"

static const struct accel_ops *const vendors[] = {&accel_fake};

int accel_append(struct device_list *to, struct device_list *from, struct err *err)
{
    if (from->count > DEVICES_MAX - to->count)
        return err_set(err, ERR_TOO_LARGE, "more than %d devices", DEVICES_MAX);
    if (from->count == 0)
        return 0;
    to->items = mem_resize(to->items, (to->count + from->count) * sizeof *to->items);
    memcpy(to->items + to->count, from->items, from->count * sizeof *from->items);
    to->count += from->count;
    free(from->items);
    *from = (struct device_list){0};
    return 0;
}

/* One vendor's devices to the end of `list`. */
static int detect_vendor(const struct accel_ops *ops, const struct accel_options *options,
                         struct device_list *list, struct err *err)
{
    struct device_list found = {0};
    int rc = ops->detect(options, &found, err);
    if (rc == 0)
        rc = accel_append(list, &found, err);
    device_list_fini(&found);
    return rc < 0 ? err_wrap(err, rc, "%s", ops->name) : 0;
}

int accel_detect(const struct accel_options *options, struct device_list *ret, struct err *err)
{
    struct device_list list = {0};
    int failed = 0, rc = 0;
    for (size_t i = 0; i < ARRAY_LEN(vendors); i++) {
        if (!vendors[i]->is_present(options))
            continue;
        int vendor_rc = detect_vendor(vendors[i], options, &list, err);
        failed += vendor_rc < 0;
        rc = vendor_rc < 0 ? vendor_rc : rc;
    }
    if (options->fake_file && rc < 0) {
        device_list_fini(&list);
        return rc;
    }
    for (size_t i = 0; i < list.count; i++)
        list.items[i].index = (int64_t)i;
    *ret = list;
    return failed;
}
