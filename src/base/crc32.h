/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32 of IEEE 802.3, as in gzip and PNG: 1-2 bytes a nanosecond. Pure, any thread. */
#pragma once

#include "base/str.h"

#include <stdint.h>

uint32_t crc32_of(struct str bytes);
