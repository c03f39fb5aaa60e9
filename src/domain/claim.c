/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/claim.h"

#define BYTES_END (UINT64_C(1) << CLAIM_BYTES_MAX_BITS)

enum { DEVICES_AT_FIRST = 8 }; /* most claims never need a second allocation */

void claim_fini(struct resource_claim *claim)
{
    free(claim->devices);
    *claim = (struct resource_claim){0};
}

void claim_copy(struct resource_claim *to, const struct resource_claim *from)
{
    struct resource_claim copy = *from;
    copy.devices = NULL;
    copy.device_count = 0;
    for (size_t i = 0; i < from->device_count; i++)
        claim_add_device(&copy, from->devices[i].index, from->devices[i].bytes);
    claim_fini(to);
    *to = copy;
}

void claim_add_device(struct resource_claim *claim, int64_t index, uint64_t bytes)
{
    size_t count = claim->device_count;
    if (count == 0)
        claim->devices = mem_alloc_array(DEVICES_AT_FIRST, sizeof *claim->devices);
    else if (count >= DEVICES_AT_FIRST && (count & (count - 1)) == 0) /* full: a power of two */
        claim->devices = mem_resize(claim->devices, 2 * count * sizeof *claim->devices);
    claim->devices[claim->device_count++] = (struct claim_device){index, bytes};
}

bool claim_is_empty(const struct resource_claim *claim)
{
    return !claim->ram_bytes && !claim->device_count && !claim->layers_total;
}

uint64_t claim_device_bytes(const struct resource_claim *claim, int64_t index)
{
    for (size_t i = 0; i < claim->device_count; i++)
        if (claim->devices[i].index == index)
            return claim->devices[i].bytes;
    return 0;
}

/* ---- writing ---- */

static void put_number(struct json_writer *w, const char *key, int64_t value)
{
    if (value)
        json_put_int(w, key, value);
}

static void write_devices(const struct resource_claim *claim, struct json_writer *w)
{
    json_add_key(w, "vram");
    json_begin_object(w);
    for (size_t i = 0; i < claim->device_count; i++) {
        char key[24];
        snprintf(key, sizeof key, "%lld", (long long)claim->devices[i].index);
        json_put_int(w, key, (int64_t)claim->devices[i].bytes);
    }
    json_end_object(w);
}

static bool has_split(const struct resource_claim *claim)
{
    return claim->device_count > 1 && claim->layers_offloaded > 0;
}

static void write_split(const struct resource_claim *claim, struct json_writer *w)
{
    json_add_key(w, "tensor_split");
    json_begin_array(w);
    for (size_t i = 0; i < claim->device_count; i++)
        json_add_int(w, (int64_t)claim->devices[i].bytes);
    json_end_array(w);
}

/* The order of members is the one in which read_canonical() expects them. */
void claim_write(const struct resource_claim *claim, struct json_writer *w)
{
    json_begin_object(w);
    put_number(w, "ram", (int64_t)claim->ram_bytes);
    if (claim->device_count)
        write_devices(claim, w);
    json_put_bool(w, "is_unified_memory", claim->is_unified);
    if (claim->is_whole)
        json_put_bool(w, "is_whole", true);
    put_number(w, "offload_layers", claim->layers_offloaded);
    put_number(w, "total_layers", claim->layers_total);
    if (has_split(claim))
        write_split(claim, w);
    put_number(w, "context_length", claim->context_length);
    put_number(w, "tensor_parallel", claim->tensor_parallel);
    put_number(w, "pipeline_parallel", claim->pipeline_parallel);
    json_end_object(w);
}

char *claim_text(const struct resource_claim *claim)
{
    struct buf text = {0};
    struct json_writer w = json_writer_into(&text);
    claim_write(claim, &w);
    return buf_take(&text);
}

/* ---- the short way: text as claim_write() writes it ---- */

struct cursor {
    const char *at, *end;
    bool is_first; /* no member was taken yet */
    bool is_odd;   /* not as we write it */
};

