/* SPDX-License-Identifier: Apache-2.0 */
#include "perf/load/load_fetch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "storage/batch.h"

#include "dataplane/wire/frame.h"

#define LIST_OFFSETS 2 /* versions without compact sizes */
#define FETCH        11
#define ENDING       (-1) /* ListOffsets' names of the end and the start of a log */
#define STARTING     (-2)

struct partition {
	int32_t index;
	int64_t start;
	int64_t next;
	bool is_done;
};

struct fetcher {
	struct load_link link;
	struct load_fetch *fetch;
	struct partition *partitions;
	uint32_t partition_count;
	uint32_t asked; /* partition whose start is asked for */
	int32_t next_id;
	uint8_t *request; /* [request_size] */
	size_t request_size;
	uint8_t *scratch; /* [request_size * 4] */
	struct wire_fetch_request_topics_partitions *wanted;
	bool is_ready, is_done;
};

struct load_fetch {
	struct load_fetch_options options;
	struct fetcher *fetchers;
	bool is_started, is_counting;
	struct load_fetch_result result;
};

static void note_error(struct fetcher *fetcher, int16_t error)
{
	if (fetcher->fetch->result.errors++ == 0)
		fetcher->fetch->result.first_error = error;
	fetcher->is_done = true;
	load_link_close(&fetcher->link);
}

static void send_request(struct fetcher *fetcher, struct writer *writer, size_t mark)
{
	uint32_t size = (uint32_t)writer_size(writer);

	wire_frame_close(writer, mark);
	CHECK(writer->error == 0);
	/* One request at a time: the request stays as it is until it is answered. */
	if (load_sendq_push(&fetcher->link.out, fetcher->request, 0, fetcher->request, size) != 0)
		WRONG("one request at a time");
	load_link_flush(&fetcher->link);
}

static size_t begin(struct fetcher *fetcher, struct writer *writer, int16_t api, int16_t version)
{
	struct wire_request_header header = { .api_key = api,
					      .api_version = version,
					      .correlation_id = ++fetcher->next_id,
					      .client_id = WIRE_STRING("millrace-load") };
	size_t mark;

	writer_init(writer, fetcher->request, fetcher->request_size);
	mark = wire_frame_open(writer);
	wire_encode_request_header(writer, &header);
	return mark;
}

static void ask_start(struct fetcher *fetcher)
{
	const struct load_fetch_options *options = &fetcher->fetch->options;
	struct wire_list_offsets_request_topics_partitions one;
	struct wire_list_offsets_request_topics topic;
	struct wire_list_offsets_request request;
	struct writer writer;
	size_t mark = begin(fetcher, &writer, WIRE_API_LIST_OFFSETS, LIST_OFFSETS);

	wire_default_list_offsets_request_topics_partitions(&one);
	wire_default_list_offsets_request_topics(&topic);
	wire_default_list_offsets_request(&request);
	one.partition_index = fetcher->partitions[fetcher->asked].index;
	one.timestamp = options->from_end ? ENDING : STARTING;
	topic.name = wire_string_from(options->topic);
	topic.partitions = &one;
	topic.partitions_count = 1;
	request.replica_id = -1;
	request.topics = &topic;
	request.topics_count = 1;
	wire_encode_list_offsets_request(&writer, LIST_OFFSETS, &request);
	send_request(fetcher, &writer, mark);
}

static void ask(struct fetcher *fetcher)
{
	const struct load_fetch_options *options = &fetcher->fetch->options;
	struct wire_fetch_request_topics topic;
	struct wire_fetch_request request;
	struct writer writer;
	size_t mark = begin(fetcher, &writer, WIRE_API_FETCH, FETCH);

	wire_default_fetch_request_topics(&topic);
	wire_default_fetch_request(&request);
	for (uint32_t i = 0; i < fetcher->partition_count; i++) {
		wire_default_fetch_request_topics_partitions(&fetcher->wanted[i]);
		fetcher->wanted[i].partition = fetcher->partitions[i].index;
		fetcher->wanted[i].fetch_offset = fetcher->partitions[i].next;
		fetcher->wanted[i].partition_max_bytes = options->max_bytes;
	}
	topic.topic = wire_string_from(options->topic);
	topic.partitions = fetcher->wanted;
	topic.partitions_count = (int32_t)fetcher->partition_count;
	request.max_wait_ms = options->max_wait_ms;
	request.min_bytes = 1;
	request.max_bytes = options->max_bytes;
	request.topics = &topic;
	request.topics_count = 1;
	request.rack_id = WIRE_STRING("");
	wire_encode_fetch_request(&writer, FETCH, &request);
	send_request(fetcher, &writer, mark);
}

