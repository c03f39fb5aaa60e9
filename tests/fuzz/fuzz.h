/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a fuzz target is: one function that takes any bytes and aborts when what it tests breaks a
 * promise. Linked with libFuzzer (-Dfuzz=true, clang) or with replay.c, which runs the corpus.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
