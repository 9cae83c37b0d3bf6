/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: the loop answers a change only when the cores serve it, makes topics that Metadata asks
 * for, grants producer ids, closes what it cannot decode, serves others during a long lookup and
 * forgets one whose connection closed, comes back after the dataplane died, and stops on SIGTERM.
 * Shown by the real loop in a thread against a fake dataplane on real rings.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/privileges.h"
#include "storage/batch.h"

#include "control/control.h"

#include "cm.h"
#include "fakebox.h"
#include "metabox.h"

#define WAIT_MS  10000
#define LONG_LOG 64

struct fixture {
	struct metabox meta; /* for its folder and buffers; its metadata is closed */
	struct fakebox box;
	struct control *control;
	struct partitions *table;
	uint64_t connection; /* of what is sent next */
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
			       .connection = f->connection,
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

/** Offsets 0 to LONG_LOG - 1 of t-0, in one segment of as many MiB. */
static void make_long_log(struct fixture *f, const struct uuid *topic_id)
{
	const size_t size = 1024 * 1024;
	struct partition_view view = { .topic_id = *topic_id, .topic = "t" };
	uint8_t *value = calloc(2, size), *bytes = value + size;
	char path[128];
	FILE *file;

	assert_non_null(value);
	(void)snprintf(path, sizeof(path), "%s/log", f->meta.dir);
	assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
	(void)snprintf(path, sizeof(path), "%s/log/t-0", f->meta.dir);
	assert_int_equal(mkdir(path, 0755), 0);
	(void)snprintf(path, sizeof(path), "%s/log/t-0/00000000000000000000.log", f->meta.dir);
	file = fopen(path, "we");
	assert_non_null(file);
	for (int64_t i = 0; i < LONG_LOG; i++) {
		struct batch_builder builder;
		int64_t written;

		batch_builder_init(&builder, bytes, size, 1000 + i, 0);
		batch_builder_add(&builder, NULL, 0, value, size - 1000);
		written = batch_builder_end(&builder, i, 0);
		assert_true(written > 0);
		assert_int_equal(fwrite(bytes, 1, (size_t)written, file), written);
		view.file_end += written;
	}
	assert_int_equal(fclose(file), 0);
	free(value);
	view.high_watermark = view.last_stable_offset = view.next_offset = LONG_LOG;
	partition_cell_write(partitions_add(f->table, &view), &view);
}

static void send_list_offsets(struct fixture *f, uint64_t cookie, int64_t timestamp)
{
	struct wire_list_offsets_request_topics_partitions partition = { 0, -1, timestamp };
	struct wire_list_offsets_request_topics topic = { WIRE_STRING("t"), &partition, 1 };
	struct wire_list_offsets_request request = { .replica_id = -1,
						     .topics = &topic,
						     .topics_count = 1 };
	struct writer writer = metabox_writer(&f->meta);

	wire_encode_list_offsets_request(&writer, 5, &request);
	send_request(f, 1, cookie, WIRE_API_LIST_OFFSETS, 5, &writer);
}

/** @return the offset that the next answer says; its cookie is checked */
static int64_t listed_offset(struct fixture *f, uint64_t cookie)
{
	const struct command_reply *reply = (const void *)command(f, 1);
	struct wire_list_offsets_response response;
	struct wire_scratch scratch;
	struct reader reader;

	assert_int_equal(reply->cookie, cookie);
	assert_int_equal(reply->error, 0);
	wire_scratch_init(&scratch, f->meta.decoded, METABOX_SCRATCH);
	reader_init(&reader, reply->body, reply->body_size);
	assert_int_equal(wire_decode_list_offsets_response(&reader, 5, &scratch, &response), 0);
	assert_int_equal(response.topics[0].partitions[0].error_code, 0);
	return response.topics[0].partitions[0].offset;
}

static void test_control_serves_during_a_long_lookup(void **state)
{
	struct upcall_gone gone = { .header = { UPCALL_GONE, 1, sizeof(gone) }, .connection = 5 };
	struct fixture *f = *state;
	uint64_t generation;

	serve_snapshot(f, expect_snapshot(f));
	send_create_topics(f, 1, 77);
	generation = expect_snapshot(f);
	{
		CLEANUP(snapshot_freep) struct snapshot *snapshot = load(f);

		assert_string_equal(snapshot->topics[1].name, "t");
		make_long_log(f, &snapshot->topics[1].id);
	}
	serve_snapshot(f, generation);
	assert_int_equal(((const struct command_reply *)(const void *)command(f, 1))->cookie, 77);
	/* Two that read everything, one of a connection that closes, and one that waits for nobody. */
	f->connection = 4;
	send_list_offsets(f, 1, 5000);
	f->connection = 5;
	send_list_offsets(f, 2, 5000);
	f->connection = 6;
	send_list_offsets(f, 3, -1);
	fakebox_upcall(&f->box, 1, &gone, sizeof(gone));
	assert_int_equal(listed_offset(f, 3), LONG_LOG);
	assert_int_equal(listed_offset(f, 1), -1);
	send_list_offsets(f, 4, 1000 + LONG_LOG / 2);
	assert_int_equal(listed_offset(f, 4), LONG_LOG / 2);
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
	assert_int_equal(privileges_drop(&config, NULL, 0), 0);
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
		TEST(test_control_serves_during_a_long_lookup),
		TEST(test_control_survives_the_dataplane),
		cmocka_unit_test(test_control_keeps_its_user_when_the_wanted_one_is_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
