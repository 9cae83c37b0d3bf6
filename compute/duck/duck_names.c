/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which tables a statement reads, without binding it: DuckDB's parser shows the tree of a SELECT as JSON.
 * Of other statements the SELECT within is taken; where even that has no such form (PIVOT), any dotted name.
 */
#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/check.h"

#include "compute/duck/duck_impl.h"

struct names {
	char **list;
	uint32_t count;
	bool is_out_of_memory;
};

static void add_name(struct names *names, const char *name)
{
	char **grown;

	for (uint32_t i = 0; i < names->count; i++)
		if (strcmp(names->list[i], name) == 0)
			return;
	grown = realloc(names->list, (names->count + 1) * sizeof(*grown));
	if (grown != NULL) {
		names->list = grown;
		grown[names->count] = strdup(name);
	}
	if (grown == NULL || grown[names->count] == NULL)
		names->is_out_of_memory = true;
	else
		names->count++;
}

/* ---- words of SQL ---- */

enum kind { END_OF_TEXT, BLANK, WORD, QUOTED_NAME, TEXT, MARK };

static bool is_word_byte(char byte)
{
	return isalnum((unsigned char)byte) || byte == '_' || (byte & 0x80) != 0;
}

/** @return behind the closing mark, doubled ones passed over; the end if there is none */
static const char *skip_quoted(const char *at, char mark, bool has_escapes)
{
	for (at++; *at != '\0'; at++) {
		if (has_escapes && *at == '\\' && at[1] != '\0')
			at++;
		else if (*at == mark && at[1] == mark)
			at++;
		else if (*at == mark)
			return at + 1;
	}
	return at;
}

/** $tag$ text $tag$. @return NULL: not one */
static const char *skip_dollars(const char *at)
{
	const char *tag_end = at + 1;
	const char *found;
	size_t size;

	while (is_word_byte(*tag_end))
		tag_end++;
	if (*tag_end != '$')
		return NULL;
	size = (size_t)(tag_end + 1 - at);
	found = memmem(tag_end + 1, strlen(tag_end + 1), at, size);
	return found != NULL ? found + size : NULL;
}

static const char *skip_comment(const char *at)
{
	uint32_t depth = 1;

	if (at[0] == '-')
		return at + strcspn(at, "\n");
	for (at += 2; *at != '\0' && depth > 0; at++) {
		if (at[0] == '/' && at[1] == '*') {
			depth++;
			at++;
		} else if (at[0] == '*' && at[1] == '/') {
			depth--;
			at++;
		}
	}
	return at;
}

static const char *skip_token(const char *at, enum kind *ret_kind)
{
	const char *end = NULL;

	*ret_kind = MARK;
	if (*at == '\0') {
		*ret_kind = END_OF_TEXT;
		return at;
	}
	if (isspace((unsigned char)*at) || (at[0] == '-' && at[1] == '-') ||
	    (at[0] == '/' && at[1] == '*')) {
		*ret_kind = BLANK;
		return isspace((unsigned char)*at) ? at + 1 : skip_comment(at);
	}
	if (*at == '\'' || *at == '"') {
		*ret_kind = *at == '"' ? QUOTED_NAME : TEXT;
		return skip_quoted(at, *at, false);
	}
	if ((*at == 'e' || *at == 'E') && at[1] == '\'') {
		*ret_kind = TEXT;
		return skip_quoted(at + 1, '\'', true);
	}
	if (*at == '$')
		end = skip_dollars(at);
	if (end != NULL) {
		*ret_kind = TEXT;
		return end;
	}
	if (!is_word_byte(*at))
		return at + 1;
	*ret_kind = WORD;
	while (is_word_byte(*at))
		at++;
	return at;
}

/** @return where the statement, or the parenthesis that `at` lies in, ends */
static const char *find_end(const char *at)
{
	uint32_t depth = 0;
	enum kind kind;

	for (;;) {
		const char *next = skip_token(at, &kind);

		if (kind == END_OF_TEXT || (kind == MARK && *at == ';'))
			return at;
		if (kind == MARK && *at == ')' && depth-- == 0)
			return at;
		if (kind == MARK && *at == '(')
			depth++;
		at = next;
	}
}

