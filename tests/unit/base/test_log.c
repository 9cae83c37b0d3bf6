/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: one call writes one line with time, level and program; overlong text is cut, lower levels
   are not shown. Shown by reading a pipe put in place of stderr. */
#include <string.h>
#include <unistd.h>

#include "base/log.h"

#include "cm.h"

static void test_log_writes_one_cut_line_per_call(void **state)
{
	char text[4096] = { 0 }, big[3000];
	int fds[2], saved = dup(STDERR_FILENO);

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	assert_int_equal(pipe(fds), 0);
	(void)dup2(fds[1], STDERR_FILENO);
	log_init("probe", LOG_INFO);
	log_debug("hidden");
	log_warn("seen %d", 7);
	log_error("%s", big);
	(void)dup2(saved, STDERR_FILENO);
	(void)close(fds[1]);
	(void)close(saved);
	assert_true(read(fds[0], text, sizeof(text) - 1) > 0);
	(void)close(fds[0]);
	assert_null(strstr(text, "hidden"));
	assert_non_null(strstr(text, "warn  probe: seen 7\n"));
	char *second = strchr(text, '\n') + 1;
	assert_int_equal(strlen(second), 1023);
	assert_int_equal(second[1022], '\n');
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(
		test_log_writes_one_cut_line_per_call) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
