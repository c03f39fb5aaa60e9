/* SPDX-License-Identifier: Apache-2.0 */
/* What a model is made of, for people and as JSON. Layers that are equal are told together. */
#pragma once

#include "base/json.h"
#include "weights/model_shape.h"

/* Prints tables to standard output. */
void model_text_print(const struct model_shape *shape);

/* Members of an object that the caller has opened. */
void model_text_write(const struct model_shape *shape, struct json_writer *w);
