/* SPDX-License-Identifier: Apache-2.0 */
#include "app/catalog_source.h"

#include <string.h>
#include <unistd.h>

bool catalog_source_is(const char *source)
{
    const struct str text = str_of(source);
    const bool is_of_hub = str_has_prefix(text, STR("hf:")) || str_has_prefix(text, STR("ms:"));
    return !is_of_hub && !strchr(source, '/') && access(source, F_OK) < 0 &&
           !str_has_suffix(text, STR(".gguf"));
}

/* ---- sets with the fit of their specs ---- */

static json_t *row_of(const json_t *rows, int64_t spec_id)
{
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
        if (json_member_int(row, "spec_id", 0) == spec_id)
            return row;
    return NULL;
}

static void add_fits(const json_t *sets, const json_t *rows)
{
    size_t i, k;
    json_t *set, *spec;
    json_array_foreach(sets, i, set)
        json_array_foreach(json_object_get(set, "specs"), k, spec)
            json_object_set(spec, "fit", row_of(rows, json_member_int(spec, "spec_id", 0)));
}

/* All percent-encoded: a search may have any sign in it. */
static char *query_of(const char *search)
{
    struct buf query = {0};
    buf_printf(&query, "/v2/model-sets?search=");
    for (const char *c = search ? search : ""; *c; c++)
        buf_printf(&query, "%%%02X", (unsigned char)*c);
    return buf_take(&query);
}

int catalog_source_list(struct cli *cli, const char *search, json_t **ret, struct err *err)
{
    auto_fini(json_release) json_t *answer = NULL, *fits = NULL;
    auto_free char *path = query_of(search);
    int rc = cli_call(cli, HTTP_GET, path, NULL, &answer, err);
    if (rc == 0)
        rc = cli_call(cli, HTTP_GET, "/v2/model-sets/fit", NULL, &fits, err);
    if (rc < 0)
        return rc;
    add_fits(json_object_get(answer, "items"), json_object_get(fits, "items"));
    *ret = json_incref(json_object_get(answer, "items"));
    return 0;
}

/* ---- one of them ---- */

static int rank_of(const json_t *spec)
{
    const char *fit = json_member_string(json_object_get(spec, "fit"), "fit");
    if (fit && strcmp(fit, "fits") == 0)
        return 2;
    return fit && strcmp(fit, "fits_partly") == 0;
}

/* The best of the set's specs with that precision (empty: any), or NULL. */
static json_t *best_of(const json_t *set, struct str precision)
{
    size_t i;
    json_t *spec, *best = NULL;
    json_array_foreach(json_object_get(set, "specs"), i, spec) {
        const struct str its = str_of(json_member_string(spec, "quantization"));
        if ((precision.len == 0 || str_eq_nocase(its, precision)) &&
            (!best || rank_of(spec) > rank_of(best)))
            best = spec;
    }
    return best;
}

static json_t *set_named(const json_t *sets, struct str name)
{
    size_t i;
    json_t *set;
    json_array_foreach(sets, i, set)
        if (str_eq_nocase(str_of(json_member_string(set, "name")), name))
            return set;
    return NULL;
}

int catalog_source_body(struct cli *cli, const char *source, json_t **ret, struct err *err)
{
    struct str rest = str_of(source), name = {0};
    (void)str_split(&rest, ':', &name);
    auto_free char *search = str_dup(name);
    auto_fini(json_release) json_t *sets = NULL;
    int rc = catalog_source_list(cli, search, &sets, err);
    if (rc < 0)
        return rc;
    const json_t *set = set_named(sets, name);
    if (!set)
        return err_set(err, ERR_NOT_FOUND,
                       "there is no file %s here, and no such model in the catalog; `gpustack "
                       "catalog` lists those, and a path on the workers begins with /", source);
    const json_t *spec = best_of(set, rest);
    if (!spec)
        return err_set(err, ERR_NOT_FOUND,
                       "%s has no %.*s in the catalog; `gpustack catalog %s` lists what there is",
                       search, (int)rest.len, rest.ptr, search);
    *ret = json_copy((json_t *)(uintptr_t)spec);
    json_object_del(*ret, "fit");
    return 0;
}
