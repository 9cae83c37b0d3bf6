/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: the API tells what control and the dataplane know, changes go through control's request path
 * and are answered by what comes back, and input of any kind gets a status of its own. Shown over real
 * connections, with real metadata, groups and shared tables; the event loop is played by the test.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <unistd.h>

#include "base/err.h"
#include "storage/shmcounters.h"

#include "control/http/webapi.h"
#include "dataplane/wire/kafka_err.h"

#include "cm.h"
#include "metabox.h"

#define ANSWER_SIZE (256 * 1024)

/** What the loop answers a change with. */
struct script {
	int result;             /* of ops->request(); not 0: refused */
	enum kafka_err error;   /* in the response */
	bool is_silent;         /* no answer at all */
	bool is_garbage;        /* a response that does not decode */
	const char *error_text; /* NULL: none */
};

struct fixture {
	struct metabox box;
	struct groups groups;
	struct partitions *table;
	struct shmcounters *counters;
	struct webapi *api;
	struct script script;
	uint64_t token; /* of a request that waits for its answer; 0: none */
	int16_t api_key, version;
	struct wire_string name; /* that the request was about */
	int64_t now_ns;
	uint16_t port;
	bool is_up;
	char path[3][96]; /* files in the run directory */
	char *answer;
};

/* ---- the event loop's side ---- */

static bool is_up(void *ctx)
{
	return ((struct fixture *)ctx)->is_up;
}

static const struct partitions *table_of(void *ctx)
{
	struct fixture *f = ctx;

	return f->is_up ? f->table : NULL;
}

/** Do what control does with the request, so far as the tests look at it. */
static void serve(struct fixture *f, struct reader *body, struct wire_scratch *scratch)
{
	if (f->api_key == WIRE_API_CREATE_TOPICS) {
		struct wire_create_topics_request request;
		struct meta_setting settings[4];

		assert_int_equal(
			wire_decode_create_topics_request(body, f->version, scratch, &request), 0);
		assert_int_equal(request.topics_count, 1);
		f->name = request.topics[0].name;
		assert_in_range(request.topics[0].configs_count, 0, 4);
		for (int32_t i = 0; i < request.topics[0].configs_count; i++)
			settings[i] = (struct meta_setting){ request.topics[0].configs[i].name,
							     request.topics[0].configs[i].value };
		if (f->script.error == KAFKA_NONE && !f->script.is_silent)
			assert_int_equal(meta_create_topic(f->box.meta, f->name,
							   MAX(request.topics[0].num_partitions, 1),
							   settings,
							   request.topics[0].configs_count),
					 0);
	} else if (f->api_key == WIRE_API_DELETE_TOPICS) {
		struct wire_delete_topics_request request;

		assert_int_equal(
			wire_decode_delete_topics_request(body, f->version, scratch, &request), 0);
		assert_int_equal(request.topic_names_count, 1);
		f->name = request.topic_names[0];
	} else {
		struct wire_delete_groups_request request;

		assert_int_equal(f->api_key, WIRE_API_DELETE_GROUPS);
		assert_int_equal(
			wire_decode_delete_groups_request(body, f->version, scratch, &request), 0);
		assert_int_equal(request.groups_names_count, 1);
		f->name = request.groups_names[0];
	}
}

static int on_request(void *ctx, uint64_t token, int16_t api_key, int16_t version,
		      const uint8_t *body, uint32_t size)
{
	struct fixture *f = ctx;
	struct wire_scratch scratch;
	struct reader reader;

	if (f->script.result != 0)
		return f->script.result;
	f->token = token;
	f->api_key = api_key;
	f->version = version;
	assert_true(wire_api_info(api_key)->min <= version &&
		    version <= wire_api_info(api_key)->max);
	assert_true(size <= METABOX_BYTES);
	memcpy(f->box.request, body, size);
	reader_init(&reader, f->box.request, size);
	wire_scratch_init(&scratch, f->box.scratch, METABOX_SCRATCH);
	serve(f, &reader, &scratch);
	return 0;
}

