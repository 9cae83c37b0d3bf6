/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claimed: any bytes as a commit of a Delta log add up to a state or are refused with a reason; a path
 * that is taken stays below the table or is absolute; a schema that is taken is SQL.
 * Input: the text of a commit.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/err.h"

#include "compute/table/delta_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check_path(const char *path)
{
	CHECK(path[0] != '\0');
	for (const char *at = path; at != NULL; at = strchr(at, '/')) {
		at += *at == '/';
		CHECK(strcmp(at, "..") != 0 && strncmp(at, "../", 3) != 0);
	}
}

static void check_schema(const struct delta_state *state, struct delta_error *error)
{
	json_t *schema = NULL;
	int failed = delta_schema_parse(
		json_string_value(json_object_get(state->metadata, "schemaString")), &schema,
		error);

	CHECK(failed == 0 || failed == ERR_CORRUPT || failed == ERR_UNSUPPORTED);
	if (failed == 0)
		CHECK(json_array_size(json_object_get(schema, "fields")) <= COLUMN_MAX);
	json_decref(schema);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	char message[256] = "";
	struct delta_error error = { message, sizeof(message) };
	struct delta_state state;
	const char *path;
	json_t *add;
	int failed;

	CHECK(delta_state_init(&state) == 0);
	failed = delta_log_parse("fuzz", (const char *)bytes, size, delta_state_apply, &state,
				 &error);
	CHECK(failed == 0 || failed == ERR_CORRUPT || failed == ERR_UNSUPPORTED);
	CHECK((failed == 0) == (message[0] == '\0'));
	json_object_foreach(state.files, path, add)
	{
		const char *stats = json_string_value(json_object_get(add, "stats"));

		check_path(path);
		CHECK(json_integer_value(json_object_get(add, "size")) >= 0);
		if (stats != NULL)
			CHECK(delta_stats_rows(stats) >= -1);
	}
	if (state.protocol != NULL) {
		failed = delta_state_readable(&state, &error);
		CHECK(failed == 0 || failed == ERR_UNSUPPORTED);
	}
	if (state.metadata != NULL)
		check_schema(&state, &error);
	delta_state_free(&state);
	return 0;
}
