/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * One poke of a sensor: a look at shared memory, a file or the clock, at once.
 *
 * Context: control's loop. Memory: none.
 */
#pragma once

#include <jansson.h>

#include "base/defs.h"
#include "storage/partitions.h"

#include "orchestrate/engine.h"

/**
 * @param spec       rendered, as in dag.h: "topic" and "records" (in all its partitions, below the
 *                   watermarks), "file" or "time"
 * @param table      NULL: not there yet
 * @param[out] ret_text  [size] what it saw, for people
 * @return ENGINE_SUCCESS, ENGINE_NOT_YET, ENGINE_FAILED_FINAL
 */
enum engine_outcome sensors_poke(const json_t *spec, const struct partitions *table, int64_t now_us,
				 char *ret_text, size_t size);
