/* SPDX-License-Identifier: Apache-2.0 */
/* Manifests of downloads, which others may write on a shared disk: what is read names nothing
 * outside the cache, and is written and read again. */
#include "hub/manifest.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct manifest *manifest)
{
    struct manifest again = {0};
    struct buf text = {0};
    assert(listing_is_file_name(str_of(manifest->folder)));
    for (size_t i = 0; i < manifest->files.count; i++)
        assert(listing_is_file_name(str_of(manifest->files.files[i].name)));
    manifest_write(manifest, &text);
    const int rc = manifest_read(buf_str(&text), &again, NULL);
    assert(rc == 0 && again.files.count == manifest->files.count);
    manifest_fini(&again);
    buf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct manifest manifest = {0};
    if (manifest_read(str_sub((const char *)data, size), &manifest, NULL) == 0)
        check(&manifest);
    manifest_fini(&manifest);
    return 0;
}
