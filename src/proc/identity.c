/* SPDX-License-Identifier: Apache-2.0 */
#include "proc/identity.h"

#include "base/file.h"
#include "base/num.h"
#include "proc/identity_priv.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

enum {
    STAT_TEXT_MAX = 4096,
    ENVIRON_MAX = 4 << 20,
    STAT_FIRST_FIELD = 3, /* the first one behind the name, which alone may hold spaces */
    STAT_LAST_FIELD = 24,
};

/* Field numbers of proc(5) that are used. */
enum {
    STAT_PPID = 4,
    STAT_PGRP = 5,
    STAT_UTIME = 14,
    STAT_CSTIME = 17,
    STAT_STARTTIME = 22,
    STAT_RSS = 24,
};

static int read_proc_file(pid_t pid, const char *name, size_t max, struct buf *ret)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    int rc = file_read(path, max, ret, NULL);
    return rc == -ENOENT ? -ESRCH : rc;
}

static int read_boot_id(char ret[static 40])
{
    auto_free char *line = NULL;
    int rc = file_read_line("/proc/sys/kernel/random/boot_id", 64, &line, NULL);
    if (rc < 0)
        return rc;
    snprintf(ret, 40, "%s", line);
    return 0;
}

/* Fields behind "PID (name) "; the name may hold anything, so the last ')' counts. */
static int parse_stat(struct str text, struct proc_stat *ret)
{
    const char *end = text.len ? memrchr(text.ptr, ')', text.len) : NULL;
    if (!end)
        return -ESRCH;
    struct str rest = str_trim(str_skip(text, (size_t)(end - text.ptr) + 1));
    struct str item;
    int64_t values[STAT_LAST_FIELD + 1] = {0};
    for (int field = STAT_FIRST_FIELD; str_split(&rest, ' ', &item); field++) {
        if (field == STAT_FIRST_FIELD)
            ret->is_zombie = item.len == 1 && strchr("ZXx", item.ptr[0]);
        else if (field <= STAT_LAST_FIELD &&
                 num_parse_i64(item, INT64_MIN, INT64_MAX, &values[field]) < 0)
            return -ESRCH;
    }
    ret->parent = (pid_t)values[STAT_PPID];
    ret->group = (pid_t)values[STAT_PGRP];
    for (int field = STAT_UTIME; field <= STAT_CSTIME; field++)
        ret->cpu_ticks += (uint64_t)values[field];
    ret->id.start_ticks = (uint64_t)values[STAT_STARTTIME];
    ret->rss_pages = (uint64_t)values[STAT_RSS];
    return 0;
}

int proc_stat_read(pid_t pid, struct proc_stat *ret)
{
    struct buf text = {0};
    struct proc_stat stat = {.id.pid = pid};
    int rc = read_proc_file(pid, "stat", STAT_TEXT_MAX, &text);
    if (rc == 0)
        rc = parse_stat(buf_str(&text), &stat);
    buf_fini(&text);
    if (rc == 0)
        rc = read_boot_id(stat.id.boot_id);
    if (rc == 0)
        *ret = stat;
    return rc;
}

int proc_identify(pid_t pid, struct proc_identity *ret)
{
    struct proc_stat stat;
    int rc = proc_stat_read(pid, &stat);
    if (rc < 0)
        return rc;
    if (stat.is_zombie)
        return -ESRCH;
    *ret = stat.id;
    return 0;
}

bool proc_identity_is_same(const struct proc_identity *a, const struct proc_identity *b)
{
    return a->pid == b->pid && a->start_ticks == b->start_ticks &&
           strcmp(a->boot_id, b->boot_id) == 0;
}

bool proc_is_alive(const struct proc_identity *id)
{
    struct proc_identity now;
    return id->pid > 0 && proc_identify(id->pid, &now) == 0 && proc_identity_is_same(id, &now);
}

/* Calls visit() for every pid there is until it returns false. */
static void scan_pids(bool (*visit)(pid_t pid, void *ctx), void *ctx)
{
    DIR *dir = opendir("/proc");
    if (!dir)
        return;
    const struct dirent *entry;
    int64_t pid;
    while ((entry = readdir(dir))) {
        if (num_parse_i64(str_of(entry->d_name), 1, INT_MAX, &pid) == 0 && !visit((pid_t)pid, ctx))
            break;
    }
    closedir(dir);
}

