/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Language helpers every file may use: attributes, ownership, small arithmetic.
 *
 * Context: any thread. Memory: none. Limits: none.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NODISCARD              __attribute__((warn_unused_result))
#define NORETURN               __attribute__((noreturn))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define PACKED                 __attribute__((packed))

#define CACHELINE_SIZE 64
#define CACHELINE      __attribute__((aligned(CACHELINE_SIZE)))

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/** Run `fn(&variable)` when the variable leaves its scope. */
#define CLEANUP(fn) __attribute__((cleanup(fn)))

/** Move a pointer out of a CLEANUP variable: yields it and leaves NULL behind. */
#define TAKE_PTR(p)                                                                                \
	({                                                                                         \
		__typeof__(p) taken_ = (p);                                                        \
		(p) = NULL;                                                                        \
		taken_;                                                                            \
	})

/** Define `fn##p(type **)`, the form CLEANUP() wants, for a destructor that accepts NULL. */
#define DEFINE_CLEANUP(type, fn)                                                                   \
	static inline void fn##p(type **p)                                                         \
	{                                                                                          \
		fn(*p);                                                                            \
	}                                                                                          \
	struct fn##_needs_semicolon

#define ARRAY_COUNT(a) (sizeof(a) / sizeof((a)[0]))

/** The struct that holds `member` at address `ptr`. */
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define MIN(a, b)                                                                                  \
	({                                                                                         \
		__typeof__(a) min_a_ = (a);                                                        \
		__typeof__(b) min_b_ = (b);                                                        \
		min_a_ < min_b_ ? min_a_ : min_b_;                                                 \
	})
#define MAX(a, b)                                                                                  \
	({                                                                                         \
		__typeof__(a) max_a_ = (a);                                                        \
		__typeof__(b) max_b_ = (b);                                                        \
		max_a_ > max_b_ ? max_a_ : max_b_;                                                 \
	})

/** Round `x` up or down to a multiple of `align`, a power of two. */
#define ALIGN_UP(x, align)   (((x) + ((__typeof__(x))(align)-1)) & ~((__typeof__(x))(align)-1))
#define ALIGN_DOWN(x, align) ((x) & ~((__typeof__(x))(align)-1))
#define IS_POW2(x)           ((x) != 0 && ((x) & ((x)-1)) == 0)

#define NS_PER_US INT64_C(1000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S  INT64_C(1000000000)
