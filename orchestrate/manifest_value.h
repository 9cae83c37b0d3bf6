/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Typed values of a manifest, and the report of what is wrong with them. A reader of a value that is not
 * there (NULL) or not right leaves its output untouched; what is not right is reported.
 *
 * Context: any thread. Memory: heap. Limits: MANIFEST_ERRORS_MAX errors are kept.
 */
#pragma once

#include <jansson.h>

#include "base/defs.h"

#include "orchestrate/yamltree.h"

#define MANIFEST_ERRORS_MAX 20
#define MANIFEST_FILE       "pipeline.yaml"

struct manifest_report {
	json_t *errors; /* as of manifest_parse() */
	bool is_out_of_memory;
};

/** Report a fault at a place of a file. @param hint  NULL: none */
void manifest_value_refuse_at(struct manifest_report *report, const char *file, uint32_t line,
			      uint32_t column, const char *message, const char *hint);
/** The same at a node of the manifest. */
PRINTF_LIKE(4, 5)
void manifest_value_refuse(struct manifest_report *report, const struct yamltree_node *node,
			   const char *hint, const char *format, ...);
/** "did you mean `x`?" into ret [size], by the nearest of names [count]; NULL when none is near. */
const char *manifest_value_near(const char *name, const char *const *names, size_t count, char *ret,
				size_t size);

/** A map with no other keys than these [count]. @return it; NULL (reported unless node is NULL) */
const struct yamltree_node *manifest_value_map(struct manifest_report *report,
					       const struct yamltree_node *node, const char *what,
					       const char *const *keys, size_t count);
/** @return true: a list, or a map, as said; else reported unless node is NULL */
bool manifest_value_is(struct manifest_report *report, const struct yamltree_node *node,
		       enum yamltree_kind kind);
void manifest_value_text(struct manifest_report *report, const struct yamltree_node *node,
			 const char **ret);
/** Anything but a list or map, as written: 0644 and no stay what they are. */
void manifest_value_scalar(struct manifest_report *report, const struct yamltree_node *node,
			   const char **ret);
void manifest_value_bool(struct manifest_report *report, const struct yamltree_node *node,
			 bool *ret);
void manifest_value_integer(struct manifest_report *report, const struct yamltree_node *node,
			    int64_t min, int64_t max, int64_t *ret);
void manifest_value_number(struct manifest_report *report, const struct yamltree_node *node,
			   double min, double max, double *ret);
/** "5s", "10m", "6h", "1d", "250ms" or seconds. */
void manifest_value_duration(struct manifest_report *report, const struct yamltree_node *node,
			     int64_t *ret_us);
/** "512MB", "2GB" or bytes. */
void manifest_value_size(struct manifest_report *report, const struct yamltree_node *node,
			 int64_t *ret);
/** One of names [count]. */
void manifest_value_choice(struct manifest_report *report, const struct yamltree_node *node,
			   const char *const *names, size_t count, int *ret_index);
/** A list of texts that differ. @return array, new reference; NULL */
json_t *manifest_value_texts(struct manifest_report *report, const struct yamltree_node *node);
/** Any value as JSON; numbers that would not come out as written are reported. @return new reference; NULL */
json_t *manifest_value_json(struct manifest_report *report, const struct yamltree_node *node);
/** "schema.table" of a-z, 0-9 and _. */
void manifest_value_table(struct manifest_report *report, const struct yamltree_node *node,
			  const char **ret);
/** Text with templates: their syntax. */
void manifest_value_template(struct manifest_report *report, const struct yamltree_node *node);
/** The same for all text in a subtree. */
void manifest_value_templates(struct manifest_report *report, const struct yamltree_node *node);

/** Put a value (taken; NULL: left out) into an object; lack of memory is noted. */
void manifest_value_put(struct manifest_report *report, json_t *object, const char *key,
			json_t *value);
