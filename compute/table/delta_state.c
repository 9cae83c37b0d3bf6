/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#include "compute/table/delta_impl.h"

#define ADDED_KEY     ".version" /* in an add: the commit that brought it */
#define READER_TABLE  3          /* from here on features are listed */
#define WRITER_TABLE  7
#define WRITER_KNOWN  2 /* appendOnly and invariants */
#define SETTING_PLAIN "delta.columnMapping.mode"

int delta_state_init(struct delta_state *state)
{
	*state = (struct delta_state){
		.files = json_object(),
		.tombs = json_object(),
		.txns = json_object(),
		.version = -1,
	};
	return state->files != NULL && state->tombs != NULL && state->txns != NULL ? 0 : -ENOMEM;
}

void delta_state_free(struct delta_state *state)
{
	json_decref(state->protocol);
	json_decref(state->metadata);
	json_decref(state->files);
	json_decref(state->tombs);
	json_decref(state->txns);
	*state = (struct delta_state){ .version = -1 };
}

static void replace(json_t **place, json_t *value)
{
	json_decref(*place);
	*place = json_incref(value);
}

/* The values are text or null. */
static bool is_map_of_text(const json_t *map)
{
	json_t *value;
	const char *key;

	if (!json_is_object(map))
		return false;
	json_object_foreach((json_t *)(uintptr_t)map, key, value)
	{
		if (!json_is_string(value) && !json_is_null(value))
			return false;
	}
	return true;
}

static int take_path(json_t *body, const char *kind, char **ret_path, struct delta_error *error)
{
	const char *uri = json_string_value(json_object_get(body, "path"));
	json_t *vector = json_object_get(body, "deletionVector");
	int result;

	if (uri == NULL)
		return delta_text_fail(error, ERR_CORRUPT, "%s without a path", kind);
	if (vector != NULL && !json_is_null(vector))
		return delta_text_fail(
			error, ERR_UNSUPPORTED,
			"deletion vectors are not supported (file %.200s has one); turn "
			"delta.enableDeletionVectors off and run REORG ... APPLY (PURGE) in Spark",
			uri);
	result = delta_text_path(uri, ret_path);
	if (result == ERR_UNSUPPORTED)
		return delta_text_fail(error, result, "file %.200s lies on another kind of storage",
				       uri);
	if (result != 0)
		return delta_text_fail(error, result, "%s with a path that is not valid: %.200s",
				       kind, uri);
	return 0;
}

static int apply_add(struct delta_state *state, json_t *add, struct delta_error *error)
{
	const json_t *stats = json_object_get(add, "stats");
	char *path = NULL;
	int result = take_path(add, "add", &path, error);

	if (result != 0)
		return result;
	if (!is_map_of_text(json_object_get(add, "partitionValues")) ||
	    json_integer_value(json_object_get(add, "size")) < 0 ||
	    !json_is_integer(json_object_get(add, "size")) ||
	    (stats != NULL && !json_is_null(stats) && !json_is_string(stats)))
		result = delta_text_fail(error, ERR_CORRUPT,
					 "add of %.200s: partitionValues, size or stats are not "
					 "what they should be",
					 path);
	else if (json_object_set_new(add, ADDED_KEY, json_integer(state->version)) < 0 ||
		 json_object_set_nocheck(state->files, path, add) < 0)
		result = -ENOMEM;
	(void)json_object_del(state->tombs, path);
	free(path);
	return result;
}

static int apply_remove(struct delta_state *state, json_t *tomb, struct delta_error *error)
{
	char *path = NULL;
	int result = take_path(tomb, "remove", &path, error);

	if (result != 0)
		return result;
	(void)json_object_del(state->files, path);
	result = json_object_set_nocheck(state->tombs, path, tomb) < 0 ? -ENOMEM : 0;
	free(path);
	return result;
}

static int apply_txn(struct delta_state *state, json_t *txn, struct delta_error *error)
{
	const char *app_id = json_string_value(json_object_get(txn, "appId"));

	if (app_id == NULL || !json_is_integer(json_object_get(txn, "version")))
		return delta_text_fail(error, ERR_CORRUPT, "txn without appId and version");
	return json_object_set(state->txns, app_id, txn) < 0 ? -ENOMEM : 0;
}

