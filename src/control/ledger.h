/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Usage on control's side: takes gateways' batches, keeps how far each gateway is, tells the feed
 * what budgets have used up, and lets old records go. The records themselves are the store's.
 *
 * Marks and spending are changed as a batch is taken and told when its turn is durable, like all
 * that control knows (turn_priv.h). Control's thread.
 */
#pragma once

#include "control/control.h"
#include "control/spending.h"

enum {
    LEDGER_RETENTION_DAYS = 400,      /* when control_params says 0 */
    LEDGER_EXPIRE_MS = 3600 * 1000,   /* between looks for old records */
    LEDGER_EXPIRE_MORE_MS = 1000,     /* while there are more than one transaction removes */
};

struct ledger;

/*
 * Takes what is new in a batch: all of it is durable, and the answer may be sent, when
 * control_when_durable() says so. Empties `batch`; returns the seq up to which the gateway's
 * records are known then.
 */
int64_t ledger_take(struct ledger *ledger, struct usage_batch *batch);

/* Reads usage; see store/usage.h. */
void ledger_read_usage(struct ledger *ledger, struct usage_query *query, store_report_cb *done,
                       void *ctx);
void ledger_read_records(struct ledger *ledger, struct usage_records_query *query,
                         store_records_cb *done, void *ctx);

/* ---- for control's other parts ---- */

/* Loads marks and spending; control's cluster must be loaded, the store not started. */
int ledger_new(struct control *control, struct store *store, int64_t retention_days,
               struct ledger **ret, struct err *err) must_check;

/* Begins with what comes by itself: removals, ends of periods. The store must be started. */
void ledger_start(struct ledger *ledger);

/* NULL is fine. */
void ledger_free(struct ledger *ledger);

/* A user, key or model was put or deleted: its budget may be another. */
void ledger_note_change(struct ledger *ledger, enum kind kind, const void *record, bool is_delete);

/* What a feed line of the kind "spending" tells. */
struct spending_line {
    struct spent spent;
    const char *gateway; /* whose records up to `applied` are in it */
    int64_t applied;
};

/* Calls `each` for each subject and each gateway. */
void ledger_each_line(const struct ledger *ledger,
                      void (*each)(const struct spending_line *line, void *ctx), void *ctx);
