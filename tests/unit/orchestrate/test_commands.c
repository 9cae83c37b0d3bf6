/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: a command's end, output and result are told; a cancel ends its whole process group; an attempt
   runs on when control ends and is found again, exactly as it is: running, ended, or lost. Shown with real
   processes of millrace-attempt, whose path is in MILLRACE_ATTEMPT. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

#include "orchestrate/commands.h"

#include "cm.h"
#include "temp_dir.h"

static struct bench {
	char dir[TEMP_PATH_SIZE], folder[TEMP_PATH_SIZE + 16], log[TEMP_PATH_SIZE + 16];
	struct events *events;
	struct commands *commands;
	int64_t ended;
	enum engine_outcome outcome;
	char message[TEMP_PATH_SIZE + 16];
	json_t *result;
} b;

static void on_ended(void *context, int64_t attempt, enum engine_outcome outcome,
		     const char *message, json_t *result)
{
	(void)context;
	b.ended = attempt;
	b.outcome = outcome;
	(void)snprintf(b.message, sizeof(b.message), "%s", message != NULL ? message : "");
	json_decref(b.result);
	b.result = json_incref(result);
}

static void open_commands(void)
{
	assert_int_equal(events_new(&b.events), 0);
	assert_int_equal(commands_new(b.events, b.folder, getenv("MILLRACE_ATTEMPT"), on_ended,
				      NULL, &b.commands),
			 0);
}

/** As a control that ends. */
static void close_commands(void)
{
	commands_free(b.commands);
	events_free(b.events);
}

static int setup(void **state)
{
	(void)state;
	memset(&b, 0, sizeof(b));
	temp_dir_make(b.dir);
	(void)snprintf(b.folder, sizeof(b.folder), "%s/attempts", b.dir);
	(void)snprintf(b.log, sizeof(b.log), "%s/1.log", b.dir);
	open_commands();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close_commands();
	json_decref(b.result);
	temp_dir_remove(b.dir);
	return 0;
}

static void start(int64_t attempt, const char *script, const char *output)
{
	json_t *spec = json_pack("{s:[s,s,s],s:{s:s},s:s,s:s,s:i,s:[s]}", "argv", "/bin/sh", "-c",
				 script, "env", "GREETING", "hello", "output", output, "log", b.log,
				 "log_max", 65536, "mask", "hunter2");

	assert_int_equal(commands_start(b.commands, attempt, spec), 0);
	json_decref(spec);
}

static void wait_end(int64_t attempt)
{
	int64_t until_ns = clock_now_ns() + 10 * NS_PER_S;

	b.ended = 0;
	while (b.ended != attempt) {
		struct pollfd fd = { .fd = events_fd(b.events), .events = POLLIN };

		assert_true(clock_now_ns() < until_ns);
		(void)poll(&fd, 1, 10);
		events_run(b.events);
		(void)commands_run(b.commands, clock_now_ns());
	}
	assert_false(commands_has(b.commands, attempt));
}

static void pause_ms(int ms)
{
	(void)poll(NULL, 0, ms);
}

static bool has(const char *name)
{
	char path[TEMP_PATH_SIZE + 64];

	(void)snprintf(path, sizeof(path), "%s/%s", b.dir, name);
	return access(path, F_OK) == 0;
}

/** Killed is soon gone. @param pid  text */
static void wait_gone(const char *pid)
{
	pid_t number = (pid_t)strtol(pid, NULL, 10);

	assert_true(number > 1);
	for (int i = 0; i < 1000 && kill(number, 0) == 0; i++)
		pause_ms(10);
	assert_int_equal(kill(number, 0), -1);
}

static void wait_for(const char *name)
{
	for (int i = 0; i < 1000 && !has(name); i++)
		pause_ms(10);
	assert_true(has(name));
}

