/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * 128-bit ids in Kafka's form: 16 bytes, shown as 22 characters of unpadded base64url.
 *
 * Context: any thread. Memory: none. Source: org.apache.kafka.common.Uuid.
 */
#pragma once

#include "base/defs.h"

#define UUID_SIZE      16
#define UUID_TEXT_SIZE 23 /* 22 characters and the terminating zero */

struct uuid {
	uint8_t bytes[UUID_SIZE];
};

/** Random version-4 id, never zero and never one of Kafka's reserved ids (< 100). */
void uuid_random(struct uuid *ret_id);

bool uuid_is_zero(const struct uuid *id);
bool uuid_equal(const struct uuid *a, const struct uuid *b);

/** @param[out] ret_text  [UUID_TEXT_SIZE] */
void uuid_format(const struct uuid *id, char *ret_text);

/**
 * @param text  zero-terminated base64url, 22 characters
 * @return 0; ERR_MALFORMED
 */
NODISCARD int uuid_parse(const char *text, struct uuid *ret_id);
