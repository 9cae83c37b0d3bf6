/* SPDX-License-Identifier: Apache-2.0 */
#include "base/config.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/err.h"

enum kind { KIND_STRING, KIND_INT, KIND_BOOL, KIND_INTS };

struct setting {
	const char *name;
	enum kind kind;
	size_t at; /* byte position of the field in struct config */
	const char *text;
	int64_t number, min, max;
	const char *unit;
	const char *sentence;
};

static const struct setting settings[] = {
#define CONFIG_STRING(field, name, value, sentence)                                                \
	{ name, KIND_STRING, offsetof(struct config, field), value, 0, 0, 0, "text", sentence },
#define CONFIG_INT(field, name, value, min, max, unit, sentence)                                   \
	{ name, KIND_INT, offsetof(struct config, field), "", value, min, max, unit, sentence },
#define CONFIG_BOOL(field, name, value, sentence)                                                  \
	{                                                                                          \
		name,         KIND_BOOL, offsetof(struct config, field), "", value, 0, 1,          \
		"true|false", sentence                                                             \
	},
#define CONFIG_INTS(field, name, value, min, max, unit, sentence)                                  \
	{ name, KIND_INTS, offsetof(struct config, field), value, 0, min, max, unit, sentence },
#include "base/config.def"
#undef CONFIG_STRING
#undef CONFIG_INT
#undef CONFIG_BOOL
#undef CONFIG_INTS
};

static bool is_text(const struct setting *setting)
{
	return setting->kind == KIND_STRING || setting->kind == KIND_INTS;
}

static char *text_field(struct config *config, const struct setting *setting)
{
	return (char *)config + setting->at;
}

static void store_number(struct config *config, const struct setting *setting, int64_t number)
{
	void *field = (char *)config + setting->at;

	if (setting->kind == KIND_BOOL)
		*(bool *)field = number != 0;
	else
		*(int64_t *)field = number;
}

void config_init(struct config *config)
{
	memset(config, 0, sizeof(*config));
	for (size_t i = 0; i < ARRAY_COUNT(settings); i++) {
		const struct setting *setting = &settings[i];

		if (is_text(setting))
			(void)snprintf(text_field(config, setting), CONFIG_TEXT_MAX, "%s",
				       setting->text);
		else
			store_number(config, setting, setting->number);
	}
}

/** Trim spaces around `text` into `ret` [CONFIG_TEXT_MAX]. @return false: too long */
static bool trim(const char *text, char *ret)
{
	size_t size;

	while (isspace((unsigned char)*text))
		text++;
	size = strlen(text);
	while (size > 0 && isspace((unsigned char)text[size - 1]))
		size--;
	if (size >= CONFIG_TEXT_MAX)
		return false;
	memcpy(ret, text, size);
	ret[size] = '\0';
	return true;
}

/* A number of the setting's range, up to `end_char` or the end of the text. @return where it ended */
static const char *read_number(const struct setting *setting, const char *text, char end_char,
			       int64_t *ret_number)
{
	char *end;
	long long number;

	errno = 0;
	number = strtoll(text, &end, 10);
	if (end == text || (*end != '\0' && *end != end_char) || errno != 0 ||
	    number < setting->min || number > setting->max)
		return NULL;
	*ret_number = number;
	return end;
}

static int refuse_number(const struct setting *setting, const char *text, char *reterr,
			 size_t reterr_size)
{
	(void)snprintf(reterr, reterr_size,
		       "%s: '%s' is not a number from %" PRId64 " to %" PRId64 " (%s)%s",
		       setting->name, text, setting->min, setting->max, setting->unit,
		       setting->kind == KIND_INTS ? ", or a list of such with commas" : "");
	return ERR_CONFIG;
}

static int set_number(struct config *config, const struct setting *setting, const char *text,
		      char *reterr, size_t reterr_size)
{
	int64_t number;

	if (read_number(setting, text, '\0', &number) == NULL)
		return refuse_number(setting, text, reterr, reterr_size);
	store_number(config, setting, number);
	return 0;
}

static int set_numbers(struct config *config, const struct setting *setting, const char *text,
		       char *reterr, size_t reterr_size)
{
	const char *at = text;
	int64_t number;

	do {
		at = read_number(setting, at, ',', &number);
		if (at == NULL)
			return refuse_number(setting, text, reterr, reterr_size);
	} while (*at++ == ',');
	(void)snprintf(text_field(config, setting), CONFIG_TEXT_MAX, "%s", text);
	return 0;
}

static int set_bool(struct config *config, const struct setting *setting, const char *text,
		    char *reterr, size_t reterr_size)
{
	bool is_true = strcmp(text, "true") == 0;

	if (!is_true && strcmp(text, "false") != 0) {
		(void)snprintf(reterr, reterr_size, "%s: '%s' is neither true nor false",
			       setting->name, text);
		return ERR_CONFIG;
	}
	store_number(config, setting, is_true);
	return 0;
}

