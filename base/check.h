/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Assertions that stay on in production. They state what the code itself guarantees; input, disk,
 * network and memory conditions are returned as errors instead.
 *
 * Context: any thread. Memory: none. Limits: none.
 */
#pragma once

#include "base/defs.h"

/**
 * Print the failed expression and the crash context of the calling thread to stderr, then abort().
 *
 * @param expression  text of what did not hold
 * @param file        source file
 * @param line        source line
 */
NORETURN void check_failed(const char *expression, const char *file, int line);

/**
 * Name what the calling thread is doing, for the report of a failed CHECK.
 *
 * @param context  borrowed until replaced; NULL clears it
 */
void check_context(const char *context);

#define CHECK(x)   (likely(x) ? (void)0 : check_failed(#x, __FILE__, __LINE__))
#define WRONG(why) check_failed("unreachable: " why, __FILE__, __LINE__)

/** DCHECK walks structures: on in debug builds, simulation and fuzzing. */
#ifdef MILLRACE_DEBUG
#define DCHECK(x) CHECK(x)
#else
#define DCHECK(x) ((void)sizeof(x))
#endif

/** Structs that travel through rings or callbacks carry a magic as first member. */
#define CHECK_OBJ(ptr, expected_magic) CHECK((ptr) != NULL && (ptr)->magic == (expected_magic))
