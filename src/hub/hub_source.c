/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/hub_source_priv.h"

#include <string.h>

/* How a file is got at; what the source's users see of it is in base.files. */
struct hub_file {
    char *url;         /* owned */
    char *resolved;    /* owned; where redirects led, NULL: none, or not known yet */
    struct buf begin;  /* first bytes, when they were fetched to learn the size */
};

struct hub_source {
    struct source base;
    struct fetcher *fetcher;
    const char *token;
    struct hub_file *files; /* owned; as many as base.files */
};

/* Answers of an address that was given for a while only. */
static bool is_expired(int rc)
{
    return rc == ERR_UNAUTHORIZED || rc == ERR_FORBIDDEN || rc == ERR_NOT_FOUND;
}

static int fetch_from(struct hub_source *hub, struct hub_file *file, uint64_t offset, size_t n,
                      struct buf *out, struct fetch_reply *reply, struct err *err)
{
    struct fetch_request request = {.url = file->url, .origin = file->url, .bearer = hub->token};
    if (file->resolved) {
        request.url = file->resolved;
        const int rc = fetch_range(hub->fetcher, &request, offset, n, out, reply, err);
        if (!is_expired(rc))
            return rc;
        free(TAKE(file->resolved));
        request.url = file->url;
    }
    return fetch_range(hub->fetcher, &request, offset, n, out, reply, err);
}

/* Fetches a part; `*ret_total` is the file's size. */
static int fetch_part(struct hub_source *hub, struct hub_file *file, uint64_t offset, size_t n,
                      struct buf *out, uint64_t *ret_total, struct err *err)
{
    auto_fini(fetch_reply_fini) struct fetch_reply reply = {0};
    const int rc = fetch_from(hub, file, offset, n, out, &reply, err);
    if (rc < 0)
        return rc;
    if (!file->resolved)
        file->resolved = TAKE(reply.url);
    *ret_total = reply.total;
    return 0;
}

/* What is known of the beginning costs nothing; all of it is given. */
static size_t add_begin(const struct hub_file *file, uint64_t offset, struct buf *out)
{
    if (offset >= file->begin.len)
        return 0;
    const struct str known = str_skip(buf_str(&file->begin), (size_t)offset);
    buf_add_str(out, known);
    return known.len;
}

static int hub_read(struct source *source, const struct source_file *file, uint64_t offset,
                    size_t n, struct buf *out, struct err *err)
{
    struct hub_source *hub = CONTAINER_OF(source, struct hub_source, base);
    struct hub_file *own = &hub->files[file - source->files];
    uint64_t total = file->bytes;
    const size_t known = add_begin(own, offset, out);
    const uint64_t left = offset + known < file->bytes ? file->bytes - offset - known : 0;
    n = known < n ? n - known : 0;
    n = n < left ? n : (size_t)left;
    if (n == 0)
        return 0;
    const int rc = fetch_part(hub, own, offset + known, n, out, &total, err);
    if (rc < 0)
        return rc;
    if (total != file->bytes)
        return err_set(err, ERR_PROTOCOL, "%s has %llu bytes now instead of %llu", file->name,
                       (unsigned long long)total, (unsigned long long)file->bytes);
    return 0;
}

static void hub_free(struct source *source)
{
    struct hub_source *hub = CONTAINER_OF(source, struct hub_source, base);
    for (size_t i = 0; i < source->file_count; i++) {
        free(hub->files[i].url);
        free(hub->files[i].resolved);
        buf_fini(&hub->files[i].begin);
    }
    free(hub->files);
    fetcher_free(hub->fetcher);
    free(hub);
}

struct source *hub_source_new(struct fetcher *fetcher, const char *token)
{
    static const struct source_ops ops = {.read = hub_read, .free = hub_free};
    struct hub_source *hub = mem_alloc(sizeof *hub);
    hub->base.ops = &ops;
    hub->fetcher = fetcher;
    hub->token = token;
    return &hub->base;
}

void hub_source_add(struct source *source, const char *name, uint64_t bytes, char *url)
{
    struct hub_source *hub = CONTAINER_OF(source, struct hub_source, base);
    const size_t count = source->file_count;
    if ((count & (count - 1)) == 0) { /* room doubles */
        const size_t room = count ? count * 2 : 1;
        source->files = mem_resize(source->files, room * sizeof *source->files);
        hub->files = mem_resize(hub->files, room * sizeof *hub->files);
    }
    source->files[count] = (struct source_file){.name = mem_strdup(name), .bytes = bytes};
    hub->files[count] = (struct hub_file){.url = url};
    source->file_count++;
}

int hub_source_probe(struct source *source, const char *name, char *url, size_t n, struct err *err)
{
    struct hub_source *hub = CONTAINER_OF(source, struct hub_source, base);
    hub_source_add(source, name, 0, url);
    const size_t i = source->file_count - 1;
    return fetch_part(hub, &hub->files[i], 0, n, &hub->files[i].begin, &source->files[i].bytes,
                      err);
}
