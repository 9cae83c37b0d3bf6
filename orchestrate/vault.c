/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrate/vault.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/redact.h"

#include "orchestrate/secrets.h"
#include "orchestrate/tasklog.h"

#define LABEL_SIZE 512

struct vault {
	struct store *store;
	struct secrets *secrets;
	json_t *variables, *connections, *masks;
	const char *loading; /* kind, while vault_open() reads */
	bool has_any;        /* a secret is in the store */
	char error[512];
};

bool vault_is_secret(const char *name)
{
	static const char *const signs[] = { "secret", "password", "passwd", "token", "key" };

	for (size_t i = 0; i < ARRAY_COUNT(signs); i++) {
		if (strcasestr(name, signs[i]) != NULL)
			return true;
	}
	return false;
}

/* ---- masks ---- */

static void mask(struct vault *vault, const json_t *value)
{
	if (json_string_length(value) >= REDACT_SIZE_MIN)
		(void)json_array_append_new(vault->masks, json_copy((json_t *)(uintptr_t)value));
}

static void collect_masks(struct vault *vault)
{
	const char *name, *field;
	json_t *value, *part;

	(void)json_array_clear(vault->masks);
	json_object_foreach(vault->variables, name, value)
	{
		if (vault_is_secret(name))
			mask(vault, value);
	}
	json_object_foreach(vault->connections, name, value)
	{
		mask(vault, json_object_get(value, "password"));
		json_object_foreach(json_object_get(value, "extra"), field, part)
		{
			if (vault_is_secret(field))
				mask(vault, part);
		}
	}
}

/* ---- loading ---- */

static int notice(void *context, const char *name, const void *bytes, size_t size)
{
	struct vault *vault = context;

	(void)name;
	(void)bytes;
	(void)size;
	vault->has_any = true;
	return 1;
}

static void label_of(const char *kind, const char *name, char *ret)
{
	(void)snprintf(ret, LABEL_SIZE, "%s/%s", kind, name);
}

static int load(void *context, const char *name, const void *bytes, size_t size)
{
	struct vault *vault = context;
	json_t *into = vault->loading[0] == 'v' ? vault->variables : vault->connections;
	char label[LABEL_SIZE];
	char *text;
	json_t *value;
	int error;

	label_of(vault->loading, name, label);
	error = secrets_unseal(vault->secrets, label, bytes, size, &text);
	if (error != 0) {
		(void)snprintf(vault->error, sizeof(vault->error),
			       "%s %.200s cannot be decrypted: the key is not the one it was "
			       "encrypted with; bring the right orchestrate/key back",
			       vault->loading, name);
		return error;
	}
	value = json_loads(text, JSON_DECODE_ANY, NULL);
	free(text);
	return json_object_set_new(into, name, value) == 0 ? 0 : ERR_CORRUPT;
}

static void read_all(struct vault *vault, const char *key_path)
{
	static const char *const kinds[] = { "variable", "connection" };
	int error = 0;

	for (size_t i = 0; i < ARRAY_COUNT(kinds) && error == 0; i++)
		error = MIN(store_each_secret(vault->store, kinds[i], notice, vault), 0);
	if (error == 0)
		error = secrets_open(key_path, !vault->has_any, &vault->secrets, vault->error,
				     sizeof(vault->error));
	for (size_t i = 0; i < ARRAY_COUNT(kinds) && error == 0; i++) {
		vault->loading = kinds[i];
		error = store_each_secret(vault->store, kinds[i], load, vault);
	}
	if (error != 0 && vault->error[0] == '\0')
		(void)snprintf(vault->error, sizeof(vault->error),
			       "variables and connections cannot be read: %s", err_str(error));
	if (error == 0)
		return;
	log_error("%s", vault->error);
	(void)json_object_clear(vault->variables);
	(void)json_object_clear(vault->connections);
}

int vault_open(struct store *store, const char *key_path, struct vault **ret_vault)
{
	CLEANUP(vault_closep) struct vault *vault = calloc(1, sizeof(*vault));

	if (vault == NULL)
		return -ENOMEM;
	vault->store = store;
	vault->variables = json_object();
	vault->connections = json_object();
	vault->masks = json_array();
	if (vault->variables == NULL || vault->connections == NULL || vault->masks == NULL)
		return -ENOMEM;
	read_all(vault, key_path);
	collect_masks(vault);
	*ret_vault = TAKE_PTR(vault);
	return 0;
}

void vault_close(struct vault *vault)
{
	if (vault == NULL)
		return;
	json_decref(vault->variables);
	json_decref(vault->connections);
	json_decref(vault->masks);
	secrets_close(vault->secrets);
	free(vault);
}

/* ---- reading and changing ---- */

const char *vault_error(const struct vault *vault)
{
	return vault->error[0] != '\0' ? vault->error : NULL;
}

const json_t *vault_variables(const struct vault *vault)
{
	return vault->variables;
}

const json_t *vault_connections(const struct vault *vault)
{
	return vault->connections;
}

const json_t *vault_masks(const struct vault *vault)
{
	return vault->masks;
}

/** @param value  NULL: delete */
static int set(struct vault *vault, json_t *into, const char *kind, const char *name, json_t *value)
{
	char label[LABEL_SIZE];
	uint8_t *bytes = NULL;
	size_t size = 0;
	char *text;
	int error;

	if (vault->error[0] != '\0')
		return -EACCES;
	if (value == NULL) {
		if (json_object_del(into, name) != 0)
			return -ENOENT;
		store_save_secret(vault->store, kind, name, NULL, 0);
		collect_masks(vault);
		return 0;
	}
	text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
	if (text == NULL)
		return -ENOMEM;
	label_of(kind, name, label);
	error = secrets_seal(vault->secrets, label, text, &bytes, &size);
	free(text);
	if (error != 0)
		return error;
	store_save_secret(vault->store, kind, name, bytes, size);
	free(bytes);
	if (json_object_set(into, name, value) != 0)
		return -ENOMEM;
	collect_masks(vault);
	return 0;
}

int vault_set_variable(struct vault *vault, const char *name, const char *value)
{
	json_t *text = value != NULL ? json_string(value) : NULL;
	int error;

	if (value != NULL && text == NULL)
		return -ENOMEM;
	error = set(vault, vault->variables, "variable", name, text);
	json_decref(text);
	return error;
}

int vault_set_connection(struct vault *vault, const char *name, json_t *connection)
{
	return set(vault, vault->connections, "connection", name, connection);
}
