/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claimed: whatever a peer of the worker sends, its lines come out as objects or are refused, however they are cut, and
 * a start message of them is judged without harm; so are the rules of checks.
 * Input: the first byte says how long the pieces are; the rest is the stream.
 */
#include <string.h>

#include "base/check.h"
#include "base/err.h"

#include "compute/worker/taskcheck.h"
#include "compute/worker/taskspec.h"
#include "compute/worker/workerline.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void judge(json_t *message)
{
	char reason[256];
	struct taskspec *spec;
	const json_t *check;
	size_t i;

	if (taskspec_parse(message, &spec, reason, sizeof(reason)) != 0)
		return;
	json_array_foreach(spec->checks, i, check)
	{
		struct taskcheck_rule rule;

		if (taskcheck_parse(json_string_value(json_object_get(check, "expect")), &rule,
				    reason, sizeof(reason)) == 0)
			(void)taskcheck_holds(&rule, 1);
	}
	CHECK(spec->writes == NULL || taskspec_is_table(spec->writes));
	taskspec_free(spec);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct workerline line = { 0 };
	const size_t piece = size > 0 ? 1U + bytes[0] : 1;

	for (size_t at = 1; at < size;) {
		char reason[128], *room_at;
		size_t room, count;
		json_t *message;
		int result;

		CHECK(workerline_room(&line, &room_at, &room) == 0);
		count = MIN(piece, size - at);
		count = MIN(count, room);
		memcpy(room_at, bytes + at, count);
		workerline_filled(&line, count);
		at += count;
		while ((result = workerline_next(&line, &message, reason, sizeof(reason))) != 0) {
			CHECK(result == 1 || result == ERR_MALFORMED);
			if (result == 1) {
				judge(message);
				json_decref(message);
			}
		}
	}
	workerline_close(&line);
	return 0;
}
