/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Settings: one table (config.def) gives the struct, the parser, the help and the reference page.
 *
 * Syntax is Java properties as in Kafka's server.properties: `name=value`, `#` comments.
 *
 * Context: cold path. Memory: strings live in the struct. Limits: CONFIG_TEXT_MAX a string.
 */
#pragma once

#include <stdio.h>

#include "base/defs.h"

#define CONFIG_TEXT_MAX 256

struct config {
#define CONFIG_STRING(field, name, value, sentence)               char field[CONFIG_TEXT_MAX];
#define CONFIG_INT(field, name, value, min, max, unit, sentence)  int64_t field;
#define CONFIG_BOOL(field, name, value, sentence)                 bool field;
#define CONFIG_INTS(field, name, value, min, max, unit, sentence) char field[CONFIG_TEXT_MAX];
#include "base/config.def"
#undef CONFIG_STRING
#undef CONFIG_INT
#undef CONFIG_BOOL
#undef CONFIG_INTS
};

/** Set every field to its default. */
void config_init(struct config *config);

/**
 * Set one field from text.
 *
 * @param name           as in config.def
 * @param value          text; spaces around it are ignored
 * @param[out] reterr    [reterr_size] sentence that says what is wrong and what is allowed
 * @return 0; ERR_CONFIG unknown name or value not allowed
 */
NODISCARD int config_set(struct config *config, const char *name, const char *value, char *reterr,
			 size_t reterr_size);

/**
 * The same from "name=value", as on command lines; spaces around the name are ignored, too.
 *
 * @return 0; ERR_CONFIG also for text without `=`
 */
NODISCARD int config_assign(struct config *config, const char *text, char *reterr,
			    size_t reterr_size);

/**
 * Read a properties file over the present values.
 *
 * @param[out] reterr  [reterr_size] "path:line: what"
 * @return 0; -errno when the file cannot be read; ERR_CONFIG
 */
NODISCARD int config_load(struct config *config, const char *path, char *reterr,
			  size_t reterr_size);

/** Fill derived settings (run.dir) after all sources were read. */
void config_finish(struct config *config);

/** Write every setting with its present value, one commented line each; a valid input file. */
void config_print(const struct config *config, FILE *out);
