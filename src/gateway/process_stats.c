/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/process_stats.h"

#include "base/file.h"
#include "base/num.h"

#include <dirent.h>
#include <errno.h>
#include <sys/resource.h>
#include <time.h>

enum { PROC_FILE_MAX = 4096, STAT_START_FIELD = 22, STAT_NAME_FIELD = 2 };

static int64_t clock_ms(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The next word of a line as a number; 0 when there is none. */
static uint64_t next_number(struct str *line)
{
    struct str word;
    uint64_t number = 0;
    if (!str_split(line, ' ', &word) || num_parse_u64(word, &number) < 0)
        return 0;
    return number;
}

static int read_memory(struct process_stats *stats, struct err *err)
{
    struct buf text = {0};
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    int rc = file_read("/proc/self/statm", PROC_FILE_MAX, &text, err);
    struct str line = buf_str(&text);
    if (rc >= 0) {
        stats->virtual_bytes = next_number(&line) * page;
        stats->resident_bytes = next_number(&line) * page;
    }
    buf_fini(&text);
    return rc < 0 ? rc : 0;
}

/* The name, in brackets, may hold spaces and brackets: what follows begins behind the last one. */
static int read_start(struct process_stats *stats, struct err *err)
{
    struct buf text = {0};
    int rc = file_read("/proc/self/stat", PROC_FILE_MAX, &text, err);
    struct str line = buf_str(&text), word;
    if (rc >= 0) {
        const char *name_end = text.len ? memrchr(text.ptr, ')', text.len) : NULL;
        if (name_end)
            line = str_skip(line, (size_t)(name_end - text.ptr) + 2);
        for (int field = STAT_NAME_FIELD + 1; field < STAT_START_FIELD; field++)
            str_split(&line, ' ', &word);
        int64_t since_boot_ms = (int64_t)next_number(&line) * 1000 / sysconf(_SC_CLK_TCK);
        stats->start_ms = clock_ms(CLOCK_REALTIME) - clock_ms(CLOCK_BOOTTIME) + since_boot_ms;
    }
    buf_fini(&text);
    return rc < 0 ? rc : 0;
}

static int read_fds(struct process_stats *stats, struct err *err)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        stats->max_fds = (unsigned)limit.rlim_cur;
    DIR *folder = opendir("/proc/self/fd");
    if (!folder)
        return err_errno(err, errno, "/proc/self/fd");
    for (const struct dirent *one; (one = readdir(folder)) != NULL;)
        stats->open_fds += one->d_name[0] != '.';
    stats->open_fds--; /* the folder's own */
    closedir(folder);
    return 0;
}

int process_stats_read(struct process_stats *ret, struct err *err)
{
    struct process_stats stats = {0};
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        stats.cpu_ms = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
                       (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
    int rc = read_memory(&stats, err);
    if (rc == 0)
        rc = read_start(&stats, err);
    if (rc == 0)
        rc = read_fds(&stats, err);
    if (rc == 0)
        *ret = stats;
    return rc;
}