static uint32_t encode_answer(struct fixture *f)
{
	struct wire_string why = wire_string_from(f->script.error_text);
	int16_t error = (int16_t)f->script.error;
	struct writer writer;

	writer_init(&writer, f->box.reply, METABOX_BYTES);
	if (f->api_key == WIRE_API_CREATE_TOPICS) {
		struct wire_create_topics_response_topics topic = { .name = f->name,
								    .error_code = error,
								    .error_message = why };
		struct wire_create_topics_response response = { .topics = &topic,
								.topics_count = 1 };

		wire_encode_create_topics_response(&writer, f->version, &response);
	} else if (f->api_key == WIRE_API_DELETE_TOPICS) {
		struct wire_delete_topics_response_responses topic = { .name = f->name,
								       .error_code = error,
								       .error_message = why };
		struct wire_delete_topics_response response = { .responses = &topic,
								.responses_count = 1 };

		wire_encode_delete_topics_response(&writer, f->version, &response);
	} else {
		struct wire_delete_groups_response_results group = { .group_id = f->name,
								     .error_code = error };
		struct wire_delete_groups_response response = { .results = &group,
								.results_count = 1 };

		wire_encode_delete_groups_response(&writer, f->version, &response);
	}
	assert_int_equal(writer.error, 0);
	return f->script.is_garbage ? 3 : (uint32_t)writer_size(&writer);
}

static void answer_what_waits(struct fixture *f)
{
	uint64_t token = f->token;

	if (token == 0 || f->script.is_silent)
		return;
	f->token = 0;
	webapi_answer(f->api, token + 1000, NULL, 0); /* nobody's */
	webapi_answer(f->api, token, f->box.reply, encode_answer(f));
	webapi_answer(f->api, token, NULL, 0); /* answered before */
}

static const struct webapi_ops ops = {
	.is_dataplane_up = is_up,
	.partitions = table_of,
	.request = on_request,
};

/* ---- the world ---- */

static void join_done(void *context, uint64_t cookie, const struct group_joined *joined)
{
	(void)context;
	(void)cookie;
	(void)joined;
}

static void sync_done(void *context, uint64_t cookie, const struct group_synced *synced)
{
	(void)context;
	(void)cookie;
	(void)synced;
}

static void store(void *context, const struct group *group, uint64_t ticket)
{
	(void)context;
	(void)group;
	(void)ticket;
}

static const struct group_ops group_ops = { join_done, sync_done, store };

static void open_api(struct fixture *f)
{
	struct webapi_config config = { .config = &f->box.config,
					.meta = f->box.meta,
					.groups = &f->groups,
					.ops = &ops,
					.ctx = f,
					.now_ns = f->now_ns };
	char why[256] = "";

	for (uint16_t port = 22000; port < 22400; port++) {
		f->box.config.http_port = port;
		if (webapi_open(&config, &f->api, why, sizeof(why)) == 0) {
			f->port = port;
			return;
		}
	}
	fail_msg("no free port: %s", why);
}

static void add_topic(struct fixture *f, const char *name, int32_t partitions)
{
	const struct metaimage_topic *topic;

	assert_int_equal(
		meta_create_topic(f->box.meta, wire_string_from(name), partitions, NULL, 0), 0);
	topic = metaimage_topic(meta_image(f->box.meta), wire_string_from(name));
	assert_non_null(topic);
	for (int32_t i = 0; i < partitions; i++) {
		struct partition_view view = { .topic_id = topic->id,
					       .partition = (uint32_t)i,
					       .core = (uint32_t)i % 2,
					       .leader_epoch = 3,
					       .start_offset = 10,
					       .high_watermark = 100 + i,
					       .next_offset = 120,
					       .size = 5000 };

		(void)snprintf(view.topic, sizeof(view.topic), "%s", name);
		assert_non_null(partitions_add(f->table, &view));
	}
}

