/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/hf_files_priv.h"

#include "base/num.h"
#include "weights/json_view.h"
#include "weights/model_shape.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>

/* Endings of files in other formats than safetensors; only their sizes are known. */
static const char *const OTHER_SUFFIXES[] = {".bin", ".pt", ".pth", ".ckpt", ".onnx"};

/* What lies beside weights and is loaded by no engine. */
static const char *const NO_WEIGHTS[] = {"training_args", "optimizer", "scheduler",  "rng_state",
                                         "random_states", "tokenizer", "adapter_model"};

static const char *const VARIANTS[] = {"fp16", "bf16", "fp32", "fp8", "non_ema", "ema", "int8"};

void hf_files_fini(struct hf_files *files)
{
    free(files->files);
    *files = (struct hf_files){0};
}

uint64_t hf_files_left(const struct source *source)
{
    if (source->is_local)
        return UINT64_MAX;
    return source->read_bytes < HF_REMOTE_MAX ? HF_REMOTE_MAX - source->read_bytes : 0;
}

struct str hf_files_name_in(const struct source_file *file, const char *folder)
{
    const struct str name = str_of(file->name), prefix = str_of(folder);
    if (!str_has_prefix(name, prefix))
        return (struct str){0};
    const struct str rest = str_skip(name, prefix.len);
    return str_find(rest, '/') == rest.len ? rest : (struct str){0};
}

/* --- names ----------------------------------------------------------------------------------- */

static bool is_other_format(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(OTHER_SUFFIXES); i++)
        if (str_has_suffix(name, str_of(OTHER_SUFFIXES[i])))
            return true;
    return false;
}

static bool is_no_weights(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(NO_WEIGHTS); i++)
        if (str_has_prefix(name, str_of(NO_WEIGHTS[i])))
            return true;
    return false;
}

/* "model.fp16.safetensors", "model.fp16-00001-of-00002.safetensors" */
static bool is_variant(struct str name)
{
    for (size_t dot = str_find(name, '.'); dot < name.len;) {
        const struct str rest = str_skip(name, dot + 1);
        for (size_t i = 0; i < ARRAY_LEN(VARIANTS); i++) {
            const size_t n = strlen(VARIANTS[i]);
            if (str_has_prefix(rest, str_of(VARIANTS[i])) && n < rest.len &&
                (rest.ptr[n] == '.' || rest.ptr[n] == '-'))
                return true;
        }
        dot += 1 + str_find(rest, '.');
    }
    return false;
}

/* A shard's name: "PREFIX-NUMBER-of-TOTAL.ENDING". */
struct shard {
    struct str prefix;
    uint64_t number, total;
};

static size_t digits_before(struct str s, size_t end)
{
    size_t n = 0;
    while (n < end && s.ptr[end - n - 1] >= '0' && s.ptr[end - n - 1] <= '9')
        n++;
    return n;
}

static bool parse_shard(struct str name, struct shard *ret)
{
    size_t end = name.len;
    while (end > 0 && name.ptr[end - 1] != '.')
        end--;
    end -= end > 0;
    const size_t total = digits_before(name, end);
    if (total == 0 || end < total + 4 || memcmp(name.ptr + end - total - 4, "-of-", 4) != 0)
        return false;
    const size_t number_end = end - total - 4;
    const size_t number = digits_before(name, number_end);
    if (number == 0 || number_end < number + 1 || name.ptr[number_end - number - 1] != '-')
        return false;
    ret->prefix = str_sub(name.ptr, number_end - number - 1);
    return num_parse_u64(str_sub(name.ptr + end - total, total), &ret->total) == 0 &&
           num_parse_u64(str_sub(name.ptr + number_end - number, number), &ret->number) == 0;
}

/* --- choosing -------------------------------------------------------------------------------- */

/* What is known of a folder while it is chosen from. */
struct choice {
    struct source *source;
    const char *folder;
    bool *taken; /* per file of the source */
};

static struct str name_of(const struct choice *choice, size_t i)
{
    return hf_files_name_in(&choice->source->files[i], choice->folder);
}

/* Drops what `is_lesser` says, unless nothing would be left. */
static void drop_lesser(struct choice *choice, bool (*is_lesser)(struct str name))
{
    size_t better = 0;
    for (size_t i = 0; i < choice->source->file_count; i++)
        better += choice->taken[i] && !is_lesser(name_of(choice, i));
    for (size_t i = 0; better > 0 && i < choice->source->file_count; i++)
        choice->taken[i] = choice->taken[i] && !is_lesser(name_of(choice, i));
}

static bool is_not_safetensors(struct str name)
{
    return !str_has_suffix(name, STR(".safetensors"));
}

