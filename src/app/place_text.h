/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Placement in words and tables for people: where instances would go, why they don't, and what
 * could be done. Of the JSON that the API gives (api/openapi.yaml); members that are missing are
 * passed over. Tables fit 100 columns unless names are long.
 */
#pragma once

#include "base/json.h"

/* "41.2 GiB" of a number, "-" of anything else. Returns owned. */
char *place_bytes_text(const json_t *bytes);

/* A table of placements, one row a rank. */
void place_text_print_ranks(const json_t *placements);

/* What the first of them costs: "cost 0.42: fragments 0.40, start 0.02"; nothing when not told. */
void place_text_print_cost(const json_t *placement);

/* The workers that each filter refuses, then the devices with code and numbers, alike ones
 * together. Of a `reason`, or of the `state_args` of an instance. */
void place_text_print_reason(const json_t *reason);

/* "Ways out, each of them tried:" and one a line behind `indent`; nothing when there are none. */
void place_text_print_ways_out(const json_t *ways_out, const char *indent);