/** A stable group of one member that has partition 1 of raw.flights. */
static void add_group(struct fixture *f, const char *name)
{
	struct group *group = groups_get(&f->groups, wire_string_from(name));
	int32_t one = 1;
	struct wire_consumer_protocol_assignment_assigned_partitions assigned = {
		WIRE_STRING("raw.flights"), &one, 1
	};
	struct wire_consumer_protocol_assignment assignment = { &assigned, 1, WIRE_BYTES_NULL };
	struct group_member *member;
	struct writer writer;

	assert_non_null(group);
	member = group_add_member(group, WIRE_STRING("member-1"), WIRE_STRING_NULL);
	assert_non_null(member);
	free(member->client_id);
	member->client_id = strdup("client\xff");
	free(member->client_host);
	member->client_host = strdup("10.77.0.1");
	group->protocol_type = strdup("consumer");
	group->protocol = strdup("range");
	group_set_state(group, GROUP_STABLE);
	member->assignment = malloc(256);
	assert_non_null(member->assignment);
	writer_init(&writer, member->assignment, 256);
	writer_i16(&writer, 0);
	wire_encode_consumer_protocol_assignment(&writer, 0, &assignment);
	member->assignment_size = (int32_t)writer_size(&writer);
	assert_int_equal(offsets_set(&group->offsets, WIRE_STRING("raw.flights"), 1, 61, -1,
				     WIRE_STRING(""), 0),
			 0);
	assert_int_equal(
		offsets_set(&group->offsets, WIRE_STRING("gone"), 0, 5, -1, WIRE_STRING(""), 0), 0);
}

