/* SPDX-License-Identifier: Apache-2.0 */
/* The box at a glance: status, rates, and all numbers as Prometheus text. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "control/http/metrics.h"
#include "control/http/webapi_impl.h"

static int64_t up_ms(const struct webapi *api)
{
	return (api->now_ns - api->config.now_ns) / NS_PER_MS;
}

static json_t *flush_json(const struct webapi *api)
{
	struct hist hist;

	boxstats_flush_all(&api->stats, &hist);
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "rounds",
			 (json_int_t)boxstats_sum(&api->stats, COUNTER_SEGLOG_FLUSHES), "bytes",
			 (json_int_t)boxstats_sum(&api->stats, COUNTER_SEGLOG_FLUSH_BYTES),
			 "p50_us", (json_int_t)(hist_quantile(&hist, 500000) / 1000), "p99_us",
			 (json_int_t)(hist_quantile(&hist, 990000) / 1000), "p999_us",
			 (json_int_t)(hist_quantile(&hist, 999000) / 1000), "max_us",
			 (json_int_t)(hist.max / 1000));
}

static json_t *core_json(const struct webapi *api, uint32_t core)
{
	const struct counters *counters = api->stats.counters[core];
	uint64_t closed = counters_get(counters, COUNTER_SESSION_CLOSED);
	uint64_t opened = counters_get(counters, COUNTER_SESSION_OPENED);

	return json_pack("{s:i, s:f, s:I, s:I, s:I, s:I}", "core", (int)core, "busy_ratio",
			 rates_busy(api->rates, core), "stalls",
			 (json_int_t)counters_get(counters, COUNTER_CORE_STALLS), "connections",
			 (json_int_t)(opened - MIN(opened, closed)), "requests",
			 (json_int_t)counters_get(counters, COUNTER_SESSION_REQUESTS), "batches",
			 (json_int_t)counters_get(counters, COUNTER_PRODUCE_BATCHES));
}

void webapi_get_status(void *ctx, struct http_call *call)
{
	struct webapi *api = ctx;
	const struct metaimage *image = meta_image(api->config.meta);
	json_t *cores = json_array();

	boxstats_refresh(&api->stats);
	for (uint32_t i = 0; i < api->stats.count; i++)
		(void)json_array_append_new(cores, core_json(api, i));
	http_reply_json(
		call, 200,
		json_pack("{s:s, s:s, s:I, s:b, s:o, s:o, s:I, s:I, s:I, s:o, s:o}", "version",
			  MILLRACE_VERSION, "cluster_id", meta_cluster_id(api->config.meta),
			  "uptime_ms", (json_int_t)up_ms(api), "dataplane",
			  (int)api->config.ops->is_dataplane_up(api->config.ctx), "transports",
			  boxstats_transports(&api->stats), "ports", boxstats_ports(&api->stats),
			  "topics", (json_int_t)image->topic_count, "partitions",
			  (json_int_t)image->partition_count, "groups",
			  (json_int_t)api->config.groups->count, "flush", flush_json(api), "cores",
			  cores));
}

/** @return a sum over `elapsed_ns` as a value per second */
static double per_second(int64_t sum, int64_t elapsed_ns)
{
	return elapsed_ns > 0 ? (double)sum * (double)NS_PER_S / (double)elapsed_ns : 0.0;
}

static json_t *second_json(const struct rates_second *second)
{
	int64_t ns = second->elapsed_ns;

	return json_pack("{s:f, s:f, s:f, s:f}", "bytes_in", per_second(second->bytes_in, ns),
			 "records_in", per_second(second->records_in, ns), "bytes_out",
			 per_second(second->bytes_out, ns), "requests",
			 per_second(second->requests, ns));
}

void webapi_get_rates(void *ctx, struct http_call *call)
{
	struct webapi *api = ctx;
	const struct metaimage *image = meta_image(api->config.meta);
	struct rates_second total = rates_total(api->rates), second;
	json_t *topics = json_array(), *history = json_array();

	for (size_t i = 0; i < image->topic_count; i++) {
		struct rates_topic rate = rates_topic(api->rates, &image->topics[i]->id);

		(void)json_array_append_new(
			topics,
			json_pack("{s:s, s:f, s:f}", "topic", image->topics[i]->name, "bytes_in",
				  per_second(rate.bytes, total.elapsed_ns), "records_in",
				  per_second(rate.records, total.elapsed_ns)));
	}
	for (uint32_t age = RATES_HISTORY; age-- > 0;) {
		if (rates_history(api->rates, age, &second))
			(void)json_array_append_new(history, second_json(&second));
	}
	http_reply_json(call, 200,
			json_pack("{s:f, s:o, s:o, s:o}", "seconds",
				  (double)total.elapsed_ns / (double)NS_PER_S, "total",
				  second_json(&total), "topics", topics, "history", history));
}

/* ---- metrics ---- */

static int64_t start_offset(const struct position *position)
{
	return position->start_offset;
}

static int64_t high_watermark(const struct position *position)
{
	return position->high_watermark;
}

static int64_t next_offset(const struct position *position)
{
	return position->next_offset;
}

static int64_t size_bytes(const struct position *position)
{
	return position->size;
}

