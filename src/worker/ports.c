/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/ports.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <sys/socket.h>

static bool is_taken(const struct int_list *taken, int64_t port)
{
    for (size_t i = 0; i < taken->count; i++)
        if (taken->items[i] == port)
            return true;
    return false;
}

/* SO_REUSEADDR, as servers set it: connections in TIME_WAIT don't count, listeners do. */
static bool can_bind(in_addr_t host, int64_t port)
{
    auto_close int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    int on = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(host)};
    return bind(fd, (const struct sockaddr *)&address, sizeof address) == 0;
}

bool port_is_free(int64_t port)
{
    return can_bind(INADDR_LOOPBACK, port) && can_bind(INADDR_ANY, port);
}

static bool block_is_free(int64_t first, unsigned count, const struct int_list *taken)
{
    for (unsigned i = 0; i < count; i++)
        if (is_taken(taken, first + i) || !port_is_free(first + i))
            return false;
    return true;
}

int ports_reserve(struct port_range range, unsigned count, const struct int_list *taken,
                  int64_t after, struct err *err)
{
    assert(count >= 1 && count <= PORT_BLOCK_MAX);
    int64_t starts = range.last - range.first + 2 - count; /* where a block may begin */
    int64_t skip = after >= range.first && after <= range.last ? after - range.first + 1 : 0;
    for (int64_t i = 0; i < starts; i++) {
        int64_t first = range.first + (skip + i) % starts;
        if (block_is_free(first, count, taken))
            return (int)first;
    }
    auto_free char *what =
        count == 1 ? mem_strdup("free port") : mem_printf("%u free ports in a row", count);
    return err_set(err, ERR_UNAVAILABLE,
                   "no %s in --service-port-range %lld-%lld (%zu are held by engines)", what,
                   (long long)range.first, (long long)range.last, taken->count);
}
