/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/prng.h"

#include "compute/table/delta_impl.h"

int delta_text_fail(struct delta_error *error, int code, const char *fmt, ...)
{
	va_list arguments;

	va_start(arguments, fmt);
	(void)vsnprintf(error->text, error->size, fmt, arguments);
	va_end(arguments);
	return code;
}

static void put_quoted(FILE *out, const char *text, char quote)
{
	(void)fputc(quote, out);
	for (; *text != '\0'; text++) {
		if (*text == quote)
			(void)fputc(quote, out);
		(void)fputc(*text, out);
	}
	(void)fputc(quote, out);
}

void delta_text_literal(FILE *out, const char *text)
{
	put_quoted(out, text, '\'');
}

void delta_text_name(FILE *out, const char *name)
{
	put_quoted(out, name, '"');
}

int delta_text_end(FILE *out, char **text)
{
	int failed = ferror(out);

	if (fclose(out) != 0 || failed) {
		free(*text);
		*text = NULL;
		return -ENOMEM;
	}
	return 0;
}

char *delta_text_uri_encode(const char *path)
{
	static const char hex[] = "0123456789ABCDEF";
	char *uri = malloc(strlen(path) * 3 + 1);
	char *at = uri;

	if (uri == NULL)
		return NULL;
	for (; *path != '\0'; path++) {
		unsigned char c = (unsigned char)*path;

		if (isalnum(c) || strchr("-_.~/=", c) != NULL) {
			*at++ = (char)c;
		} else {
			*at++ = '%';
			*at++ = hex[c >> 4];
			*at++ = hex[c & 15];
		}
	}
	*at = '\0';
	return uri;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

char *delta_text_uri_decode(const char *uri)
{
	char *path = malloc(strlen(uri) + 1);
	char *at = path;

	if (path == NULL)
		return NULL;
	while (*uri != '\0') {
		int high = *uri == '%' ? hex_digit(uri[1]) : 0;
		int low = *uri == '%' && high >= 0 ? hex_digit(uri[2]) : 0;

		if (high < 0 || low < 0 || (*uri == '%' && high + low == 0)) {
			free(path);
			return NULL;
		}
		*at++ = (char)(*uri == '%' ? high << 4 | low : *uri);
		uri += *uri == '%' ? 3 : 1;
	}
	*at = '\0';
	return path;
}

/* Drop empty and "." parts in place. @return false: ".." is among them, or nothing is left */
static bool make_plain(char *path)
{
	char *from = path;
	char *to = path;

	if (*from == '/')
		*to++ = *from++;
	while (*from != '\0') {
		size_t size = strcspn(from, "/");
		bool is_void = size == 0 || (size == 1 && from[0] == '.');

		if (size == 2 && from[0] == '.' && from[1] == '.')
			return false;
		if (!is_void) {
			if (to > path && to[-1] != '/')
				*to++ = '/';
			memmove(to, from, size);
			to += size;
		}
		from += size;
		from += *from == '/';
	}
	*to = '\0';
	return to > path && to[-1] != '/';
}

int delta_text_path(const char *uri, char **ret_path)
{
	char *path;

	if (strncmp(uri, "file:", 5) == 0) {
		uri += 5;
		if (strncmp(uri, "//", 2) == 0)
			uri += 2;
		if (*uri != '/')
			return ERR_UNSUPPORTED;
	} else if (strcspn(uri, ":") < strcspn(uri, "/") && strstr(uri, ":/") != NULL) {
		return ERR_UNSUPPORTED;
	}
	path = delta_text_uri_decode(uri);
	if (path == NULL || !make_plain(path)) {
		free(path);
		return ERR_CORRUPT;
	}
	*ret_path = path;
	return 0;
}

void delta_text_id(char *ret_id)
{
	uint8_t b[16];

	prng_secure(b, sizeof(b));
	b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
	b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
	(void)snprintf(ret_id, DELTA_ID_SIZE,
		       "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
		       b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12],
		       b[13], b[14], b[15]);
}

char *delta_text_value(struct duck_result *result, uint32_t column, uint32_t row)
{
	size_t size;
	const char *text = duck_result_text(result, column, row, &size);

	return text != NULL ? strndup(text, size) : NULL;
}

int delta_text_status(enum duck_status status, const char *message)
{
	if (status == DUCK_OK)
		return 0;
	if (strstr(message, "No space left on device") != NULL ||
	    strstr(message, "File too large") != NULL)
		return -ENOSPC;
	switch (status) {
	case DUCK_MEMORY:
		return -ENOMEM;
	case DUCK_IO:
		return -EIO;
	case DUCK_INTERRUPTED:
		return -ECANCELED;
	case DUCK_POISONED:
		return ERR_POISONED;
	case DUCK_OK:
	case DUCK_USER:
	default:
		return ERR_MALFORMED;
	}
}
