/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Single-producer single-consumer ring of variable-length records in shared memory, between threads
 * or processes. The consumer trusts nothing it reads: a record with an impossible size is an error,
 * never an access outside the ring.
 *
 * Context: one producing and one consuming thread. Memory: the caller's mapping (memfd or heap).
 * Limits: power-of-two capacity; a record of at most capacity / 4 bytes.
 */
#pragma once

#include "base/defs.h"

struct bytering; /* at the start of the mapping */

/** @return bytes of memory that a ring of `capacity` (power of two) needs */
size_t bytering_memory_size(uint32_t capacity);

/** Format [bytering_memory_size(capacity)] bytes as an empty ring. */
struct bytering *bytering_init(void *memory, uint32_t capacity);

/** Check a mapping formatted by the other side. @return NULL when it is not a ring of that capacity */
struct bytering *bytering_attach(void *memory, size_t memory_size, uint32_t capacity);

/** Producer: room for a record of `size` bytes, contiguous. @return NULL when full (count it) */
void *bytering_claim(struct bytering *ring, uint32_t size);
/** Producer: publish the claimed record, possibly shorter. */
void bytering_publish(struct bytering *ring, uint32_t size);

/**
 * Consumer: oldest record, in place until bytering_release().
 *
 * @return 1 a record; 0 none; ERR_CORRUPT the producer broke the ring: drop it
 */
NODISCARD int bytering_peek(struct bytering *ring, const void **ret_record, uint32_t *ret_size);
void bytering_release(struct bytering *ring);
