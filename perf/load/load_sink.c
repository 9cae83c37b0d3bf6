/* SPDX-License-Identifier: Apache-2.0 */
#include "perf/load/load_sink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/list.h"

#include "dataplane/wire/frame.h"
#include "dataplane/wire/kafka_err.h"

#include "perf/load/load_link.h"

#define KEPT           512 /* first bytes of a request */
#define ANSWERS        256 /* of a connection, not yet sent */
#define ANSWER_SIZE    32768
#define PRODUCE_MAX    8
#define FETCH_MAX      11
#define METADATA_MAX   8
#define PARTITIONS_MAX 256

struct client {
	struct load_link link;
	struct load_sink *sink;
	struct list node;
	uint8_t *big; /* an answer too long for a head; one at a time */
};

struct load_sink {
	struct load_sink_options options;
	struct load_net *net;
	struct list clients, gone;
	uint64_t bytes;
	uint64_t unknown; /* requests ignored */
	int64_t next_offset;
};

static void answer_versions(struct writer *writer, int16_t version)
{
	/* Fetch is not served: a producer takes its being there as a sign that batches of version 2,
	   whose checksum costs less, are understood. */
	static struct wire_api_versions_response_api_keys keys[] = {
		{ .api_key = WIRE_API_PRODUCE, .min_version = 0, .max_version = PRODUCE_MAX },
		{ .api_key = WIRE_API_FETCH, .min_version = 4, .max_version = FETCH_MAX },
		{ .api_key = WIRE_API_METADATA, .min_version = 0, .max_version = METADATA_MAX },
		{ .api_key = WIRE_API_API_VERSIONS, .min_version = 0, .max_version = 3 },
	};
	struct wire_api_versions_response response;

	wire_default_api_versions_response(&response);
	response.api_keys = keys;
	response.api_keys_count = ARRAY_COUNT(keys);
	if (version > 3) {
		response.error_code = KAFKA_UNSUPPORTED_VERSION;
		version = 0;
	}
	wire_encode_api_versions_response(writer, version, &response);
}

static void answer_metadata(const struct load_sink_options *options, struct reader *reader,
			    struct writer *writer, int16_t version)
{
	static struct wire_metadata_response_topics_partitions partitions[PARTITIONS_MAX];
	static int32_t one = 1;
	struct in_addr address = { .s_addr = htonl(options->address) };
	struct wire_metadata_response_brokers broker;
	struct wire_metadata_response_topics topic;
	struct wire_metadata_response response;
	struct wire_metadata_request request;
	struct wire_scratch scratch;
	_Alignas(16) uint8_t memory[4096];
	char host[INET_ADDRSTRLEN];

	wire_scratch_init(&scratch, memory, sizeof(memory));
	if (wire_decode_metadata_request(reader, version, &scratch, &request) != 0) {
		wire_write_fail(writer, ERR_MALFORMED);
		return;
	}
	wire_default_metadata_response_brokers(&broker);
	wire_default_metadata_response_topics(&topic);
	wire_default_metadata_response(&response);
	(void)inet_ntop(AF_INET, &address, host, sizeof(host));
	broker.node_id = 1;
	broker.host = wire_string_from(host);
	broker.port = options->port;
	response.brokers = &broker;
	response.brokers_count = 1;
	response.controller_id = 1;
	response.cluster_id = WIRE_STRING("sink");
	for (int32_t i = 0; i < options->partitions; i++) {
		wire_default_metadata_response_topics_partitions(&partitions[i]);
		partitions[i].partition_index = i;
		partitions[i].leader_id = 1;
		partitions[i].replica_nodes = partitions[i].isr_nodes = &one;
		partitions[i].replica_nodes_count = partitions[i].isr_nodes_count = 1;
	}
	if (request.topics_count > 0) {
		topic.name = request.topics[0].name;
		topic.partitions = partitions;
		topic.partitions_count = options->partitions;
		response.topics = &topic;
		response.topics_count = 1;
	}
	wire_encode_metadata_response(writer, version, &response);
}

/* A request for one partition, its records not looked at. */
static bool answer_produce(struct reader *reader, struct writer *writer, int16_t version,
			   int64_t *next_offset)
{
	struct wire_produce_response_responses_partition_responses partition;
	struct wire_produce_response_responses topic;
	struct wire_produce_response response;
	int16_t acks;

	wire_default_produce_response_responses_partition_responses(&partition);
	wire_default_produce_response_responses(&topic);
	wire_default_produce_response(&response);
	(void)wire_read_string(reader, false, true);
	acks = reader_i16(reader);
	(void)reader_i32(reader);
	if (reader_i32(reader) != 1)
		reader_fail(reader, ERR_MALFORMED);
	topic.name = wire_read_string(reader, false, false);
	if (reader_i32(reader) != 1)
		reader_fail(reader, ERR_MALFORMED);
	partition.index = reader_i32(reader);
	partition.base_offset = (*next_offset)++;
	topic.partition_responses = &partition;
	topic.partition_responses_count = 1;
	response.responses = &topic;
	response.responses_count = 1;
	if (reader->error != 0)
		wire_write_fail(writer, ERR_MALFORMED);
	else
		wire_encode_produce_response(writer, version, &response);
	return acks != 0;
}

