/* SPDX-License-Identifier: Apache-2.0 */
#include "io/listener.h"

#include "base/clock.h"
#include "io/stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cmocka.h>

struct accepted {
    struct loop *loop;
    unsigned count;
    char peer[64];
    int64_t peer_uid;
    int flags, fd_flags;
    int untaken_ms, no_delay, probe_idle_s, is_probed; /* socket options; TCP only */
    unsigned starved;
    bool frees;
};

static void on_accept(struct listener *listener, int fd, const char *peer, int64_t peer_uid,
                      void *ctx)
{
    struct accepted *accepted = ctx;
    accepted->count++;
    accepted->peer_uid = peer_uid;
    accepted->flags = fcntl(fd, F_GETFL);
    accepted->fd_flags = fcntl(fd, F_GETFD);
    socklen_t size = sizeof accepted->untaken_ms;
    getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &accepted->untaken_ms, &size);
    getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &accepted->no_delay, &size);
    getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &accepted->probe_idle_s, &size);
    getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &accepted->is_probed, &size);
    snprintf(accepted->peer, sizeof accepted->peer, "%s", peer);
    close(fd);
    loop_stop(accepted->loop);
    if (accepted->frees)
        listener_free(listener);
}

/* A blocking client; the kernel completes it before anybody accepts. */
static int connect_v4(unsigned port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static int connect_unix(const char *path)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    int fault = errno;
    close(fd);
    return -fault;
}

static void test_tcp_accepts(void **state)
{
    (void)state;
    static const char *const hosts[] = {"127.0.0.1", "0.0.0.0", "::"};
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        struct accepted accepted = {.loop = loop_new(&clock_system)};
        struct listener *listener = NULL;
        unsigned port = 0;
        struct err err = {0};
        int rc = listener_tcp(accepted.loop, hosts[i], 0, false, on_accept, &accepted, &listener,
                              &port, &err);
        if (rc == -EAFNOSUPPORT) { /* a machine without IPv6 */
            loop_free(accepted.loop);
            continue;
        }
        assert_int_equal(rc, 0);
        int fd = connect_v4(port);
        loop_run(accepted.loop);
        assert_string_equal(accepted.peer, "127.0.0.1");
        assert_int_equal(accepted.peer_uid, -1);
        assert_true(accepted.flags & O_NONBLOCK);
        assert_true(accepted.fd_flags & FD_CLOEXEC);
        assert_int_equal(accepted.untaken_ms, STREAM_UNTAKEN_MS);
        assert_int_equal(accepted.no_delay, 1);
        assert_int_equal(accepted.is_probed, 1);
        assert_int_equal(accepted.probe_idle_s, STREAM_PROBE_IDLE_S);
        close(fd);
        listener_free(listener);
        loop_free(accepted.loop);
    }
}

static void test_busy_port_names_who_holds_it(void **state)
{
    (void)state;
    static const char *const hosts[] = {"127.0.0.1", "0.0.0.0"};
    struct accepted accepted = {.loop = loop_new(&clock_system)};
    struct listener *listener = NULL, *other = NULL;
    unsigned port = 0;
    assert_int_equal(listener_tcp(accepted.loop, "0.0.0.0", 0, false, on_accept, &accepted,
                                  &listener, &port, NULL),
                     0);
    auto_free char *expected =
        mem_printf("port %u is in use by pid %d (test_io_listene); stop it", port, (int)getpid());
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        struct err err = {0};
        assert_int_equal(listener_tcp(accepted.loop, hosts[i], port, false, on_accept, &accepted,
                                      &other, NULL, &err),
                         -EADDRINUSE);
        assert_int_equal(strncmp(err.text, expected, strlen(expected)), 0);
        assert_null(other);
    }
    listener_free(listener);
    /* Free again at once. */
    assert_int_equal(listener_tcp(accepted.loop, "0.0.0.0", port, false, on_accept, &accepted,
                                  &listener, NULL, NULL),
                     0);
    listener_free(listener);
    loop_free(accepted.loop);
}

static void test_port_may_be_shared(void **state)
{
    (void)state;
    struct accepted accepted = {.loop = loop_new(&clock_system)};
    struct listener *first = NULL, *second = NULL;
    unsigned port = 0;
    assert_int_equal(listener_tcp(accepted.loop, "127.0.0.1", 0, true, on_accept, &accepted, &first,
                                  &port, NULL),
                     0);
    assert_int_equal(listener_tcp(accepted.loop, "127.0.0.1", port, true, on_accept, &accepted,
                                  &second, NULL, NULL),
                     0);
    listener_free(first);
    listener_free(second);
    loop_free(accepted.loop);
}

static void test_bad_addresses_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *host;
        unsigned port;
    } cases[] = {{"localhost", 0}, {"", 0}, {"1.2.3", 0}, {"127.0.0.1", 65536}};
    struct loop *loop = loop_new(&clock_system);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct listener *listener = NULL;
        struct err err = {0};
        assert_int_equal(listener_tcp(loop, cases[i].host, cases[i].port, false, on_accept, NULL,
                                      &listener, NULL, &err),
                         -EINVAL);
        assert_true(err.text[0] != '\0');
    }
    loop_free(loop);
}

static void test_listener_freed_in_its_callback(void **state)
{
    (void)state;
    struct accepted accepted = {.loop = loop_new(&clock_system), .frees = true};
    struct listener *listener = NULL;
    unsigned port = 0;
    assert_int_equal(listener_tcp(accepted.loop, "127.0.0.1", 0, false, on_accept, &accepted,
                                  &listener, &port, NULL),
                     0);
    int first = connect_v4(port), second = connect_v4(port);
    loop_run(accepted.loop);
    assert_int_equal(accepted.count, 1);
    close(first);
    close(second);
    loop_free(accepted.loop);
}

