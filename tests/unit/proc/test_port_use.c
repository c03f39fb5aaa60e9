/* SPDX-License-Identifier: Apache-2.0 */
#include "proc/memory_kills.h"
#include "proc/port_use.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/socket.h>

#include <cmocka.h>

static const char table[] = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when "
                            "retrnsmt   uid\n"
                            "   0: 0100007F:9C40 00000000:0000 0A 00000000:00000000 00:00000000 "
                            "00000000     0\n"
                            "   1: 0100007F:9C40 0100007F:C350 01 00000000:00000000 00:00000000 "
                            "00000000     0\n"
                            "   2: 0100007F:9C40 0100007F:C351 06 00000000:00000000 00:00000000 "
                            "00000000     0\n" /* TIME_WAIT
                                                */
                            "   3: 0100007F:C350 0100007F:9C40 01 00000000:00000000 00:00000000 "
                            "00000000     0\n" /* client
                                                */
                            "  14: 00000000000000000000000001000000:9C40 "
                            "00000000000000000000000001000000:C360 01 0:0\n"
                            " 123: 0100007F:9C41 0100007F:C352 01 00000000:00000000 00:00000000 "
                            "00000000     0\n"
                            "garbage\n";

static void test_counts_one_side(void **state)
{
    struct port_use use = {0};
    port_use_parse(str_of(table), 40000, &use);
    assert_int_equal(use.listeners, 1);
    assert_int_equal(use.connections, 2);
    use = (struct port_use){0};
    port_use_parse(str_of(table), 1, &use);
    assert_int_equal(use.listeners + use.connections, 0);
}

static unsigned listen_on(int family, int *ret_fd)
{
    int fd = socket(family, SOCK_STREAM, 0);
    struct sockaddr_storage address = {.ss_family = (sa_family_t)family};
    socklen_t size = sizeof address;
    assert_int_equal(
        bind(fd, (struct sockaddr *)&address,
             family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6)),
        0);
    assert_int_equal(listen(fd, 4), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *ret_fd = fd;
    return ntohs(family == AF_INET ? ((struct sockaddr_in *)&address)->sin_port
                                   : ((struct sockaddr_in6 *)&address)->sin6_port);
}

static struct port_use read_use(unsigned port)
{
    struct port_use use = {0};
    assert_int_equal(port_use_read(port, &use), 0);
    return use;
}

/* A connection counts from the client's connect(), whether the program has accepted it or not. */
static void test_real_sockets(void **state)
{
    int server;
    unsigned port = listen_on(AF_INET, &server);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(read_use(port).listeners, 1);
    assert_int_equal(read_use(port).connections, 0);
    int client = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(read_use(port).connections, 1);
    int accepted = accept(server, NULL, NULL);
    assert_int_equal(read_use(port).connections, 1);
    close(client);
    close(accepted);
    assert_int_equal(read_use(port).connections, 0);
    close(server);
    assert_int_equal(read_use(port).listeners, 0);
}

static void test_the_kernel_tells_of_kills(void **state)
{
    assert_true(memory_kills_read() >= 0);
    assert_int_equal(memory_kills_read(), memory_kills_read());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts_one_side),
        cmocka_unit_test(test_real_sockets),
        cmocka_unit_test(test_the_kernel_tells_of_kills),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