int load_sink_answer(const struct load_sink_options *options, const uint8_t *bytes, size_t kept,
		     int64_t *next_offset, uint8_t *answer, size_t size)
{
	struct wire_request_header header;
	struct reader reader;
	struct writer writer;
	bool is_wanted = true;
	size_t mark;

	reader_init(&reader, bytes, kept);
	if (wire_decode_request_header(&reader, &header) != 0)
		return -EPROTO;
	writer_init(&writer, answer, size);
	mark = wire_frame_open(&writer);
	wire_encode_response_header(&writer, header.api_key, header.api_version,
				    header.correlation_id);
	if (header.api_key == WIRE_API_API_VERSIONS)
		answer_versions(&writer, header.api_version);
	else if (header.api_key == WIRE_API_METADATA && header.api_version <= METADATA_MAX)
		answer_metadata(options, &reader, &writer, header.api_version);
	else if (header.api_key == WIRE_API_PRODUCE && header.api_version <= PRODUCE_MAX)
		is_wanted = answer_produce(&reader, &writer, header.api_version, next_offset);
	else
		return -EPROTO;
	wire_frame_close(&writer, mark);
	if (writer.error != 0)
		return -EPROTO;
	return is_wanted ? (int)writer_size(&writer) : 0;
}

static void drop(struct client *client)
{
	load_link_close(&client->link);
	list_remove(&client->node);
	list_push_back(&client->sink->gone, &client->node);
}

static void on_open(struct load_link *link)
{
	(void)link;
}

static void on_frame(struct load_link *link, const uint8_t *bytes, size_t kept, size_t size)
{
	struct client *client = link->owner;
	struct load_sink *sink = client->sink;
	uint8_t answer[ANSWER_SIZE];
	int r = load_sink_answer(&sink->options, bytes, kept, &sink->next_offset, answer,
				 sizeof(answer));

	sink->bytes += size + 4;
	if (r > LOAD_SENDQ_HEAD_MAX) {
		free(client->big);
		client->big = malloc((size_t)r);
		if (client->big != NULL)
			memcpy(client->big, answer, (size_t)r);
		r = client->big != NULL
			    ? load_sendq_push(&link->out, answer, 0, client->big, (uint32_t)r)
			    : -ENOMEM;
	} else if (r > 0) {
		r = load_sendq_push(&link->out, answer, (uint32_t)r, NULL, 0);
	}
	if (r == -EPROTO && sink->unknown++ == 0)
		(void)fprintf(stderr,
			      "millrace-load: the sink ignores requests that it does not know\n");
	if (r == -ENOBUFS || r == -ENOMEM)
		drop(client); /* it reads no answers */
	else if (!sink->options.is_gathering)
		load_link_flush(link);
}

void load_sink_poll(struct load_sink *sink, int64_t timeout_ns)
{
	load_net_poll(sink->net, timeout_ns);
	LIST_EACH_SAFE(&sink->clients, node)
	{
		struct client *client = LIST_ENTRY(node, struct client, node);

		if (load_sendq_size(&client->link.out) > 0)
			load_link_flush(&client->link);
	}
}

static void on_close(struct load_link *link, int error)
{
	struct client *client = link->owner;

	(void)error;
	list_remove(&client->node);
	list_push_back(&client->sink->gone, &client->node);
}

static const struct load_link_ops client_ops = { on_open, on_frame, on_close };

static void free_client(struct client *client)
{
	load_frame_free(&client->link.in);
	load_sendq_free(&client->link.out);
	free(client->big);
	free(client);
}

static struct load_link *on_accept(void *ctx)
{
	struct load_sink *sink = ctx;
	struct client *client = calloc(1, sizeof(*client));
	struct list *node;

	while ((node = list_pop_front(&sink->gone)) != NULL)
		free_client(LIST_ENTRY(node, struct client, node));
	if (client == NULL)
		return NULL;
	client->sink = sink;
	client->link.owner = client;
	client->link.ops = &client_ops;
	list_init(&client->node);
	load_frame_init(&client->link.in, KEPT);
	if (load_sendq_init(&client->link.out, ANSWERS) != 0) {
		free(client);
		return NULL;
	}
	list_push_back(&sink->clients, &client->node);
	return &client->link;
}

int load_sink_new(struct load_net *net, const struct load_sink_options *options,
		  struct load_sink **ret_sink)
{
	struct load_sink *sink;
	int r;

	if (options->partitions < 1 || options->partitions > PARTITIONS_MAX)
		return -EINVAL;
	sink = calloc(1, sizeof(*sink));
	if (sink == NULL)
		return -ENOMEM;
	sink->options = *options;
	sink->net = net;
	list_init(&sink->clients);
	list_init(&sink->gone);
	r = load_net_listen(net, options->address, options->port, on_accept, sink);
	if (r != 0) {
		free(sink);
		return r;
	}
	*ret_sink = sink;
	return 0;
}

void load_sink_free(struct load_sink *sink)
{
	struct list *node;

	if (sink == NULL)
		return;
	LIST_EACH_SAFE(&sink->clients, client)
	drop(LIST_ENTRY(client, struct client, node));
	while ((node = list_pop_front(&sink->gone)) != NULL)
		free_client(LIST_ENTRY(node, struct client, node));
	free(sink);
}

uint64_t load_sink_bytes(const struct load_sink *sink)
{
	return sink->bytes;
}
