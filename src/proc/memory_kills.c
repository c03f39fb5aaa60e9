/* SPDX-License-Identifier: Apache-2.0 */
#include "proc/memory_kills.h"

#include "base/file.h"
#include "base/num.h"

enum { VMSTAT_MAX = 64 << 10 };

int64_t memory_kills_read(void)
{
    struct buf text = {0};
    int64_t kills = 0;
    if (file_read("/proc/vmstat", VMSTAT_MAX, &text, NULL) == 0) {
        struct str rest = buf_str(&text), line;
        const struct str name = STR("oom_kill ");
        while (str_split(&rest, '\n', &line))
            if (str_has_prefix(line, name) &&
                num_parse_i64(str_skip(line, name.len), 0, INT64_MAX, &kills) < 0)
                kills = 0;
    }
    buf_fini(&text);
    return kills;
}
