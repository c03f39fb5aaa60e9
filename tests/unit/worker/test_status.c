/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/status.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_cpu(void **state)
{
    struct cpu_times first, second;
    status_parse_cpu(STR("cpu  100 0 50 800 50 0 0 0 7 0\ncpu0 1 2 3 4\ncpu1 1 2 3 4\n"
                         "intr 1\nbtime 1700000000\n"),
                     &first);
    assert_int_equal(first.cores, 2);
    assert_int_equal(first.busy_ticks, 150);
    assert_int_equal(first.total_ticks, 1000);
    assert_int_equal(first.boot_s, 1700000000);
    status_parse_cpu(STR("cpu  150 0 75 825 50 0 0 0 0 0\n"), &second);
    assert_true(status_cpu_percent(&first, &second) == 75.0);
    assert_true(status_cpu_percent(&second, &first) == 0);
    assert_true(status_cpu_percent(&first, &first) == 0);
    status_parse_cpu(STR(""), &second);
    assert_int_equal(second.total_ticks, 0);
    status_parse_cpu(STR("cpu\ncpu x y\n\n \n"), &second);
    assert_int_equal(second.total_ticks, 0);
}

static void test_memory(void **state)
{
    struct memory_info info;
    status_parse_memory(STR("MemTotal:       1000 kB\nMemFree: 5 kB\nMemAvailable:   400 kB\n"
                            "SwapTotal: 20 kB\nSwapFree: 10 kB\n"),
                        &info);
    assert_int_equal(info.total_bytes, 1024000);
    assert_int_equal(info.available_bytes, 409600);
    assert_int_equal(info.swap_total_bytes, 20480);
    assert_int_equal(info.swap_free_bytes, 10240);
    status_parse_memory(STR("MemTotal:\n"), &info);
    assert_int_equal(info.total_bytes, 0);
}

static void test_os_release(void **state)
{
    const struct str text = STR("PRETTY_NAME=\"Debian GNU/Linux 12\"\nNAME=\"Debian GNU/Linux\"\n"
                                "VERSION_ID='12'\nID=debian\nEMPTY=\nHALF=\"\n");
    static const struct {
        const char *key, *value;
    } rows[] = {{"NAME", "Debian GNU/Linux"},
                {"VERSION_ID", "12"},
                {"ID", "debian"},
                {"EMPTY", ""},
                {"HALF", "\""},
                {"NOT", NULL}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *value = status_os_field(text, rows[i].key);
        if (rows[i].value)
            assert_string_equal(value, rows[i].value);
        else
            assert_null(value);
    }
}

static void test_mounts(void **state)
{
    struct str rest = STR("overlay / overlay rw 0 0\nproc /proc proc rw 0 0\n"
                          "/dev/sda1 /data\\040disk ext4 rw 0 0\nserver:/x /mnt nfs4 rw 0 0\n"
                          "/dev/fuse /run/user fuse.portal rw 0 0\n/dev/sdb1 /ntfs fuseblk rw 0 0\n"
                          "broken\n\n");
    static const char *const points[] = {"/", "/data\\040disk", "/ntfs"};
    struct mount mount;
    for (size_t i = 0; i < ARRAY_LEN(points); i++) {
        assert_true(status_next_mount(&rest, &mount));
        assert_true(str_eq(mount.point, str_of(points[i])));
    }
    assert_false(status_next_mount(&rest, &mount));
}

/* The report of this very machine has GPUStack's shape. */
static void test_report(void **state)
{
    static const char *const keys[] = {"cpu", "memory", "swap",  "filesystem",
                                       "os",  "kernel", "uptime"};
    struct machine_status status = {0};
    struct buf out = {0};
    struct json_writer w = json_writer_into(&out);
    json_begin_object(&w);
    machine_status_write(&status, &w);
    json_end_object(&w);
    auto_fini(json_release) json_t *root = NULL;
    assert_int_equal(json_read(buf_str(&out), &root, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        assert_non_null(json_object_get(root, keys[i]));
    assert_true(json_member_int(json_object_get(root, "cpu"), "total", 0) >= 1);
    assert_true(json_member_int(json_object_get(root, "memory"), "total", 0) > 0);
    assert_true(json_member_int(json_object_get(root, "memory"), "used", 0) > 0);
    assert_non_null(json_member_string(json_object_get(root, "uptime"), "boot_time"));
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cpu),        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_os_release), cmocka_unit_test(test_mounts),
        cmocka_unit_test(test_report),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
