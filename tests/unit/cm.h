/* SPDX-License-Identifier: Apache-2.0 */
/** @file cmocka with the headers it wants before it; include this, not <cmocka.h>. */
#pragma once

/* Sorting these breaks cmocka.h. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
