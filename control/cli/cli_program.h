/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The box's other programs, as the command line starts them.
 *
 * Context: as cli.h. Memory: none.
 */
#pragma once

#define CONTROL_LAYER

#include "control/cli/cli.h"

#define CLI_PROGRAM_ARGUMENTS_MAX 64

/**
 * Find a program beside this one, or where a build tree has it.
 *
 * @param folder  where a build tree has it, seen from this program's folder
 * @return 0; -errno
 */
NODISCARD int cli_program_find(const char *name, const char *folder, char *ret_path, size_t size);

/**
 * Become the program, with the settings that this one was given.
 *
 * @param arguments  [count <= CLI_PROGRAM_ARGUMENTS_MAX] that come before the settings
 */
NORETURN void cli_program_exec(const struct cli *cli, const char *path,
			       const char *const *arguments, int count);
