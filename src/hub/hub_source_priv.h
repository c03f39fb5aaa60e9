/* SPDX-License-Identifier: Apache-2.0 */
/* The source of a hub's files, as hub.c builds it: files first, then it is read from. */
#pragma once

#include "hub/fetch.h"
#include "hub/hub.h"

/* Takes the fetcher; `token` is borrowed, NULL: none. Returns owned. */
struct source *hub_source_new(struct fetcher *fetcher, const char *token);

/* Adds a file whose size is known; takes `url`, and `name` is copied. */
void hub_source_add(struct source *source, const char *name, uint64_t bytes, char *url);

/*
 * Adds a file of which only the URL is known: its first `n` bytes are fetched, which tells its
 * size, and kept for whoever reads them. Takes `url`.
 */
int hub_source_probe(struct source *source, const char *name, char *url, size_t n,
                     struct err *err) must_check;
