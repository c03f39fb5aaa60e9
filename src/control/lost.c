/* SPDX-License-Identifier: Apache-2.0 */
#include "control/lost.h"

static int by_contact(const void *a, const void *b)
{
    const struct silent_worker *one = a, *other = b;
    if (one->contact_ms != other->contact_ms)
        return one->contact_ms < other->contact_ms ? -1 : 1;
    return one->id < other->id ? -1 : one->id > other->id;
}

/* Marks every run of workers within LOST_TOGETHER_MS that is too many to be their own fault. */
static void hold_many(struct silent_worker *silent, size_t count, size_t total)
{
    size_t end = 0, marked = 0;
    for (size_t first = 0; first < count; first++) {
        while (end < count && silent[end].contact_ms - silent[first].contact_ms <= LOST_TOGETHER_MS)
            end++;
        size_t together = end - first;
        if (together < 2 || together * 3 <= total)
            continue;
        for (marked = marked > first ? marked : first; marked < end; marked++)
            silent[marked].is_held = true;
    }
}

static int by_number(const void *a, const void *b)
{
    int64_t one = *(const int64_t *)a, other = *(const int64_t *)b;
    return one < other ? -1 : one > other;
}

void lost_find(struct silent_worker *silent, size_t count, size_t total, int64_t grace_ms,
               int64_t now_ms, struct int_list *ret)
{
    if (count == 0)
        return;
    qsort(silent, count, sizeof *silent, by_contact);
    hold_many(silent, count, total);
    for (size_t i = 0; i < count; i++)
        if (!silent[i].is_held && now_ms - silent[i].contact_ms >= grace_ms)
            int_list_add(ret, silent[i].id);
    if (ret->count)
        qsort(ret->items, ret->count, sizeof *ret->items, by_number);
}
