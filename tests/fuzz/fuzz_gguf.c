/* SPDX-License-Identifier: Apache-2.0 */
/* A model file's header: any bytes give an info or an error, in bounded time and memory. */
#include "weights/gguf.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    auto_close int fd = memfd_create("gguf", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        return 0;
    struct gguf_info info;
    struct err err = {0};
    if (gguf_read_fd(fd, &info, &err) < 0) {
        assert(err.text[0] != '\0' && err.code < 0);
    } else {
        assert(memchr(info.architecture, 0, sizeof info.architecture));
        assert(memchr(info.name, 0, sizeof info.name));
        assert(info.tensor_bytes <= size);
    }
    return 0;
}
