/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claimed: any text is a pipeline or refused with 1 to 20 errors that have a place and a message; a
 * pipeline's tasks stand in an order that respects upstream.
 * Input: pipeline.yaml; the folder has a file a.sql beside it.
 */
#include <errno.h>

#include "base/check.h"
#include "base/err.h"

#include "orchestrate/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check_dag(const struct dag *dag)
{
	CHECK(dag->task_count > 0 && dag->timetable != NULL && dag->id[0] != '\0');
	for (uint32_t i = 0; i < dag->task_count; i++) {
		const struct dag_task *task = &dag->tasks[i];

		CHECK(json_is_object(task->spec) && task->hash[63] != '\0');
		CHECK(dag_find_task(dag, task->name) == (int32_t)i);
		for (uint32_t k = 0; k < task->upstream_count; k++)
			CHECK(task->upstream[k] < i);
	}
}

static void check_errors(const json_t *errors)
{
	CHECK(json_array_size(errors) >= 1 && json_array_size(errors) <= 20);
	for (size_t i = 0; i < json_array_size(errors); i++) {
		const json_t *error = json_array_get(errors, i);

		CHECK(json_integer_value(json_object_get(error, "line")) >= 1);
		CHECK(json_integer_value(json_object_get(error, "column")) >= 1);
		CHECK(json_string_length(json_object_get(error, "message")) > 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	json_t *files = json_object(), *errors = NULL;
	json_t *text = json_stringn((const char *)bytes, size);
	struct dag *dag = NULL;
	int error;

	if (text != NULL) { /* else it is not UTF-8 */
		CHECK(json_object_set_new(files, "pipeline.yaml", text) == 0);
		CHECK(json_object_set_new(files, "a.sql", json_string("SELECT 1")) == 0);
		error = manifest_parse(files, &dag, &errors);
		CHECK(error == 0 || error == ERR_CONFIG);
		if (error == 0)
			check_dag(dag);
		else
			check_errors(errors);
		dag_unref(dag);
		json_decref(errors);
	}
	json_decref(files);
	return 0;
}
