/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/record_queue.h"

#include <assert.h>

/*
 * A packed record is the lengths of its strings, all that stands in the struct behind them as it
 * is, and the strings: about 250 bytes, made by four copies.
 */
struct lengths {
    uint16_t request_id, model, route;
};

enum {
    PLAIN_AT = offsetof(struct usage_record, user_id),
    PLAIN_BYTES = sizeof(struct usage_record) - PLAIN_AT,
};

_Static_assert(offsetof(struct usage_record, request_id) < PLAIN_AT &&
                   offsetof(struct usage_record, model) < PLAIN_AT &&
                   offsetof(struct usage_record, route) < PLAIN_AT,
               "the strings stand before the numbers");

struct record_chunk *record_chunk_new(void)
{
    return mem_alloc(sizeof(struct record_chunk));
}

void record_chunk_add(struct record_chunk *chunk, const struct usage_record *record)
{
    const struct lengths lengths = {
        .request_id = (uint16_t)strnlen(record->request_id, RECORD_ID_MAX),
        .model = (uint16_t)strnlen(record->model, RECORD_NAME_MAX),
        .route = (uint16_t)strnlen(record->route, RECORD_NAME_MAX),
    };
    buf_add(&chunk->packed, &lengths, sizeof lengths);
    buf_add(&chunk->packed, (const char *)record + PLAIN_AT, PLAIN_BYTES);
    buf_add(&chunk->packed, record->request_id, lengths.request_id);
    buf_add(&chunk->packed, record->model, lengths.model);
    buf_add(&chunk->packed, record->route, lengths.route);
    chunk->count++;
}

static void take(const struct record_chunk *chunk, size_t *offset, void *ret, size_t n)
{
    assert(chunk->packed.len - *offset >= n);
    memcpy(ret, chunk->packed.ptr + *offset, n);
    *offset += n;
}

bool record_chunk_next(const struct record_chunk *chunk, size_t *offset, struct usage_record *ret)
{
    struct lengths lengths;
    if (*offset == chunk->packed.len)
        return false;
    take(chunk, offset, &lengths, sizeof lengths);
    take(chunk, offset, (char *)ret + PLAIN_AT, PLAIN_BYTES);
    take(chunk, offset, ret->request_id, lengths.request_id);
    take(chunk, offset, ret->model, lengths.model);
    take(chunk, offset, ret->route, lengths.route);
    ret->request_id[lengths.request_id] = '\0';
    ret->model[lengths.model] = '\0';
    ret->route[lengths.route] = '\0';
    ret->seq = 0;
    return true;
}

void record_chunk_free(struct record_chunk *chunk)
{
    if (!chunk)
        return;
    buf_fini(&chunk->packed);
    free(chunk);
}

void record_queue_init(struct record_queue *queue, size_t bytes_max)
{
    *queue = (struct record_queue){.bytes_max = bytes_max};
    pthread_mutex_init(&queue->lock, NULL);
}

void record_queue_fini(struct record_queue *queue)
{
    struct record_chunk *chunk;
    while ((chunk = record_queue_pop(queue)))
        record_chunk_free(chunk);
    pthread_mutex_destroy(&queue->lock);
}

static struct record_chunk *pop_locked(struct record_queue *queue)
{
    struct record_chunk *chunk = queue->first;
    if (!chunk)
        return NULL;
    queue->first = chunk->next;
    if (!queue->first)
        queue->last = NULL;
    queue->bytes -= chunk->packed.len;
    queue->count -= chunk->count;
    chunk->next = NULL;
    return chunk;
}

/* Makes room for `n` bytes. Returns what was given up, to be freed without the lock. */
static struct record_chunk *drop_oldest(struct record_queue *queue, size_t n)
{
    struct record_chunk *dropped = NULL, *chunk;
    while (queue->bytes + n > queue->bytes_max && (chunk = pop_locked(queue))) {
        queue->dropped += chunk->count;
        chunk->next = dropped;
        dropped = chunk;
    }
    return dropped;
}

bool record_queue_push(struct record_queue *queue, struct record_chunk *chunk)
{
    pthread_mutex_lock(&queue->lock);
    bool was_empty = !queue->first;
    struct record_chunk *dropped = drop_oldest(queue, chunk->packed.len);
    if (queue->last)
        queue->last->next = chunk;
    else
        queue->first = chunk;
    queue->last = chunk;
    queue->bytes += chunk->packed.len;
    queue->count += chunk->count;
    pthread_mutex_unlock(&queue->lock);
    while (dropped) {
        struct record_chunk *next = dropped->next;
        record_chunk_free(dropped);
        dropped = next;
    }
    return was_empty;
}

struct record_chunk *record_queue_pop(struct record_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    struct record_chunk *chunk = pop_locked(queue);
    pthread_mutex_unlock(&queue->lock);
    return chunk;
}

void record_queue_measure(struct record_queue *queue, uint64_t *ret_count, size_t *ret_bytes,
                          uint64_t *ret_dropped)
{
    pthread_mutex_lock(&queue->lock);
    *ret_count = queue->count;
    *ret_bytes = queue->bytes;
    *ret_dropped = queue->dropped;
    pthread_mutex_unlock(&queue->lock);
}
