/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * YAML text as one tree with the place of every node, read strictly: plain scalars have a type by JSON's
 * rules only (true, false, null, numbers), everything else is text as written; duplicate keys, anchors,
 * aliases, tags, merge keys, tabs and further documents are refused.
 *
 * Context: any thread. Memory: heap. Limits: YAMLTREE_DEPTH_MAX levels, YAMLTREE_NODES_MAX nodes,
 * YAMLTREE_KEYS_MAX keys of one map.
 */
#pragma once

#include <jansson.h>

#include "base/defs.h"

#define YAMLTREE_DEPTH_MAX 32
#define YAMLTREE_NODES_MAX 100000
#define YAMLTREE_KEYS_MAX  2000 /* they are compared one by one */

enum yamltree_kind {
	YAMLTREE_NOTHING, /* a key without a value */
	YAMLTREE_NULL,
	YAMLTREE_BOOL,
	YAMLTREE_NUMBER, /* as JSON writes one */
	YAMLTREE_TEXT,
	YAMLTREE_LIST,
	YAMLTREE_MAP,
};

struct yamltree_node {
	enum yamltree_kind kind;
	uint32_t line, column;      /* from 1 */
	bool is_plain;              /* a scalar without quotes */
	char *text;                 /* a scalar as written; NULL for lists and maps */
	uint32_t count;             /* of a list; of a map: pairs */
	struct yamltree_node **at;  /* values [count] */
	struct yamltree_node **key; /* of a map: its keys [count], all text */
};

/** A refusal: where (from 1), what, and a hint or NULL. Texts are borrowed during the call. */
typedef void yamltree_refuse_fn(void *context, uint32_t line, uint32_t column, const char *message,
				const char *hint);

/**
 * @param refuse         called for every fault
 * @param[out] ret_root  caller frees
 * @return 0 (there may have been refusals of things that could be left out); ERR_MALFORMED (there was
 *         a refusal); -ENOMEM
 */
NODISCARD int yamltree_parse(const char *text, yamltree_refuse_fn *refuse, void *context,
			     struct yamltree_node **ret_root);
/** NULL is accepted. */
void yamltree_free(struct yamltree_node *node);
DEFINE_CLEANUP(struct yamltree_node, yamltree_free);

/** @return a value of a map; NULL: no such key, or `node` is no map */
const struct yamltree_node *yamltree_get(const struct yamltree_node *node, const char *key);
/** "a number", "text", ...: for messages. */
const char *yamltree_kind_name(enum yamltree_kind kind);
/** The subtree as JSON. @return new reference; NULL: no memory */
json_t *yamltree_json(const struct yamltree_node *node);
