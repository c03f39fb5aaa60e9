/* SPDX-License-Identifier: Apache-2.0 */
#include "proc/port_use.h"

#include "base/file.h"

#include <errno.h>
#include <stdio.h>

enum { TABLE_MAX = 64 << 20 }; /* bytes: some 400,000 sockets */

/* Numbers of include/net/tcp_states.h, which the tables show. */
enum { STATE_ESTABLISHED = 0x01, STATE_LISTEN = 0x0a };

/* "   7: 0100007F:9C40 00000000:0000 0A ..."; the address may be one of IPv6. */
static bool parse_line(struct str line, unsigned *ret_port, unsigned *ret_state)
{
    char text[128];
    snprintf(text, sizeof text, "%.*s", STR_ARGS(line));
    return sscanf(text, " %*u: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x", ret_port, ret_state) == 2;
}

void port_use_parse(struct str table, unsigned port, struct port_use *ret)
{
    struct str line;
    while (str_split(&table, '\n', &line)) {
        unsigned of_port, state;
        if (!parse_line(line, &of_port, &state) || of_port != port)
            continue;
        ret->listeners += state == STATE_LISTEN;
        ret->connections += state == STATE_ESTABLISHED;
    }
}

int port_use_read(unsigned port, struct port_use *ret)
{
    struct buf table = {0};
    struct port_use use = {0};
    int rc = file_read("/proc/net/tcp", TABLE_MAX, &table, NULL);
    if (rc == 0)
        port_use_parse(buf_str(&table), port, &use);
    int rc6 = file_read("/proc/net/tcp6", TABLE_MAX, &table, NULL);
    if (rc6 == 0)
        port_use_parse(buf_str(&table), port, &use);
    else if (rc == 0 && rc6 != -ENOENT) /* a kernel without IPv6 has no such file */
        rc = rc6;
    buf_fini(&table);
    if (rc == 0)
        *ret = use;
    return rc;
}
