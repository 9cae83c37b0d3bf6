/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * SHA-256, for versions of pipelines and definitions of tasks.
 *
 * Context: any thread. Memory: none. Limits: none.
 */
#pragma once

#include "base/defs.h"

#define DIGEST_HEX_SIZE 65 /* with the terminating 0 */

/** SHA-256 of bytes, in lower-case hex, into ret [DIGEST_HEX_SIZE]. */
void digest_hex(const void *bytes, size_t size, char *ret);
