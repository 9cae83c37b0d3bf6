/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Inside of templates, for template*.c alone: one rendering, which reads the text and acts on it at once.
 *
 * What lies in a branch not taken is read too, with `is_live` false: its syntax counts, its values do not.
 *
 * Context: one thread. Memory: heap.
 */
#pragma once

#include <jansson.h>

#include "base/defs.h"
#include "base/err.h"

#include "orchestrate/template.h"

#define TEMPLATE_STEPS_MAX 100000
#define TEMPLATE_DEPTH_MAX 64
#define TEMPLATE_WORD_MAX  200

struct template_text {
	char *bytes; /* [capacity], `size` of them used; NULL: none yet */
	size_t size;
	size_t capacity;
};

/** Names that a loop adds. */
struct template_local {
	const char *name; /* [size] in the template */
	size_t size;
	json_t *value; /* borrowed */
};

struct template_render {
	const char *text; /* zero-terminated */
	const char *at;
	const json_t *names;
	struct template_local locals[2 * TEMPLATE_DEPTH_MAX];
	uint32_t local_count;
	uint32_t depth;
	uint32_t steps;
	bool is_live;
	bool is_trimming; /* the tag before ended with a minus */
	int error;        /* sticky */
	uint32_t line;    /* of the error */
	char message[512];
	char undefined[400]; /* why the last value was not defined */
	struct template_text out;
};

/** Note the first error and where it is. */
PRINTF_LIKE(3, 4)
void template_fail(struct template_render *render, int error, const char *format, ...);
/** Count a step, and hold nesting against its limit. @return whether to go on */
bool template_step(struct template_render *render);

/** Append. @return 0; ERR_TOO_LARGE; -ENOMEM */
NODISCARD int template_text_add(struct template_text *text, const char *bytes, size_t size);
/** What a value looks like in text: texts as they are, all else as JSON. @return as above */
NODISCARD int template_text_value(struct template_text *text, const json_t *value);
/** The text as a JSON value; the text is empty afterwards. @return NULL: no memory, or not UTF-8 */
json_t *template_text_take(struct template_text *text);

/* ---- expressions ---- */

void template_space(struct template_render *render);
/** Take `word` if it is next, as a whole word. */
bool template_word(struct template_render *render, const char *word);
/** Take these characters if they are next. */
bool template_sign(struct template_render *render, const char *sign);
/** Take a name. @return its size; 0 there is none, which is an error */
size_t template_name(struct template_render *render, const char **ret_name);
/** Read an expression. @return new reference; NULL: not live, or failed */
json_t *template_expression(struct template_render *render);
bool template_is_true(const json_t *value);

/* ---- filters ---- */

#define TEMPLATE_ARGS_MAX 2

/**
 * Apply a filter that template_filter_check() found good.
 *
 * @param name  [name_size]
 * @param args  borrowed
 * @return new reference; NULL with render->error
 */
json_t *template_filter(struct template_render *render, const char *name, size_t name_size,
			json_t *value, json_t *const *args);
/** Judge a filter's name and the number of its arguments. */
void template_filter_check(struct template_render *render, const char *name, size_t name_size,
			   uint32_t arg_count);
