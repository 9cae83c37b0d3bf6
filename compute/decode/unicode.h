/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * UTF-8 check (RFC 3629: no overlong forms, surrogates, or code points above U+10FFFF).
 *
 * Context: any thread. Memory: none.
 */
#pragma once

#include "base/defs.h"

/** @return size when all bytes are well-formed UTF-8; else where the first bad sequence begins */
size_t unicode_check(const uint8_t *bytes, size_t size);