static struct partition *find(struct fetcher *fetcher, int32_t index)
{
	for (uint32_t i = 0; i < fetcher->partition_count; i++) {
		if (fetcher->partitions[i].index == index)
			return &fetcher->partitions[i];
	}
	return NULL;
}

static void take_batches(struct load_fetch *fetch, struct partition *partition,
			 struct wire_bytes records, int64_t now_ns)
{
	const uint8_t *at = records.bytes;
	size_t left = records.size > 0 ? (size_t)records.size : 0;
	struct batch batch;

	/* The last one may be cut off. */
	while (left >= BATCH_HEADER_SIZE && batch_decode(at, &batch) == 0 && batch.size <= left) {
		if (fetch->is_counting) {
			fetch->result.bytes += batch.size;
			fetch->result.records += (uint64_t)MAX(batch.record_count, 0);
		}
		if (fetch->options.on_batch != NULL && batch.base_offset >= partition->next)
			fetch->options.on_batch(fetch->options.ctx, partition->index,
						batch.base_offset, now_ns);
		partition->next = MAX(partition->next, batch_last_offset(&batch) + 1);
		at += batch.size;
		left -= batch.size;
	}
}

static int take_answer(struct fetcher *fetcher, struct reader *reader, int64_t now_ns)
{
	struct load_fetch *fetch = fetcher->fetch;
	struct wire_fetch_response response;
	struct wire_scratch scratch;
	bool is_done = true;

	wire_scratch_init(&scratch, fetcher->scratch, fetcher->request_size * 4);
	if (wire_decode_fetch_response(reader, FETCH, &scratch, &response) != 0)
		return -1;
	if (response.error_code != 0)
		return response.error_code;
	for (int32_t i = 0; i < response.responses_count; i++) {
		for (int32_t j = 0; j < response.responses[i].partitions_count; j++) {
			const struct wire_fetch_response_responses_partitions *in =
				&response.responses[i].partitions[j];
			struct partition *partition = find(fetcher, in->partition_index);

			if (partition == NULL)
				return -1;
			if (in->error_code != 0)
				return in->error_code;
			take_batches(fetch, partition, in->records, now_ns);
			partition->is_done = partition->next >= in->high_watermark;
			if (partition->is_done && fetch->options.is_loop)
				partition->next = partition->start;
		}
	}
	if (fetch->is_counting)
		fetch->result.answers++;
	for (uint32_t i = 0; i < fetcher->partition_count; i++)
		is_done = is_done && fetcher->partitions[i].is_done;
	fetcher->is_done = is_done && !fetch->options.is_loop;
	return 0;
}

static int take_start(struct fetcher *fetcher, struct reader *reader)
{
	struct partition *partition = &fetcher->partitions[fetcher->asked];
	struct wire_list_offsets_response response;
	struct wire_scratch scratch;

	wire_scratch_init(&scratch, fetcher->scratch, fetcher->request_size * 4);
	if (wire_decode_list_offsets_response(reader, LIST_OFFSETS, &scratch, &response) != 0 ||
	    response.topics_count != 1 || response.topics[0].partitions_count != 1)
		return -1;
	if (response.topics[0].partitions[0].error_code != 0)
		return response.topics[0].partitions[0].error_code;
	partition->start = partition->next = response.topics[0].partitions[0].offset;
	if (++fetcher->asked < fetcher->partition_count)
		ask_start(fetcher);
	else
		fetcher->is_ready = true;
	return 0;
}

static void on_open(struct load_link *link)
{
	ask_start(link->owner);
}

static void on_close(struct load_link *link, int error)
{
	struct fetcher *fetcher = link->owner;

	(void)error;
	note_error(fetcher, -1);
}

static void on_frame(struct load_link *link, const uint8_t *bytes, size_t kept, size_t size)
{
	struct fetcher *fetcher = link->owner;
	int64_t now_ns = clock_now_ns();
	struct reader reader;
	int32_t id;
	int r;

	(void)kept;
	reader_init(&reader, bytes, size);
	id = reader_i32(&reader);
	if (id != fetcher->next_id)
		r = -1;
	else if (!fetcher->is_ready)
		r = take_start(fetcher, &reader);
	else
		r = take_answer(fetcher, &reader, now_ns);
	if (r != 0) {
		note_error(fetcher, (int16_t)r);
		return;
	}
	/* A tail goes on at the end of its log. */
	if (fetcher->fetch->is_started && fetcher->is_ready &&
	    (!fetcher->is_done || fetcher->fetch->options.on_batch != NULL))
		ask(fetcher);
}

