/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims: the short way reads the same as the long one, takes nothing that the long one refuses,
 * and what is written is read again.
 */
#include "domain/claim.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* By jansson alone. NULL when it is refused. Returns owned. */
static char *read_the_long_way(struct str text)
{
    auto_fini(json_release) json_t *root = NULL;
    struct resource_claim claim = {0};
    if (text.len > CLAIM_TEXT_MAX || json_read(text, &root, NULL) < 0 ||
        claim_read_value(root, &claim, NULL) < 0)
        return NULL;
    char *shown = claim_text(&claim);
    claim_fini(&claim);
    return shown;
}

static void read_again(const char *text)
{
    struct resource_claim claim = {0};
    int rc = claim_read(str_of(text), &claim, NULL);
    auto_free char *again = claim_text(&claim);
    assert(rc == 0 && strcmp(text, again) == 0);
    claim_fini(&claim);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct resource_claim claim = {0};
    int rc = claim_read(text, &claim, NULL);
    auto_free char *shown = claim_text(&claim);
    auto_free char *expected = read_the_long_way(text);
    assert((rc == 0) == (expected != NULL));
    if (rc == 0) {
        assert(strcmp(shown, expected) == 0);
        read_again(shown);
    }
    claim_fini(&claim);
    return 0;
}
