/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/ports.h"

#include <arpa/inet.h>
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
static bool can_bind(int64_t port)
{
    auto_close int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    int on = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return bind(fd, (const struct sockaddr *)&address, sizeof address) == 0;
}

int port_reserve(struct port_range range, const struct int_list *taken, int64_t after,
                 struct err *err)
{
    int64_t size = range.last - range.first + 1;
    int64_t skip = after >= range.first && after <= range.last ? after - range.first + 1 : 0;
    for (int64_t i = 0; i < size; i++) {
        int64_t port = range.first + (skip + i) % size;
        if (!is_taken(taken, port) && can_bind(port))
            return (int)port;
    }
    return err_set(err, ERR_UNAVAILABLE,
                   "no free port in --service-port-range %lld-%lld (%zu are held by engines)",
                   (long long)range.first, (long long)range.last, taken->count);
}