static const struct load_link_ops fetcher_ops = { on_open, on_frame, on_close };

bool load_fetch_is_ready(const struct load_fetch *fetch)
{
	for (uint32_t i = 0; i < fetch->options.connections; i++) {
		if (!fetch->fetchers[i].is_ready)
			return false;
	}
	return true;
}

void load_fetch_start(struct load_fetch *fetch)
{
	fetch->is_started = true;
	for (uint32_t i = 0; i < fetch->options.connections; i++) {
		if (fetch->fetchers[i].link.is_open)
			ask(&fetch->fetchers[i]);
	}
}

void load_fetch_begin(struct load_fetch *fetch)
{
	fetch->is_counting = true;
}

void load_fetch_end(struct load_fetch *fetch)
{
	fetch->is_counting = false;
}

bool load_fetch_is_done(const struct load_fetch *fetch)
{
	for (uint32_t i = 0; i < fetch->options.connections; i++) {
		if (!fetch->fetchers[i].is_done)
			return false;
	}
	return true;
}

const struct load_fetch_result *load_fetch_result(const struct load_fetch *fetch)
{
	return &fetch->result;
}

/* Each connection has one broker's partitions, or their n-th part. */
static int make_fetcher(struct load_fetch *fetch, struct load_net *net,
			const struct load_call_cluster *cluster, uint32_t index)
{
	struct fetcher *fetcher = &fetch->fetchers[index];
	uint32_t count = cluster->partition_count, brokers = cluster->broker_count, at = 0;
	uint32_t broker = index % brokers;
	uint32_t sharers = (fetch->options.connections - broker + brokers - 1) / brokers;

	fetcher->fetch = fetch;
	fetcher->link.owner = fetcher;
	fetcher->link.ops = &fetcher_ops;
	fetcher->request_size = 1024 + 128U * count;
	fetcher->request = malloc(fetcher->request_size);
	fetcher->scratch = malloc(fetcher->request_size * 4);
	fetcher->partitions = calloc(count, sizeof(*fetcher->partitions));
	fetcher->wanted = calloc(count, sizeof(*fetcher->wanted));
	load_frame_init(&fetcher->link.in, SIZE_MAX);
	if (fetcher->request == NULL || fetcher->scratch == NULL || fetcher->partitions == NULL ||
	    fetcher->wanted == NULL || load_sendq_init(&fetcher->link.out, 2) != 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++) {
		if (cluster->leaders[i] == broker && at++ % sharers == index / brokers)
			fetcher->partitions[fetcher->partition_count++].index = (int32_t)i;
	}
	if (fetcher->partition_count == 0)
		return -EINVAL;
	return load_link_connect(net, &fetcher->link, cluster->brokers[broker].address,
				 cluster->brokers[broker].port);
}

int load_fetch_new(struct load_net *net, const struct load_call_cluster *cluster,
		   const struct load_fetch_options *options, struct load_fetch **ret_fetch)
{
	struct load_fetch *fetch = calloc(1, sizeof(*fetch));
	int r;

	if (fetch == NULL)
		return -ENOMEM;
	fetch->options = *options;
	fetch->fetchers = calloc(options->connections, sizeof(*fetch->fetchers));
	r = fetch->fetchers != NULL ? 0 : -ENOMEM;
	for (uint32_t i = 0; r == 0 && i < options->connections; i++)
		r = make_fetcher(fetch, net, cluster, i);
	if (r != 0) {
		load_fetch_free(fetch);
		return r;
	}
	*ret_fetch = fetch;
	return 0;
}

void load_fetch_free(struct load_fetch *fetch)
{
	if (fetch == NULL)
		return;
	for (uint32_t i = 0; fetch->fetchers != NULL && i < fetch->options.connections; i++) {
		struct fetcher *fetcher = &fetch->fetchers[i];

		load_link_close(&fetcher->link);
		load_frame_free(&fetcher->link.in);
		load_sendq_free(&fetcher->link.out);
		free(fetcher->request);
		free(fetcher->scratch);
		free(fetcher->partitions);
		free(fetcher->wanted);
	}
	free(fetch->fetchers);
	free(fetch);
}
