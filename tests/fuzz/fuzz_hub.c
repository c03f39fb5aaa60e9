/* SPDX-License-Identifier: Apache-2.0 */
/* What hubs' servers say beside files: lists, URLs in redirects, the header Content-Range. */
#include "hub/content_range.h"
#include "hub/listing.h"
#include "hub/url.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_listing(struct str text,
                          int (*add)(struct listing *, struct str, struct err *))
{
    struct listing listing = {0};
    if (add(&listing, text, NULL) == 0)
        listing_sort(&listing);
    for (size_t i = 0; i < listing.count; i++) {
        assert(listing.files[i].name[0] != '/' && !strstr(listing.files[i].name, "/../"));
        assert(strlen(listing.files[i].name) < SOURCE_NAME_MAX);
    }
    listing_fini(&listing);
}

static void check_url(struct str text)
{
    struct url base = {0}, url = {0};
    struct err err = {0};
    const int parsed = url_parse("https://hub.example/a/b?c", &base, NULL);
    assert(parsed == 0);
    if (url_resolve(&base, text, &url, &err) == 0) {
        auto_free char *again = url_text(&url);
        struct url same = {0};
        const int rc = url_parse(again, &same, NULL);
        assert(rc < 0 || (url_is_same_origin(&url, &same) && strcmp(url.path, same.path) == 0));
        assert(url.path[0] == '/');
        url_fini(&same);
    } else {
        assert(*err.text);
    }
    url_fini(&url);
    url_fini(&base);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct str text = str_sub((const char *)data, size);
    struct content_range range;
    if (content_range_parse(text, &range))
        assert(range.first <= range.last && range.last < range.total);
    check_listing(text, listing_add_hugging_face);
    check_listing(text, listing_add_modelscope);
    check_url(text);
    return 0;
}
