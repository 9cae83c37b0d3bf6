/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrate/yamltree.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/check.h"
#include "base/err.h"

struct parse {
	yaml_parser_t parser;
	const char *text;
	yamltree_refuse_fn *refuse;
	void *context;
	uint32_t depth, nodes;
	int error;
};

static const char quote_cron[] = "quote cron expressions: schedule: \"*/5 * * * *\"";
static const char quote_preset[] = "quote presets: schedule: \"@daily\"";
static const char quote_template[] = "quote text that begins with a template: \"{{ ds }}\"";

static void refuse(struct parse *parse, yaml_mark_t mark, const char *message, const char *hint)
{
	parse->refuse(parse->context, (uint32_t)mark.line + 1, (uint32_t)mark.column + 1, message,
		      hint);
}

static void give_up(struct parse *parse, int error)
{
	if (parse->error == 0)
		parse->error = error;
}

/** The usual slip in a line: something that YAML reads as its own sign at the begin of a value. */
static const char *slip_in_line(const char *text, size_t line)
{
	const char *at = text, *end;
	char quote = '\0';

	for (size_t i = 0; i < line; i++) {
		at = strchr(at, '\n');
		if (at == NULL)
			return NULL;
		at++;
	}
	end = at + strcspn(at, "\n");
	for (const char *p = at; p < end; p++) {
		if (quote == '\0' && (p == at || strchr(" [,{", p[-1]) != NULL)) {
			if (strncmp(p, "{{", 2) == 0 || strncmp(p, "{%", 2) == 0)
				return quote_template;
			if (*p == '@')
				return quote_preset;
			if (*p == '*')
				return quote_cron;
		}
		if (quote != '\0' ? *p == quote : *p == '"' || *p == '\'')
			quote = quote != '\0' ? '\0' : *p;
	}
	return NULL;
}

static void refuse_syntax(struct parse *parse)
{
	const yaml_parser_t *parser = &parse->parser;
	const char *hint = NULL;
	char message[256];
	yaml_mark_t mark = parser->problem_mark;

	if (parser->error == YAML_MEMORY_ERROR) {
		give_up(parse, -ENOMEM);
		return;
	}
	if (parser->error == YAML_READER_ERROR) {
		memset(&mark, 0, sizeof(mark));
		for (size_t i = 0; i < parser->problem_offset && parse->text[i] != '\0'; i++)
			mark.line += parse->text[i] == '\n';
	} else {
		hint = slip_in_line(parse->text, mark.line);
		if (hint == NULL && parser->context != NULL)
			hint = slip_in_line(parse->text, parser->context_mark.line);
	}
	(void)snprintf(message, sizeof(message), "not valid YAML: %s%s%s",
		       parser->context != NULL ? parser->context : "",
		       parser->context != NULL ? ", " : "",
		       parser->problem != NULL ? parser->problem : "cannot be read");
	refuse(parse, mark, message, hint);
	give_up(parse, ERR_MALFORMED);
}

static bool next(struct parse *parse, yaml_event_t *event)
{
	if (parse->error != 0)
		return false;
	if (yaml_parser_parse(&parse->parser, event) == 0) {
		refuse_syntax(parse);
		return false;
	}
	return true;
}

static bool is_json_number(const char *text)
{
	const char *at = text;

	if (*at == '-')
		at++;
	if (*at == '0')
		at++;
	else if (*at >= '1' && *at <= '9')
		at += strspn(at, "0123456789");
	else
		return false;
	if (*at == '.') {
		size_t digits = strspn(++at, "0123456789");

		if (digits == 0)
			return false;
		at += digits;
	}
	if (*at == 'e' || *at == 'E') {
		size_t digits;

		at++;
		if (*at == '+' || *at == '-')
			at++;
		digits = strspn(at, "0123456789");
		if (digits == 0)
			return false;
		at += digits;
	}
	return *at == '\0';
}

