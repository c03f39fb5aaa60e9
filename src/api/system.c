/* SPDX-License-Identifier: Apache-2.0 */
/* What concerns the server as a whole. */
#include "api/api_priv.h"

#include "control/feed.h"

int version_get(struct request *rq, struct err *err)
{
    json_begin_object(&rq->json);
    json_put_string(&rq->json, "version", GPUSTACK_VERSION);
    json_end_object(&rq->json);
    return 0;
}

int gateway_feed(struct request *rq, struct err *err)
{
    feed_subscribe(control_feed(rq->control), rq->ex);
    return request_take(rq);
}
