/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * SipHash-1-3: a keyed hash for tables that strangers can aim at, and for initial sequence numbers.
 *
 * Context: any thread. Memory: none. Source: Aumasson and Bernstein, "SipHash", 2012.
 */
#pragma once

#include "base/defs.h"

struct siphash_key {
	uint64_t k0, k1;
};

/** @return hash of `bytes` [size] under `key` */
uint64_t siphash(const struct siphash_key *key, const void *bytes, size_t size);