int delta_state_apply(void *context, const char *kind, json_t *body, struct delta_error *error)
{
	struct delta_state *state = context;

	if (strcmp(kind, "add") == 0)
		return apply_add(state, body, error);
	if (strcmp(kind, "remove") == 0)
		return apply_remove(state, body, error);
	if (strcmp(kind, "txn") == 0)
		return apply_txn(state, body, error);
	if (strcmp(kind, "protocol") == 0) {
		if (!json_is_integer(json_object_get(body, "minReaderVersion")) ||
		    !json_is_integer(json_object_get(body, "minWriterVersion")))
			return delta_text_fail(error, ERR_CORRUPT, "protocol without versions");
		replace(&state->protocol, body);
	} else if (strcmp(kind, "metaData") == 0) {
		if (!json_is_string(json_object_get(body, "schemaString")))
			return delta_text_fail(error, ERR_CORRUPT, "metaData without schemaString");
		replace(&state->metadata, body);
	} else if (strcmp(kind, "sidecar") == 0) {
		return delta_text_fail(error, ERR_UNSUPPORTED,
				       "feature v2Checkpoint is not supported");
	}
	return 0;
}

int64_t delta_state_added(const json_t *add)
{
	return json_integer_value(json_object_get(add, ADDED_KEY));
}

const char *delta_state_setting(const struct delta_state *state, const char *name)
{
	return json_string_value(
		json_object_get(json_object_get(state->metadata, "configuration"), name));
}

/* ---- features ---- */

static bool is_known(const char *feature)
{
	static const char *const known[] = { "appendOnly", "invariants", "timestampNtz",
					     "vacuumProtocolCheck" };

	for (size_t i = 0; i < ARRAY_COUNT(known); i++) {
		if (strcmp(feature, known[i]) == 0)
			return true;
	}
	/* Harmless as long as it is not used, which other checks see to. */
	return strcmp(feature, "columnMapping") == 0;
}

/* @return the first feature of the list that is not known; NULL: none */
static const char *first_unknown(const json_t *features)
{
	json_t *feature;
	size_t index;

	json_array_foreach((json_t *)(uintptr_t)features, index, feature)
	{
		if (!json_is_string(feature) || !is_known(json_string_value(feature)))
			return json_is_string(feature) ? json_string_value(feature) : "?";
	}
	return NULL;
}

int delta_state_readable(const struct delta_state *state, struct delta_error *error)
{
	int64_t version = json_integer_value(json_object_get(state->protocol, "minReaderVersion"));
	const char *unknown = first_unknown(json_object_get(state->protocol, "readerFeatures"));
	const char *mapping = delta_state_setting(state, SETTING_PLAIN);

	if (version < 1 || version > READER_TABLE)
		return delta_text_fail(
			error, ERR_UNSUPPORTED,
			"the table wants reader version %lld; %d is the newest known",
			(long long)version, READER_TABLE);
	if (version == READER_TABLE && unknown != NULL)
		return delta_text_fail(error, ERR_UNSUPPORTED,
				       "the table's feature %.100s is not supported", unknown);
	if (mapping != NULL && strcmp(mapping, "none") != 0)
		return delta_text_fail(error, ERR_UNSUPPORTED,
				       "the table's feature columnMapping is not supported");
	return 0;
}

/* Something in the metadata of columns that a writer would have to honour. */
static const char *column_rule(const json_t *schema)
{
	static const char *const rules[] = { "delta.invariants", "delta.generationExpression",
					     "delta.identity.start" };
	json_t *field;
	size_t index;

	json_array_foreach(json_object_get(schema, "fields"), index, field)
	{
		for (size_t i = 0; i < ARRAY_COUNT(rules); i++) {
			if (json_object_get(json_object_get(field, "metadata"), rules[i]) != NULL)
				return rules[i];
		}
	}
	return NULL;
}

int delta_state_writable(const struct delta_state *state, const json_t *schema,
			 struct delta_error *error)
{
	int64_t version = json_integer_value(json_object_get(state->protocol, "minWriterVersion"));
	const char *unknown = first_unknown(json_object_get(state->protocol, "writerFeatures"));
	const char *rule = column_rule(schema);

	if (version > WRITER_KNOWN && version != WRITER_TABLE)
		return delta_text_fail(error, ERR_UNSUPPORTED,
				       "the table wants writer version %lld (constraints, change "
				       "data feed, generated columns or column mapping): it can be "
				       "read here, not written",
				       (long long)version);
	if (version == WRITER_TABLE && unknown != NULL)
		return delta_text_fail(error, ERR_UNSUPPORTED,
				       "the table's feature %.100s is not supported by writes",
				       unknown);
	if (rule != NULL)
		return delta_text_fail(error, ERR_UNSUPPORTED,
				       "a column has %s, which writes do not support", rule);
	return 0;
}
