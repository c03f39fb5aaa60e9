/* SPDX-License-Identifier: Apache-2.0 */
/* A gateway's batch: any bytes give checked records in their order or an error that says what. */
#include "domain/usage.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const struct usage *usage)
{
    assert(strlen(usage->request_id) <= USAGE_ID_MAX && *usage->request_id);
    assert(strlen(usage->model) <= USAGE_NAME_MAX && *usage->model);
    assert(strlen(usage->route) <= USAGE_NAME_MAX && *usage->route);
    assert(usage_operation_names[usage->operation] && usage_outcome_names[usage->outcome] &&
           usage_phase_names[usage->aborted_phase]);
    assert(usage_tokens(usage) >= 0 && usage->started_ms >= 0 && usage->model_id > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_fini(json_release) json_t *body = NULL;
    struct usage_batch batch;
    struct err err = {0};
    if (json_read(str_sub((const char *)data, size), &body, &err) < 0)
        return 0;
    if (usage_batch_read(body, &batch, &err) < 0) {
        assert(err.text[0] != '\0' && !batch.records && batch.count == 0);
        return 0;
    }
    int64_t last = 0;
    for (size_t i = 0; i < batch.count; i++) {
        use(&batch.records[i]);
        assert(batch.records[i].seq > last);
        last = batch.records[i].seq;
    }
    usage_batch_drop(&batch, last - 1);
    assert(batch.count == (last > 0));
    usage_batch_fini(&batch);
    return 0;
}
