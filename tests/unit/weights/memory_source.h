/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A source of files in memory, for tests of the readers. A file may claim more bytes than it has
 * content, as the shards of a model that nobody wants to make. Added in the order of their names.
 *
 *     struct memory_source *files = memory_source_new(false);
 *     memory_source_text(files, "config.json", "{'hidden_size': 8}");     // ' stands for "
 *     memory_source_add(files, "model.safetensors", content, 1ull << 30);
 *     hf_read(&files->base, ...);
 *     source_free(&files->base);
 */
#pragma once

#include "weights/source.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { MEMORY_SOURCE_FILES = 1024 };

struct memory_source {
    struct source base;
    struct buf contents[MEMORY_SOURCE_FILES];
};

static inline int memory_source_read(struct source *source, const struct source_file *file,
                                     uint64_t offset, size_t n, struct buf *out, struct err *err)
{
    struct memory_source *memory = CONTAINER_OF(source, struct memory_source, base);
    const struct buf *content = &memory->contents[file - source->files];
    (void)err;
    if (offset >= content->len)
        return 0;
    const size_t left = content->len - (size_t)offset;
    buf_add(out, content->ptr + offset, n < left ? n : left);
    return 0;
}

static inline void memory_source_free(struct source *source)
{
    struct memory_source *memory = CONTAINER_OF(source, struct memory_source, base);
    for (size_t i = 0; i < MEMORY_SOURCE_FILES; i++)
        buf_fini(&memory->contents[i]);
    free(memory);
}

static inline struct memory_source *memory_source_new(bool is_local)
{
    static const struct source_ops ops = {memory_source_read, memory_source_free};
    struct memory_source *memory = mem_alloc(sizeof *memory);
    memory->base.ops = &ops;
    memory->base.is_local = is_local;
    memory->base.files = mem_alloc_array(MEMORY_SOURCE_FILES, sizeof *memory->base.files);
    return memory;
}

/* Adds a file; takes the content. `bytes` 0: as many as the content has. */
static inline void memory_source_add(struct memory_source *memory, const char *name,
                                     struct buf *content, uint64_t bytes)
{
    struct source *source = &memory->base;
    assert(source->file_count < MEMORY_SOURCE_FILES);
    assert(source->file_count == 0 ||
           strcmp(source->files[source->file_count - 1].name, name) < 0);
    const size_t i = source->file_count++;
    if (content) {
        memory->contents[i] = *content;
        *content = (struct buf){0};
    }
    source->files[i].name = mem_strdup(name);
    source->files[i].bytes = bytes ? bytes : memory->contents[i].len;
}

/* Adds a text in which each ' becomes a ". */
static inline void memory_source_text(struct memory_source *memory, const char *name,
                                      const char *text)
{
    struct buf content = {0};
    for (const char *c = text; *c; c++)
        buf_add_char(&content, *c == '\'' ? '"' : *c);
    memory_source_add(memory, name, &content, 0);
}
