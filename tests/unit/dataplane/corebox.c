/* SPDX-License-Identifier: Apache-2.0 */
#include "corebox.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "storage/partitions.h"

#include "../storage/temp_dir.h"
#include "../storage/uring_fake.h"
#include "cm.h"

#define NOW_MS    INT64_C(1700000000000)
#define FRAME_MAX (3U * 1024 * 1024)

static struct corebox *the_box;

/* Snapshots here are made of two blocks. */
void snapshot_free(struct snapshot *snapshot)
{
	if (snapshot == NULL)
		return;
	free(snapshot->topics);
	free(snapshot);
}

/* ---- the channel's double ---- */

uint64_t channel_connection(const struct core *core)
{
	(void)core;
	return the_box->is_connected ? the_box->connection + 1 : 0;
}

void *channel_claim(struct core *core, uint32_t size)
{
	struct upcall_header *header = (struct upcall_header *)(void *)the_box->upcall;

	if (!the_box->is_connected || the_box->is_full)
		return NULL;
	assert_true(size <= sizeof(the_box->upcall));
	header->core = (uint16_t)core->index;
	header->size = size;
	return header;
}

void channel_publish(struct core *core, uint32_t size)
{
	(void)core;
	the_box->upcall_size = size;
	the_box->upcall_count++;
}

/* ---- cores ---- */

static void on_housekeep(void *ctx, struct seglog *log)
{
	(void)ctx;
	assert_true(the_box->housekeep_count < ARRAY_COUNT(the_box->wants_housekeep));
	the_box->wants_housekeep[the_box->housekeep_count++] = seglog_owner(log);
}

static struct core *core_make(struct corebox *box, uint32_t index)
{
	const struct uring_config uring_config = { .entries = 256, .files_max = 64 };
	const struct chunk_identity identity = { .boot_id = "this boot" };
	struct core *core = calloc(1, sizeof(*core));
	const struct iovec *buffers;
	char path[TEMP_PATH_SIZE];
	char name[16];
	uint32_t count;

	assert_non_null(core);
	(void)snprintf(name, sizeof(name), "ring%u", index);
	temp_dir_path(box->dir, name, path);
	core->index = index;
	core->count = box->count;
	core->config = &box->config;
	core->mesh = box->mesh;
	core->counters = aligned_alloc(64, ALIGN_UP(sizeof(struct counters), (size_t)64));
	assert_non_null(core->counters);
	memset(core->counters, 0, sizeof(*core->counters));
	assert_int_equal(chunk_pool_open(path, 32U << 20, &identity, &core->chunks), 0);
	assert_int_equal(uring_open(&uring_config, &core->uring), 0);
	count = chunk_pool_buffers(core->chunks, &buffers);
	assert_int_equal(uring_buffers_register(core->uring, buffers, count), 0);
	core->outq_pool = outq_pool_new(4096);
	assert_non_null(core->outq_pool);
	core->flush_ns = calloc(1, sizeof(*core->flush_ns));
	timers_init(&core->timers);
	list_init(&core->dirty);
	core->topics = box->topics;
	core->now_ns = 1000000000;
	core->now_ms = NOW_MS;
	core->sessions = sessions_new(core);
	assert_non_null(core->sessions);
	core->seglog_core = (struct seglog_core){ .chunks = core->chunks,
						  .uring = core->uring,
						  .counters = core->counters,
						  .flush_ns = core->flush_ns,
						  .ctx = core,
						  .on_durable = partition_on_durable,
						  .on_housekeep = on_housekeep };
	seglog_core_init(&core->seglog_core);
	mesh_join(box->mesh, index, core);
	return core;
}

static struct topics *table_make(uint32_t cores)
{
	struct snapshot *snapshot = calloc(1, sizeof(*snapshot));
	struct topics *table;

	assert_non_null(snapshot);
	snapshot->generation = 1;
	memset(snapshot->cluster_id, 'A', 22);
	snapshot->producer_id_first = 1000;
	snapshot->producer_id_end = 1008;
	snapshot->topic_count = 1;
	snapshot->topics = calloc(1, sizeof(*snapshot->topics));
	memcpy(snapshot->topics[0].name, COREBOX_TOPIC, sizeof(COREBOX_TOPIC));
	memset(snapshot->topics[0].id.bytes, 7, UUID_SIZE);
	snapshot->topics[0].partition_count = COREBOX_PARTITIONS;
	snapshot->topics[0].message_size_max = 2 * 1024 * 1024;
	table = topics_new(NULL, snapshot, cores);
	assert_non_null(table);
	for (uint32_t i = 0; i < COREBOX_PARTITIONS; i++)
		table->topics[0].partitions[i]->owner = i % cores;
	return table;
}

