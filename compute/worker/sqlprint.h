/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Results for people's eyes: columns of text, numbers to the right.
 *
 * Context: one thread. Memory: a chunk of rows. Limits: widths are those of the first chunk.
 */
#pragma once

#include <jansson.h>
#include <stdio.h>

#include "base/defs.h"

#include "compute/duck/duck.h"

/** @param limit  rows after which "more" is said. @return rows printed */
int64_t sqlprint_result(FILE *out, struct duck_result *result, int64_t limit);
/** The plan that EXPLAIN gives, as it is. */
void sqlprint_plan(FILE *out, struct duck_result *result);
/**
 * An array of objects.
 *
 * @param names  [count] fields to show, as headings too
 */
void sqlprint_objects(FILE *out, const json_t *objects, const char *const *names, uint32_t count);
