/* SPDX-License-Identifier: Apache-2.0 */
#include "proc/identity.h"

#include "base/str.h"
#include "proc/identity_priv.h"
#include "proc/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>

#include <cmocka.h>

static struct proc_identity start(const char *const *argv, const char *const *env)
{
    struct proc_identity id;
    struct err err = {0};
    struct spawn_params params = {.argv = argv,
                                  .env = env,
                                  .stdin_fd = -1,
                                  .stdout_fd = -1,
                                  .stderr_fd = -1,
                                  .pass_fd = -1,
                                  .own_session = true};
    if (spawn(&params, &id, &err) < 0)
        fail_msg("%s", err.text);
    return id;
}

static void end(const struct proc_identity *id)
{
    kill(-id->pid, SIGKILL);
    waitpid(id->pid, NULL, 0);
}

static const char *const sleep_argv[] = {"sleep", "1000", NULL};
static const char *const plain_env[] = {"PATH=/usr/bin:/bin", NULL};

static void test_self_is_alive_and_namesakes_are_not(void **state)
{
    struct proc_identity id;
    assert_int_equal(proc_identify(getpid(), &id), 0);
    assert_true(proc_is_alive(&id));
    struct proc_identity later = id, other_boot = id, nobody = {0};
    later.start_ticks++;
    other_boot.boot_id[0] ^= 1;
    assert_false(proc_is_alive(&later));
    assert_false(proc_is_alive(&other_boot));
    assert_false(proc_is_alive(&nobody));
    assert_int_equal(proc_identify(0x3fffffff, &nobody), -ESRCH);
}

static void test_zombie_is_gone(void **state)
{
    struct proc_identity id = start(sleep_argv, plain_env), seen;
    struct proc_stat stat;
    siginfo_t info;
    assert_true(proc_is_alive(&id));
    assert_true(proc_group_is_alive(&id));
    kill(id.pid, SIGKILL);
    assert_int_equal(waitid(P_PID, (id_t)id.pid, &info, WEXITED | WNOWAIT), 0);
    assert_false(proc_is_alive(&id));
    assert_false(proc_group_is_alive(&id));
    assert_int_equal(proc_identify(id.pid, &seen), -ESRCH);
    assert_int_equal(proc_stat_read(id.pid, &stat), 0);
    assert_true(stat.is_zombie);
    assert_int_equal(stat.id.start_ticks, id.start_ticks);
    end(&id);
    assert_int_equal(proc_stat_read(id.pid, &stat), -ESRCH);
}

static void test_group_of_another_leader_is_not_ours(void **state)
{
    struct proc_identity id = start(sleep_argv, plain_env), former = id;
    former.start_ticks--;
    assert_true(proc_group_is_alive(&id));
    assert_false(proc_group_is_alive(&former));
    end(&id);
}

static void test_name_with_parentheses_is_no_field(void **state)
{
    const char *const link = "./a) R 1 (b";
    const char *const argv[] = {link, "1000", NULL};
    unlink(link);
    assert_int_equal(symlink("/bin/sleep", link), 0);
    struct proc_identity id = start(argv, plain_env), seen;
    assert_int_equal(proc_identify(id.pid, &seen), 0);
    assert_int_equal(seen.start_ticks, id.start_ticks);
    end(&id);
    unlink(link);
}

struct found {
    struct proc_identity ids[4];
    size_t count;
};

static void take_found(const struct proc_identity *id, void *ctx)
{
    struct found *found = ctx;
    if (found->count < ARRAY_LEN(found->ids))
        found->ids[found->count] = *id;
    found->count++;
}

static void test_find_and_read_by_env(void **state)
{
    auto_free char *entry = mem_printf("GPUSTACK_TEST=%d", (int)getpid());
    auto_free char *longer = mem_printf("%s0", entry);
    const char *const env[] = {"PATH=/usr/bin:/bin", entry, "EMPTY=", NULL};
    const char *const other_env[] = {"PATH=/usr/bin:/bin", longer, NULL};
    struct proc_identity id = start(sleep_argv, env), other = start(sleep_argv, other_env);
    struct found found = {0};
    proc_find_by_env(entry, take_found, &found);
    assert_int_equal(found.count, 1);
    assert_int_equal(found.ids[0].pid, id.pid);
    assert_int_equal(found.ids[0].start_ticks, id.start_ticks);
    auto_free char *value = proc_read_env(&id, "GPUSTACK_TEST");
    auto_free char *empty = proc_read_env(&id, "EMPTY");
    assert_string_equal(value, entry + strlen("GPUSTACK_TEST="));
    assert_string_equal(empty, "");
    assert_null(proc_read_env(&id, "GPUSTACK_TES"));
    struct proc_identity former = id;
    former.start_ticks--;
    assert_null(proc_read_env(&former, "PATH"));
    end(&id);
    end(&other);
    found.count = 0;
    proc_find_by_env(entry, take_found, &found);
    assert_int_equal(found.count, 0);
}

static void test_progress_sums_the_group_and_grows(void **state)
{
    const char *const argv[] = {"sh", "-c", "while :; do :; done & exec sleep 1000", NULL};
    struct proc_identity id = start(argv, plain_env);
    struct proc_progress first = {0}, now;
    assert_int_equal(proc_read_progress(&id, &first), 0);
    do
        assert_int_equal(proc_read_progress(&id, &now), 0);
    while (now.cpu_ticks == first.cpu_ticks); /* the child's work: the leader itself sleeps */
    assert_true(now.rss_bytes > 0);
    end(&id);
    assert_int_equal(proc_read_progress(&id, &now), -ESRCH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_self_is_alive_and_namesakes_are_not),
        cmocka_unit_test(test_zombie_is_gone),
        cmocka_unit_test(test_group_of_another_leader_is_not_ours),
        cmocka_unit_test(test_name_with_parentheses_is_no_field),
        cmocka_unit_test(test_find_and_read_by_env),
        cmocka_unit_test(test_progress_sums_the_group_and_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
