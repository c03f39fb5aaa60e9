/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/hub_place_priv.h"

#include "base/json.h"
#include "hub/url.h"

#include <stdlib.h>

enum { LISTING_BYTES_MAX = 16 << 20, REVISION_BYTES_MAX = 4 << 20, REVISION_MAX = 128 };

const struct hub_kind hub_hugging_face = {"hf:", "", "main", listing_add_hugging_face};
const struct hub_kind hub_modelscope = {"ms:", "models/", "master", listing_add_modelscope};

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
           str_has_prefix(text, str_of(hub_hugging_face.prefix)) ||
           str_has_prefix(text, str_of(hub_modelscope.prefix));
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

int place_understand(const char *text, const struct hub_params *params, struct place *ret,
                     struct err *err)
{
    *ret = (struct place){0};
    if (strlen(text) > URL_MAX)
        return err_set(err, ERR_INVALID, "a place has %zu bytes, at most %d are allowed",
                       strlen(text), URL_MAX);
    if (take_hub(text, &hub_hugging_face, params->hugging_face_url, params->hugging_face_token,
                 ret) ||
        take_hub(text, &hub_modelscope, params->modelscope_url, params->modelscope_token, ret))
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

/* ---- a file ---- */

char *place_file_url(const struct place *place, struct str file)
{
    auto_fini(buf_fini) struct buf path = {0};
    if (place->is_encoded && place->file.len)
        buf_add_str(&path, file);
    else
        url_encode_path(&path, file);
    return mem_printf("%.*s/%s%.*s/resolve/%.*s/%s", STR_ARGS(place->base), place->kind->folder,
                      STR_ARGS(place->repo), STR_ARGS(place->revision), path.ptr);
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

int place_list(struct fetcher *fetcher, const struct place *place, struct listing *listing,
               struct err *err)
{
    auto_free char *repo = str_dup(place->repo);
    auto_free char *revision = str_dup(place->revision);
    auto_free char *url =
        place->kind == &hub_hugging_face
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

/* ---- its revision ---- */

/* A commit or a tag, as it may stand in a URL's path. */
static bool is_revision(const char *text)
{
    static const char letters[] =
        "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ._-";
    const size_t length = strlen(text);
    return length > 0 && length < REVISION_MAX && strspn(text, letters) == length;
}

int place_pin(struct fetcher *fetcher, const struct place *place, char **ret, struct err *err)
{
    auto_fini(buf_fini) struct buf text = {0};
    auto_fini(fetch_reply_fini) struct fetch_reply reply = {0};
    auto_fini(json_release) json_t *root = NULL;
    *ret = NULL;
    if (place->kind != &hub_hugging_face)
        return 0;
    auto_free char *url =
        mem_printf("%.*s/api/models/%.*s/revision/%.*s", STR_ARGS(place->base),
                   STR_ARGS(place->repo), STR_ARGS(place->revision));
    const struct fetch_request request = {
        .url = url, .origin = place->origin, .bearer = place->token};
    const int rc = fetch_all(fetcher, &request, REVISION_BYTES_MAX, &text, &reply, err);
    if (rc == ERR_NOT_FOUND)
        return 0; /* a mirror may not know it; of what doesn't exist the list will tell */
    if (rc < 0)
        return rc;
    const char *sha = json_read(buf_str(&text), &root, NULL) == 0
                          ? json_member_string(root, "sha")
                          : NULL;
    if (sha && is_revision(sha))
        *ret = mem_strdup(sha);
    return 0;
}
