/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Well-formed UTF-8: names of groups, members and clients come from anyone and go into JSON and
 * metrics.
 *
 * Context: any thread. Memory: none. Source: Unicode, table 3-7.
 */
#pragma once

#define CONTROL_LAYER

#include "base/defs.h"

#define UTF8_REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/** @param text  zero-terminated. @return bytes of its first character, 1 to 4; 0: not well-formed */
uint32_t utf8_size(const char *text);

/** Copy, with every byte that is not well-formed replaced. Caller frees with free(). @return NULL out of memory */
char *utf8_clean(const char *text);