static enum yamltree_kind kind_of(const char *text, bool is_plain)
{
	if (!is_plain)
		return YAMLTREE_TEXT;
	if (*text == '\0')
		return YAMLTREE_NOTHING;
	if (strcmp(text, "null") == 0)
		return YAMLTREE_NULL;
	if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
		return YAMLTREE_BOOL;
	return is_json_number(text) ? YAMLTREE_NUMBER : YAMLTREE_TEXT;
}

static struct yamltree_node *node_new(struct parse *parse, enum yamltree_kind kind,
				      const yaml_event_t *event)
{
	struct yamltree_node *node = NULL;

	if (parse->nodes++ >= YAMLTREE_NODES_MAX) {
		refuse(parse, event->start_mark, "too many values in this file", NULL);
		give_up(parse, ERR_MALFORMED);
		return NULL;
	}
	node = calloc(1, sizeof(*node));
	if (node == NULL) {
		give_up(parse, -ENOMEM);
		return NULL;
	}
	node->kind = kind;
	node->line = (uint32_t)event->start_mark.line + 1;
	node->column = (uint32_t)event->start_mark.column + 1;
	return node;
}

void yamltree_free(struct yamltree_node *node)
{
	if (node == NULL)
		return;
	for (uint32_t i = 0; i < node->count; i++) {
		if (node->key != NULL)
			yamltree_free(node->key[i]);
		yamltree_free(node->at[i]);
	}
	free(node->key);
	free(node->at);
	free(node->text);
	free(node);
}

static void refuse_anchor(struct parse *parse, yaml_mark_t mark, const void *anchor,
			  const void *tag)
{
	if (anchor != NULL)
		refuse(parse, mark, "anchors (&name) are not allowed", "write the value again");
	if (tag != NULL)
		refuse(parse, mark, "tags (!name) are not allowed",
		       "quote text that begins with an exclamation mark");
}

static struct yamltree_node *scalar(struct parse *parse, const yaml_event_t *event)
{
	const char *text = (const char *)event->data.scalar.value;
	bool is_plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	struct yamltree_node *node;

	refuse_anchor(parse, event->start_mark, event->data.scalar.anchor, event->data.scalar.tag);
	if (strlen(text) != event->data.scalar.length)
		refuse(parse, event->start_mark, "text may not hold the character 0", NULL);
	node = node_new(parse, kind_of(text, is_plain), event);
	if (node == NULL)
		return NULL;
	node->is_plain = is_plain;
	node->text = strdup(text);
	if (node->text == NULL)
		give_up(parse, -ENOMEM);
	return node;
}

static struct yamltree_node *value(struct parse *parse, yaml_event_t *event);

/** Room for one more child. Grows by doubling: counts of a power of two are when it is full. */
static bool grow(struct parse *parse, struct yamltree_node *node)
{
	uint32_t room = node->count == 0 ? 1 : node->count * 2;
	struct yamltree_node **at;

	if (node->count != 0 && !IS_POW2(node->count))
		return true;
	at = reallocarray(node->at, room, sizeof(struct yamltree_node *));
	if (at != NULL)
		node->at = at;
	if (at != NULL && node->kind == YAMLTREE_MAP) {
		at = reallocarray(node->key, room, sizeof(struct yamltree_node *));
		if (at != NULL)
			node->key = at;
	}
	if (at == NULL)
		give_up(parse, -ENOMEM);
	return at != NULL;
}

static void fill_list(struct parse *parse, struct yamltree_node *list)
{
	yaml_event_t event;

	while (next(parse, &event)) {
		struct yamltree_node *child;

		if (event.type == YAML_SEQUENCE_END_EVENT) {
			yaml_event_delete(&event);
			return;
		}
		child = value(parse, &event);
		yaml_event_delete(&event);
		if (child != NULL && grow(parse, list))
			list->at[list->count++] = child;
		else
			yamltree_free(child);
	}
}

