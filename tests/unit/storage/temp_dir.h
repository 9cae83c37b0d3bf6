/* SPDX-License-Identifier: Apache-2.0 */
/** @file A directory of its own for one test: $TMPDIR or /var/tmp, so on a disk rather than tmpfs. */
#pragma once

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"

#define TEMP_PATH_SIZE 512

static inline int temp_dir_remove_one(const char *path, const struct stat *st, int type,
				      struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

/** @param[out] ret_path  [TEMP_PATH_SIZE] */
static inline void temp_dir_make(char *ret_path)
{
	const char *parent = getenv("TMPDIR");

	(void)snprintf(ret_path, TEMP_PATH_SIZE, "%s/millrace-test-XXXXXX",
		       parent != NULL ? parent : "/var/tmp");
	CHECK(mkdtemp(ret_path) != NULL);
}

static inline void temp_dir_remove(const char *path)
{
	CHECK(nftw(path, temp_dir_remove_one, 8, FTW_DEPTH | FTW_PHYS) == 0);
}

/** @param[out] ret_path  [TEMP_PATH_SIZE] `dir`/`name` */
static inline void temp_dir_path(const char *dir, const char *name, char *ret_path)
{
	CHECK(snprintf(ret_path, TEMP_PATH_SIZE, "%s/%s", dir, name) < TEMP_PATH_SIZE);
}
