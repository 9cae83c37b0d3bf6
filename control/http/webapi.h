/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The HTTP API of the box: health, status, topics, groups, rates, metrics and the live page, as
 * routes of http.h over what control and the dataplane know.
 *
 * Reads look at control's own structures and at the dataplane's shared tables. Changes (a topic made
 * or deleted, a group deleted) are Kafka requests that control serves like any client's, so both
 * ways in have the same checks; the HTTP call stays parked until the answer is there.
 *
 * Context: the event loop's thread; never blocks. Memory: heap, a copy of the partition table
 * refreshed at most ten times a second, and two minutes of rates.
 * Limits: WEBAPI_CHANGES_MAX changes under way, each answered after WEBAPI_CHANGE_NS at the latest.
 */
#pragma once

#define CONTROL_LAYER

#include "base/config.h"
#include "base/defs.h"
#include "storage/partitions.h"

#include "control/group/group.h"
#include "control/http/http.h"
#include "control/meta/meta.h"

#define WEBAPI_CHANGES_MAX 256
#define WEBAPI_CHANGE_NS   (20 * NS_PER_S)

struct webapi;

/** What the event loop does for the API. */
struct webapi_ops {
	/** @return whether the dataplane is connected */
	bool (*is_dataplane_up)(void *ctx);
	/** @return the dataplane's table; NULL: none yet. Borrowed until the handler returns. */
	const struct partitions *(*partitions)(void *ctx);
	/**
	 * Serve a request as if a client had sent it (client id "http"). webapi_answer() follows with
	 * the same token, at once or later; CreateTopics and DeleteTopics when the cores serve it.
	 *
	 * @param body  [size] request body, all after the header; borrowed until this returns
	 * @return 0; -errno: refused, no answer follows
	 */
	int (*request)(void *ctx, uint64_t token, int16_t api_key, int16_t version,
		       const uint8_t *body, uint32_t size);
};

struct webapi_config {
	const struct config *config; /* http_*, run_dir, box_id; borrowed for life, as all below */
	const struct meta *meta;
	struct groups *groups;
	const struct webapi_ops *ops;
	void *ctx;
	const struct http_route *extra_routes; /* of other parts of the box */
	uint32_t extra_route_count;
	void *extra_ctx; /* of their handlers */
	int64_t now_ns;  /* monotonic: uptime counts from here */
};

/** Listen. @param[out] reterr  [reterr_size] what failed and the remedy. @return 0; -errno */
NODISCARD int webapi_open(const struct webapi_config *config, struct webapi **ret_api, char *reterr,
			  size_t reterr_size);
/** Parked calls are answered 503. NULL is accepted. */
void webapi_close(struct webapi *api);
DEFINE_CLEANUP(struct webapi, webapi_close);

/** @return descriptor that is readable when webapi_run() has work */
int webapi_fd(const struct webapi *api);
/** Serve what is there and take the samples that are due. @return when to run again at the latest */
int64_t webapi_run(struct webapi *api, int64_t now_ns);

/**
 * The answer to ops->request(). Unknown tokens are ignored: their call was answered meanwhile.
 *
 * @param body  [size] response body, all after the header; NULL: the request was not served
 */
void webapi_answer(struct webapi *api, uint64_t token, const uint8_t *body, uint32_t size);
