/* SPDX-License-Identifier: Apache-2.0 */
#include "base/netns.h"

#include "base/file.h"

#include <unistd.h>

char *netns_id(void)
{
    auto_free char *boot_id = NULL;
    if (file_read_line("/proc/sys/kernel/random/boot_id", 64, &boot_id, NULL) < 0)
        return mem_strdup("");
    char net[64];
    ssize_t len = readlink("/proc/self/ns/net", net, sizeof net);
    if (len <= 0 || len == (ssize_t)sizeof net)
        return mem_strdup("");
    return mem_printf("%s:%.*s", boot_id, (int)len, net);
}
