/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request's whole body, kept until it has been forwarded: in memory as long as it is small and
 * the shard's share of memory lasts, above that in a file without a name, so that many large bodies
 * cost disk and not memory. One shard's thread.
 *
 *     body_init(&body, &shard->spool);
 *     body_expect(&body, content_length);              // one allocation, if it is known
 *     ... body_add(&body, piece, &err) ...
 *     body_finish(&body, &err); use(body_str(&body));
 *     body_fini(&body);
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

enum {
    BODY_MEMORY_MAX = 4 << 20,    /* a larger body goes to a file */
    SPOOL_EBB_MIN = 16 << 20,     /* a peak of less is no reason for on_ebb() */
    SPOOL_MEMORY_MAX = 256 << 20, /* all bodies of a shard in memory; more go to files */
    SPOOL_ANNOUNCED_MAX = 1 << 30, /* room for what is to come; more grow as they come */
};

/* What the bodies of a shard share. */
struct spool {
    char *dir;          /* owned; where files are made; NULL: /var/tmp */
    size_t memory_used; /* bytes that came and are in memory; who only announces takes none */
    size_t announced;   /* address space for what is to come: no memory until it is there */
    uint64_t files;     /* bodies in files now */
    size_t peak;        /* of memory_used since the last ebb */
    void (*on_ebb)(struct spool *spool); /* most of a lot of memory was given back. Optional */
};

/* `dir` is copied; NULL: /var/tmp. */
void spool_init(struct spool *spool, const char *dir);
void spool_fini(struct spool *spool);

struct body {
    struct spool *spool;
    struct buf memory; /* until it grows too large */
    size_t announced;  /* of spool->announced */
    int fd;            /* -1: in memory */
    void *map;         /* of the whole file, once it is complete */
    uint64_t len;
};

/* `spool` is borrowed. */
void body_init(struct body *body, struct spool *spool);
void body_fini(struct body *body);

/* `len` bytes are going to come. */
void body_expect(struct body *body, uint64_t len);

/* Copies a piece. -ENOSPC and the like when it can't be kept. */
int body_add(struct body *body, struct str piece, struct err *err) must_check;

/* All of it has come. */
int body_finish(struct body *body, struct err *err) must_check;

/* The whole, after body_finish(); never with a NULL pointer. Lives as long as the body. */
struct str body_str(const struct body *body);