static void test_commands_tell_ends(void **state)
{
	(void)state;
	start(1, "echo $GREETING; echo '{\"a\": 1}'; pwd > ../../../where", "json");
	wait_end(1);
	assert_int_equal(b.outcome, ENGINE_SUCCESS);
	assert_int_equal(json_integer_value(json_object_get(b.result, "a")), 1);
	assert_true(has("where") && has("attempts/1/exit"));
	commands_forget(b.commands, 1);
	assert_false(has("attempts/1"));
	start(2, "echo hunter2 is secret >&2; exit 3", "none");
	wait_end(2);
	assert_int_equal(b.outcome, ENGINE_FAILED);
	assert_string_equal(b.message, "exit code 3: *** is secret");
	start(3, "exit 99", "none");
	wait_end(3);
	assert_int_equal(b.outcome, ENGINE_SKIPPED);
	start(4, "kill -SEGV $$", "none");
	wait_end(4);
	assert_int_equal(b.outcome, ENGINE_FAILED);
	assert_non_null(strstr(b.message, "signal 11"));
	start(5, "echo last word", "text");
	wait_end(5);
	assert_string_equal(json_string_value(b.result), "last word");
	assert_int_equal(commands_count(b.commands), 0);
}

static void test_commands_cancel_the_whole_group(void **state)
{
	char line[32] = "";
	FILE *file;

	(void)state;
	start(1, "sleep 1000 & echo $! > ../../../pid.new; mv ../../../pid.new ../../../pid; wait",
	      "none");
	wait_for("pid");
	assert_true(commands_cancel(b.commands, 1));
	wait_end(1);
	assert_int_equal(b.outcome, ENGINE_CANCELLED);
	(void)snprintf(b.message, sizeof(b.message), "%s/pid", b.dir);
	file = fopen(b.message, "r");
	assert_non_null(file);
	assert_non_null(fgets(line, sizeof(line), file));
	(void)fclose(file);
	wait_gone(line);
	assert_false(commands_cancel(b.commands, 1));
}

/* What a command left behind kept its log open, and the attempt for ever. */
static void test_commands_do_not_wait_for_what_is_left_behind(void **state)
{
	(void)state;
	start(1, "sleep 1000 & true", "none");
	wait_end(1);
	assert_int_equal(b.outcome, ENGINE_SUCCESS);
}

static void test_commands_outlive_control(void **state)
{
	(void)state;
	start(1, "while ! test -e ../../../go; do sleep 0.01; done; echo '5'", "json");
	start(2, "echo 6", "json");
	wait_for("attempts/2/exit");
	close_commands();
	open_commands();
	assert_int_equal(commands_adopt(b.commands), 0);
	assert_true(commands_has(b.commands, 1) && commands_has(b.commands, 2));
	wait_end(2);
	assert_int_equal(json_integer_value(b.result), 6);
	(void)snprintf(b.message, sizeof(b.message), "%s/go", b.dir);
	assert_int_equal(mkdir(b.message, 0700), 0);
	wait_end(1);
	assert_int_equal(b.outcome, ENGINE_SUCCESS);
	assert_int_equal(json_integer_value(b.result), 5);
}

static void test_commands_tell_the_lost(void **state)
{
	char path[TEMP_PATH_SIZE + 64], text[24] = "";
	FILE *file;

	(void)state;
	start(7, "sleep 1000 & echo $! > ../../../pid.new; mv ../../../pid.new ../../../pid; wait",
	      "none");
	wait_for("pid");
	(void)snprintf(path, sizeof(path), "%s/7/lock", b.folder);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_non_null(fgets(text, sizeof(text), file));
	(void)fclose(file);
	close_commands();
	assert_int_equal(kill((pid_t)strtol(text, NULL, 10), SIGKILL), 0);
	open_commands();
	(void)snprintf(path, sizeof(path), "%s/8", b.folder);
	assert_int_equal(mkdir(path, 0700), 0); /* made, and then control ended */
	assert_int_equal(commands_adopt(b.commands), 0);
	assert_true(commands_has(b.commands, 8));
	while (commands_count(b.commands) > 0) {
		events_run(b.events);
		(void)commands_run(b.commands, clock_now_ns());
		pause_ms(1);
	}
	assert_int_equal(b.outcome, ENGINE_LOST);
	/* It would have run twice at once. */
	(void)snprintf(path, sizeof(path), "%s/pid", b.dir);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_non_null(fgets(text, sizeof(text), file));
	(void)fclose(file);
	wait_gone(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_commands_tell_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(test_commands_cancel_the_whole_group, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_commands_do_not_wait_for_what_is_left_behind,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_commands_outlive_control, setup, teardown),
		cmocka_unit_test_setup_teardown(test_commands_tell_the_lost, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
