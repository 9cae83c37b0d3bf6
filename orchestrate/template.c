/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrate/template.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrate/template_impl.h"

#define TEXT_FIRST 256

/** What ended a body. */
enum ending { ENDING_TEXT, ENDING_ELIF, ENDING_ELSE, ENDING_ENDIF, ENDING_ENDFOR };

static const char *const endings[] = { "the end of the text", "elif", "else", "endif", "endfor" };

void template_fail(struct template_render *render, int error, const char *format, ...)
{
	va_list args;

	if (render->error != 0)
		return;
	render->error = error;
	render->line = 1;
	for (const char *at = render->text; at < render->at; at++)
		render->line += *at == '\n';
	va_start(args, format);
	(void)vsnprintf(render->message, sizeof(render->message), format, args);
	va_end(args);
}

bool template_step(struct template_render *render)
{
	if (++render->steps > TEMPLATE_STEPS_MAX)
		template_fail(render, ERR_TOO_LARGE, "more than %d steps", TEMPLATE_STEPS_MAX);
	if (render->depth > TEMPLATE_DEPTH_MAX)
		template_fail(render, ERR_TOO_LARGE, "nested deeper than %d", TEMPLATE_DEPTH_MAX);
	return render->error == 0;
}

/* ---- text ---- */

int template_text_add(struct template_text *text, const char *bytes, size_t size)
{
	size_t capacity = MAX(text->capacity, (size_t)TEXT_FIRST);
	char *bigger;

	if (size > TEMPLATE_SIZE_MAX - text->size)
		return ERR_TOO_LARGE;
	while (capacity < text->size + size + 1)
		capacity *= 2;
	if (capacity != text->capacity) {
		bigger = realloc(text->bytes, capacity);
		if (bigger == NULL)
			return -ENOMEM;
		text->bytes = bigger;
		text->capacity = capacity;
	}
	if (size > 0)
		memcpy(text->bytes + text->size, bytes, size);
	text->size += size;
	text->bytes[text->size] = '\0';
	return 0;
}

static int add_json(const char *bytes, size_t size, void *data)
{
	return template_text_add(data, bytes, size);
}

int template_text_value(struct template_text *text, const json_t *value)
{
	const size_t flags = JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(15);

	if (json_is_string(value))
		return template_text_add(text, json_string_value(value), json_string_length(value));
	return json_dump_callback(value, add_json, text, flags) == 0 ? 0 : ERR_TOO_LARGE;
}

json_t *template_text_take(struct template_text *text)
{
	json_t *value =
		text->bytes != NULL ? json_stringn(text->bytes, text->size) : json_string("");

	free(text->bytes);
	*text = (struct template_text){ 0 };
	return value;
}

static void emit(struct template_render *render, const char *bytes, size_t size)
{
	int error;

	if (!render->is_live || render->error != 0)
		return;
	error = template_text_add(&render->out, bytes, size);
	if (error != 0)
		template_fail(render, error, "the result is larger than %u bytes",
			      TEMPLATE_SIZE_MAX);
}

/* ---- tags ---- */

static void end_tag(struct template_render *render, const char *sign)
{
	template_space(render);
	if (render->error != 0)
		return;
	if (*render->at == '-') {
		render->at++;
		render->is_trimming = true;
	}
	if (!template_sign(render, sign))
		template_fail(render, ERR_MALFORMED, "%s expected", sign);
}

/* Plain text up to the next tag; a minus in a tag takes away the white space on its side. */
static void plain(struct template_render *render)
{
	const char *from = render->at, *to;

	if (render->is_trimming)
		from += strspn(from, " \t\r\n");
	render->is_trimming = false;
	for (to = from; *to != '\0'; to++) {
		if (to[0] == '{' && (to[1] == '{' || to[1] == '%' || to[1] == '#'))
			break;
	}
	render->at = to;
	if (*to != '\0' && to[2] == '-') {
		while (to > from && strchr(" \t\r\n", to[-1]) != NULL)
			to--;
	}
	emit(render, from, (size_t)(to - from));
}

static void skip_minus(struct template_render *render)
{
	render->at += 2;
	if (*render->at == '-')
		render->at++;
}

static void comment(struct template_render *render)
{
	const char *end = strstr(render->at + 2, "#}");

	if (end == NULL) {
		template_fail(render, ERR_MALFORMED, "{# is never closed");
		return;
	}
	render->is_trimming = end[-1] == '-' && end > render->at + 2;
	render->at = end + 2;
}

