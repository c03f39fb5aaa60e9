/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/status.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/num.h"

#include <sys/statvfs.h>
#include <sys/utsname.h>

enum {
    PROC_TEXT_MAX = 4 << 20,
    MOUNTS_MAX = 64, /* entries of the report */
    CPU_COLUMNS = 8, /* user nice system idle iowait irq softirq steal; guest is within user */
    CPU_IDLE = 3,
    CPU_IOWAIT = 4,
};

/* ---- parsers ---- */

/* Next piece between blanks. */
static bool next_word(struct str *rest, struct str *ret)
{
    while (rest->len && (rest->ptr[0] == ' ' || rest->ptr[0] == '\t'))
        *rest = str_skip(*rest, 1);
    size_t n = 0;
    while (n < rest->len && rest->ptr[n] != ' ' && rest->ptr[n] != '\t')
        n++;
    *ret = str_sub(rest->ptr, n);
    *rest = str_skip(*rest, n);
    return n > 0;
}

static uint64_t next_number(struct str *rest)
{
    struct str word;
    uint64_t value = 0;
    if (!next_word(rest, &word) || num_parse_u64(word, &value) < 0)
        return 0;
    return value;
}

static void sum_cpu_line(struct str rest, struct cpu_times *ret)
{
    for (int column = 0; column < CPU_COLUMNS; column++) {
        uint64_t ticks = next_number(&rest);
        ret->total_ticks += ticks;
        if (column != CPU_IDLE && column != CPU_IOWAIT)
            ret->busy_ticks += ticks;
    }
}

void status_parse_cpu(struct str text, struct cpu_times *ret)
{
    struct str line, word;
    *ret = (struct cpu_times){0};
    while (str_split(&text, '\n', &line)) {
        if (!next_word(&line, &word))
            continue;
        if (str_eq(word, STR("cpu")))
            sum_cpu_line(line, ret);
        else if (str_has_prefix(word, STR("cpu")))
            ret->cores++;
        else if (str_eq(word, STR("btime")))
            ret->boot_s = (int64_t)next_number(&line);
    }
}

void status_parse_memory(struct str text, struct memory_info *ret)
{
    *ret = (struct memory_info){0};
    const struct {
        struct str key;
        uint64_t *at;
    } wanted[] = {
        {STR("MemTotal:"), &ret->total_bytes},
        {STR("MemAvailable:"), &ret->available_bytes},
        {STR("SwapTotal:"), &ret->swap_total_bytes},
        {STR("SwapFree:"), &ret->swap_free_bytes},
    };
    struct str line, word;
    while (str_split(&text, '\n', &line)) {
        if (!next_word(&line, &word))
            continue;
        for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
            if (str_eq(word, wanted[i].key))
                *wanted[i].at = next_number(&line) * 1024;
    }
}

double status_cpu_percent(const struct cpu_times *before, const struct cpu_times *after)
{
    if (after->total_ticks <= before->total_ticks || after->busy_ticks < before->busy_ticks)
        return 0;
    return 100.0 * (double)(after->busy_ticks - before->busy_ticks) /
           (double)(after->total_ticks - before->total_ticks);
}

char *status_os_field(struct str text, const char *key)
{
    struct str line;
    while (str_split(&text, '\n', &line)) {
        size_t at = str_find(line, '=');
        if (!str_eq(str_sub(line.ptr, at), str_of(key)))
            continue;
        struct str value = str_trim(str_skip(line, at + 1));
        if (value.len >= 2 && (value.ptr[0] == '"' || value.ptr[0] == '\'') &&
            value.ptr[value.len - 1] == value.ptr[0])
            value = str_sub(value.ptr + 1, value.len - 2);
        return str_dup(value);
    }
    return NULL;
}

bool status_next_mount(struct str *rest, struct mount *ret)
{
    struct str line;
    while (str_split(rest, '\n', &line)) {
        struct mount mount;
        if (!next_word(&line, &mount.source) || !next_word(&line, &mount.point) ||
            !next_word(&line, &mount.type))
            continue;
        bool is_fuse =
            str_has_prefix(mount.type, STR("fuse")) && !str_eq(mount.type, STR("fuseblk"));
        bool is_disk = str_has_prefix(mount.source, STR("/dev/")) && !is_fuse;
        if (!is_disk && !str_eq(mount.point, STR("/")))
            continue;
        *ret = mount;
        return true;
    }
    return false;
}

/* ---- the report ---- */

static double percent(uint64_t used, uint64_t total)
{
    return total ? 100.0 * (double)used / (double)total : 0;
}

static void put_double(struct json_writer *w, const char *key, double value)
{
    json_add_key(w, key);
    json_add_double(w, value);
}

/* Content of a small file, empty when it can't be read. */
static struct str read_text(const char *path, struct buf *text)
{
    if (file_read(path, PROC_TEXT_MAX, text, NULL) < 0)
        buf_clear(text);
    return buf_str(text);
}

