/* SPDX-License-Identifier: Apache-2.0 */
#include "control/series.h"

#include "base/mem.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#define uthash_fatal(text) abort()
#define HASH_FUNCTION HASH_SAX /* the default one falls through cases without a mark */
#include <uthash.h>

const int64_t series_step_s[SERIES_LEVELS] = {[SERIES_FINE] = 10, [SERIES_MINUTE] = 60};
const int64_t series_kept_s[SERIES_LEVELS] = {[SERIES_FINE] = 6 * 3600,
                                              [SERIES_MINUTE] = 14 * 24 * 3600};

const char *const series_entity_names[SERIES_ENTITIES] = {
    [SERIES_CLUSTER] = "cluster",
    [SERIES_WORKER] = "worker",
    [SERIES_DEVICE] = "device",
    [SERIES_MODEL] = "model",
};

const char *const series_metric_names[SERIES_METRICS] = {
    [SERIES_UTILIZATION] = "utilization",
    [SERIES_MEMORY_USED] = "memory_used",
    [SERIES_TEMPERATURE] = "temperature",
    [SERIES_POWER] = "power",
    [SERIES_CPU] = "cpu",
    [SERIES_RAM_USED] = "ram_used",
    [SERIES_TOKENS_IN] = "tokens_in_per_second",
    [SERIES_TOKENS_OUT] = "tokens_out_per_second",
    [SERIES_REQUESTS] = "requests_per_second",
    [SERIES_ERRORS] = "errors_per_second",
    [SERIES_RUNNING] = "running",
    [SERIES_WAITING] = "waiting",
    [SERIES_TTFT_P50] = "ttft_p50_ms",
    [SERIES_TTFT_P95] = "ttft_p95_ms",
};

#define OF_DEVICES SERIES_UTILIZATION, SERIES_MEMORY_USED, SERIES_TEMPERATURE, SERIES_POWER
#define OF_HOSTS SERIES_CPU, SERIES_RAM_USED
#define OF_REQUESTS                                                                                \
    SERIES_TOKENS_IN, SERIES_TOKENS_OUT, SERIES_REQUESTS, SERIES_ERRORS, SERIES_RUNNING,           \
        SERIES_WAITING, SERIES_TTFT_P50, SERIES_TTFT_P95

const struct series_shape series_shapes[SERIES_ENTITIES] = {
    [SERIES_CLUSTER] = {14, {OF_DEVICES, OF_HOSTS, OF_REQUESTS}},
    [SERIES_WORKER] = {6, {OF_DEVICES, OF_HOSTS}},
    [SERIES_DEVICE] = {4, {OF_DEVICES}},
    [SERIES_MODEL] = {8, {OF_REQUESTS}},
};

static const unsigned block_counts[SERIES_LEVELS] = {SERIES_FINE_BLOCKS, SERIES_MINUTE_BLOCKS};
static const unsigned least_kept[SERIES_LEVELS] = {SERIES_FINE_KEPT, SERIES_MINUTE_KEPT};

struct entity {
    UT_hash_handle hh;
    struct series_key key;
    struct series_block *fine[SERIES_FINE_BLOCKS]; /* at slot % SERIES_FINE_BLOCKS; or NULL */
    struct series_block *minutes[SERIES_MINUTE_BLOCKS];
};

struct series {
    struct entity *entities; /* uthash by key */
    size_t budget_bytes, bytes;
    unsigned kept[SERIES_LEVELS]; /* blocks of an entity, the newest included */
    int64_t newest[SERIES_LEVELS]; /* slot */
};

/* ---- values ---- */

/* A float's bits with 10 of its 23 of fraction and an exponent of its own: 2^-19 is the least that
 * isn't 0, 2^43 (8 TiB) about the most. */
enum {
    FRACTION_BITS = 10,
    FRACTION_CUT = 23 - FRACTION_BITS,
    EXPONENT_SHIFT = 107, /* of a float's exponent, less ours */
    PACKED_NONE = 0xffff,
    PACKED_MIN = 1 << FRACTION_BITS,
    PACKED_MAX = (63 << FRACTION_BITS) - 1,
};

uint16_t series_pack(float value)
{
    uint32_t bits;
    if (isnan(value) || value < 0)
        return PACKED_NONE;
    memcpy(&bits, &value, sizeof bits);
    int64_t packed = (int64_t)((bits + (1U << (FRACTION_CUT - 1))) >> FRACTION_CUT) -
                     (EXPONENT_SHIFT << FRACTION_BITS);
    if (packed < PACKED_MIN)
        return 0;
    return (uint16_t)(packed > PACKED_MAX ? PACKED_MAX : packed);
}

