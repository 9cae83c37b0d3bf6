/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: the loop answers a change only when the cores serve it, makes topics that Metadata asks
 * for, grants producer ids, closes what it cannot decode, comes back after the dataplane died, and
 * stops on SIGTERM. Shown by the real loop in a thread against a fake dataplane on real rings.
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>

#include "base/log.h"

#include "control/control.h"
#include "control/privileges.h"

#include "cm.h"
#include "fakebox.h"
#include "metabox.h"

#define WAIT_MS 10000

struct fixture {
	struct metabox meta; /* for its folder and buffers; its metadata is closed */
	struct fakebox box;
	struct control *control;
	struct partitions *table;
	pthread_t thread;
	int result;
};

static void *loop(void *context)
{
	struct fixture *f = context;

	f->result = control_run(f->control);
	return NULL;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char path[100];

	if (f == NULL)
		return -1;
	log_init("test", LOG_ERROR);
	metabox_init(&f->meta);
	meta_close(f->meta.meta);
	f->meta.meta = NULL;
	fakebox_init(&f->box, FAKEBOX_CORES);
	(void)snprintf(f->meta.config.run_dir, sizeof(f->meta.config.run_dir), "%s", f->box.dir);
	fakebox_path(&f->box, "partitions", path);
	assert_int_equal(partitions_open(path, true, &f->table), 0);
	assert_int_equal(control_open(&f->meta.config, &f->control), 0);
	fakebox_listen(&f->box);
	assert_int_equal(pthread_create(&f->thread, NULL, loop, f), 0);
	fakebox_welcome(&f->box, 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char path[100];

	assert_int_equal(pthread_kill(f->thread, SIGTERM), 0);
	assert_int_equal(pthread_join(f->thread, NULL), 0);
	assert_int_equal(f->result, 0);
	control_close(f->control);
	partitions_close(f->table);
	fakebox_path(&f->box, "partitions", path);
	(void)unlink(path);
	fakebox_path(&f->box, "partitions.leases", path);
	(void)unlink(path);
	fakebox_fini(&f->box);
	metabox_fini(&f->meta);
	free(f);
	return 0;
}

/** Wait for the next command of a core. @return it, in the reply buffer */
static const struct command_header *command(struct fixture *f, uint32_t core)
{
	struct pollfd wait = { .fd = f->box.fds[2 + core], .events = POLLIN };
	uint64_t count;

	while (fakebox_command(&f->box, core, f->meta.reply, METABOX_BYTES) == 0) {
		assert_int_equal(poll(&wait, 1, WAIT_MS), 1);
		assert_int_equal(read(wait.fd, &count, sizeof(count)), sizeof(count));
	}
	return (const void *)f->meta.reply;
}

static uint64_t expect_snapshot(struct fixture *f)
{
	const struct command_snapshot *snapshot = (const void *)command(f, 0);

	assert_int_equal(snapshot->header.kind, COMMAND_SNAPSHOT);
	return snapshot->generation;
}

static struct snapshot *load(struct fixture *f)
{
	struct snapshot *snapshot = NULL;
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/" SNAPSHOT_FILE, f->meta.dir);
	assert_int_equal(snapshot_load(path, &snapshot), 0);
	return snapshot;
}

static void serve_snapshot(struct fixture *f, uint64_t generation)
{
	struct upcall_snapshot upcall = { .header = { UPCALL_SNAPSHOT, 0, sizeof(upcall) },
					  .generation = generation };

	fakebox_upcall(&f->box, 0, &upcall, sizeof(upcall));
}

static void send_request(struct fixture *f, uint32_t core, uint64_t cookie, int16_t key,
			 int16_t version, const struct writer *body)
{
	struct {
		struct upcall_request head;
		uint8_t bytes[1024];
	} upcall = { .head = { .cookie = cookie,
			       .api_key = key,
			       .api_version = version,
			       .client_id_size = 0xffff,
			       .body_size = (uint32_t)writer_size(body) } };
	uint32_t size = (uint32_t)(sizeof(upcall.head) + writer_size(body));

	upcall.head.header = (struct upcall_header){ UPCALL_REQUEST, (uint16_t)core, size };
	memcpy(upcall.head.bytes, body->begin, writer_size(body));
	fakebox_upcall(&f->box, core, &upcall, size);
}

static void send_create_topics(struct fixture *f, uint32_t core, uint64_t cookie)
{
	struct wire_create_topics_request_topics topic = { .name = WIRE_STRING("t"),
							   .num_partitions = 1,
							   .replication_factor = 1 };
	struct wire_create_topics_request request = { &topic, 1, 60000, false };
	struct writer writer = metabox_writer(&f->meta);

	wire_encode_create_topics_request(&writer, 5, &request);
	send_request(f, core, cookie, WIRE_API_CREATE_TOPICS, 5, &writer);
}

static void test_control_answers_when_served(void **state)
{
	struct fixture *f = *state;
	const struct command_reply *reply;
	struct pollfd wait = { .fd = f->box.fds[3], .events = POLLIN };
	uint64_t generation;

	serve_snapshot(f, expect_snapshot(f));
	send_create_topics(f, 1, 77);
	generation = expect_snapshot(f);
	{
		CLEANUP(snapshot_freep) struct snapshot *snapshot = load(f);

		assert_int_equal(snapshot->generation, generation);
		assert_int_equal(snapshot->topic_count, 2); /* and the offsets topic */
		assert_int_equal(strlen(snapshot->cluster_id), 22);
	}
	assert_int_equal(poll(&wait, 1, 100), 0); /* no answer before the cores serve it */
	serve_snapshot(f, generation);
	reply = (const void *)command(f, 1);
	assert_int_equal(reply->header.kind, COMMAND_REPLY);
	assert_int_equal(reply->cookie, 77);
	assert_int_equal(reply->error, 0);
	assert_int_equal(reply->header.size, sizeof(*reply) + reply->body_size);
	assert_true(reply->body_size > 0);
}

static void test_control_creates_for_metadata(void **state)
{
	struct {
		struct upcall_create head;
		uint8_t bytes[16];
	} upcall = { .head = { .header = { UPCALL_CREATE, 0, 0 },
			       .cookie = 5,
			       .topic_count = 2,
			       .bytes_size = 8 } };
	struct fixture *f = *state;
	const struct command_reply *reply;
	uint64_t generation;

	(void)expect_snapshot(f);
	memcpy(upcall.head.bytes, "\2\0ab\2\0a/", 8);
	fakebox_upcall(&f->box, 0, &upcall, sizeof(upcall.head) + 8);
	generation = expect_snapshot(f);
	{
		CLEANUP(snapshot_freep) struct snapshot *snapshot = load(f);

		assert_int_equal(snapshot->topic_count, 2); /* not the illegal name */
		assert_string_equal(snapshot->topics[1].name, "ab");
	}
	serve_snapshot(f, generation);
	reply = (const void *)command(f, 0);
	assert_int_equal(reply->cookie, 5);
	assert_int_equal(reply->body_size, 0);
	assert_int_equal(reply->error, 0);
}

static void test_control_grants_producer_ids(void **state)
{
	struct upcall_header upcall = { UPCALL_PRODUCER_IDS, 0, sizeof(upcall) };
	struct fixture *f = *state;
	int64_t first;

	serve_snapshot(f, expect_snapshot(f));
	{
		CLEANUP(snapshot_freep) struct snapshot *snapshot = load(f);

		first = snapshot->producer_id_first;
		assert_int_equal(snapshot->producer_id_end - first, META_PRODUCER_IDS);
	}
	/* Two cores ask at once: one block. */
	fakebox_upcall(&f->box, 0, &upcall, sizeof(upcall));
	fakebox_upcall(&f->box, 1, &upcall, sizeof(upcall));
	(void)expect_snapshot(f);
	{
		CLEANUP(snapshot_freep) struct snapshot *snapshot = load(f);

		assert_int_equal(snapshot->producer_id_first, first + META_PRODUCER_IDS);
	}
}

static void test_control_closes_what_it_cannot_decode(void **state)
{
	struct fixture *f = *state;
	struct writer writer = metabox_writer(&f->meta);
	const struct command_reply *reply;

	(void)expect_snapshot(f);
	writer_u32(&writer, 0xffffffff);
	send_request(f, 1, 9, WIRE_API_CREATE_TOPICS, 5, &writer);
	reply = (const void *)command(f, 1);
	assert_int_equal(reply->cookie, 9);
	assert_int_not_equal(reply->error, 0);
	send_request(f, 1, 10, 9999, 0, &writer);
	reply = (const void *)command(f, 1);
	assert_int_equal(reply->cookie, 10);
	assert_int_not_equal(reply->error, 0);
}

static void test_control_survives_the_dataplane(void **state)
{
	struct fixture *f = *state;
	const struct command_reply *reply;
	uint64_t generation;

	(void)expect_snapshot(f);
	send_create_topics(f, 1, 77);
	generation = expect_snapshot(f);
	fakebox_hang_up(&f->box);
	fakebox_welcome(&f->box, 0);
	assert_int_equal(expect_snapshot(f), generation);
	serve_snapshot(f, generation);
	/* The old request is forgotten; the topic is there. */
	send_create_topics(f, 1, 78);
	reply = (const void *)command(f, 1);
	assert_int_equal(reply->cookie, 78);
}

static void test_control_keeps_its_user_when_the_wanted_one_is_missing(void **state)
{
	struct config config;
	uid_t before = geteuid();

	(void)state;
	config_init(&config);
	(void)snprintf(config.user, sizeof(config.user), "no-such-user");
	assert_int_equal(privileges_drop(&config), 0);
	assert_int_equal(geteuid(), before);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_control_answers_when_served),
		TEST(test_control_creates_for_metadata),
		TEST(test_control_grants_producer_ids),
		TEST(test_control_closes_what_it_cannot_decode),
		TEST(test_control_survives_the_dataplane),
		cmocka_unit_test(test_control_keeps_its_user_when_the_wanted_one_is_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
