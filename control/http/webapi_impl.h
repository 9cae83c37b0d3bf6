/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * What the files of the API share; private to webapi*.c.
 *
 * Context: the event loop's thread. Memory: see webapi.h.
 */
#pragma once

#define CONTROL_LAYER

#include <jansson.h>

#include "base/list.h"

#include "control/http/boxstats.h"
#include "control/http/http.h"
#include "control/http/positions.h"
#include "control/http/rates.h"
#include "control/http/webapi.h"

#define WEBAPI_SAMPLE_NS    NS_PER_S
#define WEBAPI_POSITIONS_NS (100 * NS_PER_MS)

/* Versions of the requests that changes are made of. */
#define WEBAPI_CREATE_TOPIC_VERSION 4
#define WEBAPI_DELETE_TOPIC_VERSION 5
#define WEBAPI_DELETE_GROUP_VERSION 1

enum webapi_change_kind {
	WEBAPI_CREATE_TOPIC,
	WEBAPI_DELETE_TOPIC,
	WEBAPI_DELETE_GROUP,
};

struct webapi {
	struct webapi_config config;
	struct http *http;
	struct boxstats stats;
	struct positions positions;
	int64_t positions_ns; /* when they were copied; 0: copy them anew */
	struct rates *rates;
	int64_t sample_due_ns;
	int64_t now_ns;      /* of this turn */
	struct list changes; /* of webapi_change.c, oldest first */
	uint32_t change_count;
	uint64_t last_token;
};

/** @return the table as it was at most WEBAPI_POSITIONS_NS ago */
const struct positions *webapi_positions(struct webapi *api);
/** @return JSON of a text of unknown origin: bytes that are no UTF-8 are replaced */
json_t *webapi_text(const char *text);
/** Set a field; a NULL value (out of memory) leaves it out. */
void webapi_set(json_t *object, const char *name, json_t *value);
/** @return whether the query asks for summaries only */
bool webapi_is_brief(const struct http_call *call);

/** Send a change on its way and park its call; refusals are answered. @param body  [size] */
void webapi_change(struct webapi *api, struct http_call *call, enum webapi_change_kind kind,
		   const char *name, const uint8_t *body, uint32_t size);
/** Answer the changes that took too long. @return when to run again at the latest */
int64_t webapi_change_run(struct webapi *api);
/** Forget all; the server answers their calls. */
void webapi_change_clear(struct webapi *api);

/** @return the topic in full, with its partitions */
json_t *webapi_topic_json(struct webapi *api, const struct metaimage_topic *topic);
/** @return Σ of what the group's committed offsets are behind the watermarks */
int64_t webapi_group_lag(struct webapi *api, const struct group *group);

/* Handlers of the routes. */
void webapi_get_topics(void *ctx, struct http_call *call);
void webapi_get_topic(void *ctx, struct http_call *call);
void webapi_post_topic(void *ctx, struct http_call *call);
void webapi_delete_topic(void *ctx, struct http_call *call);
void webapi_get_groups(void *ctx, struct http_call *call);
void webapi_get_group(void *ctx, struct http_call *call);
void webapi_delete_group(void *ctx, struct http_call *call);
void webapi_get_status(void *ctx, struct http_call *call);
void webapi_get_rates(void *ctx, struct http_call *call);
void webapi_get_metrics(void *ctx, struct http_call *call);
