/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Last include of every file that runs on a poll core: makes what must not happen there a compile
 * error. Memory comes from pools made at start, waiting from the loop, reports from counters.
 */
#pragma once

#ifdef CONTROL_LAYER /* defined by every control header */
#error "the data plane never includes control"
#endif
#pragma GCC poison malloc calloc realloc free strdup printf fprintf pthread_mutex_lock
