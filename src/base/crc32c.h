/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CRC-32C (Castagnoli), as in iSCSI and ext4 (RFC 3720, appendix B.4): by the processor's own
 * instruction where there is one. Pure, any thread.
 */
#pragma once

#include "base/str.h"

#include <stdint.h>

/* The sum of all bytes. */
uint32_t crc32c_of(struct str bytes);

/* The same by a table alone, as on processors without that instruction. */
uint32_t crc32c_by_table(struct str bytes);