static void write_usage(struct json_writer *w, const char *key, uint64_t total, uint64_t free_bytes)
{
    uint64_t used = total > free_bytes ? total - free_bytes : 0;
    json_add_key(w, key);
    json_begin_object(w);
    json_put_int(w, "total", (int64_t)total);
    json_put_int(w, "used", (int64_t)used);
    put_double(w, "utilization_rate", percent(used, total));
    json_end_object(w);
}

static void write_memory(struct json_writer *w, struct buf *text)
{
    struct memory_info info;
    status_parse_memory(read_text("/proc/meminfo", text), &info);
    write_usage(w, "memory", info.total_bytes, info.available_bytes);
    write_usage(w, "swap", info.swap_total_bytes, info.swap_free_bytes);
}

static void write_cpu(struct machine_status *status, struct json_writer *w, struct buf *text)
{
    struct cpu_times now;
    status_parse_cpu(read_text("/proc/stat", text), &now);
    json_add_key(w, "cpu");
    json_begin_object(w);
    json_put_int(w, "total", now.cores);
    put_double(w, "utilization_rate", status_cpu_percent(&status->before, &now));
    json_end_object(w);
    status->before = now;
}

char *status_unescape(struct str text)
{
    struct buf out = {0};
    while (text.len) {
        bool is_escape = text.ptr[0] == '\\' && text.len >= 4;
        if (is_escape)
            buf_add_char(&out, (char)((text.ptr[1] - '0') << 6 | (text.ptr[2] - '0') << 3 |
                                      (text.ptr[3] - '0')));
        else
            buf_add_char(&out, text.ptr[0]);
        text = str_skip(text, is_escape ? 4 : 1);
    }
    return buf_take(&out);
}

static void write_mount(struct json_writer *w, const struct mount *mount)
{
    auto_free char *point = status_unescape(mount->point);
    auto_free char *source = status_unescape(mount->source);
    struct statvfs st;
    if (statvfs(point, &st) < 0 || st.f_blocks == 0)
        return;
    uint64_t unit = st.f_frsize;
    json_begin_object(w);
    json_put_string(w, "name", source);
    json_put_string(w, "mount_point", point);
    json_put_string(w, "mount_from", source);
    json_put_int(w, "total", (int64_t)(st.f_blocks * unit));
    json_put_int(w, "used", (int64_t)((st.f_blocks - st.f_bfree) * unit));
    json_put_int(w, "free", (int64_t)(st.f_bfree * unit));
    json_put_int(w, "available", (int64_t)(st.f_bavail * unit));
    json_end_object(w);
}

static bool has_text(const struct str *items, size_t count, struct str text)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(items[i], text))
            return true;
    return false;
}

static void write_filesystem(struct json_writer *w, struct buf *text)
{
    struct str rest = read_text("/proc/self/mounts", text);
    struct str seen[MOUNTS_MAX];
    size_t count = 0;
    struct mount mount;
    json_add_key(w, "filesystem");
    json_begin_array(w);
    while (count < MOUNTS_MAX && status_next_mount(&rest, &mount)) {
        if (has_text(seen, count, mount.source))
            continue; /* the same disk, bound to another place too */
        seen[count++] = mount.source;
        write_mount(w, &mount);
    }
    json_end_array(w);
}

static void write_os(struct json_writer *w, struct buf *text)
{
    struct str release = read_text("/etc/os-release", text);
    auto_free char *name = status_os_field(release, "NAME");
    auto_free char *version = status_os_field(release, "VERSION_ID");
    json_add_key(w, "os");
    json_begin_object(w);
    json_put_string(w, "name", name ? name : "Linux");
    json_put_string(w, "version", version ? version : "");
    json_end_object(w);
}

static void write_kernel(struct json_writer *w)
{
    struct utsname kernel;
    if (uname(&kernel) < 0)
        return;
    json_add_key(w, "kernel");
    json_begin_object(w);
    json_put_string(w, "name", kernel.sysname);
    json_put_string(w, "release", kernel.release);
    json_put_string(w, "version", kernel.version);
    json_put_string(w, "architecture", kernel.machine);
    json_end_object(w);
}

static void write_uptime(struct json_writer *w, int64_t boot_s, struct buf *text)
{
    struct str uptime = read_text("/proc/uptime", text);
    uint64_t seconds = 0;
    (void)!num_parse_u64(str_sub(uptime.ptr, str_find(uptime, '.')), &seconds);
    json_add_key(w, "uptime");
    json_begin_object(w);
    json_put_int(w, "uptime", (int64_t)seconds);
    json_add_key(w, "boot_time");
    json_add_time(w, boot_s * 1000);
    json_end_object(w);
}

void machine_status_write(struct machine_status *status, struct json_writer *w)
{
    struct buf text = {0};
    write_cpu(status, w, &text);
    write_memory(w, &text);
    write_filesystem(w, &text);
    write_os(w, &text);
    write_kernel(w);
    write_uptime(w, status->before.boot_s, &text);
    buf_fini(&text);
}
