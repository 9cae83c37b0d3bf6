/* SPDX-License-Identifier: Apache-2.0 */
/** @file cmocka with the headers it wants before it; include this, not <cmocka.h>. */
#pragma once

/* clang-format off: the order matters */
#include <cmocka.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* clang-format on */