static bool is_consolidated(struct str name)
{
    return str_has_prefix(name, STR("consolidated"));
}

/* One file or the shards of one model, under the names that transformers writes. */
static bool is_not_usual(struct str name)
{
    static const char *const USUAL[] = {"model", "pytorch_model", "diffusion_pytorch_model"};
    struct shard shard;
    struct str prefix = name;
    if (parse_shard(name, &shard))
        prefix = shard.prefix;
    else
        prefix.len = str_find(name, '.');
    for (size_t i = 0; i < ARRAY_LEN(USUAL); i++)
        if (str_eq(prefix, str_of(USUAL[i])))
            return false;
    return true;
}

static bool is_shard(struct str name)
{
    struct shard shard;
    return parse_shard(name, &shard);
}

static bool is_not_shard(struct str name)
{
    return !is_shard(name);
}

/* Whether a whole file and shards are two copies of one model, not parts of a pipeline. */
static bool takes_usual(const struct choice *choice)
{
    for (size_t i = 0; i < choice->source->file_count; i++)
        if (choice->taken[i] && is_not_usual(name_of(choice, i)))
            return false;
    return true;
}

/* All that may be weights, the better format only, no duplicates as far as names tell. */
static void take_by_names(struct choice *choice)
{
    for (size_t i = 0; i < choice->source->file_count; i++) {
        const struct str name = name_of(choice, i);
        choice->taken[i] = name.len > 0 && !is_no_weights(name) &&
                           (!is_not_safetensors(name) || is_other_format(name));
    }
    drop_lesser(choice, is_not_safetensors);
    drop_lesser(choice, is_consolidated);
    drop_lesser(choice, is_variant);
    drop_lesser(choice, is_not_usual);
}

/* --- the index ------------------------------------------------------------------------------- */

static int by_name(const void *key, const void *file)
{
    return strcmp(key, ((const struct source_file *)file)->name);
}

/* Number of the file that an index means, or -1. */
static ssize_t find_named(const struct choice *choice, struct str name)
{
    const struct source *source = choice->source;
    char path[2 * SOURCE_NAME_MAX];
    if (name.len > SOURCE_NAME_MAX || memchr(name.ptr, '/', name.len) ||
        snprintf(path, sizeof path, "%s%.*s", choice->folder, STR_ARGS(name)) >= (int)sizeof path)
        return -1;
    const struct source_file *file =
        bsearch(path, source->files, source->file_count, sizeof *source->files, by_name);
    return file ? file - source->files : -1;
}

static int take_by_map(struct choice *choice, const struct source_file *index, struct str map,
                       struct err *err)
{
    struct json_view_items items = json_view_items(map);
    struct str value, last = {0}; /* neighbours mostly lie in the same file */
    memset(choice->taken, 0, choice->source->file_count * sizeof *choice->taken);
    while (json_view_next(&items, NULL, &value)) {
        const struct str name = json_view_text(value);
        if (last.len > 0 && str_eq(name, last))
            continue;
        const bool is_weights = !is_not_safetensors(name) || is_other_format(name);
        const ssize_t number = is_weights ? find_named(choice, name) : -1;
        if (number < 0)
            return err_set(err, ERR_INVALID,
                           "%s names the file \"%.*s\", which isn't there or has no weights",
                           index->name, (int)(name.len < 200 ? name.len : 200),
                           name.len ? name.ptr : "");
        choice->taken[number] = true;
        last = name;
    }
    return 0;
}

/* Takes the files that an index names. Returns 1 when it names none. */
static int take_by_index(struct choice *choice, const struct source_file *index, struct err *err)
{
    auto_fini(buf_fini) struct buf text = {0};
    struct str root, map = {0};
    int rc = source_read_small(choice->source, index, &text, err);
    if (rc < 0)
        return err_wrap(err, rc, "%s", index->name);
    rc = json_view_check(buf_str(&text), &root, err);
    if (rc < 0)
        return err_wrap(err, rc, "%s", index->name);
    json_view_member(root, "weight_map", &map);
    if (json_view_kind(map) != JSON_VIEW_OBJECT || json_view_count(map) == 0)
        return 1;
    return take_by_map(choice, index, map, err);
}

/* The index for what the names chose: "model.safetensors.index.json". */
static const struct source_file *find_index(const struct choice *choice)
{
    size_t safetensors = 0, others = 0;
    for (size_t i = 0; i < choice->source->file_count; i++) {
        safetensors += choice->taken[i] && !is_not_safetensors(name_of(choice, i));
        others += choice->taken[i] && is_not_safetensors(name_of(choice, i));
    }
    const struct str suffix =
        safetensors >= others ? STR(".safetensors.index.json") : STR(".bin.index.json");
    for (size_t i = 0; i < choice->source->file_count; i++) {
        const struct str name = name_of(choice, i);
        if (str_has_suffix(name, suffix) && !is_consolidated(name) && !is_variant(name))
            return &choice->source->files[i];
    }
    return NULL;
}