static void on_starved(struct listener *listener, int code, void *ctx)
{
    (void)listener;
    struct accepted *accepted = ctx;
    assert_int_equal(code, -EMFILE);
    accepted->starved++;
}

static int64_t read_frozen(void *ctx)
{
    (void)ctx;
    return 1000;
}

static const struct clock frozen_clock = {.mono_ms = read_frozen, .wall_ms = read_frozen};

/* `resumes`: by a call, in no time; else by the timer. */
static void run_out_of_descriptors(bool resumes)
{
    struct accepted accepted = {.loop = loop_new(resumes ? &frozen_clock : &clock_system)};
    struct listener *listener = NULL;
    unsigned port = 0;
    assert_int_equal(listener_tcp(accepted.loop, "127.0.0.1", 0, false, on_accept, &accepted,
                                  &listener, &port, NULL),
                     0);
    listener_set_on_starved(listener, on_starved);
    int fd = connect_v4(port);
    int lowest = dup(fd); /* no number below it is free */
    close(lowest);
    struct rlimit old, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    none = old;
    none.rlim_cur = (rlim_t)lowest;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    for (int i = 0; i < 3; i++) {
        loop_wake_stop(accepted.loop);
        loop_run(accepted.loop);
    }
    assert_int_equal(accepted.count, 0);
    assert_true(resumes ? accepted.starved == 1 : accepted.starved > 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    if (resumes)
        listener_resume(listener);
    loop_run(accepted.loop);
    assert_int_equal(accepted.count, 1);
    close(fd);
    listener_free(listener);
    loop_free(accepted.loop);
}

static void test_out_of_descriptors_pauses_and_goes_on(void **state)
{
    (void)state;
    run_out_of_descriptors(false);
    run_out_of_descriptors(true);
}

/* ---- unix ---- */

static char folder[] = "/tmp/test_listener_XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

static void test_unix_accepts_and_cleans_up(void **state)
{
    (void)state;
    auto_free char *path = mem_printf("%s/a.sock", folder);
    struct accepted accepted = {.loop = loop_new(&clock_system)};
    struct listener *listener = NULL;
    mode_t old = umask(0);
    assert_int_equal(listener_unix(accepted.loop, path, on_accept, &accepted, &listener, NULL), 0);
    umask(old);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    int fd = connect_unix(path);
    assert_true(fd >= 0);
    loop_run(accepted.loop);
    assert_string_equal(accepted.peer, "unix");
    assert_int_equal(accepted.peer_uid, getuid());
    close(fd);
    listener_free(listener);
    assert_int_equal(access(path, F_OK), -1);
    loop_free(accepted.loop);
}

static void test_unix_live_socket_is_in_use_and_dead_one_replaced(void **state)
{
    (void)state;
    auto_free char *path = mem_printf("%s/b.sock", folder);
    struct accepted accepted = {.loop = loop_new(&clock_system)};
    struct listener *first = NULL, *second = NULL;
    assert_int_equal(listener_unix(accepted.loop, path, on_accept, &accepted, &first, NULL), 0);
    struct err err = {0};
    assert_int_equal(listener_unix(accepted.loop, path, on_accept, &accepted, &second, &err),
                     -EADDRINUSE);
    auto_free char *expected = mem_printf("in use by pid %d", (int)getpid());
    assert_non_null(strstr(err.text, expected));
    /* The file outlives its socket when the process that made it was killed. */
    auto_free char *kept = mem_printf("%s/kept.sock", folder);
    assert_int_equal(link(path, kept), 0);
    listener_free(first);
    assert_int_equal(rename(kept, path), 0);
    assert_int_equal(connect_unix(path), -ECONNREFUSED);
    assert_int_equal(listener_unix(accepted.loop, path, on_accept, &accepted, &second, NULL), 0);
    int fd = connect_unix(path);
    assert_true(fd >= 0);
    close(fd);
    listener_free(second);
    loop_free(accepted.loop);
}

static void test_unix_leaves_what_is_not_its_own(void **state)
{
    (void)state;
    auto_free char *path = mem_printf("%s/c.sock", folder);
    struct loop *loop = loop_new(&clock_system);
    struct listener *first = NULL, *second = NULL;
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
    assert_int_equal(listener_unix(loop, path, on_accept, NULL, &first, NULL), -EADDRINUSE);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(listener_unix(loop, path, on_accept, NULL, &first, NULL), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(listener_unix(loop, path, on_accept, NULL, &second, NULL), 0);
    listener_free(first); /* must not remove the successor's file */
    assert_int_equal(access(path, F_OK), 0);
    listener_free(second);
    assert_int_equal(access(path, F_OK), -1);
    char longer[200];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    assert_int_equal(listener_unix(loop, longer, on_accept, NULL, &first, NULL), -ENAMETOOLONG);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tcp_accepts),
        cmocka_unit_test(test_busy_port_names_who_holds_it),
        cmocka_unit_test(test_port_may_be_shared),
        cmocka_unit_test(test_bad_addresses_are_refused),
        cmocka_unit_test(test_listener_freed_in_its_callback),
        cmocka_unit_test(test_out_of_descriptors_pauses_and_goes_on),
        cmocka_unit_test(test_unix_accepts_and_cleans_up),
        cmocka_unit_test(test_unix_live_socket_is_in_use_and_dead_one_replaced),
        cmocka_unit_test(test_unix_leaves_what_is_not_its_own),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
