/* SPDX-License-Identifier: Apache-2.0 */
#include "perf/load/load_call.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#include "dataplane/wire/frame.h"
#include "dataplane/wire/kafka_err.h"

#define CALL_NS        (30 * NS_PER_S)
#define POLL_NS        (50 * NS_PER_MS)
#define METADATA       7 /* versions: the last without compact sizes */
#define CREATE_TOPICS  4
#define DELETE_TOPICS  3
#define LIST_OFFSETS   2
#define LATEST         (-1)
#define SCRATCH_SIZE   (4U << 20)
#define CONFIGS_MAX    16
#define TOPIC_MAX      249
#define CORRELATION_ID 7
#define PARTITIONS_MAX 100000

/* One request under way. */
struct call {
	struct load_link link;
	struct writer request;
	uint8_t memory[LOAD_SENDQ_HEAD_MAX];
	uint8_t *answer; /* NULL: none yet */
	size_t size;
	int error; /* 1: waiting */
};

static void on_open(struct load_link *link)
{
	(void)link;
}

static void on_frame(struct load_link *link, const uint8_t *bytes, size_t kept, size_t size)
{
	struct call *call = link->owner;

	(void)size;
	call->answer = malloc(MAX(kept, (size_t)1));
	call->error = call->answer != NULL ? 0 : -ENOMEM;
	call->size = kept;
	if (call->answer != NULL)
		memcpy(call->answer, bytes, kept);
	load_link_close(link);
}

static void on_close(struct load_link *link, int error)
{
	struct call *call = link->owner;

	call->error = error != 0 ? error : -ECONNRESET;
}

static const struct load_link_ops call_ops = { on_open, on_frame, on_close };

static size_t begin(struct call *call, int16_t api, int16_t version)
{
	struct wire_request_header header = { .api_key = api,
					      .api_version = version,
					      .correlation_id = CORRELATION_ID,
					      .client_id = WIRE_STRING("millrace-load") };
	size_t mark;

	*call = (struct call){ .error = 1 };
	writer_init(&call->request, call->memory, sizeof(call->memory));
	mark = wire_frame_open(&call->request);
	wire_encode_request_header(&call->request, &header);
	return mark;
}

/* Send the request and wait for its answer. @return 0, ret_reader at the message; -errno */
static int run(struct call *call, struct load_net *net, const struct load_call_target *target,
	       int16_t api, struct reader *ret_reader)
{
	int64_t end_ns = clock_now_ns() + CALL_NS;
	int32_t correlation_id;
	int r;

	if (call->request.error != 0)
		return -EINVAL;
	call->link.ops = &call_ops;
	call->link.owner = call;
	load_frame_init(&call->link.in, SIZE_MAX);
	r = load_sendq_init(&call->link.out, 1);
	if (r == 0)
		r = load_sendq_push(&call->link.out, call->memory,
				    (uint32_t)writer_size(&call->request), NULL, 0);
	if (r == 0)
		r = load_link_connect(net, &call->link, target->address, target->port);
	if (r == 0) {
		while (call->error == 1 && clock_now_ns() < end_ns)
			load_net_poll(net, POLL_NS);
		r = call->error == 1 ? -ETIMEDOUT : call->error;
	}
	load_link_close(&call->link);
	load_frame_free(&call->link.in);
	load_sendq_free(&call->link.out);
	if (r != 0)
		return r;
	reader_init(ret_reader, call->answer, call->size);
	r = wire_decode_response_header(ret_reader, api, 0, &correlation_id);
	return r == 0 && correlation_id == CORRELATION_ID ? 0 : -EPROTO;
}