static const struct {
	const char *name;
	const char *help;
	int64_t (*get)(const struct position *position);
} position_families[] = {
	{ "partition_start_offset", "first offset that is kept", start_offset },
	{ "partition_high_watermark", "one past the last durable offset", high_watermark },
	{ "partition_next_offset", "offset of the next record", next_offset },
	{ "partition_size_bytes", "bytes of all segments", size_bytes },
};

static void write_positions(struct metrics *metrics, struct webapi *api)
{
	const struct metaimage *image = meta_image(api->config.meta);
	const struct positions *positions = webapi_positions(api);

	for (size_t family = 0; family < ARRAY_COUNT(position_families); family++) {
		metrics_family(metrics, position_families[family].name, "gauge",
			       position_families[family].help);
		for (size_t i = 0; i < image->topic_count; i++) {
			const struct metaimage_topic *topic = image->topics[i];

			for (int32_t k = 0; k < topic->partition_count; k++) {
				const struct position *position =
					positions_find(positions, &topic->id, (uint32_t)k);
				char number[12];
				struct metrics_label labels[] = { { "topic", topic->name },
								  { "partition", number } };

				if (position == NULL)
					continue;
				(void)snprintf(number, sizeof(number), "%d", k);
				metrics_integer(metrics, labels, ARRAY_COUNT(labels),
						position_families[family].get(position));
			}
		}
	}
}

static void write_groups(struct metrics *metrics, struct webapi *api)
{
	const struct groups *groups = api->config.groups;

	metrics_family(metrics, "group_lag", "gauge",
		       "records between a group's committed offsets and the watermarks");
	for (size_t i = 0; i < groups->count; i++) {
		struct metrics_label label = { "group", groups->all[i]->id };

		metrics_integer(metrics, &label, 1, webapi_group_lag(api, groups->all[i]));
	}
}

static void write_memory(struct metrics *metrics, struct webapi *api)
{
	json_t *parts = boxstats_memory(&api->stats), *size;
	const char *name;

	metrics_family(metrics, "dataplane_memory_planned_bytes", "gauge",
		       "memory the dataplane takes at most, by part: the sum written at its start");
	json_object_foreach(parts, name, size)
	{
		struct metrics_label part = { "part", name };

		metrics_integer(metrics, &part, 1, json_integer_value(size));
	}
	json_decref(parts);
}

static void write_ports(struct metrics *metrics, struct webapi *api)
{
	const struct shmcounters *shared = api->stats.shared;
	uint32_t count = shared != NULL ? shmcounters_ports(shared) : 0;

	for (uint32_t i = 0; i < SHMCOUNTERS_PORT_VALUES; i++) {
		const struct shmcounters_port_info *info = &shmcounters_port_infos[i];
		char name[48];

		(void)snprintf(name, sizeof(name), "dataplane_port_%s%s", info->name,
			       info->is_gauge ? "" : "_total");
		metrics_family(metrics, name, info->is_gauge ? "gauge" : "counter", info->help);
		for (uint32_t j = 0; j < count; j++) {
			const struct shmcounters_port *port = shmcounters_port(shared, j);
			struct metrics_label label = { "port", port->name };

			metrics_integer(metrics, &label, 1, (int64_t)shmcounters_port_get(port, i));
		}
	}
}

static void write_box(struct metrics *metrics, struct webapi *api)
{
	struct metrics_label version = { "version", MILLRACE_VERSION };

	metrics_family(metrics, "build_info", "gauge", "the version that runs");
	metrics_integer(metrics, &version, 1, 1);
	metrics_family(metrics, "uptime_seconds", "gauge", "time since control started");
	metrics_real(metrics, NULL, 0, (double)up_ms(api) / 1000.0);
	metrics_family(metrics, "dataplane_up", "gauge", "1: the dataplane is connected");
	metrics_integer(metrics, NULL, 0, api->config.ops->is_dataplane_up(api->config.ctx));
	metrics_family(metrics, "poll_busy_ratio", "gauge",
		       "share of a core's time spent in turns that did work, last seconds");
	for (uint32_t i = 0; i < api->stats.count; i++) {
		char number[12];
		struct metrics_label core = { "core", number };

		(void)snprintf(number, sizeof(number), "%u", i);
		metrics_real(metrics, &core, 1, rates_busy(api->rates, i));
	}
}

void webapi_get_metrics(void *ctx, struct http_call *call)
{
	struct webapi *api = ctx;
	struct metrics metrics;

	boxstats_refresh(&api->stats);
	if (metrics_begin(&metrics) != 0) {
		http_reply_error(call, 503, "out of memory");
		return;
	}
	write_box(&metrics, api);
	write_memory(&metrics, api);
	write_ports(&metrics, api);
	metrics_counters(&metrics, api->stats.counters, api->stats.count);
	metrics_flush(&metrics, api->stats.flush_ns, api->stats.count);
	write_positions(&metrics, api);
	write_groups(&metrics, api);
	if (metrics_end(&metrics) != 0) {
		http_reply_error(call, 503, "out of memory");
		return;
	}
	http_reply(call, 200, METRICS_CONTENT_TYPE, metrics.text, metrics.size);
	free(metrics.text);
}
