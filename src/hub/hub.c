/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/hub.h"

#include "hub/hub_place_priv.h"
#include "hub/hub_source_priv.h"
#include "hub/url.h"
#include "weights/gguf_split.h"


enum {
    BEGIN_BYTES = 512 << 10, /* of a file that only a URL names; as the first piece of a reader */
    PART_BYTES = 64 << 10,   /* of further parts of a split model, which hold tensors only */
};

/* ---- one file, or the parts of one ---- */

static struct str last_part(struct str path)
{
    size_t start = path.len;
    while (start > 0 && path.ptr[start - 1] != '/')
        start--;
    return str_skip(path, start);
}

/* All parts of the split model at a URL; `path` is the URL's, and stays. */
static int add_parts(struct source *source, struct url *url, const struct gguf_split *split,
                     const char *query, struct err *err)
{
    int rc = 0;
    for (unsigned part = 1; rc == 0 && part <= split->count; part++) {
        auto_free char *path = gguf_split_name(split, part);
        auto_free char *name = str_dup(last_part(str_of(path)));
        free(url->path);
        url->path = mem_printf("%s%s", path, query);
        rc = hub_source_probe(source, name, url_text(url), part == 1 ? BEGIN_BYTES : PART_BYTES,
                              err);
    }
    return rc;
}

/* The file at a URL, or all parts of the split model that it belongs to. */
static int add_url(struct source *source, const char *text, struct err *err)
{
    auto_fini(url_fini) struct url url = {0};
    const int rc = url_parse(text, &url, err);
    if (rc < 0)
        return rc;
    auto_free char *path = str_dup(url_path_only(&url));
    auto_free char *query = mem_strdup(url.path + strlen(path));
    auto_free char *name = str_dup(last_part(str_of(path)));
    struct gguf_split split;
    if (!gguf_split_parse(str_of(path), &split))
        return hub_source_probe(source, *name ? name : "model", mem_strdup(text), BEGIN_BYTES, err);
    if (split.count > HUB_PARTS_MAX)
        return err_set(err, ERR_TOO_LARGE, "%s is one of %u parts, at most %d are read", name,
                       split.count, HUB_PARTS_MAX);
    return add_parts(source, &url, &split, query, err);
}

/* ---- a repository ---- */

static int add_repository(struct source *source, struct fetcher *fetcher,
                          const struct place *place, struct err *err)
{
    auto_fini(listing_fini) struct listing listing = {0};
    const int rc = place_list(fetcher, place, &listing, err);
    if (rc < 0)
        return rc;
    listing_sort(&listing);
    for (size_t i = 0; i < listing.count; i++) {
        const struct listed_file *file = &listing.files[i];
        hub_source_add(source, file->name, file->bytes, place_file_url(place, str_of(file->name)));
    }
    return 0;
}

/* ---- opening ---- */

static int add_files(struct source *source, struct fetcher *fetcher, const struct place *place,
                     const char *text, struct err *err)
{
    if (!place->kind)
        return add_url(source, text, err);
    if (place->file.len == 0)
        return add_repository(source, fetcher, place, err);
    auto_free char *url = place_file_url(place, place->file);
    return add_url(source, url, err);
}

int hub_open(const char *place, const struct hub_params *params, struct source **ret,
             struct err *err)
{
    struct place understood;
    struct fetcher *fetcher = NULL;
    int rc = place_understand(place, params, &understood, err);
    if (rc == 0)
        rc = fetcher_new(params->ca_file, &fetcher, err);
    if (rc == 0 && params->hubs_only)
        rc = fetcher_confine(fetcher, understood.origin, err);
    if (rc < 0) {
        fetcher_free(fetcher);
        return rc;
    }
    if (params->timeout_ms)
        fetcher_limit(fetcher, params->timeout_ms);
    struct source *source = hub_source_new(fetcher, understood.token);
    rc = add_files(source, fetcher, &understood, place, err);
    if (rc < 0)
        source_free(source);
    else
        *ret = source;
    return rc;
}