static int setup(void **state)
{
	static const struct group_settings settings = { 6000, 60000, 0, 100 };
	static struct fixture fixture;
	struct fixture *f = &fixture;

	memset(f, 0, sizeof(*f));
	metabox_init(&f->box);
	(void)snprintf(f->box.config.run_dir, sizeof(f->box.config.run_dir), "%.63s", f->box.dir);
	f->box.config.box_id = 1;
	f->answer = malloc(ANSWER_SIZE);
	assert_non_null(f->answer);
	f->now_ns = 1000 * NS_PER_S;
	f->is_up = true;
	(void)snprintf(f->path[0], sizeof(f->path[0]), "%.63s/partitions", f->box.dir);
	(void)snprintf(f->path[1], sizeof(f->path[1]), "%.63s/counters", f->box.dir);
	assert_int_equal(partitions_open(f->path[0], true, &f->table), 0);
	assert_int_equal(shmcounters_create(f->path[1], 2, &f->counters), 0);
	groups_init(&f->groups, &settings, &group_ops, f);
	add_topic(f, "raw.flights", 2);
	add_group(f, "audit");
	open_api(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	webapi_close(f->api);
	groups_clear(&f->groups);
	shmcounters_close(f->counters);
	partitions_close(f->table);
	metabox_fini(&f->box);
	free(f->answer);
	return 0;
}

/* ---- the caller's side ---- */

/** Send a request and play the loop until the answer is complete. */
static void exchange(struct fixture *f, const char *request)
{
	struct sockaddr_in where = { .sin_family = AF_INET, .sin_port = htons(f->port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	size_t got = 0;

	where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&where, sizeof(where)), 0);
	assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
	for (int turn = 0; turn < 5000; turn++) {
		ssize_t n;

		assert_true(webapi_run(f->api, f->now_ns) > f->now_ns - NS_PER_S);
		if (turn > 3) /* parked by then */
			answer_what_waits(f);
		if (f->script.is_silent)
			f->now_ns += NS_PER_S;
		n = recv(fd, f->answer + got, ANSWER_SIZE - 1 - got, MSG_DONTWAIT);
		if (n == 0)
			break;
		if (n > 0)
			got += (size_t)n;
		else
			(void)poll(NULL, 0, 1);
	}
	f->answer[got] = '\0';
	(void)close(fd);
}

static void call(struct fixture *f, const char *method, const char *path, const char *body,
		 int status)
{
	char request[2048];
	int got = 0;

	(void)snprintf(
		request, sizeof(request),
		"%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
		method, path, strlen(body), body);
	exchange(f, request);
	if (sscanf(f->answer, "HTTP/1.1 %d", &got) != 1 || got != status)
		fail_msg("%s %s: wanted %d, got %.600s", method, path, status, f->answer);
}

/** @return the answer's JSON, caller frees with json_decref() */
static json_t *call_json(struct fixture *f, const char *method, const char *path, const char *body,
			 int status)
{
	json_t *value;
	char *text;

	call(f, method, path, body, status);
	text = strstr(f->answer, "\r\n\r\n");
	assert_non_null(text);
	value = json_loads(text + 4, 0, NULL);
	if (value == NULL)
		fail_msg("%s %s: no JSON: %s", method, path, f->answer);
	return value;
}

static void expect(struct fixture *f, const char *part)
{
	if (strstr(f->answer, part) == NULL)
		fail_msg("missing: %s\nin: %.8000s", part, f->answer);
}

/* ---- reads ---- */

static void test_webapi_probes(void **state)
{
	struct fixture *f = *state;

	call(f, "GET", "/health", "", 200);
	expect(f, "{\"status\":\"ok\",\"dataplane\":true,\"version\":\"");
	call(f, "GET", "/livez", "", 200);
	call(f, "GET", "/readyz", "", 200);
	f->is_up = false;
	call(f, "GET", "/health", "", 200);
	expect(f, "\"dataplane\":false");
	call(f, "GET", "/livez", "", 200);
	call(f, "GET", "/readyz", "", 503);
}

static void test_webapi_page(void **state)
{
	struct fixture *f = *state;

	call(f, "GET", "/", "", 200);
	expect(f, "Content-Type: text/html");
	expect(f, "<title>Millrace</title>");
	expect(f, "</html>");
	/* Data is set as text. The page asks nobody but this box. */
	assert_null(strstr(f->answer, "innerHTML"));
	assert_null(strstr(f->answer, "src=\"http"));
	call(f, "GET", "/nowhere", "", 404);
	call(f, "DELETE", "/", "", 405);
}

static void test_webapi_status(void **state)
{
	struct fixture *f = *state;
	struct shmcounters_port *port;
	json_t *status, *core;
	double busy;

	counters_add(shmcounters_core(f->counters, 1), COUNTER_CORE_STALLS, 9);
	counters_add(shmcounters_core(f->counters, 1), COUNTER_SESSION_OPENED, 5);
	counters_add(shmcounters_core(f->counters, 1), COUNTER_SESSION_CLOSED, 2);
	port = shmcounters_port_add(f->counters, "tap:\"x\"");
	shmcounters_port_set(port, SHMCOUNTERS_PORT_UP, 1);
	shmcounters_port_set(port, SHMCOUNTERS_PORT_RX_PACKETS, 7);
	(void)webapi_run(f->api, f->now_ns);
	counters_add(shmcounters_core(f->counters, 1), COUNTER_CORE_BUSY_NS, 30);
	counters_add(shmcounters_core(f->counters, 1), COUNTER_CORE_SLEEP_NS, 70);
	hist_add(shmcounters_flush_ns(f->counters, 0), 200 * NS_PER_US);
	f->now_ns += NS_PER_S;
	status = call_json(f, "GET", "/api/v1/status", "", 200);
	core = json_array_get(json_object_get(status, "cores"), 1);
	busy = json_number_value(json_object_get(core, "busy_ratio"));
	assert_int_equal(json_integer_value(json_object_get(core, "core")), 1);
	assert_int_equal(json_integer_value(json_object_get(core, "stalls")), 9);
	assert_int_equal(json_integer_value(json_object_get(core, "connections")), 3);
	assert_true(busy > 0.299 && busy < 0.301);
	expect(f, "\"uptime_ms\":1000,\"dataplane\":true,\"transports\":[]");
	expect(f, "\"ports\":[{\"port\":\"tap:\\\"x\\\"\",\"up\":1,\"rx_packets\":7,");
	expect(f, "\"topics\":1,\"partitions\":2,\"groups\":1");
	assert_in_range(
		json_integer_value(json_object_get(json_object_get(status, "flush"), "p50_us")),
		200, 210);
	json_decref(status);
}

static void test_webapi_topics(void **state)
{
	struct fixture *f = *state;
	json_t *topic;

	topic = call_json(f, "GET", "/api/v1/topics/raw.flights", "", 200);
	expect(f, "{\"partition\":1,\"leader\":2,\"leader_epoch\":3,\"start_offset\":10,"
		  "\"high_watermark\":101,\"next_offset\":120,\"size\":5000,\"state\":\"online\"}");
	assert_int_equal(json_integer_value(json_object_get(topic, "records")), 90 + 91);
	json_decref(topic);
	topic = call_json(f, "GET", "/api/v1/topics", "", 200);
	expect(f, "{\"topics\":[{\"name\":\"raw.flights\"");
	expect(f, "\"partitions\":[");
	json_decref(topic);
	call(f, "GET", "/api/v1/topics?brief=1", "", 200);
	expect(f, "\"partition_count\":2");
	assert_null(strstr(f->answer, "\"partitions\":["));
	call(f, "GET", "/api/v1/topics/none", "", 404);
	expect(f, "{\"error\":\"there is no topic 'none'\"}");
	call(f, "GET", "/api/v1/topics/", "", 404);
	call(f, "GET", "/api/v1/topics/%ff%fe", "", 404);
}

static void test_webapi_states_of_partitions(void **state)
{
	struct fixture *f = *state;
	struct partition_view view = { .error = ERR_POISONED };
	struct partition_cell *cell = NULL;

	for (uint32_t i = 0; i < partitions_count(f->table); i++) {
		/* The writer's own table: cells may be written. */
		cell = (struct partition_cell *)(uintptr_t)partitions_at(f->table, i);
		assert_true(partition_cell_read(cell, &view));
		view.error = i == 0 ? ERR_POISONED : ERR_OFFLINE;
		partition_cell_write(cell, &view);
	}
	call(f, "GET", "/api/v1/topics/raw.flights", "", 200);
	expect(f, "\"state\":\"poisoned\"");
	expect(f, "\"state\":\"offline\"");
	expect(f, "\"state\":\"degraded\"");
	f->is_up = false; /* the last known positions, but nobody knows how it is now */
	call(f, "GET", "/api/v1/topics/raw.flights", "", 200);
	expect(f, "\"high_watermark\":101");
	expect(f, "\"state\":\"unknown\"");
	assert_null(strstr(f->answer, "poisoned"));
}

static void test_webapi_groups(void **state)
{
	struct fixture *f = *state;
	json_t *group = call_json(f, "GET", "/api/v1/groups/audit", "", 200);

	expect(f, "\"state\":\"Stable\",\"protocol_type\":\"consumer\",\"protocol\":\"range\"");
	expect(f, "\"lag\":40,\"members\":[{\"member_id\":\"member-1\",\"instance_id\":null,"
		  "\"client_id\":\"client\xef\xbf\xbd\",\"host\":\"10.77.0.1\","
		  "\"assignment\":[{\"topic\":\"raw.flights\",\"partitions\":[1]}]}]");
	expect(f, "{\"topic\":\"raw.flights\",\"partition\":1,\"committed\":61,"
		  "\"high_watermark\":101,\"lag\":40}");
	expect(f, "{\"topic\":\"gone\",\"partition\":0,\"committed\":5,\"high_watermark\":-1,"
		  "\"lag\":0}");
	json_decref(group);
	call(f, "GET", "/api/v1/groups", "", 200);
	expect(f, "{\"groups\":[{\"group\":\"audit\"");
	call(f, "GET", "/api/v1/groups?brief=1", "", 200);
	expect(f, "\"member_count\":1,\"lag\":40}]}");
	call(f, "GET", "/api/v1/groups/none", "", 404);
}

static void test_webapi_assignment_that_does_not_decode(void **state)
{
	struct fixture *f = *state;
	struct group *group = groups_find(&f->groups, WIRE_STRING("audit"));
	struct group_member *member = LIST_ENTRY(group->members.next, struct group_member, link);

	member->assignment_size = 7; /* cut off */
	call(f, "GET", "/api/v1/groups/audit", "", 200);
	expect(f, "\"assignment\":[]");
	memset(member->assignment, 0xff, 7);
	call(f, "GET", "/api/v1/groups/audit", "", 200);
	expect(f, "\"assignment\":[]");
}

static void test_webapi_rates(void **state)
{
	struct fixture *f = *state;
	json_t *rates;

	(void)webapi_run(f->api, f->now_ns);
	counters_add(shmcounters_core(f->counters, 0), COUNTER_PRODUCE_BYTES, 1000);
	for (uint32_t i = 0; i < 2; i++) {
		struct partition_cell *cell =
			(struct partition_cell *)(uintptr_t)partitions_at(f->table, i);
		struct partition_view view;

		assert_true(partition_cell_read(cell, &view));
		view.high_watermark += 10;
		view.size += 100;
		partition_cell_write(cell, &view);
	}
	f->now_ns += 2 * NS_PER_S;
	rates = call_json(f, "GET", "/api/v1/rates", "", 200);
	expect(f, "{\"topic\":\"raw.flights\",\"bytes_in\":100.0,\"records_in\":10.0}");
	expect(f, "{\"seconds\":2.0,\"total\":{\"bytes_in\":500.0,\"records_in\":10.0");
	assert_int_equal(json_array_size(json_object_get(rates, "history")), 1);
	json_decref(rates);
}

static void test_webapi_metrics(void **state)
{
	struct fixture *f = *state;

	struct shmcounters_port *port = shmcounters_port_add(f->counters, "af_xdp:a");

	shmcounters_port_set(port, SHMCOUNTERS_PORT_UP, 1);
	shmcounters_port_set(shmcounters_port_add(f->counters, "af_xdp:b"),
			     SHMCOUNTERS_PORT_TX_PACKETS, 9);
	counters_add(shmcounters_core(f->counters, 1), COUNTER_PRODUCE_BATCHES, 12);
	call(f, "GET", "/metrics", "", 200);
	expect(f, "# TYPE millrace_dataplane_port_up gauge\n"
		  "millrace_dataplane_port_up{port=\"af_xdp:a\"} 1\n"
		  "millrace_dataplane_port_up{port=\"af_xdp:b\"} 0\n");
	expect(f, "millrace_dataplane_port_tx_packets_total{port=\"af_xdp:b\"} 9\n");
	expect(f, "Content-Type: text/plain; version=0.0.4");
	expect(f, "millrace_produce_batches_total{core=\"1\"} 12\n");
	expect(f, "millrace_partition_high_watermark{topic=\"raw.flights\",partition=\"1\"} 101\n");
	expect(f, "millrace_partition_size_bytes{topic=\"raw.flights\",partition=\"0\"} 5000\n");
	expect(f, "# TYPE millrace_group_lag gauge\nmillrace_group_lag{group=\"audit\"} 40\n");
	expect(f, "millrace_poll_busy_ratio{core=\"0\"} 0\n");
	expect(f, "millrace_dataplane_up 1\n");
	expect(f, "millrace_build_info{version=\"" MILLRACE_VERSION "\"} 1\n");
	expect(f, "# TYPE millrace_flush_latency_seconds histogram\n");
}

static void test_webapi_token(void **state)
{
	struct fixture *f = *state;

	webapi_close(f->api);
	(void)snprintf(f->box.config.http_token, sizeof(f->box.config.http_token), "secret");
	open_api(f);
	call(f, "GET", "/", "", 200); /* it holds no data, and asks for the token */
	call(f, "GET", "/readyz", "", 200);
	call(f, "GET", "/api/v1/topics", "", 401);
	call(f, "GET", "/metrics", "", 401);
	call(f, "POST", "/api/v1/topics", "{\"name\":\"t\"}", 401);
	assert_int_equal(f->token, 0);
}

/* ---- changes ---- */

static void test_webapi_create_topic(void **state)
{
	struct fixture *f = *state;
	const struct metaimage_topic *topic;

	call(f, "POST", "/api/v1/topics",
	     "{\"name\":\"t\",\"partitions\":3,\"config\":{\"retention.ms\":1000,"
	     "\"cleanup.policy\":\"compact\"}}",
	     201);
	expect(f, "{\"name\":\"t\"");
	expect(f, "\"partition_count\":3");
	topic = metaimage_topic(meta_image(f->box.meta), WIRE_STRING("t"));
	assert_non_null(topic);
	assert_string_equal(metaimage_config(topic, "retention.ms"), "1000");
	assert_string_equal(metaimage_config(topic, "cleanup.policy"), "compact");
	call(f, "POST", "/api/v1/topics", "{\"name\":\"u\"}", 201);
}

static void test_webapi_create_topic_refused(void **state)
{
	struct fixture *f = *state;
	static const struct {
		enum kafka_err error;
		int status;
	} rows[] = {
		{ KAFKA_TOPIC_ALREADY_EXISTS, 409 },    { KAFKA_INVALID_PARTITIONS, 400 },
		{ KAFKA_INVALID_TOPIC_EXCEPTION, 400 }, { KAFKA_INVALID_CONFIG, 400 },
		{ KAFKA_REQUEST_TIMED_OUT, 504 },       { KAFKA_UNKNOWN_SERVER_ERROR, 500 },
	};

	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		f->script = (struct script){ .error = rows[i].error, .error_text = "told\xff why" };
		call(f, "POST", "/api/v1/topics", "{\"name\":\"t\"}", rows[i].status);
		expect(f, "{\"error\":\"told\xef\xbf\xbd why\"}");
		f->script.error_text = NULL;
		call(f, "POST", "/api/v1/topics", "{\"name\":\"t\"}", rows[i].status);
		expect(f, kafka_err_str((int16_t)rows[i].error));
	}
	f->script = (struct script){ .result = -EBUSY };
	call(f, "POST", "/api/v1/topics", "{\"name\":\"t\"}", 503);
	f->script = (struct script){ .error = KAFKA_TOPIC_ALREADY_EXISTS, .is_garbage = true };
	call(f, "POST", "/api/v1/topics", "{\"name\":\"t\"}", 500);
}

