/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Templates, a subset of Jinja: {{ path | filter(args) }}, {% if %} {% elif %} {% else %} {% endif %},
 * {% for x in path %}, {# comment #}, a minus in a tag trims white space. Conditions: and, or, not, ==, !=, <, <=, >,
 * >=, in, is defined; in a loop: loop.index, index0, first, last, length. Undefined names are errors, never
 * empty text. No code runs.
 *
 * Names: ds, ds_nodash, ts, ts_nodash, logical_date, data_interval_start, data_interval_end, run_id, dag.id, task.id,
 * try_number, run.state, conf.x, params.x, var.value.x, var.json.x, conn.x.host (login, password, port, schema,
 * extra.y), xcom.task.key, tasks.task.state. Filters: default(x), tojson, quote_sql, ds_add(days), upper, lower,
 * replace(a, b), join(sep), length.
 *
 * Context: any thread. Memory: heap. Limits: TEMPLATE_SIZE_MAX out, 100,000 steps.
 */
#pragma once

#include <jansson.h>

#include "base/defs.h"

#define TEMPLATE_SIZE_MAX (4U << 20)

/**
 * @param names        object tree of the names above; borrowed
 * @param[out] ret_text  caller frees with free()
 * @param[out] reterr  [reterr_size] "line 3: xcom.bronze.rows is not defined; xcom has: silver"
 * @return 0; ERR_MALFORMED syntax or undefined name; ERR_TOO_LARGE; -ENOMEM
 */
NODISCARD int template_render(const char *text, const json_t *names, char **ret_text, char *reterr,
			      size_t reterr_size);
/** Render every text inside a JSON value. @param[out] ret_value  caller frees. Otherwise as above. */
NODISCARD int template_render_json(const json_t *value, const json_t *names, json_t **ret_value,
				   char *reterr, size_t reterr_size);
/** Syntax only, for the manifest. @param[out] ret_line  of the error */
NODISCARD int template_check(const char *text, uint32_t *ret_line, char *reterr,
			     size_t reterr_size);
