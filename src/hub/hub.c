/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/hub.h"

#include "hub/hub_source_priv.h"
#include "hub/listing.h"
#include "hub/url.h"
#include "weights/gguf_split.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    BEGIN_BYTES = 512 << 10, /* of a file that only a URL names; as the first piece of a reader */
    PART_BYTES = 64 << 10,   /* of further parts of a split model, which hold tensors only */
    LISTING_BYTES_MAX = 16 << 20,
};

/* A hub's ways of naming things. */
struct hub_kind {
    const char *prefix;   /* of a short form */
    const char *folder;   /* of repositories on its web site */
    const char *revision; /* when none is named */
    int (*add)(struct listing *listing, struct str json, struct err *err);
};

static const struct hub_kind hugging_face = {"hf:", "", "main", listing_add_hugging_face};
static const struct hub_kind modelscope = {"ms:", "models/", "master", listing_add_modelscope};

/* What a place was understood as. */
struct place {
    const struct hub_kind *kind; /* NULL: a URL of some server */
    const char *origin;          /* URL of the hub; borrowed, as the next one */
    struct str base;             /* the same without a final '/' */
    const char *token;           /* borrowed, or NULL */
    struct str repo;             /* "OWNER/NAME"; borrowed from the place's text, as the next two */
    struct str revision;
    struct str file;             /* empty: all files; of a URL: still encoded */
    bool is_encoded;
};

void hub_params_from_environment(struct hub_params *ret)
{
    const char *hugging_face_url = getenv("HF_ENDPOINT");
    const char *modelscope_url = getenv("MODELSCOPE_ENDPOINT");
    *ret = (struct hub_params){
        .hugging_face_url = hugging_face_url && *hugging_face_url ? hugging_face_url
                                                                   : "https://huggingface.co",
        .modelscope_url =
            modelscope_url && *modelscope_url ? modelscope_url : "https://modelscope.cn",
        .hugging_face_token = getenv("HF_TOKEN"),
        .modelscope_token = getenv("MODELSCOPE_API_TOKEN"),
    };
    if (ret->hugging_face_token && !*ret->hugging_face_token)
        ret->hugging_face_token = NULL;
    if (ret->modelscope_token && !*ret->modelscope_token)
        ret->modelscope_token = NULL;
}

bool hub_is_place(const char *place)
{
    const struct str text = str_of(place);
    return str_has_prefix(text, STR("http://")) || str_has_prefix(text, STR("https://")) ||
           str_has_prefix(text, str_of(hugging_face.prefix)) ||
           str_has_prefix(text, str_of(modelscope.prefix));
}

/* ---- understanding a place ---- */

/* Takes "OWNER/NAME" from the front. */
static bool take_repo(struct str *rest, struct str *ret)
{
    const size_t owner = str_find(*rest, '/');
    const size_t name = str_find(str_skip(*rest, owner + 1), '/');
    if (owner == 0 || owner >= rest->len || name == 0)
        return false;
    *ret = str_sub(rest->ptr, owner + 1 + name);
    *rest = str_skip(*rest, ret->len + 1);
    return true;
}

/* Behind the repository on a web site: nothing, "tree/REVISION", or "resolve/REVISION/FILE". */
static bool take_rest(struct str rest, struct place *ret)
{
    struct str verb = {0};
    if (rest.len == 0)
        return true;
    if (!str_split(&rest, '/', &verb) || !str_split(&rest, '/', &ret->revision))
        return false;
    if (str_eq(verb, STR("tree")))
        return rest.len == 0;
    ret->file = rest;
    return rest.len > 0 && (str_eq(verb, STR("resolve")) || str_eq(verb, STR("blob")));
}

/* A URL below a hub's own: false when it is of another server, or of no form that is known. */
static bool take_url(struct str text, struct place *ret)
{
    const struct str base = ret->base;
    if (!str_has_prefix(text, base) || text.len <= base.len || text.ptr[base.len] != '/')
        return false;
    text = str_skip(text, base.len + 1);
    text.len = str_find(text, '#');
    text.len = str_find(text, '?');
    const struct str folder = str_of(ret->kind->folder);
    if (!str_has_prefix(text, folder))
        return false;
    text = str_skip(text, folder.len);
    if (str_has_suffix(text, STR("/")))
        text.len--;
    ret->is_encoded = true;
    return take_repo(&text, &ret->repo) && take_rest(text, ret);
}

static bool take_short(struct str text, struct place *ret)
{
    const struct str prefix = str_of(ret->kind->prefix);
    if (!str_has_prefix(text, prefix))
        return false;
    text = str_skip(text, prefix.len);
    if (!take_repo(&text, &ret->repo))
        return false;
    ret->file = text;
    return true;
}

static bool take_hub(const char *text, const struct hub_kind *kind, const char *origin,
                     const char *token, struct place *ret)
{
    struct place place = {.kind = kind, .origin = origin, .base = str_of(origin), .token = token};
    while (str_has_suffix(place.base, STR("/")))
        place.base.len--;
    place.revision = str_of(kind->revision);
    if (!take_short(str_of(text), &place) && !take_url(str_of(text), &place))
        return false;
    *ret = place;
    return true;
}

