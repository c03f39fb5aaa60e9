/* SPDX-License-Identifier: Apache-2.0 */
/* A usage record back from its JSON (record.h), for what reads the journal. Pure, any thread. */
#pragma once

#include "gateway/record.h"

/*
 * Reads what usage_record_write() wrote. Members that are not known are passed over; ERR_INVALID
 * names the first one that is missing or wrong. Strings that don't fit are cut. `ret` is written on
 * success only.
 */
int usage_record_read(const json_t *object, struct usage_record *ret, struct err *err) must_check;
