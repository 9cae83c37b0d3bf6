/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Control and workers need no privilege: started by root they become an ordinary user.
 *
 * Context: before anything is opened, one thread.
 */
#pragma once

#include "base/config.h"

/**
 * As root, and when the user of the settings exists: make the folders and give them to it with all that is in
 * them (if the folder itself is not its own yet), let its group read <data> and <data>/log, and be
 * it from here on, with the signal at the parent's death that was set. Else nothing happens; the log says so.
 *
 * @param folders  [count] absolute paths; parents must exist
 * @return 0; -errno
 */
NODISCARD int privileges_drop(const struct config *config, const char *const *folders,
			      uint32_t count);
