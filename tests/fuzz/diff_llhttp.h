/* SPDX-License-Identifier: Apache-2.0 */
/* llhttp behind one function: its header and ours can't be read together, both name the methods. */
#pragma once

#include <stddef.h>

/* Length of the request at the front of `data`, or 0 when llhttp refuses it or wants more. */
size_t llhttp_request_length(const char *data, size_t size, const char **ret_reason);
