/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrate/dagapi.h"

#define MASK "***"

static bool is_locked(const struct orchestrate *o, struct http_call *call)
{
	const char *error = vault_error(o->vault);

	if (error != NULL)
		http_reply_error(call, 503, "%s", error);
	return error != NULL;
}

static void reply_set(struct orchestrate *o, struct http_call *call, int error, const char *what,
		      const char *name)
{
	if (error != 0)
		dagapi_reply_error(call, error, what, name);
	else
		dagapi_reply_durable(o, call, json_pack("{s:s}", "name", name));
}

/* ---- variables ---- */

void dagapi_get_variables(struct orchestrate *o, struct http_call *call,
			  const struct dagapi_names *names)
{
	json_t *list = json_array(), *value;
	const char *name;

	(void)names;
	if (is_locked(o, call)) {
		json_decref(list);
		return;
	}
	json_object_foreach((json_t *)(uintptr_t)vault_variables(o->vault), name, value)
	{
		json_t *shown = vault_is_secret(name) ? json_string(MASK) : json_incref(value);

		(void)json_array_append_new(list,
					    json_pack("{s:s,s:o}", "key", name, "value", shown));
	}
	http_reply_json(call, 200, json_pack("{s:o}", "variables", list));
}

void dagapi_put_variable(struct orchestrate *o, struct http_call *call,
			 const struct dagapi_names *names)
{
	json_t *body = dagapi_body(call), *value = json_object_get(body, "value");
	char *text = NULL;
	int error = -EINVAL;

	if (body == NULL)
		return;
	if (value == NULL || !dagapi_is_id(names->at[0])) {
		http_reply_error(call, 400,
				 "{\"value\": ...} is wanted, and a name without spaces");
	} else if (!is_locked(o, call)) {
		if (!json_is_string(value))
			text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
		error = vault_set_variable(o->vault, names->at[0],
					   text != NULL ? text : json_string_value(value));
		reply_set(o, call, error, "variable", names->at[0]);
	}
	free(text);
	json_decref(body);
}

void dagapi_delete_variable(struct orchestrate *o, struct http_call *call,
			    const struct dagapi_names *names)
{
	if (!is_locked(o, call))
		reply_set(o, call, vault_set_variable(o->vault, names->at[0], NULL), "variable",
			  names->at[0]);
}

/* ---- connections ---- */

static json_t *masked(const char *id, const json_t *connection)
{
	json_t *json = json_deep_copy(connection), *extra = json_object_get(json, "extra"), *value;
	const char *name;
	void *next;

	dagapi_put(json, "connection_id", json_string(id));
	if (json_string_length(json_object_get(json, "password")) > 0)
		dagapi_put(json, "password", json_string(MASK));
	json_object_foreach_safe(extra, next, name, value)
	{
		if (vault_is_secret(name))
			(void)json_object_set_new(extra, name, json_string(MASK));
	}
	return json;
}

void dagapi_get_connections(struct orchestrate *o, struct http_call *call,
			    const struct dagapi_names *names)
{
	json_t *list = json_array(), *value;
	const char *name;

	(void)names;
	if (is_locked(o, call)) {
		json_decref(list);
		return;
	}
	json_object_foreach((json_t *)(uintptr_t)vault_connections(o->vault), name, value)(void)
		json_array_append_new(list, masked(name, value));
	http_reply_json(call, 200, json_pack("{s:o}", "connections", list));
}

/** @return name of a field that is wrong; NULL: none */
static const char *check_connection(const json_t *body)
{
	static const char *const texts[] = { "conn_type", "host",        "login",        "password",
					     "schema",    "description", "connection_id" };
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)body, name, value)
	{
		bool is_right = false;

		for (size_t i = 0; i < ARRAY_COUNT(texts); i++)
			is_right |= strcmp(texts[i], name) == 0 && json_is_string(value);
		if (strcmp(name, "port") == 0)
			is_right = json_is_integer(value) && json_integer_value(value) > 0 &&
				   json_integer_value(value) < 65536;
		if (strcmp(name, "extra") == 0)
			is_right = json_is_object(value);
		if (!is_right && !json_is_null(value))
			return name;
	}
	return NULL;
}

void dagapi_put_connection(struct orchestrate *o, struct http_call *call,
			   const struct dagapi_names *names)
{
	json_t *body = dagapi_body(call), *value;
	const char *wrong = body != NULL ? check_connection(body) : NULL, *name;
	void *next;

	if (body == NULL)
		return;
	if (wrong != NULL || !dagapi_is_id(names->at[0])) {
		http_reply_error(call, 400,
				 "%s: conn_type, host, login, password, schema are texts, port a "
				 "number, extra an object",
				 wrong != NULL ? wrong : names->at[0]);
	} else if (!is_locked(o, call)) {
		json_object_foreach_safe(body, next, name, value)
		{
			if (json_is_null(value))
				(void)json_object_del(body, name);
		}
		(void)json_object_del(body, "connection_id");
		reply_set(o, call, vault_set_connection(o->vault, names->at[0], body), "connection",
			  names->at[0]);
	}
	json_decref(body);
}

void dagapi_delete_connection(struct orchestrate *o, struct http_call *call,
			      const struct dagapi_names *names)
{
	if (!is_locked(o, call))
		reply_set(o, call, vault_set_connection(o->vault, names->at[0], NULL), "connection",
			  names->at[0]);
}

/* ---- pools ---- */

struct pools {
	struct orchestrate *o;
	json_t *list;
};

static int add_pool(void *context, const char *name, uint32_t slots)
{
	struct pools *pools = context;
	uint32_t used = 0;

	if (!engine_pool(pools->o->engine, name, &slots, &used) && slots == 0)
		return 0;
	(void)json_array_append_new(pools->list,
				    json_pack("{s:s,s:i,s:i}", "name", name, "slots", (int)slots,
					      "occupied_slots", (int)used));
	return 0;
}

static int is_default(void *context, const char *name, uint32_t slots)
{
	(void)context;
	(void)slots;
	return strcmp(name, "default_pool") == 0;
}

void dagapi_get_pools(struct orchestrate *o, struct http_call *call,
		      const struct dagapi_names *names)
{
	struct pools pools = { o, json_array() };

	(void)names;
	if (store_each_pool(o->store, is_default, NULL) == 0)
		(void)add_pool(&pools, "default_pool", 1);
	(void)store_each_pool(o->store, add_pool, &pools);
	http_reply_json(call, 200, json_pack("{s:o}", "pools", pools.list));
}

void dagapi_put_pool(struct orchestrate *o, struct http_call *call,
		     const struct dagapi_names *names)
{
	json_t *body = dagapi_body(call);
	const json_t *slots = json_object_get(body, "slots");
	int64_t count = json_integer_value(slots);

	if (body == NULL)
		return;
	if (!json_is_integer(slots) || count < 0 || count > 1000000 ||
	    !dagapi_is_id(names->at[0])) {
		http_reply_error(call, 400, "{\"slots\": 0 to 1000000} is wanted");
	} else {
		engine_set_pool(o->engine, names->at[0], (uint32_t)count, o->now_us);
		store_save_pool(o->store, names->at[0], (uint32_t)count);
		reply_set(o, call, 0, "pool", names->at[0]);
	}
	json_decref(body);
}
