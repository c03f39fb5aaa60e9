/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Usage records on their way from the shards to the journal's thread: chunks of packed records, and
 * the queue that all threads share. A chunk belongs to one thread at a time; the queue's lock is
 * held for a few instructions a chunk, never over anything slow.
 *
 * The queue is bounded. When it is full, which means that the disk has been in trouble for a while,
 * the oldest chunks are given up and their records counted.
 */
#pragma once

#include "gateway/record.h"

#include <pthread.h>

struct record_chunk {
    struct record_chunk *next;
    struct buf packed; /* owned */
    unsigned count;    /* records */
};

struct record_queue {
    pthread_mutex_t lock;
    struct record_chunk *first, *last;
    size_t bytes_max; /* of packed records; set once */
    size_t bytes;
    uint64_t count;   /* records in it */
    uint64_t dropped; /* records that were given up so far */
};

/* An empty one. Returns owned: record_chunk_free() or record_queue_push() takes it. */
struct record_chunk *record_chunk_new(void);

/* Appends a copy: its strings as long as they are. */
void record_chunk_add(struct record_chunk *chunk, const struct usage_record *record);

/* The record at `*offset`, which starts at 0 and is moved on; false at the end. */
bool record_chunk_next(const struct record_chunk *chunk, size_t *offset, struct usage_record *ret);

/* NULL is fine. */
void record_chunk_free(struct record_chunk *chunk);

/* An empty one that holds so much at most; fini also frees what is in it. */
void record_queue_init(struct record_queue *queue, size_t bytes_max);
void record_queue_fini(struct record_queue *queue);

/* Any thread: takes the chunk. True when the queue was empty: its reader has to be woken. */
bool record_queue_push(struct record_queue *queue, struct record_chunk *chunk);

/* Any thread: the oldest chunk, which is the caller's then, or NULL. */
struct record_chunk *record_queue_pop(struct record_queue *queue);

/* Any thread: how many records wait, how many bytes they take, how many were given up. */
void record_queue_measure(struct record_queue *queue, uint64_t *ret_count, size_t *ret_bytes,
                          uint64_t *ret_dropped);
