/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Instants as text: RFC 3339.
 *
 * Context: any thread. Memory: none. Limits: years 1 to 9999.
 */
#pragma once

#include "base/defs.h"

#define INSTANT_TEXT_SIZE 40

/** "2026-01-01T00:00:00.000000Z". @param ret  [INSTANT_TEXT_SIZE]. @return ret */
const char *instant_format(int64_t at_us, char *ret);
/**
 * @param text  date and time with an offset or Z; a space may stand for the T; without an offset:
 *              UTC; a date alone: its midnight
 * @return 0; ERR_MALFORMED
 */
NODISCARD int instant_parse(const char *text, int64_t *ret_us);
