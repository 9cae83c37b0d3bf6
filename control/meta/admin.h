/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Kafka's admin requests about topics: create, delete, add partitions; creation by Metadata.
 *
 * Changes go to struct meta and are durable after the next meta_flush(), which the event loop does
 * before any answer leaves.
 *
 * Context: the event loop's thread. Memory: the call's. Limits: see metaimage.h.
 */
#pragma once

#define CONTROL_LAYER

#include "base/config.h"

#include "control/meta/call.h"
#include "control/meta/meta.h"

struct admin {
	struct meta *meta;
	const struct config *config;
	/** Told of each deleted topic; NULL: nobody wants to know. */
	void (*on_deleted)(void *context, const char *topic);
	void *context;
};

enum call_result admin_create_topics(struct admin *admin, struct call *call);
enum call_result admin_delete_topics(struct admin *admin, struct call *call);
enum call_result admin_create_partitions(struct admin *admin, struct call *call);

/** A Metadata request named a topic that is not there. @return error the topic gets, KAFKA_NONE: made */
enum kafka_err admin_auto_create(struct admin *admin, struct wire_string name);
/** Make __consumer_offsets unless it is there. @return 0; what meta_create_topic() says */
NODISCARD int admin_create_offsets_topic(struct admin *admin);