static void test_webapi_create_topic_bad_body(void **state)
{
	static const char *const bodies[] = {
		"",
		"nonsense",
		"[]",
		"{}",
		"{\"name\":7}",
		"{\"name\":\"t\",\"partitions\":0}",
		"{\"name\":\"t\",\"partitions\":\"3\"}",
		"{\"name\":\"t\",\"partitions\":1.5}",
		"{\"name\":\"t\",\"partitions\":99999999999}",
		"{\"name\":\"t\",\"config\":[]}",
		"{\"name\":\"t\",\"config\":{\"a\":{}}}",
		"{\"name\":\"t\",\"name\":\"u\"}",
		"{\"name\":\"t\\u0000\"}",
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_COUNT(bodies); i++) {
		call(f, "POST", "/api/v1/topics", bodies[i], 400);
		expect(f, "{\"error\":\"");
		assert_int_equal(f->token, 0);
	}
}

static void test_webapi_create_topic_name_too_long(void **state)
{
	struct fixture *f = *state;
	size_t size = 40000;
	char *request = malloc(size + 256);
	int head;

	assert_non_null(request);
	head = snprintf(request, 256,
			"POST /api/v1/topics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
			"Content-Length: %zu\r\n\r\n{\"name\":\"",
			size + 11);
	memset(request + head, 'x', size);
	(void)snprintf(request + head + size, 8, "\"}");
	exchange(f, request);
	expect(f, "HTTP/1.1 400");
	assert_int_equal(f->token, 0);
	free(request);
}

