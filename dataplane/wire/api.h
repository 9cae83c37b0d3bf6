/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The requests this box serves: key, versions, who answers. `enum wire_api` is in wire_gen.h.
 *
 * Context: any thread. Memory: static tables. Source: Kafka 4.3.1, schema/ beside this file.
 */
#pragma once

#include "dataplane/wire/wire_gen.h"

struct wire_api_info {
	int16_t key;
	int16_t min; /* versions that decode and encode */
	int16_t max;
	int16_t flexible_from;  /* first version with compact sizes and tagged fields */
	int16_t advertised_min; /* what ApiVersions says; below `min` only for Produce */
	const char *name;
	bool in_control; /* answered by control; false: by the core that received it */
};

/** In order of key. */
extern const struct wire_api_info wire_apis[];
extern const size_t wire_api_count;

/** @return the api's row; NULL when this box does not serve `key` */
const struct wire_api_info *wire_api_info(int16_t key);

/** @return true when requests of that api and version can be decoded */
bool wire_api_is_served(int16_t key, int16_t version);

/** @return the codec of a message; NULL when there is none */
const struct wire_codec *wire_codec_get(enum wire_kind kind, int16_t key);
