/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Control needs no privilege: started by root it becomes an ordinary user.
 *
 * Context: before anything is opened, one thread.
 */
#pragma once

#define CONTROL_LAYER

#include "base/config.h"

/**
 * As root, and when the user of the settings exists: give it <data>/metadata with all in it, let its
 * group read <data> and <data>/log, and be it from here on. Else nothing happens; the log says so.
 *
 * @return 0; -errno
 */
NODISCARD int privileges_drop(const struct config *config);
