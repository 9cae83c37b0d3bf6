/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: control's end of the channel connects whenever a dataplane is there, carries records both
 * ways in order, keeps back what a full ring does not take, and drops everything with a connection.
 * Shown against a fake dataplane on a real unix socket with real shared rings; time is an argument.
 */
#include <errno.h>

#include "base/err.h"
#include "base/log.h"

#include "control/meta/boxlink.h"

#include "cm.h"
#include "fakebox.h"

struct fixture {
	struct fakebox box;
	struct boxlink *link;
	int connected;
	int lost;
	uint32_t upcalls;
	uint64_t last_cookie;
	uint32_t last_core;
	int64_t now_ns;
};

static void on_connected(void *context, const struct channel_welcome *welcome)
{
	struct fixture *f = context;

	assert_int_equal(welcome->cores, FAKEBOX_CORES);
	f->connected++;
}

static void on_lost(void *context)
{
	((struct fixture *)context)->lost++;
}

static void on_upcall(void *context, uint32_t core, const struct upcall_header *record,
		      uint32_t size)
{
	struct fixture *f = context;

	assert_int_equal(size, sizeof(struct upcall_snapshot));
	f->last_cookie = ((const struct upcall_snapshot *)(const void *)record)->cookie;
	f->last_core = core;
	f->upcalls++;
}

static const struct boxlink_ops ops = { on_connected, on_lost, on_upcall };

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return -1;
	log_init("test", LOG_ERROR);
	fakebox_init(&f->box, FAKEBOX_CORES);
	assert_int_equal(boxlink_new(f->box.dir, 42, &ops, f, &f->link), 0);
	f->now_ns = NS_PER_S;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	boxlink_free(f->link);
	fakebox_fini(&f->box);
	free(f);
	return 0;
}

static int64_t run(struct fixture *f)
{
	f->now_ns += BOXLINK_RETRY_NS;
	return boxlink_run(f->link, f->now_ns);
}

static void connect_both(struct fixture *f)
{
	if (f->box.listen_fd < 0)
		fakebox_listen(&f->box);
	(void)run(f);
	fakebox_welcome(&f->box, 0);
	(void)run(f);
	assert_true(boxlink_is_up(f->link));
}

static void upcall(struct fixture *f, uint32_t core, uint64_t cookie)
{
	struct upcall_snapshot record = {
		.header = { UPCALL_SNAPSHOT, (uint16_t)core, sizeof(record) },
		.cookie = cookie,
	};

	fakebox_upcall(&f->box, core, &record, sizeof(record));
}

static void test_boxlink_waits_for_a_dataplane(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 3; i++) {
		int64_t due_ns = run(f);

		assert_int_equal(due_ns, f->now_ns + BOXLINK_RETRY_NS);
	}
	assert_false(boxlink_is_up(f->link));
	assert_int_equal(boxlink_send(f->link, 0, "x", 1, NULL, 0), -ENOTCONN);
	connect_both(f);
	assert_int_equal(f->connected, 1);
	assert_int_equal(f->lost, 0);
	assert_int_equal(f->box.hello.epoch, 42);
	assert_int_equal(f->box.hello.cores, FAKEBOX_CORES);
	assert_int_equal(boxlink_cores(f->link), FAKEBOX_CORES);
}

static void test_boxlink_records_both_ways(void **state)
{
	struct fixture *f = *state;
	char record[64] = "";
	uint64_t count = 0;

	connect_both(f);
	assert_int_equal(boxlink_send(f->link, 1, "head-", 5, "tail", 4), 0);
	boxlink_flush(f->link);
	assert_int_equal(read(f->box.fds[3], &count, sizeof(count)), sizeof(count));
	assert_int_equal(fakebox_command(&f->box, 0, record, sizeof(record)), 0);
	assert_int_equal(fakebox_command(&f->box, 1, record, sizeof(record)), 9);
	assert_string_equal(record, "head-tail");
	upcall(f, 1, 7);
	upcall(f, 1, 8);
	assert_int_equal(run(f), INT64_MAX);
	assert_int_equal(f->upcalls, 2);
	assert_int_equal(f->last_cookie, 8);
	assert_int_equal(f->last_core, 1);
}

static void test_boxlink_keeps_back_what_does_not_fit(void **state)
{
	enum { SIZE = 512 * 1024, COUNT = 20 };
	struct fixture *f = *state;
	uint8_t *body = calloc(1, SIZE);
	uint32_t got = 0;

	assert_non_null(body);
	connect_both(f);
	assert_int_equal(boxlink_send(f->link, 0, body, 1, body, BOXLINK_RECORD_MAX),
			 ERR_TOO_LARGE);
	for (uint32_t i = 0; i < COUNT; i++)
		assert_int_equal(boxlink_send(f->link, 0, &i, sizeof(i), body, SIZE - 4), 0);
	while (got < COUNT) {
		uint32_t number;

		/* Everything comes, in order, although the ring holds a few at a time. */
		if (fakebox_command(&f->box, 0, body, SIZE) == 0) {
			(void)run(f);
			continue;
		}
		memcpy(&number, body, sizeof(number));
		assert_int_equal(number, got++);
	}
	assert_int_equal(f->lost, 0);
	free(body);
}

static void test_boxlink_reconnects(void **state)
{
	struct fixture *f = *state;
	uint8_t record[8];

	connect_both(f);
	assert_int_equal(boxlink_send(f->link, 0, "old", 3, NULL, 0), 0);
	fakebox_hang_up(&f->box);
	(void)run(f);
	assert_int_equal(f->lost, 1);
	assert_false(boxlink_is_up(f->link));
	connect_both(f);
	assert_int_equal(f->connected, 2);
	/* Fresh rings: what lay in the old ones is gone. */
	assert_int_equal(fakebox_command(&f->box, 0, record, sizeof(record)), 0);
	upcall(f, 0, 9);
	(void)run(f);
	assert_int_equal(f->last_cookie, 9);
}

static void test_boxlink_drops_a_broken_ring(void **state)
{
	struct fixture *f = *state;

	connect_both(f);
	fakebox_upcall(&f->box, 0, "tiny", 4);
	(void)run(f);
	assert_int_equal(f->lost, 1);
	assert_int_equal(f->upcalls, 0);
}

static void test_boxlink_refused(void **state)
{
	struct fixture *f = *state;

	fakebox_listen(&f->box);
	(void)run(f);
	fakebox_welcome(&f->box, -EINVAL);
	(void)run(f);
	assert_false(boxlink_is_up(f->link));
	assert_int_equal(f->connected, 0);
	assert_int_equal(f->lost, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_boxlink_waits_for_a_dataplane),
		TEST(test_boxlink_records_both_ways),
		TEST(test_boxlink_keeps_back_what_does_not_fit),
		TEST(test_boxlink_reconnects),
		TEST(test_boxlink_drops_a_broken_ring),
		TEST(test_boxlink_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