static void partition_open(struct corebox *box, uint32_t index)
{
	struct partition *partition = box->topics->topics[0].partitions[index];
	struct partition_view view = { .topic_id = partition->topic_id, .partition = index };
	struct seglog_open_args args = {
		.log_dir_fd = box->log_dir_fd,
		.topic = COREBOX_TOPIC,
		.topic_id = partition->topic_id,
		.partition = index,
		.leader_epoch = 3,
		.settings = { .segment_size = 64 * 1024 * 1024,
			      .segment_ms = INT64_C(604800000),
			      .retention_ms = -1,
			      .retention_size = -1,
			      .message_size_max = 2 * 1024 * 1024 },
		.now_ms = NOW_MS,
	};
	struct seglog_recovery found;

	memcpy(view.topic, COREBOX_TOPIC, sizeof(COREBOX_TOPIC));
	partition->cell = partitions_add(box->cells, &view);
	assert_non_null(partition->cell);
	args.cell = partition->cell;
	assert_int_equal(seglog_open(&args, &partition->log, &found), 0);
	assert_int_equal(seglog_attach(partition->log, &box->cores[partition->owner]->seglog_core,
				       partition),
			 0);
}

struct corebox *corebox_new(uint32_t cores)
{
	struct corebox *box = aligned_alloc(CACHELINE_SIZE, sizeof(*box));
	char path[TEMP_PATH_SIZE];

	assert_non_null(box);
	memset(box, 0, sizeof(*box));
	the_box = box;
	temp_dir_make(box->dir);
	temp_dir_path(box->dir, "cells", path);
	box->log_dir_fd = open(box->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(box->log_dir_fd >= 0);
	assert_int_equal(partitions_open(path, true, &box->cells), 0);
	config_init(&box->config);
	box->config.connections_max = 16;
	box->count = cores;
	box->mesh = mesh_new(cores);
	assert_non_null(box->mesh);
	box->topics = table_make(cores);
	for (uint32_t i = 0; i < cores; i++)
		box->cores[i] = core_make(box, i);
	for (uint32_t i = 0; i < COREBOX_PARTITIONS; i++)
		partition_open(box, i);
	corebox_settle(box);
	return box;
}

static void core_end(struct core *core)
{
	sessions_free(core->sessions);
	uring_close(core->uring);
	chunk_pool_close(core->chunks);
	outq_pool_free(core->outq_pool);
	free(core->flush_ns);
	free(core->counters);
	free(core);
}

void corebox_free(struct corebox *box)
{
	corebox_settle(box);
	for (uint32_t i = 0; i < COREBOX_PARTITIONS; i++) {
		struct partition *partition = box->topics->topics[0].partitions[i];

		partition_on_detach(box->cores[partition->owner], partition);
		while (!seglog_detach(partition->log))
			corebox_settle(box);
		list_remove(&partition->dirty);
		if (seglog_close(partition->log) != 0)
			assert_true(box->is_poisoned);
		free(partition);
	}
	for (uint32_t i = 0; i < box->count; i++)
		core_end(box->cores[i]);
	topics_free(box->topics);
	mesh_free(box->mesh);
	partitions_close(box->cells);
	(void)close(box->log_dir_fd);
	temp_dir_remove(box->dir);
	free(box);
}

static uint32_t turn(struct corebox *box)
{
	uint32_t work = 0;

	for (uint32_t i = 0; i < box->count; i++) {
		struct core *core = box->cores[i];
		struct list *node;

		work += mesh_poll(core->mesh, i, 1000);
		work += timers_run(&core->timers, core->now_ns, 1000);
		work += sessions_turn_end(core);
		while ((node = list_pop_front(&core->dirty)) != NULL)
			(void)seglog_flush(LIST_ENTRY(node, struct partition, dirty)->log);
		work += uring_poll(core->uring);
	}
	while (box->housekeep_count > 0) {
		struct partition *partition = box->wants_housekeep[--box->housekeep_count];

		seglog_housekeep(partition->log, NOW_MS);
		core_mark_dirty(box->cores[partition->owner], partition);
		work++;
	}
	return work;
}

void corebox_turn(struct corebox *box)
{
	(void)turn(box);
}

void corebox_settle(struct corebox *box)
{
	uint32_t idle = 0;

	while (idle < 3) {
		uint32_t work = turn(box);

		for (uint32_t i = 0; i < box->count; i++)
			work += uring_fake_perform_all(box->cores[i]->uring);
		idle = work > 0 ? 0 : idle + 1;
	}
}

void corebox_sleep(struct corebox *box, int64_t ms)
{
	for (uint32_t i = 0; i < box->count; i++) {
		box->cores[i]->now_ns += ms * 1000000;
		box->cores[i]->now_ms += ms;
	}
}

/* ---- clients ---- */

static void on_send(struct link *link)
{
	assert_non_null(link->session);
}

static void give_kept(struct client *client)
{
	size_t taken;

	if (client->kept_size == 0 || client->link.session == NULL)
		return;
	taken = session_input(client->link.session, client->kept, client->kept_size,
			      client->box->cores[0]->now_ns);
	memmove(client->kept, client->kept + taken, client->kept_size - taken);
	client->kept_size -= taken;
}

static void on_resume(struct link *link)
{
	(void)link; /* client_receive() and client_send() hand over what was kept */
}

static void on_close(struct link *link, bool is_abort)
{
	(void)is_abort;
	CONTAINER_OF(link, struct client, link)->is_closed = true;
}

static const struct link_ops ops = { on_send, on_resume, on_close };

struct client *client_new(struct corebox *box, uint32_t core)
{
	struct client *client = calloc(1, sizeof(*client));