/* Steps over `,"key":` when it comes next. */
static inline bool take_key(struct cursor *c, struct str key)
{
    const char *at = c->at + !c->is_first;
    if (c->is_odd || (size_t)(c->end - c->at) <= key.len || (!c->is_first && *c->at != ',') ||
        memcmp(at, key.ptr, key.len) != 0)
        return false;
    c->at = at + key.len;
    c->is_first = false;
    return true;
}

static inline bool take_char(struct cursor *c, char wanted)
{
    if (c->is_odd || c->at == c->end || *c->at != wanted)
        return false;
    c->at++;
    return true;
}

/* Decimal digits below `end`, without a leading zero. Something else is left to the long way. */
static inline uint64_t take_number(struct cursor *c, uint64_t end)
{
    const char *from = c->at;
    uint64_t value = 0;
    while (c->at < c->end && c->at - from < 18 && (unsigned)(*c->at - '0') < 10)
        value = value * 10 + (unsigned)(*c->at++ - '0');
    if (c->at == from || value >= end || (*from == '0' && c->at - from > 1))
        c->is_odd = true;
    return value;
}

static inline int64_t take_small(struct cursor *c, struct str key)
{
    return take_key(c, key) ? (int64_t)take_number(c, INT32_MAX) : 0;
}

static inline bool take_word(struct cursor *c, struct str word)
{
    if (c->is_odd || (size_t)(c->end - c->at) < word.len ||
        memcmp(c->at, word.ptr, word.len) != 0)
        return false;
    c->at += word.len;
    return true;
}

static bool take_bool(struct cursor *c, struct str key)
{
    if (!take_key(c, key))
        return false;
    bool value = take_word(c, STR("true"));
    if (!value && !take_word(c, STR("false")))
        c->is_odd = true;
    return value;
}

/* Indexes that don't grow are left to the long way: it knows whether one came twice. */
static void take_devices(struct cursor *c, struct resource_claim *claim)
{
    int64_t last = -1;
    char before = '{';
    while (take_char(c, before)) {
        bool is_quoted = take_char(c, '"');
        int64_t index = (int64_t)take_number(c, CLAIM_DEVICES_MAX);
        if (!is_quoted || !take_word(c, STR("\":")) || index <= last)
            c->is_odd = true;
        claim_add_device(claim, index, take_number(c, BYTES_END));
        last = index;
        before = ',';
    }
    if (before == '{' || !take_char(c, '}'))
        c->is_odd = true;
}

/* It says nothing that the devices didn't. */
static void pass_split(struct cursor *c, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!take_char(c, i ? ',' : '['))
            c->is_odd = true;
        take_number(c, BYTES_END);
    }
    if (count == 0 || !take_char(c, ']'))
        c->is_odd = true;
}

static bool read_canonical(struct str text, struct resource_claim *claim)
{
    struct cursor c = {.at = text.ptr, .end = text.ptr + text.len, .is_first = true};
    c.is_odd = !take_char(&c, '{');
    if (take_key(&c, STR("\"ram\":")))
        claim->ram_bytes = take_number(&c, BYTES_END);
    if (take_key(&c, STR("\"vram\":")))
        take_devices(&c, claim);
    claim->is_unified = take_bool(&c, STR("\"is_unified_memory\":"));
    claim->is_whole = take_bool(&c, STR("\"is_whole\":"));
    claim->layers_offloaded = take_small(&c, STR("\"offload_layers\":"));
    claim->layers_total = take_small(&c, STR("\"total_layers\":"));
    if (take_key(&c, STR("\"tensor_split\":")))
        pass_split(&c, claim->device_count);
    claim->context_length = take_small(&c, STR("\"context_length\":"));
    claim->tensor_parallel = take_small(&c, STR("\"tensor_parallel\":"));
    claim->pipeline_parallel = take_small(&c, STR("\"pipeline_parallel\":"));
    return take_char(&c, '}') && c.at == c.end;
}

/* ---- the long way: anybody's JSON ---- */

