/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/gguf.h"

#include "weights/gguf_priv.h"
#include "weights/gguf_split.h"

/* Shortest metadata entry: key length, type, one byte of value; shortest tensor description: name
 * length, dimension count, type, offset. */
enum { ENTRY_BYTES_MIN = 8 + 4 + 1, TENSOR_BYTES_MIN = 8 + 4 + 4 + 8 };

/* Parts after the first have tensors only. */
enum { LATER_PART_EXPECTED = 64 << 10 };

/* One reading of a model. */
struct reading {
    struct source *source;
    struct err *err;
    struct gguf_meta *meta;       /* owned; of the first file */
    struct gguf_meta *part_meta;  /* owned; of a later one */
    struct gguf_tensors *tensors; /* owned */
    bool is_big_endian;
    uint64_t file_bytes;
    unsigned part_count; /* 1 for a single file */
};

/* ---- one file ---- */

static int check_count(struct reader *reader, const char *what, uint64_t count, uint64_t max,
                       uint64_t least_bytes)
{
    if (count > reader_left(reader) / least_bytes)
        return reader_fail(reader, ERR_SYNTAX, "claims %llu %s, more than fit into it",
                           (unsigned long long)count, what);
    if (count > max)
        return reader_fail(reader, ERR_TOO_LARGE, "has %llu %s, at most %llu are read",
                           (unsigned long long)count, what, (unsigned long long)max);
    return 0;
}

/*
 * Magic and version. Big-endian files keep the magic's bytes or turn them around; the version tells
 * the first kind, for no version has its low half zero.
 */
static int read_version(struct reader *reader)
{
    const uint32_t magic = reader_u32(reader);
    if (!reader->failure && magic != GGUF_MAGIC && magic != GGUF_MAGIC_SWAPPED)
        return reader_fail(reader, ERR_SYNTAX, "doesn't begin with GGUF");
    uint32_t version = reader_u32(reader);
    if (magic == GGUF_MAGIC_SWAPPED || (version != 0 && (version & 0xffff) == 0)) {
        reader->is_big_endian = true;
        version = __builtin_bswap32(version);
    }
    if (!reader->failure && (version < GGUF_VERSION_MIN || version > GGUF_VERSION_MAX))
        return reader_fail(reader, ERR_INVALID, "has version %u; versions %d to %d are read",
                           version, GGUF_VERSION_MIN, GGUF_VERSION_MAX);
    return reader->failure;
}

static int read_header(struct reading *reading, struct reader *reader, struct gguf_meta *meta)
{
    int rc = read_version(reader);
    const uint64_t tensors = reader_u64(reader);
    const uint64_t entries = reader_u64(reader);
    if (rc == 0)
        rc = reader->failure;
    if (rc == 0)
        rc = check_count(reader, "metadata entries", entries, GGUF_KEYS_MAX, ENTRY_BYTES_MIN);
    if (rc == 0)
        rc = check_count(reader, "tensors", tensors, GGUF_TENSORS_MAX, TENSOR_BYTES_MIN);
    if (rc == 0)
        rc = gguf_meta_read(meta, reader, entries);
    if (rc < 0)
        return rc;
    const uint64_t alignment = meta->alignment ? meta->alignment : GGUF_ALIGNMENT_DEFAULT;
    return gguf_tensors_read(reading->tensors, reader, tensors, alignment);
}

static int read_file(struct reading *reading, const struct source_file *file,
                     struct gguf_meta *meta, unsigned part)
{
    struct reader reader;
    *meta = (struct gguf_meta){0};
    reader_init(&reader, reading->source, file, GGUF_HEADER_MAX, reading->err);
    if (part > 1)
        reader.expected = LATER_PART_EXPECTED;
    const int rc = read_header(reading, &reader, meta);
    reading->is_big_endian |= reader.is_big_endian;
    reading->file_bytes += file->bytes;
    reader_fini(&reader);
    return rc < 0 ? err_wrap(reading->err, rc, "%s", file->name) : 0;
}

/* ---- the parts of a split ---- */