	assert_non_null(client);
	client->box = box;
	client->link.ops = &ops;
	client->link.host = "127.0.0.1";
	client->link.peer_address = 0x0a4d0001;
	client->out = malloc(COREBOX_OUT_MAX);
	client->kept = malloc(FRAME_MAX);
	assert_non_null(client->out);
	assert_non_null(client->kept);
	outq_init(&client->link.out, box->cores[core]->outq_pool);
	assert_int_equal(session_open(box->cores[core], &client->link, box->cores[core]->now_ns),
			 0);
	return client;
}

void client_free(struct client *client)
{
	session_close(&client->link);
	outq_clear(&client->link.out);
	free(client->out);
	free(client->kept);
	free(client);
}

void client_send(struct client *client, const void *bytes, size_t size, size_t piece)
{
	const uint8_t *at = bytes;

	while (size > 0) {
		/* Each piece is a block of its own, so that ASan sees reads past its end. */
		size_t n = MIN(size, piece);
		uint8_t *copy = malloc(n);
		size_t taken = 0;

		assert_non_null(copy);
		memcpy(copy, at, n);
		if (client->kept_size == 0)
			taken = session_input(client->link.session, copy, n,
					      client->box->cores[0]->now_ns);
		assert_true(client->kept_size + n - taken <= FRAME_MAX);
		memcpy(client->kept + client->kept_size, copy + taken, n - taken);
		client->kept_size += n - taken;
		free(copy);
		at += n;
		size -= n;
	}
}

void client_receive(struct client *client)
{
	struct iovec iov[16];
	uint32_t count;

	give_kept(client);
	while ((count = outq_peek(&client->link.out, 0, iov, 16)) > 0) {
		size_t size = 0;

		for (uint32_t i = 0; i < count; i++) {
			assert_true(client->out_size + iov[i].iov_len <= COREBOX_OUT_MAX);
			memcpy(client->out + client->out_size, iov[i].iov_base, iov[i].iov_len);
			client->out_size += iov[i].iov_len;
			size += iov[i].iov_len;
		}
		outq_pop(&client->link.out, size);
	}
}

bool client_response(struct client *client, int16_t api_key, int16_t version, int32_t correlation,
		     struct reader *ret_body)
{
	static uint8_t frame[COREBOX_OUT_MAX];
	int32_t got_correlation;
	uint32_t size;