/* A '.', as itself or encoded, taken from the front. */
static bool take_dot(struct str *text)
{
    static const struct str forms[] = {STR("."), STR("%2e"), STR("%2E")};
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        if (str_has_prefix(*text, forms[i])) {
            *text = str_skip(*text, forms[i].len);
            return true;
        }
    }
    return false;
}

/* Whether a part of the path is "." or "..", which would lead out of the repository. */
static bool has_dots(struct str path)
{
    struct str part;
    while (path.len) {
        const size_t end = str_find(path, '/');
        part = str_sub(path.ptr, end);
        path = str_skip(path, end + 1);
        if (take_dot(&part) && (part.len == 0 || (take_dot(&part) && part.len == 0)))
            return true;
    }
    return false;
}

static int check_parts(const struct place *place, const char *text, struct err *err)
{
    if (!has_dots(place->repo) && !has_dots(place->revision) && !has_dots(place->file))
        return 0;
    return err_set(err, ERR_INVALID, "\"%s\" must not have \".\" or \"..\" in its path", text);
}

static int understand(const char *text, const struct hub_params *params, struct place *ret,
                      struct err *err)
{
    *ret = (struct place){0};
    if (strlen(text) > URL_MAX)
        return err_set(err, ERR_INVALID, "a place has %zu bytes, at most %d are allowed",
                       strlen(text), URL_MAX);
    if (take_hub(text, &hugging_face, params->hugging_face_url, params->hugging_face_token, ret) ||
        take_hub(text, &modelscope, params->modelscope_url, params->modelscope_token, ret))
        return check_parts(ret, text, err);
    if (str_has_prefix(str_of(text), STR("http")))
        return !params->hubs_only
                   ? 0
                   : err_set(err, ERR_FORBIDDEN,
                             "models are opened of %s and %s only: \"hf:OWNER/REPO\", "
                             "\"ms:OWNER/REPO\", or a page there",
                             params->hugging_face_url, params->modelscope_url);
    return err_set(err, ERR_INVALID, "\"%s\" must be like %.3sOWNER/REPO or %.3sOWNER/REPO/FILE",
                   text, text, text);
}

/* ---- one file, or the parts of one ---- */

/* URL of a file of a repository. Returns owned. */
static char *file_url(const struct place *place, struct str file)
{
    auto_fini(buf_fini) struct buf path = {0};
    if (place->is_encoded && place->file.len)
        buf_add_str(&path, file);
    else
        url_encode_path(&path, file);
    return mem_printf("%.*s/%s%.*s/resolve/%.*s/%s", STR_ARGS(place->base), place->kind->folder,
                      STR_ARGS(place->repo), STR_ARGS(place->revision), path.ptr);
}

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

/* One page; `*url` becomes that of the next one, or NULL. */
static int add_page(struct fetcher *fetcher, const struct place *place, char **url,
                    struct listing *listing, struct err *err)
{
    auto_fini(buf_fini) struct buf json = {0};
    auto_fini(fetch_reply_fini) struct fetch_reply reply = {0};
    const struct fetch_request request = {
        .url = *url, .origin = place->origin, .bearer = place->token};
    int rc = fetch_all(fetcher, &request, LISTING_BYTES_MAX, &json, &reply, err);
    if (rc < 0)
        return rc;
    rc = place->kind->add(listing, buf_str(&json), err);
    free(*url);
    *url = TAKE(reply.next);
    return rc < 0 ? err_wrap(err, rc, "%s", place->origin) : 0;
}

static int list_files(struct fetcher *fetcher, const struct place *place, struct listing *listing,
                      struct err *err)
{
    auto_free char *repo = str_dup(place->repo);
    auto_free char *revision = str_dup(place->revision);
    auto_free char *url =
        place->kind == &hugging_face
            ? mem_printf("%.*s/api/models/%s/tree/%s?recursive=true", STR_ARGS(place->base), repo,
                         revision)
            : mem_printf("%.*s/api/v1/models/%s/repo/files?Revision=%s&Recursive=true",
                         STR_ARGS(place->base), repo, revision);
    int rc = 0;
    for (int pages = 0; rc == 0 && url; pages++) {
        if (pages == HUB_PAGES_MAX)
            return err_set(err, ERR_TOO_LARGE, "%s lists its files on more than %d pages", repo,
                           HUB_PAGES_MAX);
        rc = add_page(fetcher, place, &url, listing, err);
    }
    return rc;
}

static int add_repository(struct source *source, struct fetcher *fetcher,
                          const struct place *place, struct err *err)
{
    auto_fini(listing_fini) struct listing listing = {0};
    const int rc = list_files(fetcher, place, &listing, err);
    if (rc < 0)
        return rc;
    listing_sort(&listing);
    for (size_t i = 0; i < listing.count; i++) {
        const struct source_file *file = &listing.files[i];
        hub_source_add(source, file->name, file->bytes, file_url(place, str_of(file->name)));
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
    auto_free char *url = file_url(place, place->file);
    return add_url(source, url, err);
}

int hub_open(const char *place, const struct hub_params *params, struct source **ret,
             struct err *err)
{
    struct place understood;
    struct fetcher *fetcher = NULL;
    int rc = understand(place, params, &understood, err);
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