/* What a part says of its place must be what its name says. */
static int check_part(struct reading *reading, const struct source_file *file,
                      const struct gguf_meta *meta, unsigned part)
{
    if (meta->split_count == reading->part_count && meta->split_number == part - 1)
        return 0;
    return err_set(reading->err, ERR_SYNTAX,
                   "%s is by its metadata part %llu of %llu, by its name part %u of %u",
                   file->name, (unsigned long long)meta->split_number + 1,
                   (unsigned long long)meta->split_count, part, reading->part_count);
}

static int read_part(struct reading *reading, const struct gguf_split *split, unsigned part)
{
    auto_free char *name = gguf_split_name(split, part);
    const struct source_file *file = source_find(reading->source, name);
    struct gguf_meta *meta = part == 1 ? reading->meta : reading->part_meta;
    if (!file)
        return err_set(reading->err, ERR_NOT_FOUND, "%s is missing, part %u of %u", name, part,
                       split->count);
    const int rc = read_file(reading, file, meta, part);
    return rc < 0 ? rc : check_part(reading, file, meta, part);
}

static int read_parts(struct reading *reading, const struct gguf_split *split)
{
    int rc = 0;
    reading->part_count = split->count;
    for (unsigned part = 1; rc == 0 && part <= split->count; part++)
        rc = read_part(reading, split, part);
    if (rc < 0 || reading->tensors->count == reading->meta->split_tensors_count)
        return rc;
    return err_set(reading->err, ERR_SYNTAX, "%.*s has %llu tensors in all parts instead of %llu",
                   STR_ARGS(split->stem), (unsigned long long)reading->tensors->count,
                   (unsigned long long)reading->meta->split_tensors_count);
}

/* Part one of one is a whole model: some are named so without ever having been split. */
static bool is_split(const struct source_file *file, struct gguf_split *ret)
{
    return gguf_split_parse(str_of(file->name), ret) && ret->count > 1;
}

static int read_single(struct reading *reading, const struct source_file *file)
{
    reading->part_count = 1;
    const int rc = read_file(reading, file, reading->meta, 1);
    if (rc < 0 || reading->meta->split_count <= 1)
        return rc;
    return err_set(reading->err, ERR_INVALID,
                   "%s is part %llu of %llu of a model, but its name doesn't end like "
                   "\"-00001-of-%05llu.gguf\"",
                   file->name, (unsigned long long)reading->meta->split_number + 1,
                   (unsigned long long)reading->meta->split_count,
                   (unsigned long long)reading->meta->split_count);
}

/* ---- the model ---- */

static int conclude(struct reading *reading, const struct source_file *file,
                    struct model_shape *ret)
{
    const int rc = gguf_shape(reading->meta, reading->tensors, ret, reading->err);
    if (rc < 0)
        return err_wrap(reading->err, rc, "%s", file->name);
    ret->is_big_endian = reading->is_big_endian;
    ret->is_split = reading->part_count > 1;
    ret->file_bytes = reading->file_bytes;
    return 0;
}

int gguf_read(struct source *source, const struct source_file *file, struct model_shape *ret,
              struct err *err)
{
    auto_free struct gguf_meta *meta = mem_alloc(sizeof *meta);
    auto_free struct gguf_meta *part_meta = mem_alloc(sizeof *part_meta);
    auto_free struct gguf_tensors *tensors = mem_alloc(sizeof *tensors);
    struct reading reading = {source, err, meta, part_meta, tensors, false, 0, 0};
    struct gguf_split split;
    int rc = is_split(file, &split) ? read_parts(&reading, &split) : read_single(&reading, file);
    if (rc == 0)
        rc = conclude(&reading, file, ret);
    name_set_fini(&tensors->names);
    return rc;
}

int gguf_probe(struct source *source, const struct source_file *file, struct err *err)
{
    auto_fini(buf_fini) struct buf start = {0};
    const int rc = source_read(source, file, 0, 4, &start, err);
    if (rc < 0)
        return rc;
    const struct str magic = str_sub(start.ptr, start.len < 4 ? start.len : 4);
    return str_eq(magic, STR("GGUF")) || str_eq(magic, STR("FUGG"));
}