/* Text of `name` in an environment block of "K=V" with a NUL behind each, or NULL. */
static const char *find_variable(struct str block, struct str name)
{
    struct str item;
    while (str_split(&block, '\0', &item)) {
        if (item.len > name.len && item.ptr[name.len] == '=' && str_has_prefix(item, name))
            return item.ptr + name.len + 1;
    }
    return NULL;
}

struct env_search {
    const char *name; /* of the variable */
    const char *value;
    struct buf block; /* reused for every process */
    void (*cb)(const struct proc_identity *id, void *ctx);
    void *ctx;
};

static bool is_of_this_user(pid_t pid)
{
    char path[32];
    struct stat st;
    snprintf(path, sizeof path, "/proc/%d", (int)pid);
    return stat(path, &st) == 0 && st.st_uid == geteuid();
}

static bool visit_for_env(pid_t pid, void *ctx)
{
    struct env_search *search = ctx;
    struct proc_identity id;
    if (!is_of_this_user(pid) || proc_identify(pid, &id) < 0 ||
        read_proc_file(pid, "environ", ENVIRON_MAX, &search->block) < 0)
        return true;
    const char *value = find_variable(buf_str(&search->block), str_of(search->name));
    if (value && strcmp(value, search->value) == 0 && proc_is_alive(&id))
        search->cb(&id, search->ctx);
    return true;
}

void proc_find_by_env(const char *entry, void (*cb)(const struct proc_identity *id, void *ctx),
                      void *ctx)
{
    const char *equals = strchr(entry, '=');
    if (!equals)
        return;
    auto_free char *name = mem_strndup(entry, (size_t)(equals - entry));
    struct env_search search = {.name = name, .value = equals + 1, .cb = cb, .ctx = ctx};
    scan_pids(visit_for_env, &search);
    buf_fini(&search.block);
}

char *proc_read_env(const struct proc_identity *id, const char *name)
{
    struct buf block = {0};
    char *value = NULL;
    /* Alive after the reading: then it was this process's block. */
    if (read_proc_file(id->pid, "environ", ENVIRON_MAX, &block) == 0 && proc_is_alive(id))
        value = mem_strdup(find_variable(buf_str(&block), str_of(name)));
    buf_fini(&block);
    return value;
}

static uint64_t read_rchar(pid_t pid)
{
    struct buf text = {0};
    uint64_t rchar = 0;
    if (read_proc_file(pid, "io", STAT_TEXT_MAX, &text) < 0 ||
        sscanf(text.ptr ? text.ptr : "", "rchar: %" SCNu64, &rchar) != 1)
        rchar = 0;
    buf_fini(&text);
    return rchar;
}

struct progress_sum {
    pid_t group;
    struct proc_progress total;
};

static bool visit_for_progress(pid_t pid, void *ctx)
{
    struct progress_sum *sum = ctx;
    struct proc_stat stat;
    if (getpgid(pid) != sum->group || proc_stat_read(pid, &stat) < 0)
        return true;
    sum->total.cpu_ticks += stat.cpu_ticks;
    sum->total.rss_bytes += stat.rss_pages * (uint64_t)sysconf(_SC_PAGESIZE);
    sum->total.read_bytes += read_rchar(pid);
    return true;
}

int proc_read_progress(const struct proc_identity *id, struct proc_progress *ret)
{
    if (!proc_is_alive(id))
        return -ESRCH;
    struct progress_sum sum = {.group = getpgid(id->pid)};
    scan_pids(visit_for_progress, &sum);
    *ret = sum.total;
    return 0;
}

struct group_search {
    pid_t group;
    bool found;
};

static bool visit_for_group(pid_t pid, void *ctx)
{
    struct group_search *search = ctx;
    struct proc_stat stat;
    search->found = getpgid(pid) == search->group && proc_stat_read(pid, &stat) == 0 &&
                    stat.group == search->group && !stat.is_zombie;
    return !search->found;
}

bool proc_group_is_alive(const struct proc_identity *id)
{
    struct proc_stat leader;
    if (id->pid <= 1 || (kill(-id->pid, 0) < 0 && errno == ESRCH))
        return false;
    if (proc_stat_read(id->pid, &leader) == 0) {
        if (!proc_identity_is_same(&leader.id, id))
            return false;
        if (!leader.is_zombie)
            return true;
    }
    struct group_search search = {.group = id->pid};
    scan_pids(visit_for_group, &search);
    return search.found;
}
