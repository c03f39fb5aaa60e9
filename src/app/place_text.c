/* SPDX-License-Identifier: Apache-2.0 */
#include "app/place_text.h"

#include "app/text_table.h"
#include "base/num.h"

#include <stdio.h>
#include <string.h>

enum { ROWS_MAX = 32 }; /* of devices that are refused */

char *place_bytes_text(const json_t *bytes)
{
    return json_is_integer(bytes) ? num_format_bytes((uint64_t)json_integer_value(bytes))
                                  : mem_strdup("-");
}

/* Numbers as people write them: 0-3,6. */
static void add_number(struct buf *out, int64_t first, int64_t last)
{
    buf_printf(out, "%s%lld", out->len ? "," : "", (long long)first);
    if (last > first)
        buf_printf(out, "-%lld", (long long)last);
}

static char *indexes_text(const json_t *indexes)
{
    struct buf out = {0};
    size_t count = json_array_size(indexes);
    for (size_t i = 0, next; i < count; i = next) {
        int64_t first = json_integer_value(json_array_get(indexes, i)), last = first;
        for (next = i + 1; next < count; next++, last++)
            if (json_integer_value(json_array_get(indexes, next)) != last + 1)
                break;
        add_number(&out, first, last);
    }
    return out.len ? buf_take(&out) : mem_strdup("-");
}

/* ---- where to ---- */

/* What each device gives: one number when all give the same. */
static char *each_text(const json_t *bytes)
{
    json_int_t least = INT64_MAX, most = 0;
    size_t i;
    json_t *one;
    json_array_foreach(bytes, i, one) {
        least = json_integer_value(one) < least ? json_integer_value(one) : least;
        most = json_integer_value(one) > most ? json_integer_value(one) : most;
    }
    if (most == 0)
        return mem_strdup("-");
    auto_free char *low = num_format_bytes((uint64_t)least);
    auto_free char *high = num_format_bytes((uint64_t)most);
    return strcmp(low, high) == 0 ? TAKE(low) : mem_printf("%s-%s", low, high);
}

static void add_ranks(struct text_table *table, size_t replica, const json_t *ranks)
{
    size_t i;
    json_t *rank;
    json_array_foreach(ranks, i, rank) {
        auto_free char *number = mem_printf("%zu", replica + 1);
        auto_free char *place = mem_printf("%zu", i);
        auto_free char *devices = indexes_text(json_object_get(rank, "gpu_indexes"));
        auto_free char *each = each_text(json_object_get(rank, "gpu_bytes"));
        auto_free char *ram = place_bytes_text(json_object_get(rank, "ram"));
        text_table_row(table, number, place, json_member_string(rank, "worker"), devices, each,
                       ram, NULL);
    }
}

void place_text_print_ranks(const json_t *placements)
{
    static const char *const head[] = {"REPLICA",     "RANK",   "WORKER", "DEVICES",
                                       "EACH DEVICE", "MEMORY", NULL};
    struct text_table table = {0};
    text_table_head(&table, head);
    size_t i;
    json_t *one;
    json_array_foreach(placements, i, one)
        add_ranks(&table, i, json_object_get(one, "ranks"));
    text_table_print(&table);
}

void place_text_print_cost(const json_t *placement)
{
    static const char *const parts[] = {"fragments", "start",   "links",
                                        "company",   "balance", "shortage"};
    const json_t *cost = json_object_get(placement, "cost");
    bool is_first = true;
    if (!cost)
        return;
    printf("cost %.3f", (double)json_member_int(cost, "total", 0) / 1000);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        int64_t part = json_member_int(cost, parts[i], 0);
        if (part == 0)
            continue;
        printf("%s%s %.3f", is_first ? ": " : ", ", parts[i], (double)part / 1000);
        is_first = false;
    }
    printf("; %lld places compared\n", (long long)json_member_int(placement, "candidates", 0));
}

/* ---- why not ---- */

static void print_funnel(const json_t *funnel)
{
    static const char *const head[] = {"FILTER", "WORKERS REFUSED", "LEFT", NULL};
    struct text_table table = {0};
    size_t i;
    json_t *one;
    if (json_array_size(funnel) == 0)
        return;
    text_table_head(&table, head);
    json_array_foreach(funnel, i, one) {
        auto_free char *refused = mem_printf("%lld", (long long)json_member_int(one, "refused", 0));
        auto_free char *left = mem_printf("%lld", (long long)json_member_int(one, "left", 0));
        text_table_row(&table, json_member_string(one, "filter"), refused, left, NULL);
    }
    text_table_print(&table);
}

/* Whether two devices have the same row but for their index. */
static bool are_alike(const json_t *a, const json_t *b)
{
    static const char *const members[] = {"worker", "code",    "reason", "needs",
                                          "free",   "held_by", "held",   "total"};
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        const json_t *of_a = json_object_get(a, members[i]), *of_b = json_object_get(b, members[i]);
        if ((of_a || of_b) && !json_equal((json_t *)(uintptr_t)of_a, (json_t *)(uintptr_t)of_b))
            return false;
    }
    return true;
}

static void add_device_row(struct text_table *table, const json_t *device, const char *indexes)
{
    const char *reason = json_member_string(device, "reason");
    const char *holder = json_member_string(device, "held_by");
    auto_free char *needs = place_bytes_text(json_object_get(device, "needs"));
    auto_free char *left = place_bytes_text(json_object_get(device, "free"));
    auto_free char *total = place_bytes_text(json_object_get(device, "total"));
    auto_free char *held = place_bytes_text(json_object_get(device, "held"));
    auto_free char *held_by = holder ? mem_printf("%s by %s", held, holder) : mem_strdup("-");
    text_table_row(table, json_member_string(device, "worker"), indexes,
                   reason ? reason : json_member_string(device, "code"), needs, left, total,
                   held_by, NULL);
}

/* The devices from `first` on that are alike, as one row. Returns where the next ones begin. */
static size_t add_alike(struct text_table *table, const json_t *devices, size_t first)
{
    const json_t *device = json_array_get(devices, first);
    auto_fini(json_release) json_t *indexes = json_array();
    size_t next = first;
    while (next < json_array_size(devices) && are_alike(device, json_array_get(devices, next)))
        json_array_append(indexes, json_object_get(json_array_get(devices, next++), "gpu_index"));
    auto_free char *text = indexes_text(indexes);
    add_device_row(table, device, text);
    return next;
}

static void print_devices(const json_t *devices, int64_t count)
{
    static const char *const head[] = {"WORKER", "DEVICES", "CODE", "NEEDS EACH",
                                       "FREE",   "TOTAL",   "HELD", NULL};
    struct text_table table = {0};
    size_t told = 0;
    if (json_array_size(devices) == 0)
        return;
    putchar('\n');
    text_table_head(&table, head);
    for (int rows = 0; rows < ROWS_MAX && told < json_array_size(devices); rows++)
        told = add_alike(&table, devices, told);
    text_table_print(&table);
    if ((int64_t)told < count)
        printf("and %lld more devices\n", (long long)(count - (int64_t)told));
}

void place_text_print_reason(const json_t *reason)
{
    print_funnel(json_object_get(reason, "funnel"));
    print_devices(json_object_get(reason, "devices"),
                  json_member_int(reason, "device_count", 0));
}

void place_text_print_ways_out(const json_t *ways_out, const char *indent)
{
    size_t i;
    json_t *way;
    if (json_array_size(ways_out) == 0)
        return;
    printf("%sWays out, each of them tried:\n", indent);
    json_array_foreach(ways_out, i, way)
        printf("%s  %zu. %s\n", indent, i + 1, json_member_string(way, "message"));
}
