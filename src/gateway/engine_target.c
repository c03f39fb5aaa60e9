/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/engine_target.h"

#include <stdio.h>

/* An empty id is one that could not be found out: it equals no other. */
static bool is_local(const struct endpoint_entry *endpoint, const char *netns_id)
{
    return endpoint->local_port != 0 && netns_id[0] != '\0' &&
           strcmp(endpoint->netns_id, netns_id) == 0;
}

static void set_host(struct http_target *target, const char *host, unsigned port)
{
    size_t len = strnlen(host, sizeof target->host - 1);
    memcpy(target->host, host, len);
    target->host[len] = '\0';
    target->port = port;
    target->tls = false;
    target->unix_path[0] = '\0';
}

void engine_target_init(struct engine_target *ret, const struct entry *endpoint,
                        const char *netns_id, struct str path)
{
    const struct endpoint_entry *to = &endpoint->endpoint;
    ret->headers[0] = (struct http_header){STR("Authorization"), str_of(to->bearer)};
    ret->header_count = 1;
    ret->path = path;
    ret->relayed = NULL;
    if (is_local(to, netns_id)) {
        set_host(&ret->target, "127.0.0.1", to->local_port);
        return;
    }
    set_host(&ret->target, to->host, to->port);
    snprintf(ret->instance_id, sizeof ret->instance_id, "%lld", (long long)endpoint->id);
    ret->relayed = mem_printf("/proxy%.*s", STR_ARGS(path));
    ret->path = str_of(ret->relayed);
    ret->headers[ret->header_count++] =
        (struct http_header){STR("X-GPUStack-Model-Instance"), str_of(ret->instance_id)};
}

void engine_target_fini(struct engine_target *target)
{
    free(TAKE(target->relayed));
}
