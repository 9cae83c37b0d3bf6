/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Lists of CPUs as settings write them.
 *
 * Context: any thread. Memory: none.
 */
#pragma once

#include "base/defs.h"

/** Parse "0,2-3"; empty is an empty list. @return number of CPUs; ERR_CONFIG */
NODISCARD int cpulist_parse(const char *text, uint32_t *ret_cpus, uint32_t cpus_max);
