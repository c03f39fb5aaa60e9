/* SPDX-License-Identifier: Apache-2.0 */
/* What users, keys and models have used up since a period's begin. */
#include "store/store_priv.h"

static const char *sums_sql(bool is_hourly)
{
#define SUMS(table)                                                                                \
    "SELECT g.user_id, g.key_id, g.model_id, SUM(u.prompt_tokens + u.completion_tokens)"           \
    " FROM " table " u JOIN usage_groups g ON g.id = u.group_id WHERE u.starts_at >= ?1"           \
    " GROUP BY 1, 2, 3"
    return is_hourly ? SUMS("usage_hours") : SUMS("usage_days");
#undef SUMS
}

static void add_sum(struct usage_sums *sums, size_t *room, sqlite3_stmt *statement)
{
    if (sums->count == *room) {
        *room = *room ? *room * 2 : 16;
        sums->items = mem_resize(sums->items, *room * sizeof *sums->items);
    }
    sums->items[sums->count++] = (struct usage_sum){
        .user_id = sqlite3_column_int64(statement, 0),
        .key_id = sqlite3_column_int64(statement, 1),
        .model_id = sqlite3_column_int64(statement, 2),
        .tokens = sqlite3_column_int64(statement, 3),
    };
}

int usage_sum(sqlite3 *db, struct usage_sums *sums, struct err *err)
{
    sqlite3_stmt *statement;
    int rc = db_prepare(db, sums_sql(sums->is_hourly), &statement, err);
    if (rc < 0)
        return rc;
    size_t room = 0;
    int step;
    sqlite3_bind_int64(statement, 1, sums->start_ms);
    while ((step = sqlite3_step(statement)) == SQLITE_ROW)
        add_sum(sums, &room, statement);
    if (step != SQLITE_DONE)
        rc = db_fail(db, err);
    sqlite3_finalize(statement);
    return rc;
}

void usage_sums_fini(struct usage_sums *sums)
{
    free(sums->items);
    *sums = (struct usage_sums){0};
}