float series_unpack(uint16_t packed)
{
    float value;
    if (packed == 0)
        return 0;
    if (packed == PACKED_NONE)
        return NAN;
    uint32_t bits = ((uint32_t)packed + (EXPONENT_SHIFT << FRACTION_BITS)) << FRACTION_CUT;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* ---- blocks ---- */

static int64_t block_s(enum series_level level)
{
    return series_step_s[level] * SERIES_BLOCK_STEPS;
}

static struct series_block **blocks_of(struct entity *entity, enum series_level level)
{
    return level == SERIES_FINE ? entity->fine : entity->minutes;
}

static struct series_block **place_of(struct entity *entity, enum series_level level, int64_t slot)
{
    return &blocks_of(entity, level)[(size_t)slot % block_counts[level]];
}

static const struct series_shape *shape_of(const struct entity *entity)
{
    return &series_shapes[entity->key.entity];
}

static size_t block_bytes(const struct entity *entity)
{
    return sizeof(struct series_block) +
           (size_t)shape_of(entity)->count * SERIES_BLOCK_STEPS * sizeof(uint16_t);
}

static void drop_block(struct series *series, struct entity *entity, struct series_block **place)
{
    struct series_block *block = TAKE(*place);
    if (!block)
        return;
    series->bytes -= block_bytes(entity);
    if (--block->references == 0)
        free(block);
}

static struct series_block *new_block(const struct entity *entity, int64_t slot)
{
    struct series_block *block = mem_alloc(block_bytes(entity));
    block->references = 1;
    block->slot = slot;
    memset(block->values, 0xff, block_bytes(entity) - sizeof *block);
    return block;
}

/* Somebody reads it: what is put from now on goes into another one. */
static struct series_block *own_block(const struct entity *entity, struct series_block **place)
{
    struct series_block *old = *place;
    if (old->references == 1)
        return old;
    struct series_block *fresh = new_block(entity, old->slot);
    memcpy(fresh->values, old->values, block_bytes(entity) - sizeof *fresh);
    old->references--;
    *place = fresh;
    return fresh;
}

/* ---- the budget ---- */

static void drop_before(struct series *series, enum series_level level, int64_t slot)
{
    for (struct entity *entity = series->entities; entity; entity = entity->hh.next)
        for (unsigned i = 0; i < block_counts[level]; i++) {
            struct series_block **place = &blocks_of(entity, level)[i];
            if (*place && (*place)->slot < slot)
                drop_block(series, entity, place);
        }
}

/* All entities lose their oldest block together: none is shown longer than the others. */
static bool shorten(struct series *series, enum series_level level)
{
    if (series->kept[level] <= least_kept[level])
        return false;
    series->kept[level]--;
    drop_before(series, level, series->newest[level] - series->kept[level] + 1);
    return true;
}

static bool make_room(struct series *series, size_t bytes)
{
    while (series->bytes + bytes > series->budget_bytes)
        if (!shorten(series, SERIES_MINUTE) && !shorten(series, SERIES_FINE))
            return false;
    return true;
}

unsigned series_kept_blocks(const struct series *series, enum series_level level)
{
    return series->kept[level];
}

size_t series_bytes(const struct series *series)
{
    return series->bytes;
}

/* ---- entities ---- */

static struct entity *find_entity(const struct series *series, const struct series_key *key)
{
    struct entity *entity = NULL;
    HASH_FIND(hh, series->entities, key, sizeof *key, entity);
    return entity;
}

static struct entity *add_entity(struct series *series, const struct series_key *key)
{
    struct entity *entity = mem_alloc(sizeof *entity);
    entity->key = *key;
    series->bytes += sizeof *entity;
    HASH_ADD(hh, series->entities, key, sizeof entity->key, entity);
    return entity;
}

static bool is_empty(struct entity *entity)
{
    for (int level = 0; level < SERIES_LEVELS; level++)
        for (unsigned i = 0; i < block_counts[level]; i++)
            if (blocks_of(entity, (enum series_level)level)[i])
                return false;
    return true;
}

static void drop_entity(struct series *series, struct entity *entity)
{
    for (int level = 0; level < SERIES_LEVELS; level++)
        for (unsigned i = 0; i < block_counts[level]; i++)
            drop_block(series, entity, &blocks_of(entity, (enum series_level)level)[i]);
    series->bytes -= sizeof *entity;
    HASH_DEL(series->entities, entity);
    free(entity);
}

bool series_has(enum series_entity entity, enum series_metric metric)
{
    for (unsigned i = 0; i < series_shapes[entity].count; i++)
        if (series_shapes[entity].metrics[i] == metric)
            return true;
    return false;
}

/* ---- putting ---- */

/* The block of that slot, made when it isn't there; NULL when there is no room. */
static struct series_block *make_block(struct series *series, enum series_level level,
                                       const struct series_key *key, int64_t slot)
{
    struct entity *entity = find_entity(series, key);
    struct series_block **place = entity ? place_of(entity, level, slot) : NULL;
    if (place && *place && (*place)->slot == slot)
        return own_block(entity, place);
    if (slot > series->newest[level]) {
        series->newest[level] = slot;
        drop_before(series, level, slot - series->kept[level] + 1);
    }
    if (slot + series->kept[level] <= series->newest[level])
        return NULL;
    struct entity like = {.key = *key};
    if (!make_room(series, block_bytes(&like) + (entity ? 0 : sizeof like)))
        return NULL;
    if (!entity)
        entity = add_entity(series, key);
    place = place_of(entity, level, slot);
    drop_block(series, entity, place);
    *place = new_block(entity, slot);
    series->bytes += block_bytes(entity);
    return *place;
}

bool series_put(struct series *series, enum series_level level, const struct series_key *key,
                int64_t at_ms, const float values[SERIES_METRICS])
{
    const struct series_shape *shape = &series_shapes[key->entity];
    int64_t step = at_ms / 1000 / series_step_s[level];
    if (at_ms < 0)
        return false;
    struct series_block *block = make_block(series, level, key, step / SERIES_BLOCK_STEPS);
    for (unsigned i = 0; block && i < shape->count; i++)
        block->values[i * SERIES_BLOCK_STEPS + (size_t)(step % SERIES_BLOCK_STEPS)] =
            series_pack(values[shape->metrics[i]]);
    return block != NULL;
}

bool series_load_block(struct series *series, const struct series_copy_item *item,
                       const uint16_t *values, unsigned count)
{
    struct series_block *block =
        make_block(series, item->level, &item->key, item->block->slot);
    if (block)
        memcpy(block->values, values, (size_t)count * SERIES_BLOCK_STEPS * sizeof *values);
    return block != NULL;
}

static void expire_blocks(struct series *series, struct entity *entity, enum series_level level)
{
    for (unsigned i = 0; i < block_counts[level]; i++) {
        struct series_block **place = &blocks_of(entity, level)[i];
        if (*place && ((*place)->slot > series->newest[level] ||
                       (*place)->slot + series->kept[level] <= series->newest[level]))
            drop_block(series, entity, place);
    }
}

/* What the budget took comes back, step by step, when there is room again. */
static void lengthen(struct series *series, enum series_level level)
{
    if (series->kept[level] < block_counts[level] &&
        series->bytes < series->budget_bytes / 4 * 3)
        series->kept[level]++;
}

void series_expire(struct series *series, int64_t now_ms)
{
    for (int level = 0; level < SERIES_LEVELS; level++) {
        series->newest[level] = now_ms / 1000 / block_s((enum series_level)level);
        lengthen(series, (enum series_level)level);
    }
    struct entity *entity, *next;
    HASH_ITER(hh, series->entities, entity, next) {
        for (int level = 0; level < SERIES_LEVELS; level++)
            expire_blocks(series, entity, (enum series_level)level);
        if (is_empty(entity))
            drop_entity(series, entity);
    }
}

/* ---- reading ---- */

/* Where the metric stands in the entity's blocks, or -1. */
static int row_of(enum series_entity entity, enum series_metric metric)
{
    for (unsigned i = 0; i < series_shapes[entity].count; i++)
        if (series_shapes[entity].metrics[i] == metric)
            return (int)i;
    return -1;
}

/* An entity's values of one metric, block by block. */
struct reader {
    struct entity *entity; /* NULL: has none */
    enum series_level level;
    int row;
};

static struct reader reader_of(const struct series *series, const struct series_key *key,
                               enum series_level level, enum series_metric metric)
{
    return (struct reader){.entity = find_entity(series, key),
                           .level = level,
                           .row = row_of((enum series_entity)key->entity, metric)};
}

static uint16_t value_at(const struct reader *reader, int64_t step)
{
    if (!reader->entity || reader->row < 0 || step < 0)
        return PACKED_NONE;
    int64_t slot = step / SERIES_BLOCK_STEPS;
    const struct series_block *block = *place_of(reader->entity, reader->level, slot);
    if (!block || block->slot != slot)
        return PACKED_NONE;
    return block->values[reader->row * SERIES_BLOCK_STEPS + (int)(step % SERIES_BLOCK_STEPS)];
}

bool series_has_block(const struct series *series, enum series_level level,
                      const struct series_key *key, int64_t at_ms)
{
    struct entity *entity = find_entity(series, key);
    int64_t slot = at_ms / 1000 / block_s(level);
    const struct series_block *block = entity ? *place_of(entity, level, slot) : NULL;
    return block && block->slot == slot;
}

/* Over `count` steps; `least`: over so many at least, those that aren't known being 0. */
static float mean(const struct reader *reader, int64_t first, int count, unsigned least)
{
    float sum = 0;
    unsigned known = 0;
    for (int64_t step = first; step < first + count; step++) {
        float value = series_unpack(value_at(reader, step));
        known += !isnan(value);
        sum += isnan(value) ? 0 : value;
    }
    return known ? sum / (float)(known > least ? known : least) : NAN;
}

void series_minute_means(const struct series *series, const struct series_key *key, int64_t at_ms,
                         unsigned steps, float ret[SERIES_METRICS])
{
    const struct series_shape *shape = &series_shapes[key->entity];
    struct reader reader = {.entity = find_entity(series, key), .level = SERIES_FINE};
    for (int metric = 0; metric < SERIES_METRICS; metric++)
        ret[metric] = NAN;
    for (unsigned i = 0; i < shape->count; i++) {
        reader.row = (int)i;
        ret[shape->metrics[i]] = mean(&reader, at_ms / 60000 * 6, 6, steps);
    }
}

/* A model that was idle has no values: it is known to be so where the cluster's counts are. */
static bool is_idle_zero(const struct series_key *key, enum series_metric metric)
{
    return key->entity == SERIES_MODEL && metric != SERIES_TTFT_P50 && metric != SERIES_TTFT_P95;
}

void series_read(const struct series *series, const struct series_key *key,
                 enum series_metric metric, const struct series_range *range, float *ret)
{
    static const struct series_key cluster = {.entity = SERIES_CLUSTER};
    enum series_level level = range->step_s % 60 == 0 ? SERIES_MINUTE : SERIES_FINE;
    struct reader own = reader_of(series, key, level, metric);
    struct reader heard = {0};
    if (is_idle_zero(key, metric))
        heard = reader_of(series, &cluster, level, SERIES_REQUESTS);
    int64_t step = range->start_s / series_step_s[level];
    for (size_t i = 0; i < range->count; i++) {
        float sum = 0;
        unsigned known = 0;
        for (int64_t k = range->step_s / series_step_s[level]; k > 0; k--, step++) {
            uint16_t packed = value_at(&own, step);
            if (packed == PACKED_NONE && value_at(&heard, step) != PACKED_NONE)
                packed = 0;
            known += packed != PACKED_NONE;
            sum += packed == PACKED_NONE ? 0 : series_unpack(packed);
        }
        ret[i] = known ? sum / (float)known : NAN;
    }
}

/* ---- copies ---- */

void series_copy(struct series *series, struct series_copy *ret)
{
    size_t most = HASH_COUNT(series->entities) * (SERIES_FINE_BLOCKS + SERIES_MINUTE_BLOCKS);
    *ret = (struct series_copy){.items = mem_alloc_array(most + 1, sizeof *ret->items)};
    for (struct entity *entity = series->entities; entity; entity = entity->hh.next)
        for (int level = 0; level < SERIES_LEVELS; level++)
            for (unsigned i = 0; i < block_counts[level]; i++) {
                struct series_block *block = blocks_of(entity, (enum series_level)level)[i];
                if (!block)
                    continue;
                block->references++;
                ret->items[ret->count++] =
                    (struct series_copy_item){entity->key, (enum series_level)level, block};
            }
}

void series_copy_fini(struct series_copy *copy)
{
    for (size_t i = 0; i < copy->count; i++)
        if (--copy->items[i].block->references == 0)
            free(copy->items[i].block);
    free(copy->items);
    *copy = (struct series_copy){0};
}

/* ---- life ---- */

struct series *series_new(size_t budget_bytes)
{
    struct series *series = mem_alloc(sizeof *series);
    series->budget_bytes = budget_bytes;
    for (int level = 0; level < SERIES_LEVELS; level++)
        series->kept[level] = block_counts[level];
    return series;
}

void series_free(struct series *series)
{
    struct entity *entity, *next;
    if (!series)
        return;
    HASH_ITER(hh, series->entities, entity, next)
        drop_entity(series, entity);
    free(series);
}
