/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/ports.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>

#include <cmocka.h>

/* A listening socket on 127.0.0.1; its port in `*ret_port`. */
static int listen_somewhere(int64_t *ret_port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static void test_a_port_in_use_is_not_given(void **state)
{
    int64_t port;
    auto_close int fd = listen_somewhere(&port);
    struct int_list none = {0};
    struct err err = {0};
    struct port_range one = {port, port};
    assert_int_equal(ports_reserve(one, 1, &none, 0, &err), ERR_UNAVAILABLE);
    assert_non_null(strstr(err.text, "no free port"));
    close(fd);
    fd = -1;
    assert_int_equal(ports_reserve(one, 1, &none, 0, &err), port);
}

static void test_recorded_ports_are_not_given(void **state)
{
    int64_t port;
    close(listen_somewhere(&port));
    struct int_list taken = {0};
    int_list_add(&taken, port);
    assert_int_equal(ports_reserve((struct port_range){port, port}, 1, &taken, 0, NULL),
                     ERR_UNAVAILABLE);
    int_list_fini(&taken);
}

static void test_goes_round_behind_the_last(void **state)
{
    int64_t port;
    close(listen_somewhere(&port));
    struct int_list none = {0};
    struct port_range range = {port, port + 1};
    struct int_list upper = {0};
    int_list_add(&upper, port + 1);
    assert_int_equal(ports_reserve(range, 1, &none, port + 1, NULL), port);
    assert_int_equal(ports_reserve(range, 1, &upper, port, NULL), port);
    assert_int_equal(ports_reserve(range, 1, &upper, 7, NULL), port);
    int_list_fini(&upper);
}

/* The first of `count` free neighbours, below the ports that clients are given by themselves. */
static int64_t find_free(int count)
{
    for (int64_t first = 20000 + getpid() % 5000;; first++) {
        int i = 0;
        while (i < count && port_is_free(first + i))
            i++;
        if (i == count)
            return first;
    }
}

/* A block is in one piece: a single port in use moves all of it. */
static void test_a_block_is_in_one_piece(void **state)
{
    int64_t port = find_free(6) + 2;
    auto_close int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    struct int_list none = {0};
    struct err err = {0};
    assert_int_equal(ports_reserve((struct port_range){port - 2, port + 2}, 3, &none, 0, &err),
                     ERR_UNAVAILABLE);
    assert_non_null(strstr(err.text, "3 free ports in a row"));
    assert_int_equal(ports_reserve((struct port_range){port - 2, port + 3}, 3, &none, 0, &err),
                     port + 1);
    assert_int_equal(ports_reserve((struct port_range){port, port + 1}, 3, &none, 0, &err),
                     ERR_UNAVAILABLE); /* the range is too small */
}

/* What listens on all addresses is in the way of an engine on loopback, and the other way round. */
static void test_all_addresses_count(void **state)
{
    int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    assert_false(port_is_free(ntohs(address.sin_port)));
    close(fd);
    assert_true(port_is_free(ntohs(address.sin_port)));
    address.sin_addr.s_addr = htonl(0x7f000002); /* 127.0.0.2: neither of the two, and yet taken */
    fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_false(port_is_free(ntohs(address.sin_port)));
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_port_in_use_is_not_given),
        cmocka_unit_test(test_recorded_ports_are_not_given),
        cmocka_unit_test(test_goes_round_behind_the_last),
        cmocka_unit_test(test_a_block_is_in_one_piece),
        cmocka_unit_test(test_all_addresses_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
