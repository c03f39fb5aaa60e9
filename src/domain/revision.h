/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The settings that a model had in one generation, so that they can be had again. Plain data; made
 * and kept by control/revisions.h.
 */
#pragma once

#include "domain/model.h"

struct model_revision {
    int64_t id;
    int64_t model_id;
    int64_t generation; /* of the model, when it had these settings first */
    char *settings;     /* JSON object of the model's fields that an instance follows */
    int64_t created_at;
};

extern const struct record_type model_revision_type;

/* The model's settings as JSON text; equal text means equal settings. Returns owned. */
char *revision_settings(const struct model *model);

/* Sets the model's settings from a revision's text. ERR_INVALID: they don't fit this version. */
int revision_apply(struct model *model, const char *settings, struct err *err) must_check;
