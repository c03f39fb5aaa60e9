/* SPDX-License-Identifier: Apache-2.0 */
/* Only src/domain/model*.c, routes among them: their names and words are those of models. */
#pragma once

#include "domain/model.h"
#include "domain/record_priv.h"

/* Adds a fault unless clients may write this name. */
void model_check_name(const char *name, struct faults *faults);

/* Adds a fault for each word that is no category. */
void model_check_categories(const struct string_list *categories, struct faults *faults);

/* Adds what is wrong with fields that are objects or words of a list. */
void model_check_extras(const struct model *model, struct faults *faults);
