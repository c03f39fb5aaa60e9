/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/storage.h"

#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const char mounts[] =
    "22 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
    "30 22 0:45 / /a\\040b rw master:1 propagate_from:2 - nfs4 nas:/export rw,vers=4.2\n"
    "31 22 0:46 / /torn rw - \n"
    "x y\n";

static void test_mounts_are_found_by_id(void **state)
{
    struct storage_mount mount = {0};
    assert_true(storage_find_mount(str_of(mounts), 22, &mount));
    assert_true(str_eq(mount.point, STR("/")) && str_eq(mount.type, STR("ext4")));
    assert_true(storage_find_mount(str_of(mounts), 30, &mount));
    assert_true(str_eq(mount.point, STR("/a\\040b")) && str_eq(mount.source, STR("nas:/export")));
    assert_false(storage_find_mount(str_of(mounts), 31, &mount));
    assert_false(storage_find_mount(str_of(mounts), 2, &mount));
    assert_false(storage_find_mount((struct str){0}, 22, &mount));
}

static void test_shared_types(void **state)
{
    assert_true(storage_is_shared(STR("nfs4")));
    assert_true(storage_is_shared(STR("fuse.juicefs")));
    assert_false(storage_is_shared(STR("ext4")));
    assert_false(storage_is_shared(STR("nfs44")));
}

static void test_of_a_path(void **state)
{
    auto_free char *told = storage_of("/tmp");
    auto_fini(json_release) json_t *root = NULL;
    assert_non_null(told);
    assert_int_equal(json_read(str_of(told), &root, NULL), 0);
    assert_int_equal(json_member_string(root, "mount_point")[0], '/');
    assert_true(json_member_int(root, "total", 0) >= json_member_int(root, "available", -1));
    assert_null(storage_of("/nonexistent/file"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mounts_are_found_by_id),
        cmocka_unit_test(test_shared_types),
        cmocka_unit_test(test_of_a_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