static void test_webapi_delete_topic(void **state)
{
	struct fixture *f = *state;

	call(f, "DELETE", "/api/v1/topics/raw.flights", "", 200);
	assert_true(wire_string_equal(f->name, WIRE_STRING("raw.flights")));
	expect(f, "{\"name\":\"raw.flights\",\"deleted\":true}");
	call(f, "DELETE", "/api/v1/topics/none", "", 404);
	f->script = (struct script){ .error = KAFKA_UNKNOWN_TOPIC_OR_PARTITION };
	call(f, "DELETE", "/api/v1/topics/raw.flights", "", 404);
}

static void test_webapi_delete_group(void **state)
{
	struct fixture *f = *state;

	call(f, "DELETE", "/api/v1/groups/audit", "", 200);
	assert_int_equal(f->api_key, WIRE_API_DELETE_GROUPS);
	call(f, "DELETE", "/api/v1/groups/none", "", 404);
	f->script = (struct script){ .error = KAFKA_NON_EMPTY_GROUP };
	call(f, "DELETE", "/api/v1/groups/audit", "", 409);
	f->script = (struct script){ .error = KAFKA_COORDINATOR_LOAD_IN_PROGRESS };
	call(f, "DELETE", "/api/v1/groups/audit", "", 503);
}

static void test_webapi_change_without_answer_ends(void **state)
{
	struct fixture *f = *state;

	f->script.is_silent = true;
	call(f, "POST", "/api/v1/topics", "{\"name\":\"t\"}", 504);
	f->script.is_silent = false;
	answer_what_waits(f); /* too late: nobody is there */
	call(f, "GET", "/health", "", 200);
}