/** Any name with dots that is not called as a function. */
static void add_dotted(struct names *names, const char *at, const char *end)
{
	char name[512] = "";
	size_t size = 0;
	bool is_joined = false, is_dotted = false;
	enum kind kind;

	while (at <= end) {
		const char *next = skip_token(at, &kind);
		const bool is_name = at < end && (kind == WORD || kind == QUOTED_NAME);
		const size_t trim = kind == QUOTED_NAME && next - at > 1;

		if (is_name && (size == 0 || is_joined) &&
		    size + (size_t)(next - at) < sizeof(name)) {
			size += (size_t)snprintf(name + size, sizeof(name) - size, "%.*s",
						 (int)(next - at - 2 * (ptrdiff_t)trim), at + trim);
			is_joined = false;
		} else if (at < end && kind == MARK && *at == '.' && size > 0 && !is_joined &&
			   size + 2 < sizeof(name)) {
			name[size++] = '.';
			is_joined = is_dotted = true;
		} else {
			if (size > 0 && is_dotted && !is_joined &&
			    !isdigit((unsigned char)name[0]) && !(kind == MARK && *at == '('))
				add_name(names, name);
			is_joined = is_dotted = false;
			if (is_name && size > 0) { /* it may begin another */
				size = 0;
				continue;
			}
			size = 0;
		}
		if (kind == END_OF_TEXT)
			break;
		at = next;
	}
}

/* ---- the tree of a SELECT ---- */

static const char *text_of(const json_t *node, const char *key)
{
	const char *text = json_string_value(json_object_get(node, key));

	return text != NULL ? text : "";
}

static bool is_cte(const json_t *ctes, const char *name)
{
	size_t i;
	const json_t *known;

	json_array_foreach(ctes, i,
			   known) if (strcasecmp(json_string_value(known), name) == 0) return true;
	return false;
}

/** Collect names of common table expressions, wherever they stand, then tables that are none of them. */
static void walk(const json_t *node, json_t *ctes, struct names *names)
{
	const char *key;
	const json_t *child;
	size_t i;

	if (json_is_array(node)) {
		json_array_foreach(node, i, child) walk(child, ctes, names);
		return;
	}
	if (names == NULL) {
		json_array_foreach(json_object_get(json_object_get(node, "cte_map"), "map"), i,
				   child)(void)
			json_array_append(ctes, json_object_get(child, "key"));
	} else if (strcmp(text_of(node, "type"), "BASE_TABLE") == 0) {
		const char *schema = text_of(node, "schema_name");
		const char *catalog = text_of(node, "catalog_name");
		const char *table = text_of(node, "table_name");
		char name[1024];

		(void)snprintf(name, sizeof(name), "%s%s%s%s%s", catalog,
			       *catalog != '\0' ? "." : "", schema, *schema != '\0' ? "." : "",
			       table);
		if (*schema != '\0' || !is_cte(ctes, table))
			add_name(names, name);
	}
	json_object_foreach((json_t *)(uintptr_t)node, key,
			    child) if (json_is_object(child) || json_is_array(child))
		walk(child, ctes, names);
}

/** @return the one text that a query on the side yields, caller frees; NULL: it failed */
static char *ask(struct duck *duck, const char *sql)
{
	struct duckdb_result query = { 0 };
	duckdb_handle chunk = NULL;
	char *text = NULL;

	if (duck_api.query(duck->side, sql, &query) == 0)
		chunk = duck_api.fetch_chunk(query);
	if (chunk != NULL && duck_api.data_chunk_get_size(chunk) > 0) {
		const struct column_string *string =
			duck_api.vector_get_data(duck_api.data_chunk_get_vector(chunk, 0));

		text = strndup(column_string_bytes(string), string->size);
	}
	if (chunk != NULL)
		duck_api.destroy_data_chunk(&chunk);
	duck_api.destroy_result(&query);
	return text;
}

/** @return new reference to the parser's answer about SQL [begin, end); NULL: no memory */
static json_t *parse(struct duck *duck, const char *begin, const char *end)
{
	const size_t size = (size_t)(end - begin);
	char *part = strndup(begin, size);
	char *quoted = malloc(2 * size + 3);
	char *sql = NULL, *answer = NULL;
	json_t *tree = NULL;

	if (part != NULL && quoted != NULL &&
	    asprintf(&sql, "SELECT json_serialize_sql(%s)",
		     duck_quote(part, quoted, 2 * size + 3)) >= 0) {
		answer = ask(duck, sql);
		free(sql);
	}
	if (answer != NULL)
		tree = json_loads(answer, JSON_DECODE_INT_AS_REAL, NULL);
	free(answer);
	free(quoted);
	free(part);
	return tree;
}

