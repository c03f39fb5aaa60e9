/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/engine_target.h"

#include <stdio.h>

/* An empty id is one that could not be found out: it equals no other. */
static bool is_local(const struct endpoint_entry *endpoint, const char *netns_id)
{
    return endpoint->local_port != 0 && netns_id[0] != '\0' &&
           strcmp(endpoint->netns_id, netns_id) == 0;
}

void engine_target_init(struct engine_target *ret, const struct entry *endpoint,
                        const char *netns_id, const char *path)
{
    const struct endpoint_entry *to = &endpoint->endpoint;
    *ret = (struct engine_target){.bearer = mem_printf("Bearer %s", to->token)};
    ret->headers[ret->header_count++] =
        (struct http_header){STR("Authorization"), str_of(ret->bearer)};
    snprintf(ret->instance_id, sizeof ret->instance_id, "%lld", (long long)endpoint->id);
    if (is_local(to, netns_id)) {
        snprintf(ret->target.host, sizeof ret->target.host, "127.0.0.1");
        ret->target.port = to->local_port;
        ret->path = mem_strdup(path);
        return;
    }
    snprintf(ret->target.host, sizeof ret->target.host, "%s", to->host);
    ret->target.port = to->port;
    ret->path = mem_printf("/proxy%s", path);
    ret->headers[ret->header_count++] =
        (struct http_header){STR("X-GPUStack-Model-Instance"), str_of(ret->instance_id)};
}

void engine_target_fini(struct engine_target *target)
{
    free(target->path);
    mem_free_secret(target->bearer);
    *target = (struct engine_target){0};
}
