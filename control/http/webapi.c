/* SPDX-License-Identifier: Apache-2.0 */
#include "control/http/webapi.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#include "control/http/utf8.h"
#include "control/http/webapi_impl.h"
#include "control/ui/page.h"

static void get_page(void *ctx, struct http_call *call)
{
	(void)ctx;
	http_reply(call, 200, "text/html; charset=utf-8", page_html, page_html_size);
}

static void get_health(void *ctx, struct http_call *call)
{
	const struct webapi *api = ctx;
	bool is_up = api->config.ops->is_dataplane_up(api->config.ctx);

	http_reply_json(call, 200,
			json_pack("{s:s, s:b, s:s}", "status", "ok", "dataplane", is_up, "version",
				  MILLRACE_VERSION));
}

static void get_livez(void *ctx, struct http_call *call)
{
	(void)ctx;
	http_reply(call, 200, "text/plain", "ok\n", 3);
}

static void get_readyz(void *ctx, struct http_call *call)
{
	const struct webapi *api = ctx;

	if (api->config.ops->is_dataplane_up(api->config.ctx))
		http_reply(call, 200, "text/plain", "ok\n", 3);
	else
		http_reply_error(call, 503, "the dataplane is not connected");
}

static const struct http_route routes[] = {
	{ "GET", "/", get_page },
	{ "GET", "/health", get_health },
	{ "GET", "/livez", get_livez },
	{ "GET", "/readyz", get_readyz },
	{ "GET", "/metrics", webapi_get_metrics },
	{ "GET", "/api/v1/status", webapi_get_status },
	{ "GET", "/api/v1/rates", webapi_get_rates },
	{ "GET", "/api/v1/topics", webapi_get_topics },
	{ "POST", "/api/v1/topics", webapi_post_topic },
	{ "GET", "/api/v1/topics/*", webapi_get_topic },
	{ "DELETE", "/api/v1/topics/*", webapi_delete_topic },
	{ "GET", "/api/v1/groups", webapi_get_groups },
	{ "GET", "/api/v1/groups/*", webapi_get_group },
	{ "DELETE", "/api/v1/groups/*", webapi_delete_group },
};

int webapi_open(const struct webapi_config *config, struct webapi **ret_api, char *reterr,
		size_t reterr_size)
{
	CLEANUP(webapi_closep) struct webapi *api = calloc(1, sizeof(*api));
	struct http_config http_config = {
		.address = config->config->http_address,
		.port = (uint16_t)config->config->http_port,
		.token = config->config->http_token,
		.routes = routes,
		.route_count = ARRAY_COUNT(routes),
		.extra_routes = config->extra_routes,
		.extra_route_count = config->extra_route_count,
		.extra_ctx = config->extra_ctx,
		.ctx = api,
	};
	int error;

	if (api == NULL)
		return -ENOMEM;
	api->config = *config;
	api->now_ns = config->now_ns;
	api->sample_due_ns = config->now_ns;
	list_init(&api->changes);
	positions_init(&api->positions);
	boxstats_init(&api->stats, config->config->run_dir);
	api->rates = rates_new();
	if (api->rates == NULL)
		return -ENOMEM;
	error = http_open(&http_config, &api->http, reterr, reterr_size);
	if (error != 0)
		return error;
	*ret_api = TAKE_PTR(api);
	return 0;
}

void webapi_close(struct webapi *api)
{
	if (api == NULL)
		return;
	webapi_change_clear(api);
	http_close(api->http);
	boxstats_fini(&api->stats);
	positions_fini(&api->positions);
	rates_free(api->rates);
	free(api);
}

int webapi_fd(const struct webapi *api)
{
	return http_fd(api->http);
}

const struct positions *webapi_positions(struct webapi *api)
{
	const struct partitions *table = api->config.ops->partitions(api->config.ctx);
	bool is_fresh =
		api->positions_ns != 0 && api->now_ns - api->positions_ns < WEBAPI_POSITIONS_NS;

	/* While the dataplane is away, and without memory for more, the last copy has to do. */
	if (!is_fresh && table != NULL && positions_refresh(&api->positions, table) == 0)
		api->positions_ns = api->now_ns;
	return &api->positions;
}

static bool is_internal(void *ctx, const struct uuid *topic_id)
{
	const struct webapi *api = ctx;
	const struct metaimage_topic *topic =
		metaimage_topic_by_id(meta_image(api->config.meta), topic_id);

	return topic == NULL || strncmp(topic->name, "__", 2) == 0;
}

static void take_sample(struct webapi *api)
{
	struct rates_input input = {
		.now_ns = api->now_ns,
		.positions = webapi_positions(api),
		.is_internal = is_internal,
		.ctx = api,
	};

	boxstats_refresh(&api->stats);
	input.cores = api->stats.counters;
	input.core_count = api->stats.count;
	if (rates_take(api->rates, &input) != 0)
		log_warn("out of memory: one second is missing in the rates");
}

int64_t webapi_run(struct webapi *api, int64_t now_ns)
{
	int64_t due_ns;
	int wait_ms;

	api->now_ns = now_ns;
	if (now_ns >= api->sample_due_ns) {
		take_sample(api);
		api->sample_due_ns = now_ns + WEBAPI_SAMPLE_NS;
	}
	due_ns = MIN(webapi_change_run(api), api->sample_due_ns);
	http_run(api->http);
	wait_ms = http_timeout_ms(api->http);
	return wait_ms < 0 ? due_ns : MIN(due_ns, now_ns + wait_ms * NS_PER_MS);
}

json_t *webapi_text(const char *text)
{
	json_t *value = json_string(text);
	char *clean;

	if (value != NULL)
		return value;
	clean = utf8_clean(text);
	if (clean == NULL)
		return NULL;
	value = json_string(clean);
	free(clean);
	return value;
}

void webapi_set(json_t *object, const char *name, json_t *value)
{
	if (value != NULL)
		(void)json_object_set_new(object, name, value);
}

bool webapi_is_brief(const struct http_call *call)
{
	const char *brief = http_call_query(call, "brief");

	return brief != NULL && strcmp(brief, "1") == 0;
}
