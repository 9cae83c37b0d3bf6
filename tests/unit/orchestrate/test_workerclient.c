/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: control sends a worker as many attempts as it has slots, takes up after a lost connection what the
   worker still has, takes over what it has done, and calls lost what it does not know; a cancel is told
   again. Shown with a worker played by the test. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "compute/task.h"
#include "orchestrate/workerclient.h"

#include "cm.h"
#include "temp_dir.h"

#define ENDS_MAX 16

struct end {
	int64_t attempt;
	enum engine_outcome outcome;
	char message[64];
};

static struct bench {
	char dir[TEMP_PATH_SIZE];
	int listener, peer; /* the worker's ends */
	FILE *lines;
	struct events *events;
	struct workerclient *client;
	struct end ends[ENDS_MAX];
	uint32_t end_count, started_count;
	int64_t now_ns;
} b;

static void on_started(void *context, int64_t attempt)
{
	(void)context;
	(void)attempt;
	b.started_count++;
}

static void on_ended(void *context, int64_t attempt, enum engine_outcome outcome,
		     const char *message, json_t *result)
{
	struct end *end = &b.ends[b.end_count++];

	(void)context;
	(void)result;
	end->attempt = attempt;
	end->outcome = outcome;
	(void)snprintf(end->message, sizeof(end->message), "%s", message != NULL ? message : "");
}

static void turn(void)
{
	b.now_ns += NS_PER_S;
	events_run(b.events);
	(void)workerclient_run(b.client, b.now_ns);
}

/** Next line that control sent, with an op that is wanted. */
static json_t *hear(const char *op)
{
	char line[4096];
	json_t *json;

	assert_non_null(fgets(line, sizeof(line), b.lines));
	json = json_loads(line, 0, NULL);
	assert_non_null(json);
	assert_string_equal(json_string_value(json_object_get(json, "op")), op);
	return json;
}

static void hear_about(const char *op, int64_t attempt)
{
	json_t *json = hear(op);

	assert_int_equal(json_integer_value(json_object_get(json, "attempt")), attempt);
	json_decref(json);
}

static void hear_nothing(void)
{
	struct pollfd fd = { .fd = b.peer, .events = POLLIN };

	assert_int_equal(poll(&fd, 1, 20), 0);
}

static void say(const char *line)
{
	assert_int_equal(send(b.peer, line, strlen(line), MSG_NOSIGNAL), (ssize_t)strlen(line));
	assert_int_equal(send(b.peer, "\n", 1, MSG_NOSIGNAL), 1);
	turn();
}

/** Control connects; the worker says hello. @param attempts  JSON */
static void meet(const char *attempts)
{
	char hello[512];

	turn();
	b.peer = accept(b.listener, NULL, NULL);
	assert_true(b.peer >= 0);
	b.lines = fdopen(dup(b.peer), "r");
	assert_non_null(b.lines);
	json_decref(hear("hello"));
	(void)snprintf(hello, sizeof(hello),
		       "{\"op\":\"hello\",\"version\":1,\"pid\":1,\"slots\":2,\"duckdb\":\"v9\","
		       "\"attempts\":%s}",
		       attempts);
	say(hello);
}

static void part(void)
{
	(void)fclose(b.lines);
	(void)close(b.peer);
	b.lines = NULL;
	b.peer = -1;
	events_run(b.events);
}

