/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Single-producer single-consumer ring of pointers between two threads of one process.
 *
 * Context: one pushing thread, one popping thread; no locks, no system calls.
 * Memory: allocated at spsc_new(). Limits: fixed power-of-two capacity.
 */
#pragma once

#include "base/defs.h"

struct spsc;

/** @param capacity  power of two. @return NULL out of memory */
struct spsc *spsc_new(uint32_t capacity);
void spsc_free(struct spsc *ring);

/** @param item  not NULL. @return false when full */
NODISCARD bool spsc_push(struct spsc *ring, void *item);

/** @return oldest item; NULL when empty */
void *spsc_pop(struct spsc *ring);

/** @return whether spsc_pop() would yield NULL now */
bool spsc_is_empty(const struct spsc *ring);
