/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * What templates of a task instance see, and its definition rendered with it, right before it starts.
 *
 * Context: control's loop. Memory: heap.
 */
#pragma once

#include <jansson.h>

#include "base/defs.h"

#include "orchestrate/engine.h"
#include "orchestrate/vault.h"

/**
 * Names as in template.h; params are the pipeline's, overridden by the run's conf.
 *
 * @return caller frees; NULL: no memory
 */
json_t *render_names(const struct ti *ti, const struct vault *vault);
/**
 * The task's spec with its templates rendered.
 *
 * @param[out] reterr  [reterr_size] for people
 * @return 0; ERR_MALFORMED, ERR_TOO_LARGE; -ENOMEM
 */
NODISCARD int render_spec(const struct ti *ti, const struct vault *vault, json_t **ret_spec,
			  char *reterr, size_t reterr_size);
/** What the run ends as when all that has not ended succeeds: "success" or "failed". */
const char *render_run_state(const struct run *run);