static int setup(void **state)
{
	const struct workerclient_ops ops = { .started = on_started, .ended = on_ended };
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	(void)state;
	memset(&b, 0, sizeof(b));
	b.peer = -1;
	temp_dir_make(b.dir);
	assert_int_equal(task_socket_path(b.dir, address.sun_path, sizeof(address.sun_path)), 0);
	b.listener = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(b.listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(b.listener, 4), 0);
	assert_int_equal(events_new(&b.events), 0);
	assert_int_equal(workerclient_new(b.events, b.dir, &ops, NULL, &b.client), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (b.peer >= 0)
		part();
	workerclient_free(b.client);
	events_free(b.events);
	(void)close(b.listener);
	temp_dir_remove(b.dir);
	return 0;
}

static void start(int64_t attempt)
{
	assert_int_equal(workerclient_start(b.client, attempt, json_pack("{s:s}", "kind", "sql")),
			 0);
}

static void expect_end(uint32_t at, int64_t attempt, enum engine_outcome outcome)
{
	assert_true(at < b.end_count);
	assert_int_equal(b.ends[at].attempt, attempt);
	assert_int_equal(b.ends[at].outcome, outcome);
}

static void test_workerclient_keeps_to_the_slots(void **state)
{
	struct workerclient_view view;

	(void)state;
	start(1);
	start(2);
	start(3);
	meet("[]");
	hear_about("start", 1);
	hear_about("start", 2);
	hear_nothing();
	workerclient_view(b.client, &view);
	assert_true(view.is_connected);
	assert_int_equal(view.running, 2);
	assert_int_equal(view.waiting, 1);
	assert_string_equal(view.duckdb, "v9");
	start(-1); /* a query takes no slot */
	turn();
	hear_about("start", -1);
	say("{\"op\":\"done\",\"attempt\":1,\"outcome\":\"success\",\"message\":\"\"}");
	expect_end(0, 1, ENGINE_SUCCESS);
	hear_about("start", 3);
	workerclient_forget(b.client, 1);
	turn();
	hear_about("forget", 1);
}

static void test_workerclient_tells_outcomes_apart(void **state)
{
	(void)state;
	start(1);
	start(2);
	meet("[]");
	say("{\"op\":\"done\",\"attempt\":1,\"outcome\":\"failed\",\"reason\":\"io\",\"message\":\"m\"}");
	say("{\"op\":\"done\",\"attempt\":2,\"outcome\":\"failed\",\"reason\":\"schema\"}");
	expect_end(0, 1, ENGINE_FAILED);
	assert_string_equal(b.ends[0].message, "m");
	expect_end(1, 2, ENGINE_FAILED_FINAL);
}

static void test_workerclient_takes_up_after_a_lost_connection(void **state)
{
	(void)state;
	start(1);
	start(2);
	meet("[]");
	hear_about("start", 1);
	hear_about("start", 2);
	assert_true(workerclient_cancel(b.client, 2));
	part();
	assert_int_equal(b.end_count, 0);
	assert_int_equal(workerclient_expect(b.client, 3), 0); /* of a control before this one */
	assert_int_equal(workerclient_expect(b.client, 4), 0);
	meet("[{\"attempt\":2,\"state\":\"running\"},{\"attempt\":3,\"state\":\"done\","
	     "\"outcome\":\"success\"},{\"attempt\":9,\"state\":\"running\"},"
	     "{\"attempt\":8,\"state\":\"done\",\"outcome\":\"success\"}]");
	hear_about("cancel", 2); /* told again */
	hear_about("cancel", 9); /* nobody's */
	hear_about("forget", 8);
	assert_int_equal(b.end_count, 3);
	expect_end(0, 3, ENGINE_SUCCESS);
	expect_end(1, 1, ENGINE_LOST);
	expect_end(2, 4, ENGINE_LOST);
	assert_true(workerclient_has(b.client, 2));
}

static void test_workerclient_cancels_what_waits(void **state)
{
	(void)state;
	start(1);
	assert_true(workerclient_cancel(b.client, 1));
	expect_end(0, 1, ENGINE_CANCELLED);
	assert_false(workerclient_cancel(b.client, 1));
	assert_int_equal(workerclient_start(b.client, -1, json_pack("{s:s}", "kind", "query")),
			 -ENOTCONN);
}

static void test_workerclient_leaves_what_is_no_worker(void **state)
{
	(void)state;
	start(1);
	meet("[]");
	hear_about("start", 1);
	say("nonsense");
	assert_int_equal(recv(b.peer, &(char){ 0 }, 1, 0), 0);
	part();
	assert_int_equal(b.end_count, 0);
	meet("[]");
	expect_end(0, 1, ENGINE_LOST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_workerclient_keeps_to_the_slots, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_workerclient_tells_outcomes_apart, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_workerclient_takes_up_after_a_lost_connection,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_workerclient_cancels_what_waits, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_workerclient_leaves_what_is_no_worker, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
