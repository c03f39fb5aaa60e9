/* SPDX-License-Identifier: Apache-2.0 */
/* Only src/domain/model*.c. */
#pragma once

#include "domain/model.h"
#include "domain/record_priv.h"

/* Adds what is wrong with fields that are objects or words of a list. */
void model_check_extras(const struct model *model, struct faults *faults);