int config_set(struct config *config, const char *name, const char *value, char *reterr,
	       size_t reterr_size)
{
	char text[CONFIG_TEXT_MAX];

	if (!trim(value, text)) {
		(void)snprintf(reterr, reterr_size, "%s: longer than %d characters", name,
			       CONFIG_TEXT_MAX - 1);
		return ERR_CONFIG;
	}
	for (size_t i = 0; i < ARRAY_COUNT(settings); i++) {
		const struct setting *setting = &settings[i];

		if (strcmp(setting->name, name) != 0)
			continue;
		if (setting->kind == KIND_INT)
			return set_number(config, setting, text, reterr, reterr_size);
		if (setting->kind == KIND_BOOL)
			return set_bool(config, setting, text, reterr, reterr_size);
		if (setting->kind == KIND_INTS)
			return set_numbers(config, setting, text, reterr, reterr_size);
		(void)snprintf(text_field(config, setting), CONFIG_TEXT_MAX, "%s", text);
		return 0;
	}
	(void)snprintf(reterr, reterr_size, "%s: no such setting; `millrace config` lists them all",
		       name);
	return ERR_CONFIG;
}

int config_assign(struct config *config, const char *text, char *reterr, size_t reterr_size)
{
	const char *equals = strchr(text, '=');
	char left[CONFIG_TEXT_MAX], name[CONFIG_TEXT_MAX];

	if (equals == NULL || (size_t)(equals - text) >= sizeof(left)) {
		(void)snprintf(reterr, reterr_size, "%s: NAME=VALUE is wanted", text);
		return ERR_CONFIG;
	}
	memcpy(left, text, (size_t)(equals - text));
	left[equals - text] = '\0';
	(void)trim(left, name); /* it is no longer than what it was */
	return config_set(config, name, equals + 1, reterr, reterr_size);
}

/** Handle one line of a file. @return 0; ERR_CONFIG with `reterr` set */
static int load_line(struct config *config, char *line, char *reterr, size_t reterr_size)
{
	line[strcspn(line, "\r\n")] = '\0';
	while (isspace((unsigned char)*line))
		line++;
	if (*line == '\0' || *line == '#' || *line == '!')
		return 0;
	return config_assign(config, line, reterr, reterr_size);
}

int config_load(struct config *config, const char *path, char *reterr, size_t reterr_size)
{
	char line[2 * CONFIG_TEXT_MAX], why[2 * CONFIG_TEXT_MAX];
	FILE *file = fopen(path, "re");
	int error = 0;

	if (file == NULL) {
		error = -errno;
		(void)snprintf(reterr, reterr_size, "%s: %s", path, err_str(error));
		return error;
	}
	for (int number = 1; error == 0 && fgets(line, sizeof(line), file) != NULL; number++) {
		if (strchr(line, '\n') == NULL && !feof(file)) {
			(void)snprintf(why, sizeof(why), "line is too long");
			error = ERR_CONFIG;
		} else {
			error = load_line(config, line, why, sizeof(why));
		}
		if (error != 0)
			(void)snprintf(reterr, reterr_size, "%s:%d: %s", path, number, why);
	}
	(void)fclose(file);
	return error;
}

/** An empty setting becomes a folder below another; one that would be too long stays empty. */
static void fill_folder(char folder[static CONFIG_TEXT_MAX], const char *parent, const char *name)
{
	char path[2 * CONFIG_TEXT_MAX];
	int size = snprintf(path, sizeof(path), "%s/%s", parent, name);

	if (folder[0] == '\0' && size > 0 && size < CONFIG_TEXT_MAX)
		memcpy(folder, path, (size_t)size + 1);
}

void config_finish(struct config *config)
{
	if (config->run_dir[0] == '\0')
		(void)snprintf(
			config->run_dir, sizeof(config->run_dir), "/dev/shm/millrace-%08x",
			crc32c_extend(CRC32C_INIT, config->data_dir, strlen(config->data_dir)));
	fill_folder(config->tables_dir, config->data_dir, "tables");
	fill_folder(config->worker_spill_dir, config->data_dir, "spill");
}

void config_print(const struct config *config, FILE *out)
{
	for (size_t i = 0; i < ARRAY_COUNT(settings); i++) {
		const struct setting *setting = &settings[i];
		const void *field = (const char *)config + setting->at;

		(void)fprintf(out, "# %s", setting->sentence);
		if (setting->kind == KIND_INT || setting->kind == KIND_INTS)
			(void)fprintf(out, " (%s, %" PRId64 " to %" PRId64 ")", setting->unit,
				      setting->min, setting->max);
		(void)fprintf(out, "\n%s=", setting->name);
		if (is_text(setting))
			(void)fprintf(out, "%s\n", (const char *)field);
		else if (setting->kind == KIND_BOOL)
			(void)fprintf(out, "%s\n", *(const bool *)field ? "true" : "false");
		else
			(void)fprintf(out, "%" PRId64 "\n", *(const int64_t *)field);
	}
}
