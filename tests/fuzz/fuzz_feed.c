/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines of control's feed: any bytes give tables in which every subject has its counts, or an error
 * that says something; requests may pass in between.
 */
#include "fuzz.h"
#include "gateway/tables.h"

#include <assert.h>

#define WALL_MS INT64_C(1795435200000)

static void ask(const struct entry *entry, int64_t now_us)
{
    struct limit_subject subject;
    struct limit_denial denial;
    struct reservation reservation;
    if (!entry_limits(entry, &subject))
        return;
    assert(subject.state);
    if (limit_reserve(&reservation, &subject, 1, 100, now_us, WALL_MS, &denial))
        limit_settle(&reservation, 50, now_us);
    else
        assert(denial.limit > 0 && denial.remaining >= 0);
    assert(limit_state_concurrent(subject.state) == 0);
}

static void ask_all(const struct tables *tables, int64_t now_us)
{
    struct entry *entry;
    for (int kind = 0; kind < ENTRY_KINDS; kind++)
        for (size_t i = 0; (entry = map_next(&tables->kinds[kind], &i)) != NULL;)
            ask(entry, now_us);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tables tables = {0};
    struct str rest = str_sub((const char *)data, size), line;
    int64_t now_us = 0;
    limit_book_set_gateway(&tables.limits, "us");
    while (str_split(&rest, '\n', &line)) {
        struct err err = {0};
        if (tables_apply(&tables, line, &err) < 0)
            assert(err.text[0] != '\0');
        ask_all(&tables, now_us += 1000);
    }
    tables_fini(&tables);
    return 0;
}