static void test_webapi_close_with_a_change_under_way(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_in where = { .sin_family = AF_INET, .sin_port = htons(f->port) };
	static const char request[] = "POST /api/v1/topics HTTP/1.1\r\nHost: x\r\n"
				      "Content-Length: 12\r\n\r\n{\"name\":\"t\"}";
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ssize_t got;

	f->script.is_silent = true;
	where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&where, sizeof(where)), 0);
	assert_int_equal(send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL), sizeof(request) - 1);
	for (int turn = 0; turn < 1000 && f->token == 0; turn++) {
		(void)webapi_run(f->api, f->now_ns);
		(void)poll(NULL, 0, 1);
	}
	assert_true(f->token != 0);
	webapi_close(f->api);
	f->api = NULL;
	got = recv(fd, f->answer, ANSWER_SIZE - 1, 0);
	assert_true(got > 0);
	f->answer[got] = '\0';
	expect(f, "HTTP/1.1 503");
	(void)close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_webapi_probes),
		TEST(test_webapi_page),
		TEST(test_webapi_status),
		TEST(test_webapi_topics),
		TEST(test_webapi_states_of_partitions),
		TEST(test_webapi_groups),
		TEST(test_webapi_assignment_that_does_not_decode),
		TEST(test_webapi_rates),
		TEST(test_webapi_metrics),
		TEST(test_webapi_token),
		TEST(test_webapi_create_topic),
		TEST(test_webapi_create_topic_refused),
		TEST(test_webapi_create_topic_bad_body),
		TEST(test_webapi_create_topic_name_too_long),
		TEST(test_webapi_delete_topic),
		TEST(test_webapi_delete_group),
		TEST(test_webapi_change_without_answer_ends),
		TEST(test_webapi_close_with_a_change_under_way),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
