/* SPDX-License-Identifier: Apache-2.0 */
#include "control/series_save.h"

#include "base/crc32c.h"

#include <string.h>

#define MAGIC "GPSTACKT"

enum {
    VERSION = 1,
    MAGIC_BYTES = 8,
    HEAD_BYTES = MAGIC_BYTES + 4 + 4 + 4 * SERIES_ENTITIES,
    BLOCK_HEAD_BYTES = 5 * 8,
    SUM_BYTES = 4,
    SLOT_MAX = 1 << 30, /* beyond all times that a file tells of */
};

/* ---- writing ---- */

static void add_number(struct buf *out, uint64_t value, unsigned bytes)
{
    char text[8];
    for (unsigned i = 0; i < bytes; i++)
        text[i] = (char)(unsigned char)(value >> 8 * i);
    buf_add(out, text, bytes);
}

static size_t value_count(int64_t entity)
{
    return (size_t)series_shapes[entity].count * SERIES_BLOCK_STEPS;
}

static void add_block(struct buf *out, const struct series_copy_item *item)
{
    add_number(out, (uint64_t)item->key.entity, 8);
    add_number(out, (uint64_t)item->key.id, 8);
    add_number(out, (uint64_t)item->key.index, 8);
    add_number(out, item->level, 8);
    add_number(out, (uint64_t)item->block->slot, 8);
    size_t count = value_count(item->key.entity);
    unsigned char *at = (unsigned char *)buf_reserve(out, 2 * count);
    for (size_t i = 0; i < count; i++) {
        at[2 * i] = (unsigned char)item->block->values[i];
        at[2 * i + 1] = (unsigned char)(item->block->values[i] >> 8);
    }
    buf_grew(out, 2 * count);
}

void series_write_file(const struct series_copy *copy, struct buf *out)
{
    size_t begin = out->len;
    buf_add(out, MAGIC, MAGIC_BYTES);
    add_number(out, VERSION, 4);
    add_number(out, copy->count, 4);
    for (int i = 0; i < SERIES_ENTITIES; i++)
        add_number(out, series_shapes[i].count, 4);
    for (size_t i = 0; i < copy->count; i++)
        add_block(out, &copy->items[i]);
    add_number(out, crc32c_of(str_skip(buf_str(out), begin)), 4);
}

/* ---- reading ---- */

struct file {
    struct str rest;
    size_t block_count;
    unsigned metric_counts[SERIES_ENTITIES];
};

/* There must be so many bytes. */
static uint64_t take_number(struct str *rest, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)(unsigned char)rest->ptr[i] << 8 * i;
    *rest = str_skip(*rest, bytes);
    return value;
}

static int read_head(struct str bytes, struct file *ret, struct err *err)
{
    if (bytes.len < HEAD_BYTES + SUM_BYTES || memcmp(bytes.ptr, MAGIC, MAGIC_BYTES) != 0)
        return err_set(err, ERR_INVALID, "it is no file of time series");
    struct str body = str_sub(bytes.ptr, bytes.len - SUM_BYTES);
    struct str sum = str_skip(bytes, body.len);
    if (crc32c_of(body) != take_number(&sum, SUM_BYTES))
        return err_set(err, ERR_INVALID, "its checksum is wrong: it is cut off or damaged");
    ret->rest = str_skip(body, MAGIC_BYTES);
    uint64_t version = take_number(&ret->rest, 4);
    if (version != VERSION)
        return err_set(err, ERR_NEWER, "it is of version %llu, not %d",
                       (unsigned long long)version, VERSION);
    ret->block_count = (size_t)take_number(&ret->rest, 4);
    for (int i = 0; i < SERIES_ENTITIES; i++) {
        ret->metric_counts[i] = (unsigned)take_number(&ret->rest, 4);
        if (ret->metric_counts[i] > series_shapes[i].count)
            return err_set(err, ERR_NEWER, "it has %u metrics of a %s, not %u at most",
                           ret->metric_counts[i], series_entity_names[i], series_shapes[i].count);
    }
    return 0;
}

/* Reads a block's head into `item`, whose block is the caller's. */
static int read_block_head(struct str *rest, struct series_copy_item *item, struct err *err)
{
    if (rest->len < BLOCK_HEAD_BYTES)
        return err_set(err, ERR_INVALID, "it ends within a block");
    uint64_t entity = take_number(rest, 8), id = take_number(rest, 8);
    uint64_t index = take_number(rest, 8), level = take_number(rest, 8);
    uint64_t slot = take_number(rest, 8);
    if (entity >= SERIES_ENTITIES || level >= SERIES_LEVELS || slot > SLOT_MAX ||
        id > INT64_MAX || index > INT64_MAX)
        return err_set(err, ERR_INVALID, "a block's head is wrong");
    item->key = (struct series_key){(int64_t)entity, (int64_t)id, (int64_t)index};
    item->level = (enum series_level)level;
    item->block->slot = (int64_t)slot;
    return 0;
}

/* Walks the blocks; `series` NULL: only looks whether they are whole. */
static int read_blocks(struct file file, struct series *series, struct err *err)
{
    auto_free uint16_t *values =
        mem_alloc_array((size_t)SERIES_METRICS_MAX * SERIES_BLOCK_STEPS, sizeof *values);
    auto_free struct series_block *block = mem_alloc(sizeof *block);
    struct series_copy_item item = {.block = block};
    for (size_t i = 0; i < file.block_count; i++) {
        int rc = read_block_head(&file.rest, &item, err);
        if (rc < 0)
            return rc;
        unsigned metrics = file.metric_counts[item.key.entity];
        size_t count = (size_t)metrics * SERIES_BLOCK_STEPS;
        if (file.rest.len < 2 * count)
            return err_set(err, ERR_INVALID, "it ends within a block");
        for (size_t k = 0; series && k < count; k++)
            values[k] = (uint16_t)((unsigned char)file.rest.ptr[2 * k] |
                                   (unsigned char)file.rest.ptr[2 * k + 1] << 8);
        file.rest = str_skip(file.rest, 2 * count);
        if (series)
            (void)series_load_block(series, &item, values, metrics);
    }
    return file.rest.len ? err_set(err, ERR_INVALID, "something stands behind its blocks") : 0;
}

int series_read_file(struct series *series, struct str bytes, struct err *err)
{
    struct file file = {0};
    int rc = read_head(bytes, &file, err);
    if (rc == 0)
        rc = read_blocks(file, NULL, err);
    return rc < 0 ? rc : read_blocks(file, series, err);
}