static bool may_begin_select(const char *word, size_t size)
{
	static const char *const words[] = { "SELECT", "WITH",     "FROM",
					     "VALUES", "DESCRIBE", "SUMMARIZE" };

	for (size_t i = 0; i < ARRAY_COUNT(words); i++)
		if (strlen(words[i]) == size && strncasecmp(word, words[i], size) == 0)
			return true;
	return false;
}

/** Names of one statement [begin, end). */
static void add_statement(struct duck *duck, const char *begin, const char *end,
			  struct names *names)
{
	const char *at = begin;
	enum kind kind;

	while (at < end) {
		const char *next = skip_token(at, &kind);

		if (kind == WORD && may_begin_select(at, (size_t)(next - at))) {
			json_t *tree = parse(duck, at, find_end(at));
			const bool is_select = json_is_false(json_object_get(tree, "error"));
			const bool is_sql = strcmp(text_of(tree, "error_type"), "parser") != 0;

			if (is_select) {
				json_t *ctes = json_array();

				walk(tree, ctes, NULL);
				walk(tree, ctes, names);
				json_decref(ctes);
			}
			names->is_out_of_memory |= tree == NULL;
			json_decref(tree);
			if (is_select)
				return;
			if (is_sql)
				break;
		}
		at = next;
	}
	add_dotted(names, begin, end);
}

const char *duck_first_statement(const char *sql, size_t *ret_size)
{
	const char *end;
	enum kind kind;

	for (;;) {
		const char *next = skip_token(sql, &kind);

		if (kind == END_OF_TEXT || (kind != BLANK && *sql != ';'))
			break;
		sql = next;
	}
	end = find_end(sql);
	while (*end == ')') /* one too many: DuckDB will say so */
		end = find_end(end + 1);
	*ret_size = (size_t)(end - sql);
	return sql;
}

const char *duck_last_statement(const char *sql, size_t *ret_size)
{
	const char *last = duck_first_statement(sql, ret_size);
	size_t size = *ret_size;

	while (size > 0) {
		const char *next = duck_first_statement(last + *ret_size, &size);

		if (size > 0) {
			last = next;
			*ret_size = size;
		}
	}
	return last;
}

enum duck_status duck_table_names(struct duck *duck, const char *sql, char ***ret_names,
				  uint32_t *ret_count, char *reterr, size_t reterr_size)
{
	struct names names = { 0 };
	enum duck_status status = duck_check(duck, sql, reterr, reterr_size);
	enum kind kind = BLANK;

	while (status == DUCK_OK && kind != END_OF_TEXT) {
		const char *end = find_end(sql);

		add_statement(duck, sql, end, &names);
		sql = skip_token(end, &kind);
	}
	if (names.is_out_of_memory) {
		(void)snprintf(reterr, reterr_size, "no memory for the names of tables");
		status = DUCK_MEMORY;
	}
	if (status == DUCK_OK) {
		*ret_names = names.list;
		*ret_count = names.count;
	} else {
		duck_names_free(names.list, names.count);
	}
	return status;
}

void duck_names_free(char **names, uint32_t count)
{
	for (uint32_t i = 0; i < count && names != NULL; i++)
		free(names[i]);
	free(names);
}

/* ---- quotes ---- */

static char *quote(const char *text, char mark, char *out, size_t size)
{
	size_t used = 0;

	CHECK(size >= 2 * strlen(text) + 3);
	out[used++] = mark;
	for (; *text != '\0'; text++) {
		if (*text == mark)
			out[used++] = mark;
		out[used++] = *text;
	}
	out[used++] = mark;
	out[used] = '\0';
	return out;
}

char *duck_quote(const char *text, char *out, size_t size)
{
	return quote(text, '\'', out, size);
}

char *duck_quote_name(const char *name, char *out, size_t size)
{
	return quote(name, '"', out, size);
}
