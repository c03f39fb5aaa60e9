/* SPDX-License-Identifier: Apache-2.0 */
#include "diff_llhttp.h"

#include <llhttp.h>

static int on_complete(llhttp_t *parser)
{
    (void)parser;
    return HPE_PAUSED;
}

size_t llhttp_request_length(const char *data, size_t size, const char **ret_reason)
{
    llhttp_settings_t settings;
    llhttp_t parser;
    llhttp_settings_init(&settings);
    settings.on_message_complete = on_complete;
    llhttp_init(&parser, HTTP_REQUEST, &settings);
    llhttp_errno_t rc = llhttp_execute(&parser, data, size);
    *ret_reason = llhttp_errno_name(rc);
    return rc == HPE_PAUSED ? (size_t)(llhttp_get_error_pos(&parser) - data) : 0;
}
