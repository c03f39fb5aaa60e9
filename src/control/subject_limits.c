/* SPDX-License-Identifier: Apache-2.0 */
#include "control/subject_limits.h"

const struct limits *subject_limits(enum kind kind, const void *record,
                                    enum spending_subject *ret_subject)
{
    switch (kind) {
    case KIND_API_KEY:
        *ret_subject = SPENDING_KEY;
        return &((const struct api_key *)record)->limits;
    case KIND_USER:
        *ret_subject = SPENDING_USER;
        return &((const struct user *)record)->limits;
    case KIND_MODEL:
        *ret_subject = SPENDING_MODEL;
        return &((const struct model *)record)->limits;
    case KIND_SESSION:
    case KIND_WORKER:
    case KIND_INSTANCE:
    case KIND_ROUTE:
    case KIND_MODEL_METADATA:
    case KIND_MODEL_FILE:
    case KIND_EVENT:
    case KIND_REVISION:
    case KIND_COUNT:
        break;
    }
    return NULL;
}
