/* SPDX-License-Identifier: Apache-2.0 */
#include "weights/source.h"

#include "base/crc32c.h"

#include <string.h>

void source_free(struct source *source)
{
    if (!source)
        return;
    for (size_t i = 0; i < source->file_count; i++)
        free(source->files[i].name);
    free(source->files);
    source->ops->free(source);
}

char *source_identity(const struct source *source)
{
    auto_fini(buf_fini) struct buf all = {0};
    uint64_t bytes = 0;
    int64_t latest_ns = 0;
    for (size_t i = 0; i < source->file_count; i++) {
        const struct source_file *file = &source->files[i];
        bytes += file->bytes;
        latest_ns = file->modified_ns > latest_ns ? file->modified_ns : latest_ns;
        buf_printf(&all, "%s\n%llu %lld\n", file->name, (unsigned long long)file->bytes,
                   (long long)file->modified_ns);
    }
    return mem_printf("%llu-%lld-%08x", (unsigned long long)bytes, (long long)latest_ns,
                      (unsigned)crc32c_of(buf_str(&all)));
}

const struct source_file *source_find(const struct source *source, const char *name)
{
    for (size_t i = 0; i < source->file_count; i++)
        if (strcmp(source->files[i].name, name) == 0)
            return &source->files[i];
    return NULL;
}

int source_read(struct source *source, const struct source_file *file, uint64_t offset, size_t n,
                struct buf *out, struct err *err)
{
    const size_t before = out->len;
    const int rc = source->ops->read(source, file, offset, n, out, err);
    source->read_count++;
    source->read_bytes += out->len - before;
    return rc;
}

int source_read_small(struct source *source, const struct source_file *file, struct buf *out,
                      struct err *err)
{
    if (file->bytes > SOURCE_SMALL_MAX)
        return err_set(err, ERR_TOO_LARGE, "%s has %llu bytes, at most %d are read", file->name,
                       (unsigned long long)file->bytes, SOURCE_SMALL_MAX);
    const size_t start = out->len;
    while (out->len - start < file->bytes) {
        const size_t got = out->len - start;
        const int rc = source_read(source, file, got, (size_t)file->bytes - got, out, err);
        if (rc < 0)
            return rc;
        if (out->len - start == got)
            return err_set(err, ERR_SYNTAX, "%s was cut off while it was read", file->name);
    }
    return 0;
}