/* --- completeness ---------------------------------------------------------------------------- */

static int fail_missing(const struct choice *choice, const struct shard *like, size_t of,
                        uint64_t number, struct err *err)
{
    const struct str name = name_of(choice, of);
    const char *dot = name.ptr + name.len;
    while (*dot != '.')
        dot--;
    return err_set(err, ERR_INVALID,
                   "part %llu of %llu is missing: no %s%.*s-%05llu-of-%05llu%s",
                   (unsigned long long)number, (unsigned long long)like->total, choice->folder,
                   STR_ARGS(like->prefix), (unsigned long long)number,
                   (unsigned long long)like->total, dot);
}

static bool same_set(const struct shard *a, const struct shard *b)
{
    return a->total == b->total && str_eq(a->prefix, b->prefix);
}

/* Of the set of shards that file `of` belongs to all are there; some count from 0. */
static int check_set(const struct choice *choice, const struct shard *like, size_t of,
                     struct err *err)
{
    if (like->total > HF_FILES_MAX)
        return err_set(err, ERR_TOO_LARGE, "%s is one of %llu parts, at most %d are read",
                       choice->source->files[of].name, (unsigned long long)like->total,
                       HF_FILES_MAX);
    auto_free bool *seen = mem_alloc_array((size_t)like->total + 1, sizeof *seen);
    struct shard shard;
    for (size_t i = 0; i < choice->source->file_count; i++)
        if (choice->taken[i] && parse_shard(name_of(choice, i), &shard) &&
            same_set(&shard, like) && shard.number <= like->total)
            seen[shard.number] = true;
    const uint64_t first = seen[0] ? 0 : 1;
    for (uint64_t n = first; n < first + like->total; n++)
        if (!seen[n])
            return fail_missing(choice, like, of, n, err);
    return 0;
}

static int check_shards(const struct choice *choice, struct err *err)
{
    struct shard shard, seen = {0};
    size_t count = 0;
    for (size_t i = 0; i < choice->source->file_count; i++)
        count += choice->taken[i];
    if (count > HF_FILES_MAX)
        return err_set(err, ERR_TOO_LARGE, "there are %zu files of weights, at most %d are read",
                       count, HF_FILES_MAX);
    for (size_t i = 0; i < choice->source->file_count; i++) {
        if (!choice->taken[i] || !parse_shard(name_of(choice, i), &shard) ||
            same_set(&shard, &seen))
            continue;
        seen = shard;
        const int rc = check_set(choice, &shard, i, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* --- the result ------------------------------------------------------------------------------ */

static int collect(const struct choice *choice, struct hf_files *ret, struct err *err)
{
    const struct source *source = choice->source;
    auto_fini(hf_files_fini) struct hf_files files = {0};
    size_t shards = 0;
    files.files = mem_alloc_array(source->file_count + 1, sizeof *files.files);
    for (size_t i = 0; i < source->file_count; i++) {
        if (!choice->taken[i])
            continue;
        if (source->files[i].bytes > HF_BYTES_MAX - files.bytes)
            return err_set(err, ERR_TOO_LARGE, "%s: the weights have more than 2^56 bytes",
                           source->files[i].name);
        files.files[files.count++] = &source->files[i];
        files.bytes += source->files[i].bytes;
        shards += is_shard(name_of(choice, i));
        files.format = is_not_safetensors(name_of(choice, i)) ? FORMAT_PYTORCH : FORMAT_SAFETENSORS;
    }
    files.is_split = shards > 1;
    *ret = files;
    files = (struct hf_files){0};
    return 0;
}

int hf_files_select(struct source *source, const char *folder, struct hf_files *ret,
                    struct err *err)
{
    auto_free bool *taken = mem_alloc_array(source->file_count + 1, sizeof *taken);
    struct choice choice = {source, folder, taken};
    take_by_names(&choice);
    const struct source_file *index = find_index(&choice);
    const uint64_t index_max = source->is_local ? SOURCE_SMALL_MAX : HF_REMOTE_INDEX_MAX;
    if (index && index->bytes <= index_max && index->bytes <= hf_files_left(source)) {
        const int rc = take_by_index(&choice, index, err);
        if (rc < 0)
            return rc;
    } else if (index) {
        drop_lesser(&choice, is_not_shard);
    } else if (takes_usual(&choice)) {
        drop_lesser(&choice, is_shard);
    }
    const int rc = check_shards(&choice, err);
    if (rc < 0)
        return rc;
    return collect(&choice, ret, err);
}
