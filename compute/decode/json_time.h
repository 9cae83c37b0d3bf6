/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Dates and timestamps as text: the profile of ISO 8601 in RFC 3339, years 0000 to 9999.
 *
 * Context: any thread. Memory: none.
 */
#pragma once

#include "base/defs.h"

#define JSON_TIME_MIN INT64_C(-62167219200000000) /* 0000-01-01, microseconds */
#define JSON_TIME_END INT64_C(253402300800000000) /* 10000-01-01 */

/** "2026-11-23". @return whether it is a day; then days since 1970-01-01 */
bool json_time_date(const uint8_t *text, uint32_t size, int32_t *ret_days);

/**
 * "2026-11-23T10:00:00.123456+01:00": T may be t or a blank, Z z, the zone absent (UTC); what is
 * finer than a microsecond is dropped; a leap second is the first of the next day.
 *
 * @return whether it is a time; then microseconds since 1970-01-01T00:00:00Z
 */
bool json_time_stamp(const uint8_t *text, uint32_t size, int64_t *ret_us);