	client_receive(client);
	if (client->out_size < 4)
		return false;
	size = bytes_load_u32(client->out);
	if (client->out_size < 4 + (size_t)size)
		return false;
	memcpy(frame, client->out + 4, size);
	memmove(client->out, client->out + 4 + size, client->out_size - 4 - size);
	client->out_size -= 4 + size;
	reader_init(ret_body, frame, size);
	assert_int_equal(wire_decode_response_header(ret_body, api_key, version, &got_correlation),
			 0);
	assert_int_equal(got_correlation, correlation);
	return true;
}

static uint8_t frame_memory[FRAME_MAX];

struct writer client_begin(int16_t api_key, int16_t version, int32_t correlation)
{
	const struct wire_request_header header = { .api_key = api_key,
						    .api_version = version,
						    .correlation_id = correlation,
						    .client_id = WIRE_STRING("corebox") };
	struct writer writer;

	writer_init(&writer, frame_memory, sizeof(frame_memory));
	writer_i32(&writer, 0);
	wire_encode_request_header(&writer, &header);
	return writer;
}

void client_end(struct client *client, struct writer *writer, size_t piece)
{
	assert_int_equal(writer->error, 0);
	bytes_store_u32(writer->begin, (uint32_t)writer_size(writer) - 4);
	client_send(client, writer->begin, writer_size(writer), piece);
}

struct wire_bytes corebox_batch(const struct corebox_batch *spec)
{
	static uint8_t memory[2 * 1024 * 1024];
	static uint8_t value[1024 * 1024];
	struct batch_builder builder;
	int64_t size;

	memset(value, 'v', sizeof(value));
	batch_builder_init(&builder, memory, sizeof(memory), NOW_MS, 0);
	for (int32_t i = 0; i < spec->records; i++)
		batch_builder_add(&builder, &i, sizeof(i), value, spec->value_size);
	size = batch_builder_end(&builder, 0, -1);
	assert_true(size > 0);
	if (spec->producer_id >= 0) {
		bytes_store_u64(memory + 43, (uint64_t)spec->producer_id);
		bytes_store_u16(memory + 51, 0);
		bytes_store_u32(memory + 53, (uint32_t)spec->sequence);
		bytes_store_u32(memory + 17, crc32c_extend(CRC32C_INIT, memory + BATCH_CRC_BEGIN,
							   (size_t)size - BATCH_CRC_BEGIN));
	}
	if (spec->is_corrupt)
		memory[size - 1] ^= 1;
	return (struct wire_bytes){ memory, (int32_t)size };
}

struct writer produce_frame(int16_t version, int32_t correlation, int16_t acks, int32_t partition,
			    struct wire_bytes batch)
{
	struct wire_produce_request_topic_data_partition_data data = { .index = partition,
								       .records = batch };
	struct wire_produce_request_topic_data topic = { .name = WIRE_STRING(COREBOX_TOPIC),
							 .partition_data = &data,
							 .partition_data_count = 1 };
	struct wire_produce_request request;
	struct writer writer = client_begin(WIRE_API_PRODUCE, version, correlation);

	memset(topic.topic_id.bytes, 7, UUID_SIZE);
	wire_default_produce_request(&request);
	request.transactional_id = WIRE_STRING_NULL;
	request.acks = acks;
	request.timeout_ms = 1000;
	request.topic_data = &topic;
	request.topic_data_count = 1;
	wire_encode_produce_request(&writer, version, &request);
	return writer;
}

void client_produce(struct client *client, int16_t version, int32_t correlation, int16_t acks,
		    int32_t partition, struct wire_bytes batch, size_t piece)
{
	struct writer writer = produce_frame(version, correlation, acks, partition, batch);

	client_end(client, &writer, piece);
}

static uint8_t part_memory[FRAME_MAX];
static size_t part_size;

void client_produce_part(struct client *client, int16_t version, int32_t correlation,
			 struct wire_bytes batch, size_t part, size_t *ret_at)
{
	struct writer writer = produce_frame(version, correlation, -1, 0, batch);

	part_size = writer_size(&writer);
	memcpy(part_memory, writer.begin, part_size);
	bytes_store_u32(part_memory, (uint32_t)part_size - 4);
	assert_true(part < part_size);
	client_send(client, part_memory, part, 100);
	*ret_at = part;
}

void client_produce_rest(struct client *client, size_t at)
{
	client_send(client, part_memory + at, part_size - at, 100);
}
