/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Topic settings: Kafka's standard keys, their checks, their values with the box's defaults; and the
 * rules of topic names.
 *
 * Context: any thread. Memory: static tables. Source: Kafka's LogConfig, Topic.
 */
#pragma once

#define CONTROL_LAYER

#include "base/config.h"
#include "base/defs.h"
#include "storage/snapshot.h"

#include "control/meta/metaimage.h"

#define TOPICCONF_VALUE_MAX 4096 /* bytes of one value */

/** Kafka's numbers, as DescribeConfigs tells them. */
enum topicconf_type {
	TOPICCONF_BOOLEAN = 1,
	TOPICCONF_STRING = 2,
	TOPICCONF_INT = 3,
	TOPICCONF_LONG = 5,
	TOPICCONF_DOUBLE = 6,
	TOPICCONF_LIST = 7
};

enum topicconf_source {
	TOPICCONF_FROM_TOPIC = 1,
	TOPICCONF_FROM_BROKER = 4, /* the box's settings file or command line */
	TOPICCONF_FROM_DEFAULT = 5
};

struct topicconf {
	const char *name;
	enum topicconf_type type;
	const char *value;       /* default */
	int64_t min, max;        /* of numbers */
	const char *broker_name; /* NULL: none */
	const char *sentence;
};

extern const struct topicconf topicconfs[];
extern const size_t topicconf_count;

/** @return NULL: not one of Kafka's keys */
const struct topicconf *topicconf_find(struct wire_string name);

/**
 * @param value       null is refused
 * @param[out] reterr  [size] what is wrong
 * @return 0; ERR_CONFIG
 */
NODISCARD int topicconf_check(const struct topicconf *conf, struct wire_string value, char *reterr,
			      size_t size);

/**
 * The box's value of a key, for topics that do not set it.
 *
 * @param[out] ret_text  [TOPICCONF_VALUE_MAX]
 * @return where it comes from
 */
enum topicconf_source topicconf_box_value(const struct topicconf *conf, const struct config *config,
					  char *ret_text);

/** Fill the settings that the cores use. */
void topicconf_resolve(const struct metaimage_topic *topic, const struct config *config,
		       struct snapshot_topic *ret_topic);

/** @return NULL: a legal name; else the sentence that says why not */
const char *topicconf_name_fault(struct wire_string name);
/** @return true when the names differ only in '.' and '_', so that metrics would mix them up */
bool topicconf_names_collide(struct wire_string a, const char *b);
bool topicconf_is_internal(const char *name);