/** The key of the next pair; NULL: it cannot be one, which has been refused. */
static struct yamltree_node *map_key(struct parse *parse, const struct yamltree_node *map,
				     const yaml_event_t *event)
{
	struct yamltree_node *key;
	char message[128];

	if (event->type != YAML_SCALAR_EVENT) {
		/* `{{ ds }}` without quotes is a map whose key is a map. */
		refuse(parse, event->start_mark, "a key must be text",
		       slip_in_line(parse->text, event->start_mark.line));
		give_up(parse, ERR_MALFORMED);
		return NULL;
	}
	if (map->count >= YAMLTREE_KEYS_MAX) {
		refuse(parse, event->start_mark, "too many keys in this map", NULL);
		give_up(parse, ERR_MALFORMED);
		return NULL;
	}
	key = scalar(parse, event);
	if (key == NULL || key->text == NULL)
		return key;
	if (key->is_plain && strcmp(key->text, "<<") == 0)
		refuse(parse, event->start_mark, "merge keys (<<) are not allowed",
		       "write the keys out");
	for (uint32_t i = 0; i < map->count; i++) {
		if (strcmp(map->key[i]->text, key->text) == 0) {
			(void)snprintf(message, sizeof(message),
				       "`%.60s` is here twice; the first is in line %u", key->text,
				       map->key[i]->line);
			refuse(parse, event->start_mark, message, "remove one of them");
			break;
		}
	}
	return key;
}

static void fill_map(struct parse *parse, struct yamltree_node *map)
{
	yaml_event_t event;

	while (next(parse, &event)) {
		struct yamltree_node *key, *child = NULL;

		if (event.type == YAML_MAPPING_END_EVENT) {
			yaml_event_delete(&event);
			return;
		}
		key = map_key(parse, map, &event);
		yaml_event_delete(&event);
		if (parse->error == 0 && next(parse, &event)) {
			child = value(parse, &event);
			yaml_event_delete(&event);
		}
		if (parse->error == 0 && key != NULL && child != NULL && grow(parse, map)) {
			map->key[map->count] = key;
			map->at[map->count++] = child;
		} else {
			yamltree_free(key);
			yamltree_free(child);
		}
	}
}

static struct yamltree_node *value(struct parse *parse, yaml_event_t *event)
{
	struct yamltree_node *node = NULL;
	bool is_map = event->type == YAML_MAPPING_START_EVENT;

	if (event->type == YAML_SCALAR_EVENT)
		return scalar(parse, event);
	if (event->type == YAML_ALIAS_EVENT) {
		refuse(parse, event->start_mark, "aliases (*name) are not allowed", quote_cron);
		return node_new(parse, YAMLTREE_NOTHING, event);
	}
	CHECK(is_map || event->type == YAML_SEQUENCE_START_EVENT);
	if (is_map)
		refuse_anchor(parse, event->start_mark, event->data.mapping_start.anchor,
			      event->data.mapping_start.tag);
	else
		refuse_anchor(parse, event->start_mark, event->data.sequence_start.anchor,
			      event->data.sequence_start.tag);
	if (parse->depth >= YAMLTREE_DEPTH_MAX) {
		refuse(parse, event->start_mark, "too deeply nested", NULL);
		give_up(parse, ERR_MALFORMED);
		return NULL;
	}
	node = node_new(parse, is_map ? YAMLTREE_MAP : YAMLTREE_LIST, event);
	if (node == NULL)
		return NULL;
	parse->depth++;
	if (is_map)
		fill_map(parse, node);
	else
		fill_list(parse, node);
	parse->depth--;
	return node;
}

static struct yamltree_node *document(struct parse *parse)
{
	struct yamltree_node *root = NULL;
	yaml_event_t event;
	bool is_end = false;

