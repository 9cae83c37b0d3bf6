/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Client requests that are with control and not answered yet, each under a token that is never used
 * twice, so that a late answer to a lost connection meets nobody.
 *
 * Context: the event loop's thread. Memory: heap; PARKED_MAX requests.
 */
#pragma once

#define CONTROL_LAYER

#include "base/defs.h"

#define PARKED_MAX 65536

struct parked_request {
	uint32_t core;
	uint64_t cookie; /* upcall_request.cookie */
	int16_t api_key;
	int16_t version;
};

struct parked;

/** @return NULL out of memory */
struct parked *parked_new(void);
void parked_free(struct parked *parked);
DEFINE_CLEANUP(struct parked, parked_free);

/** @return the token, never 0; 0: PARKED_MAX are there */
uint64_t parked_add(struct parked *parked, const struct parked_request *request);
/** @return NULL: answered or forgotten meanwhile */
const struct parked_request *parked_find(const struct parked *parked, uint64_t token);
/** @return false: answered or forgotten meanwhile */
bool parked_take(struct parked *parked, uint64_t token, struct parked_request *ret_request);
/** Forget all: their connections are gone. */
void parked_clear(struct parked *parked);
uint32_t parked_count(const struct parked *parked);