static int read_number(const json_t *object, const char *key, uint64_t end, int64_t *ret,
                       struct err *err)
{
    const json_t *value = json_object_get(object, key);
    *ret = 0;
    if (!value || json_is_null(value))
        return 0;
    if (json_take_integer(value, ret) && *ret >= 0 && (uint64_t)*ret < end)
        return 0;
    return err_set(err, ERR_INVALID, "%s must be an integer of 0-%llu", key,
                   (unsigned long long)end - 1);
}

static int read_index(const char *key, int64_t *ret, struct err *err)
{
    int64_t index = 0;
    const char *at = key;
    while (*at >= '0' && *at <= '9' && index < CLAIM_DEVICES_MAX)
        index = index * 10 + (*at++ - '0');
    if (*at || at == key || index >= CLAIM_DEVICES_MAX || (*key == '0' && key[1]))
        return err_set(err, ERR_INVALID, "vram must have device indexes of 0-%d, not \"%.16s\"",
                       CLAIM_DEVICES_MAX - 1, key);
    *ret = index;
    return 0;
}

static int read_devices(const json_t *vram, struct resource_claim *claim, struct err *err)
{
    if (!vram || json_is_null(vram))
        return 0;
    if (!json_is_object(vram))
        return err_set(err, ERR_INVALID, "vram must be an object of bytes by device index");
    json_t *object = (json_t *)(uintptr_t)vram; /* jansson iterates over non-const only */
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        int64_t index = 0, bytes = 0;
        int rc = read_index(key, &index, err);
        if (rc == 0 && !(json_take_integer(value, &bytes) && bytes >= 0 &&
                         (uint64_t)bytes < BYTES_END))
            rc = err_set(err, ERR_INVALID, "vram of device %s must be an integer of 0-%llu bytes",
                         key, (unsigned long long)BYTES_END - 1);
        if (rc < 0)
            return rc;
        claim_add_device(claim, index, (uint64_t)bytes);
    }
    return 0;
}

static int read_members(const json_t *object, struct resource_claim *claim, struct err *err)
{
    const struct {
        const char *key;
        int64_t *at;
    } numbers[] = {
        {"offload_layers", &claim->layers_offloaded},
        {"total_layers", &claim->layers_total},
        {"context_length", &claim->context_length},
        {"tensor_parallel", &claim->tensor_parallel},
        {"pipeline_parallel", &claim->pipeline_parallel},
    };
    int64_t ram = 0;
    int rc = read_number(object, "ram", BYTES_END, &ram, err);
    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(numbers); i++)
        rc = read_number(object, numbers[i].key, INT32_MAX, numbers[i].at, err);
    if (rc == 0)
        rc = read_devices(json_object_get(object, "vram"), claim, err);
    claim->ram_bytes = (uint64_t)ram;
    claim->is_unified = json_is_true(json_object_get(object, "is_unified_memory"));
    claim->is_whole = json_is_true(json_object_get(object, "is_whole"));
    return rc;
}

int claim_read_value(const json_t *value, struct resource_claim *ret, struct err *err)
{
    if (!value || json_is_null(value))
        return 0;
    if (!json_is_object(value))
        return err_set(err, ERR_INVALID, "a claim must be an object like {\"ram\":1073741824}");
    struct resource_claim claim = {0};
    int rc = read_members(value, &claim, err);
    if (rc == 0)
        *ret = claim;
    else
        claim_fini(&claim);
    return rc;
}

int claim_read(struct str text, struct resource_claim *ret, struct err *err)
{
    if (text.len > CLAIM_TEXT_MAX)
        return err_set(err, ERR_TOO_LARGE, "a claim must be at most %d bytes, not %zu",
                       CLAIM_TEXT_MAX, text.len);
    struct resource_claim claim = {0};
    if (read_canonical(text, &claim)) {
        *ret = claim;
        return 0;
    }
    claim_fini(&claim);
    auto_fini(json_release) json_t *root = NULL;
    int rc = json_read(text, &root, err);
    return rc < 0 ? rc : claim_read_value(root, ret, err);
}