	while (!is_end && next(parse, &event)) {
		if (event.type == YAML_STREAM_END_EVENT) {
			is_end = true;
		} else if (event.type == YAML_DOCUMENT_START_EVENT) {
			if (root != NULL) {
				refuse(parse, event.start_mark, "one document a file",
				       "remove this `---` and what follows");
				give_up(parse, ERR_MALFORMED);
			}
		} else if (event.type != YAML_STREAM_START_EVENT &&
			   event.type != YAML_DOCUMENT_END_EVENT) {
			root = value(parse, &event);
		}
		yaml_event_delete(&event);
	}
	return root;
}

static bool has_tab(struct parse *parse)
{
	yaml_mark_t mark = { 0 };

	for (const char *at = parse->text; *at != '\0'; at++) {
		if (*at == '\t') {
			refuse(parse, mark, "tabs are not allowed", "use spaces");
			return true;
		}
		mark.column = *at == '\n' ? 0 : mark.column + 1;
		mark.line += *at == '\n';
	}
	return false;
}

int yamltree_parse(const char *text, yamltree_refuse_fn *refuse_fn, void *context,
		   struct yamltree_node **ret_root)
{
	struct parse parse = { .text = text, .refuse = refuse_fn, .context = context };
	struct yamltree_node *root;

	if (has_tab(&parse))
		return ERR_MALFORMED;
	if (yaml_parser_initialize(&parse.parser) == 0)
		return -ENOMEM;
	yaml_parser_set_encoding(&parse.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parse.parser, (const unsigned char *)text, strlen(text));
	root = document(&parse);
	yaml_parser_delete(&parse.parser);
	if (parse.error == 0 && root == NULL) {
		refuse_fn(context, 1, 1, "the file is empty", NULL);
		parse.error = ERR_MALFORMED;
	}
	if (parse.error != 0) {
		yamltree_free(root);
		return parse.error;
	}
	*ret_root = root;
	return 0;
}

const struct yamltree_node *yamltree_get(const struct yamltree_node *node, const char *key)
{
	if (node == NULL || node->kind != YAMLTREE_MAP)
		return NULL;
	for (uint32_t i = 0; i < node->count; i++) {
		if (strcmp(node->key[i]->text, key) == 0)
			return node->at[i];
	}
	return NULL;
}

const char *yamltree_kind_name(enum yamltree_kind kind)
{
	static const char *const names[] = {
		[YAMLTREE_NOTHING] = "nothing",    [YAMLTREE_NULL] = "null",
		[YAMLTREE_BOOL] = "true or false", [YAMLTREE_NUMBER] = "a number",
		[YAMLTREE_TEXT] = "text",          [YAMLTREE_LIST] = "a list",
		[YAMLTREE_MAP] = "a map",
	};

	return names[kind];
}

static json_t *json_number(const char *text)
{
	return json_loads(text, JSON_DECODE_ANY, NULL);
}

json_t *yamltree_json(const struct yamltree_node *node)
{
	json_t *json = NULL;

	switch (node->kind) {
	case YAMLTREE_NOTHING:
	case YAMLTREE_NULL:
		return json_null();
	case YAMLTREE_BOOL:
		return json_boolean(node->text[0] == 't');
	case YAMLTREE_NUMBER:
		json = json_number(node->text);
		return json != NULL ? json
				    : json_string(node->text); /* beyond any number's range */
	case YAMLTREE_TEXT:
		return json_string(node->text);
	case YAMLTREE_LIST:
		json = json_array();
		for (uint32_t i = 0; json != NULL && i < node->count; i++) {
			if (json_array_append_new(json, yamltree_json(node->at[i])) != 0) {
				json_decref(json);
				return NULL;
			}
		}
		return json;
	case YAMLTREE_MAP:
		json = json_object();
		for (uint32_t i = 0; json != NULL && i < node->count; i++) {
			if (json_object_set_new(json, node->key[i]->text,
						yamltree_json(node->at[i])) != 0) {
				json_decref(json);
				return NULL;
			}
		}
		return json;
	default:
		return NULL;
	}
}