int load_call_parse(const char *text, struct load_call_target *ret_target)
{
	struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM };
	struct addrinfo *found = NULL;
	const char *colon = strrchr(text, ':');
	char host[256];
	char *end;
	long port;

	if (colon == NULL || (size_t)(colon - text) >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, (size_t)(colon - text));
	host[colon - text] = '\0';
	port = strtol(colon + 1, &end, 10);
	if (*end != '\0' || end == colon + 1 || port < 1 || port > UINT16_MAX)
		return -EINVAL;
	if (getaddrinfo(host, NULL, &hints, &found) != 0)
		return -EINVAL;
	ret_target->address =
		ntohl(((const struct sockaddr_in *)(const void *)found->ai_addr)->sin_addr.s_addr);
	ret_target->port = (uint16_t)port;
	freeaddrinfo(found);
	return 0;
}

static int take_brokers(const struct wire_metadata_response *response,
			struct load_call_cluster *cluster)
{
	if (response->brokers_count < 1 || response->brokers_count > LOAD_CALL_BROKERS_MAX)
		return -EPROTO;
	cluster->broker_count = (uint32_t)response->brokers_count;
	for (int32_t i = 0; i < response->brokers_count; i++) {
		const struct wire_metadata_response_brokers *broker = &response->brokers[i];
		char text[300];

		if (broker->host.size < 0 || broker->host.size > 255)
			return -EPROTO;
		(void)snprintf(text, sizeof(text), "%.*s:%d", (int)broker->host.size,
			       broker->host.bytes, (int)broker->port);
		if (load_call_parse(text, &cluster->brokers[i]) != 0)
			return -EPROTO;
	}
	return 0;
}

/* Keep the brokers that lead something. */
static void drop_idle_brokers(struct load_call_cluster *cluster)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < cluster->broker_count; i++) {
		bool leads = false;

		for (uint32_t p = 0; p < cluster->partition_count; p++) {
			if (cluster->leaders[p] == i) {
				cluster->leaders[p] = (uint16_t)kept;
				leads = true;
			}
		}
		if (leads)
			cluster->brokers[kept++] = cluster->brokers[i];
	}
	cluster->broker_count = kept;
}

/* @return 0; -EAGAIN a partition has no leader yet; -EPROTO; -ENOMEM */
static int take_partitions(const struct wire_metadata_response *response,
			   struct load_call_cluster *cluster)
{
	const struct wire_metadata_response_topics *topic = response->topics;
	int32_t count;

	if (response->topics_count != 1)
		return -EPROTO;
	count = topic->partitions_count;
	if (topic->error_code != 0 || count < 1)
		return -EAGAIN;
	if (count > PARTITIONS_MAX)
		return -EPROTO;
	cluster->partition_count = (uint32_t)count;
	cluster->leaders = calloc((size_t)count, sizeof(*cluster->leaders));
	if (cluster->leaders == NULL)
		return -ENOMEM;
	for (int32_t i = 0; i < count; i++) {
		const struct wire_metadata_response_topics_partitions *at = &topic->partitions[i];
		int32_t broker = 0;

		while (broker < response->brokers_count &&
		       response->brokers[broker].node_id != at->leader_id)
			broker++;
		if (at->error_code != 0 || broker == response->brokers_count)
			return -EAGAIN;
		if (at->partition_index < 0 || at->partition_index >= count)
			return -EPROTO;
		cluster->leaders[at->partition_index] = (uint16_t)broker;
	}
	return 0;
}

