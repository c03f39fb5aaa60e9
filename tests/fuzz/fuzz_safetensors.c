/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A safetensors file: any bytes give a header of which the tensors lie in order within the data, or
 * an error, in memory of at most four times the bytes.
 */
#include "fuzz.h"
#include "weights/safetensors.h"

#include <assert.h>

struct fuzz_source {
    struct source base;
    const uint8_t *data;
    size_t size;
};

static int read_fuzz(struct source *source, const struct source_file *file, uint64_t offset,
                     size_t n, struct buf *out, struct err *err)
{
    const struct fuzz_source *from = CONTAINER_OF(source, struct fuzz_source, base);
    (void)file;
    (void)err;
    if (offset >= from->size)
        return 0;
    const size_t left = from->size - (size_t)offset;
    buf_add(out, from->data + offset, n < left ? n : left);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct source_ops ops = {read_fuzz, NULL};
    char name[] = "m.safetensors";
    struct source_file file = {.name = name, .bytes = size};
    struct fuzz_source source = {{.ops = &ops, .files = &file, .file_count = 1}, data, size};
    auto_fini(safetensors_fini) struct safetensors header = {0};
    struct err err = {0};
    if (safetensors_read(&source.base, &file, SAFETENSORS_HEADER_MAX, &header, &err) < 0) {
        assert(err.code < 0 && err.text[0] && header.tensor_count == 0);
        return 0;
    }
    uint64_t at = 0;
    for (size_t i = 0; i < header.tensor_count; i++) {
        assert(header.tensors[i].begin == at && header.tensors[i].type < SAFETENSORS_TYPE_COUNT);
        at += header.tensors[i].bytes;
    }
    assert(at == header.data_bytes && at <= size);
    assert(header.tensor_count * sizeof *header.tensors <= 3 * size);
    return 0;
}
