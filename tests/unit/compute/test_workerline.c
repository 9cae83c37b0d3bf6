/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: objects come out whole and in order however the bytes are cut; what is no object is told and passed over;
   a line without an end is refused at its limit. Shown with all cuts of a stream and with a line that is too long. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#include "compute/task.h"
#include "compute/worker/workerline.h"

#include "cm.h"

static void fill(struct workerline *line, const char *bytes, size_t size)
{
	while (size > 0) {
		size_t room, count;
		char *at;

		assert_int_equal(workerline_room(line, &at, &room), 0);
		count = MIN(room, size);
		memcpy(at, bytes, count);
		workerline_filled(line, count);
		bytes += count;
		size -= count;
	}
}

/** Take all that is there: "1" for {"n":1}, "!" for what is refused. */
static void take(struct workerline *line, char *ret, size_t size)
{
	size_t used = 0;
	char reason[128];
	json_t *message;
	int result;

	while ((result = workerline_next(line, &message, reason, sizeof(reason))) != 0) {
		if (result == 1) {
			used += (size_t)snprintf(
				ret + used, size - used, "%d",
				(int)json_integer_value(json_object_get(message, "n")));
			json_decref(message);
		} else {
			assert_int_equal(result, ERR_MALFORMED);
			assert_true(strlen(reason) > 0);
			used += (size_t)snprintf(ret + used, size - used, "!");
		}
	}
	ret[used] = '\0';
}

static void test_workerline_is_whole_however_it_is_cut(void **state)
{
	static const char stream[] =
		"{\"n\":1}\n{\"n\":2}\n\n[3]\n{\"n\":4\n{\"n\":\n{\"n\":5}\n{\"n\":6";
	char found[64];

	(void)state;
	for (size_t cut = 0; cut < sizeof(stream); cut++) {
		struct workerline line = { 0 };

		fill(&line, stream, cut);
		take(&line, found, sizeof(found));
		fill(&line, stream + cut, sizeof(stream) - 1 - cut);
		take(&line, found + strlen(found), sizeof(found) - strlen(found));
		assert_string_equal(found, "12!!!!5");
		fill(&line, "}\n", 2);
		take(&line, found, sizeof(found));
		assert_string_equal(found, "6");
		workerline_close(&line);
	}
}

static void test_workerline_refuses_what_has_no_end(void **state)
{
	struct workerline line = { 0 };
	char reason[128];
	json_t *message;
	size_t room, sum = 0;
	char *at;

	(void)state;
	while (workerline_room(&line, &at, &room) == 0) {
		memset(at, ' ', room);
		workerline_filled(&line, room);
		sum += room;
		assert_int_equal(workerline_next(&line, &message, reason, sizeof(reason)), 0);
	}
	assert_int_equal(workerline_room(&line, &at, &room), ERR_TOO_LARGE);
	assert_true(sum >= TASK_LINE_MAX && sum < TASK_LINE_MAX + 8192);
	workerline_close(&line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_workerline_is_whole_however_it_is_cut),
		cmocka_unit_test(test_workerline_refuses_what_has_no_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