static void print(struct template_render *render)
{
	struct template_text text = { 0 };
	json_t *value;
	int error = 0;

	skip_minus(render);
	value = template_expression(render);
	end_tag(render, "}}");
	if (render->error == 0 && value != NULL)
		error = template_text_value(&text, value);
	if (error != 0)
		template_fail(render, error, "a value is too large");
	else if (text.bytes != NULL)
		emit(render, text.bytes, text.size);
	free(text.bytes);
	json_decref(value);
}

static enum ending body(struct template_render *render);

static bool condition(struct template_render *render)
{
	json_t *value = template_expression(render);
	bool is_true = value != NULL && template_is_true(value);

	end_tag(render, "%}");
	json_decref(value);
	return is_true;
}

static void expect_ending(struct template_render *render, enum ending ending, const char *wanted)
{
	template_fail(render, ERR_MALFORMED, "%s where %s is expected", endings[ending], wanted);
}

static void if_block(struct template_render *render)
{
	bool was_live = render->is_live;
	bool is_taken = condition(render);
	bool is_any = is_taken, has_else = false;
	enum ending ending;

	do {
		render->is_live = was_live && is_taken;
		ending = body(render);
		render->is_live = was_live;
		is_taken = false;
		if (ending == ENDING_ELIF && !has_else) {
			render->is_live = was_live && !is_any;
			is_taken = condition(render);
			is_any = is_any || is_taken;
		} else if (ending == ENDING_ELSE && !has_else) {
			has_else = true;
			is_taken = !is_any;
			end_tag(render, "%}");
		} else if (ending == ENDING_ENDIF) {
			end_tag(render, "%}");
		} else {
			expect_ending(render, ending, "{% endif %}");
		}
	} while (render->error == 0 && ending != ENDING_ENDIF);
	render->is_live = was_live;
}

/* One round of a loop; its body is read anew from `begin`. */
static void round_of(struct template_render *render, const char *begin, bool is_trimming,
		     json_t *value, size_t index, size_t count)
{
	json_t *loop = json_pack("{s:I, s:I, s:b, s:b, s:I}", "index", (json_int_t)index + 1,
				 "index0", (json_int_t)index, "first", index == 0, "last",
				 index + 1 == count, "length", (json_int_t)count);
	enum ending ending;

	render->at = begin;
	render->is_trimming = is_trimming;
	render->locals[render->local_count - 2].value = value;
	render->locals[render->local_count - 1].value = loop;
	ending = body(render);
	if (render->error == 0 && ending != ENDING_ENDFOR)
		expect_ending(render, ending, "{% endfor %}");
	json_decref(loop);
}

/* A list's values, or an object's names. @return new reference; NULL: nothing to go over */
static json_t *items_of(struct template_render *render, json_t *value)
{
	json_t *items, *ignored;
	const char *name;

	if (value == NULL)
		return NULL;
	if (json_is_array(value))
		return json_incref(value);
	if (!json_is_object(value)) {
		template_fail(render, ERR_MALFORMED, "{%% for %%} wants a list or an object");
		return NULL;
	}
	items = json_array();
	json_object_foreach(value, name, ignored)
	{
		if (json_array_append_new(items, json_string(name)) != 0)
			template_fail(render, -ENOMEM, "no memory");
	}
	return items;
}

static void for_block(struct template_render *render)
{
	bool was_live = render->is_live, is_trimming;
	json_t *value, *items;
	const char *name, *begin;
	size_t size, count;

	template_space(render);
	size = template_name(render, &name);
	if (size > 0 && !template_word(render, "in"))
		template_fail(render, ERR_MALFORMED, "`in` expected after {%% for %.*s", (int)size,
			      name);
	value = template_expression(render);
	end_tag(render, "%}");
	items = items_of(render, value);
	json_decref(value);
	if (render->error == 0) {
		begin = render->at;
		is_trimming = render->is_trimming;
		count = json_array_size(items);
		render->locals[render->local_count++] = (struct template_local){ name, size, NULL };
		render->locals[render->local_count++] = (struct template_local){ "loop", 4, NULL };
		render->is_live = was_live && count > 0;
		for (size_t i = 0; render->error == 0 && i < MAX(count, (size_t)1); i++)
			round_of(render, begin, is_trimming, json_array_get(items, i), i, count);
		render->is_live = was_live;
		render->local_count -= 2;
	}
	json_decref(items);
	end_tag(render, "%}");
}

