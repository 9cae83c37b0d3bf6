/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Error numbers. Functions return 0 or a count on success, -errno or one of these on failure.
 * Kafka's protocol errors are another type: `enum kafka_err` in dataplane/wire.
 *
 * Context: any thread. Memory: none. Limits: none.
 */
#pragma once

#include "base/defs.h"

enum err {
#define ERR(name, value, text) name = (value),
#include "base/err.def"
#undef ERR
};

/**
 * Text for an error number.
 *
 * @param error  0, -errno or one of `enum err`
 * @return static text; never NULL
 */
const char *err_str(int error);
