/* SPDX-License-Identifier: Apache-2.0 */
#include "io/port_owner_priv.h"

#include "base/file.h"
#include "base/num.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    COMM_MAX = 256,
    LINE_SIZE = 512, /* lines of /proc/net/tcp6 are shorter */
};

/* Inode of the listening socket in one line of /proc/net/tcp, or 0. */
static uint64_t inode_in_line(const char *line, unsigned port)
{
    enum { TCP_LISTEN_STATE = 0x0a };
    unsigned line_port, state;
    uint64_t inode;
    if (sscanf(line, "%*u: %*[0-9A-Fa-f]:%x %*s %x %*s %*s %*s %*u %*u %" SCNu64, &line_port,
               &state, &inode) != 3)
        return 0;
    return line_port == port && state == TCP_LISTEN_STATE ? inode : 0;
}

static uint64_t find_inode(const char *table, unsigned port)
{
    FILE *file = fopen(table, "re");
    if (!file)
        return 0;
    char line[LINE_SIZE];
    uint64_t inode = 0;
    while (inode == 0 && fgets(line, sizeof line, file))
        inode = inode_in_line(line, port);
    fclose(file);
    return inode;
}

static bool holds_link(const char *folder, const char *target)
{
    DIR *dir = opendir(folder);
    if (!dir)
        return false;
    bool found = false;
    const struct dirent *entry;
    while (!found && (entry = readdir(dir))) {
        char link[64];
        ssize_t n = readlinkat(dirfd(dir), entry->d_name, link, sizeof link - 1);
        if (n <= 0)
            continue;
        link[n] = '\0';
        found = strcmp(link, target) == 0;
    }
    closedir(dir);
    return found;
}

static pid_t find_holder(uint64_t inode)
{
    DIR *dir = opendir("/proc");
    if (!dir)
        return 0;
    char target[64];
    snprintf(target, sizeof target, "socket:[%" PRIu64 "]", inode);
    pid_t holder = 0;
    const struct dirent *entry;
    while (holder == 0 && (entry = readdir(dir))) {
        int64_t pid;
        if (num_parse_i64(str_of(entry->d_name), 1, INT32_MAX, &pid) < 0)
            continue;
        char folder[64];
        snprintf(folder, sizeof folder, "/proc/%d/fd", (int)pid);
        if (holds_link(folder, target))
            holder = (pid_t)pid;
    }
    closedir(dir);
    return holder;
}

void port_owner_name(pid_t pid, char *ret, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
    auto_free char *name = NULL;
    if (file_read_line(path, COMM_MAX, &name, NULL) < 0)
        name = mem_strdup("unknown");
    snprintf(ret, size, "%s", name);
}

bool port_owner_find(unsigned port, struct port_owner *ret)
{
    static const char *const tables[] = {"/proc/net/tcp", "/proc/net/tcp6"};
    for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
        uint64_t inode = find_inode(tables[i], port);
        pid_t pid = inode ? find_holder(inode) : 0;
        if (pid == 0)
            continue;
        ret->pid = pid;
        port_owner_name(pid, ret->program, sizeof ret->program);
        return true;
    }
    return false;
}