/* A {% tag. @return true: it ends the body, in *ret_ending, and what follows its name is still to read */
static bool block(struct template_render *render, enum ending *ret_ending)
{
	const char *begin = render->at;

	skip_minus(render);
	template_space(render);
	for (enum ending i = ENDING_ELIF; i <= ENDING_ENDFOR; i++) {
		if (template_word(render, endings[i])) {
			*ret_ending = i;
			return true;
		}
	}
	if (template_word(render, "if")) {
		if_block(render);
	} else if (template_word(render, "for")) {
		for_block(render);
	} else {
		render->at = begin;
		template_fail(render, ERR_MALFORMED,
			      "{%% is followed by if, elif, else, endif, for or endfor");
	}
	return false;
}

static enum ending body(struct template_render *render)
{
	enum ending ending = ENDING_TEXT;
	bool is_ended = false;

	render->depth++;
	while (!is_ended && template_step(render)) {
		plain(render);
		if (*render->at == '\0')
			break;
		if (render->at[1] == '{')
			print(render);
		else if (render->at[1] == '#')
			comment(render);
		else
			is_ended = block(render, &ending);
	}
	render->depth--;
	return ending;
}

static void whole(struct template_render *render)
{
	enum ending ending = body(render);

	if (render->error == 0 && ending != ENDING_TEXT)
		expect_ending(render, ending, "text");
	if (render->error == 0)
		emit(render, "", 0);
}

int template_render(const char *text, const json_t *names, char **ret_text, char *reterr,
		    size_t reterr_size)
{
	struct template_render render = {
		.text = text, .at = text, .names = names, .is_live = true
	};

	whole(&render);
	if (render.error != 0) {
		(void)snprintf(reterr, reterr_size, "line %u: %s", render.line, render.message);
		free(render.out.bytes);
		return render.error;
	}
	*ret_text = render.out.bytes;
	return 0;
}

int template_check(const char *text, uint32_t *ret_line, char *reterr, size_t reterr_size)
{
	struct template_render render = { .text = text, .at = text };

	whole(&render);
	if (render.error == 0)
		return 0;
	*ret_line = render.line;
	(void)snprintf(reterr, reterr_size, "%s", render.message);
	return render.error;
}

/* ---- JSON ---- */

static int render_value(const json_t *value, const json_t *names, uint32_t depth,
			json_t **ret_value, char *reterr, size_t reterr_size)
{
	json_t *result, *child, *item;
	const char *name;
	char *text;
	size_t i;
	int error = 0;

	if (depth > TEMPLATE_DEPTH_MAX) {
		(void)snprintf(reterr, reterr_size, "nested deeper than %d", TEMPLATE_DEPTH_MAX);
		return ERR_TOO_LARGE;
	}
	if (json_is_string(value)) {
		error = template_render(json_string_value(value), names, &text, reterr,
					reterr_size);
		if (error != 0)
			return error;
		*ret_value = json_string(text);
		free(text);
		return *ret_value != NULL ? 0 : -ENOMEM;
	}
	if (!json_is_array(value) && !json_is_object(value)) {
		*ret_value = json_copy((json_t *)(uintptr_t)value);
		return *ret_value != NULL ? 0 : -ENOMEM;
	}
	result = json_is_array(value) ? json_array() : json_object();
	json_array_foreach(value, i, item)
	{
		if (error == 0)
			error = render_value(item, names, depth + 1, &child, reterr, reterr_size);
		if (error == 0 && json_array_append_new(result, child) != 0)
			error = -ENOMEM;
	}
	json_object_foreach((json_t *)(uintptr_t)value, name, item)
	{
		if (error == 0)
			error = render_value(item, names, depth + 1, &child, reterr, reterr_size);
		if (error == 0 && json_object_set_new(result, name, child) != 0)
			error = -ENOMEM;
	}
	if (error != 0)
		json_decref(result);
	else
		*ret_value = result;
	return error;
}

int template_render_json(const json_t *value, const json_t *names, json_t **ret_value, char *reterr,
			 size_t reterr_size)
{
	return render_value(value, names, 0, ret_value, reterr, reterr_size);
}
