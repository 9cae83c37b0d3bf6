/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The live page, page.html, as bytes of the program (made by embed.py).
 *
 * Context: any thread. Memory: constant.
 */
#pragma once

#define CONTROL_LAYER

#include "base/defs.h"

extern const uint8_t page_html[]; /* [page_html_size] */
extern const size_t page_html_size;