static int find_once(struct load_net *net, const struct load_call_target *target, const char *topic,
		     bool is_direct, struct load_call_cluster *cluster)
{
	struct wire_metadata_request_topics wanted;
	struct wire_metadata_request request;
	struct wire_metadata_response response;
	struct wire_scratch scratch;
	struct reader reader;
	struct call call;
	size_t mark = begin(&call, WIRE_API_METADATA, METADATA);
	void *memory = malloc(SCRATCH_SIZE);
	int r;

	if (memory == NULL)
		return -ENOMEM;
	wire_default_metadata_request_topics(&wanted);
	wire_default_metadata_request(&request);
	wanted.name = wire_string_from(topic);
	request.topics = &wanted;
	request.topics_count = 1;
	request.allow_auto_topic_creation = false;
	wire_encode_metadata_request(&call.request, METADATA, &request);
	wire_frame_close(&call.request, mark);
	r = run(&call, net, target, WIRE_API_METADATA, &reader);
	wire_scratch_init(&scratch, memory, SCRATCH_SIZE);
	if (r == 0 && wire_decode_metadata_response(&reader, METADATA, &scratch, &response) != 0)
		r = -EPROTO;
	if (r == 0)
		r = is_direct ? 0 : take_brokers(&response, cluster);
	if (r == 0)
		r = take_partitions(&response, cluster);
	if (r == 0 && is_direct) {
		memset(cluster->leaders, 0, cluster->partition_count * sizeof(*cluster->leaders));
		cluster->brokers[0] = *target;
		cluster->broker_count = 1;
	} else if (r == 0) {
		drop_idle_brokers(cluster);
	}
	free(call.answer);
	free(memory);
	return r;
}

int load_call_find(struct load_net *net, const struct load_call_target *target, const char *topic,
		   bool is_direct, struct load_call_cluster *ret_cluster)
{
	int64_t end_ns = clock_now_ns() + CALL_NS;
	int r;

	for (;;) {
		*ret_cluster = (struct load_call_cluster){ 0 };
		r = find_once(net, target, topic, is_direct, ret_cluster);
		if (r == 0)
			return 0;
		load_call_cluster_free(ret_cluster);
		if (r != -EAGAIN)
			return r;
		if (clock_now_ns() > end_ns)
			return -ETIMEDOUT;
		load_net_poll(net, POLL_NS);
	}
}

void load_call_cluster_free(struct load_call_cluster *cluster)
{
	free(cluster->leaders);
	cluster->leaders = NULL;
}

/* @return 0; -EAGAIN the leader does not serve it yet; -EPROTO; other -errno */
static int ask_end(struct load_net *net, const struct load_call_target *leader, const char *topic,
		   int32_t partition)
{
	struct wire_list_offsets_request_topics_partitions one;
	struct wire_list_offsets_request_topics wanted;
	struct wire_list_offsets_request request;
	struct wire_list_offsets_response response;
	struct wire_scratch scratch;
	_Alignas(16) uint8_t memory[1024];
	struct reader reader;
	struct call call;
	size_t mark = begin(&call, WIRE_API_LIST_OFFSETS, LIST_OFFSETS);
	int r;

	wire_default_list_offsets_request_topics_partitions(&one);
	wire_default_list_offsets_request_topics(&wanted);
	wire_default_list_offsets_request(&request);
	one.partition_index = partition;
	one.timestamp = LATEST;
	wanted.name = wire_string_from(topic);
	wanted.partitions = &one;
	wanted.partitions_count = 1;
	request.replica_id = -1;
	request.topics = &wanted;
	request.topics_count = 1;
	wire_encode_list_offsets_request(&call.request, LIST_OFFSETS, &request);
	wire_frame_close(&call.request, mark);
	r = run(&call, net, leader, WIRE_API_LIST_OFFSETS, &reader);
	wire_scratch_init(&scratch, memory, sizeof(memory));
	if (r == 0 &&
	    (wire_decode_list_offsets_response(&reader, LIST_OFFSETS, &scratch, &response) != 0 ||
	     response.topics_count != 1 || response.topics[0].partitions_count != 1))
		r = -EPROTO;
	if (r == 0 && response.topics[0].partitions[0].error_code != 0)
		r = -EAGAIN;
	free(call.answer);
	return r;
}

int load_call_wait(struct load_net *net, const struct load_call_cluster *cluster, const char *topic)
{
	int64_t end_ns = clock_now_ns() + CALL_NS;

	for (uint32_t i = 0; i < cluster->partition_count;) {
		int r = ask_end(net, &cluster->brokers[cluster->leaders[i]], topic, (int32_t)i);

		if (r == 0) {
			i++;
			continue;
		}
		if (r != -EAGAIN)
			return r;
		if (clock_now_ns() > end_ns)
			return -ETIMEDOUT;
		load_net_poll(net, POLL_NS);
	}
	return 0;
}

