/* SPDX-License-Identifier: Apache-2.0 */
/* Fake device files; what is read is written as JSON and must be readable again. */
#include "accel/fake.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_and_read(const struct device_list *list)
{
    struct buf text = {0};
    struct json_writer w = json_writer_into(&text);
    struct device_list again = {0};
    json_t *root = NULL;
    device_list_write(list, &w);
    int rc = json_read(buf_str(&text), &root, NULL);
    assert(rc == 0);
    rc = device_list_read(root, &again, NULL);
    assert(rc == 0 && again.count == list->count);
    device_list_fini(&again);
    json_decref(root);
    buf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct device_list list = {0};
    struct err err = {0};
    if (accel_fake_parse((struct str){(const char *)data, size}, 0, &list, &err) == 0)
        write_and_read(&list);
    device_list_fini(&list);
    return 0;
}
