/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A source of files that lie in memory, for tests and fuzzing. Reads give what was asked for; as of
 * a hub, unless `is_local` is set.
 *
 *     struct memory_source memory;
 *     memory_source_init(&memory);
 *     memory_source_add(&memory, "model.gguf", bytes);     // borrows the bytes
 *     gguf_read(&memory.base, memory.base.files, &shape, &err);
 *     memory_source_fini(&memory);
 */
#pragma once

#include "weights/source.h"

enum { MEMORY_FILES_MAX = 16 };

struct memory_source {
    struct source base;
    struct source_file files[MEMORY_FILES_MAX];
    struct str contents[MEMORY_FILES_MAX];
};

static int memory_read(struct source *source, const struct source_file *file, uint64_t offset,
                       size_t n, struct buf *out, struct err *err)
{
    (void)err;
    const struct memory_source *memory = CONTAINER_OF(source, struct memory_source, base);
    struct str content = memory->contents[file - source->files];
    content = offset < content.len ? str_skip(content, (size_t)offset) : (struct str){0};
    buf_add_str(out, str_sub(content.ptr, n < content.len ? n : content.len));
    return 0;
}

static void memory_free(struct source *source)
{
    (void)source;
}

static inline void memory_source_init(struct memory_source *memory)
{
    static const struct source_ops ops = {.read = memory_read, .free = memory_free};
    *memory = (struct memory_source){.base = {.ops = &ops}};
    memory->base.files = memory->files;
}

/* Files are added in the order of their names; at most MEMORY_FILES_MAX. */
static inline void memory_source_add(struct memory_source *memory, const char *name,
                                     struct str content)
{
    const size_t i = memory->base.file_count++;
    memory->files[i] = (struct source_file){.name = mem_strdup(name), .bytes = content.len};
    memory->contents[i] = content;
}

static inline void memory_source_fini(struct memory_source *memory)
{
    for (size_t i = 0; i < memory->base.file_count; i++)
        free(memory->files[i].name);
}