static int refused(int16_t error)
{
	if (error == KAFKA_NONE)
		return 0;
	if (error == KAFKA_TOPIC_ALREADY_EXISTS)
		return -EEXIST;
	if (error == KAFKA_UNKNOWN_TOPIC_OR_PARTITION)
		return -ENOENT;
	(void)fprintf(stderr, "millrace-load: refused: Kafka's error %d\n", error);
	return -EPROTO;
}

int load_call_create(struct load_net *net, const struct load_call_target *target, const char *topic,
		     int32_t partitions, char **configs, uint32_t config_count)
{
	struct wire_create_topics_request_topics_configs wanted[CONFIGS_MAX];
	struct wire_create_topics_request_topics one;
	struct wire_create_topics_request request;
	struct wire_create_topics_response response;
	struct wire_scratch scratch;
	_Alignas(16) uint8_t memory[8192];
	struct reader reader;
	struct call call;
	size_t mark = begin(&call, WIRE_API_CREATE_TOPICS, CREATE_TOPICS);
	int r;

	if (config_count > CONFIGS_MAX || strlen(topic) > TOPIC_MAX)
		return -EINVAL;
	wire_default_create_topics_request_topics(&one);
	wire_default_create_topics_request(&request);
	for (uint32_t i = 0; i < config_count; i++) {
		const char *equals = strchr(configs[i], '=');

		if (equals == NULL)
			return -EINVAL;
		wire_default_create_topics_request_topics_configs(&wanted[i]);
		wanted[i].name = (struct wire_string){ configs[i], (int32_t)(equals - configs[i]) };
		wanted[i].value = wire_string_from(equals + 1);
	}
	one.name = wire_string_from(topic);
	one.num_partitions = partitions;
	one.replication_factor = 1;
	one.configs = wanted;
	one.configs_count = (int32_t)config_count;
	request.topics = &one;
	request.topics_count = 1;
	wire_encode_create_topics_request(&call.request, CREATE_TOPICS, &request);
	wire_frame_close(&call.request, mark);
	r = run(&call, net, target, WIRE_API_CREATE_TOPICS, &reader);
	wire_scratch_init(&scratch, memory, sizeof(memory));
	if (r == 0 &&
	    (wire_decode_create_topics_response(&reader, CREATE_TOPICS, &scratch, &response) != 0 ||
	     response.topics_count != 1))
		r = -EPROTO;
	if (r == 0)
		r = refused(response.topics[0].error_code);
	free(call.answer);
	return r;
}

int load_call_delete(struct load_net *net, const struct load_call_target *target, const char *topic)
{
	struct wire_delete_topics_request request;
	struct wire_delete_topics_response response;
	struct wire_string name = wire_string_from(topic);
	struct wire_scratch scratch;
	_Alignas(16) uint8_t memory[1024];
	struct reader reader;
	struct call call;
	size_t mark = begin(&call, WIRE_API_DELETE_TOPICS, DELETE_TOPICS);
	int r;

	wire_default_delete_topics_request(&request);
	request.topic_names = &name;
	request.topic_names_count = 1;
	request.timeout_ms = 30000;
	wire_encode_delete_topics_request(&call.request, DELETE_TOPICS, &request);
	wire_frame_close(&call.request, mark);
	r = run(&call, net, target, WIRE_API_DELETE_TOPICS, &reader);
	wire_scratch_init(&scratch, memory, sizeof(memory));
	if (r == 0 &&
	    (wire_decode_delete_topics_response(&reader, DELETE_TOPICS, &scratch, &response) != 0 ||
	     response.responses_count != 1))
		r = -EPROTO;
	if (r == 0)
		r = refused(response.responses[0].error_code);
	free(call.answer);
	return r;
}
