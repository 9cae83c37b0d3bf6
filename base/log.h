/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Log lines on stderr: time, level, program, text. For cold paths of the processes' own layers
 * (dataplane/core outside the loop, control, command line); base, storage, wire and tcp return
 * errors instead, and poll cores count.
 *
 * Context: any thread but a running poll core. Memory: none. Limits: 1 KiB a line, cut after that.
 */
#pragma once

#include "base/defs.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/** @param program  name shown in each line; borrowed for ever */
void log_init(const char *program, enum log_level level_min);

void log_write(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);

#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)
#define log_info(...)  log_write(LOG_INFO, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
