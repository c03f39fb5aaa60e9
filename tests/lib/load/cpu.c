/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/load/cpu.h"

#include "base/file.h"
#include "base/num.h"

#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

enum { PROC_FILE_MAX = 1 << 20 };

/* The number in front of the first space; 0 of a thread that is gone. */
static int64_t first_number(const char *path)
{
    struct buf text = {0};
    struct str rest, word = {0};
    int64_t value = 0;
    if (file_read(path, PROC_FILE_MAX, &text, NULL) == 0) {
        rest = buf_str(&text);
        if (!str_split(&rest, ' ', &word) || num_parse_i64(word, 0, INT64_MAX, &value) < 0)
            value = 0;
    }
    buf_fini(&text);
    return value;
}

static int64_t cpu_of_process(int pid)
{
    auto_free char *folder = mem_printf("/proc/%d/task", pid);
    int64_t sum = 0;
    DIR *threads = opendir(folder);
    struct dirent *thread;
    while (threads && (thread = readdir(threads)) != NULL) {
        auto_free char *path = mem_printf("%s/%s/schedstat", folder, thread->d_name);
        sum += thread->d_name[0] == '.' ? 0 : first_number(path);
    }
    if (threads)
        closedir(threads);
    return sum;
}

int64_t cpu_of_processes(const int *pids, size_t count)
{
    int64_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += cpu_of_process(pids[i]);
    return sum;
}

/* user nice system idle iowait irq softirq steal: all but idle, iowait and steal. */
static int64_t busy_ticks(struct str line)
{
    struct str word;
    int64_t sum = 0, value;
    for (int field = 0; str_split(&line, ' ', &word) && field < 7; field++)
        if (field != 3 && field != 4 && num_parse_i64(word, 0, INT64_MAX, &value) == 0)
            sum += value;
    return sum;
}

int64_t cpu_of_core(int core)
{
    auto_free char *name = mem_printf("cpu%d ", core);
    struct buf text = {0};
    int64_t ticks = 0;
    if (file_read("/proc/stat", PROC_FILE_MAX, &text, NULL) == 0) {
        struct str rest = buf_str(&text), line;
        while (str_split(&rest, '\n', &line))
            if (str_has_prefix(line, str_of(name)))
                ticks = busy_ticks(str_skip(line, strlen(name)));
    }
    buf_fini(&text);
    return ticks * (INT64_C(1000000000) / sysconf(_SC_CLK_TCK));
}
