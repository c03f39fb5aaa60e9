/* SPDX-License-Identifier: Apache-2.0 */
/* What names of models on hubs mean, and the lists of files there. */
#pragma once

#include "hub/fetch.h"
#include "hub/hub.h"
#include "hub/listing.h"

/* A hub's ways of naming things. */
struct hub_kind {
    const char *prefix;   /* of a short form */
    const char *folder;   /* of repositories on its web site */
    const char *revision; /* when none is named */
    int (*add)(struct listing *listing, struct str json, struct err *err);
};

extern const struct hub_kind hub_hugging_face, hub_modelscope;

/* What a place was understood as. */
struct place {
    const struct hub_kind *kind; /* NULL: a URL of some server */
    const char *origin;          /* URL of the hub; borrowed, as the next one */
    struct str base;             /* the same without a final '/' */
    const char *token;           /* borrowed, or NULL */
    struct str repo;             /* "OWNER/NAME"; borrowed from the place's text, as the next two */
    struct str revision;
    struct str file;             /* empty: all files; of a URL: still encoded */
    bool is_encoded;
};

/* Codes as of hub_open(). Borrows from `text` and `params`. */
int place_understand(const char *text, const struct hub_params *params, struct place *ret,
                     struct err *err) must_check;

/* URL of a file of a repository. Returns owned. */
char *place_file_url(const struct place *place, struct str file);

/* Adds all files of a repository, page after page; not sorted. */
int place_list(struct fetcher *fetcher, const struct place *place, struct listing *listing,
               struct err *err) must_check;

/*
 * The commit that the place's revision is at this moment; NULL when the hub doesn't tell: a branch
 * then. `*ret` is owned.
 */
int place_pin(struct fetcher *fetcher, const struct place *place, char **ret,
              struct err *err) must_check;
