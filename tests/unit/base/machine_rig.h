/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * A made-up machine: a folder with the files a test wants, and what was said about it.
 *
 * Context: one test. Memory: a folder below /tmp, removed by rig_close().
 */
#pragma once

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/machine.h"

#include "cm.h"

#define RIG_FINDINGS_MAX 64

struct rig {
	char root[64];
	struct machine machine;
	struct machine_link link; /* what ioctls tell */
	struct config config;
	uint32_t count;
	struct machine_finding findings[RIG_FINDINGS_MAX];
};

static struct rig *the_rig; /* of the test under way, for what has no context argument */

static inline void rig_say(void *ctx, const struct machine_finding *finding)
{
	struct rig *rig = ctx;

	assert_true(rig->count < RIG_FINDINGS_MAX);
	assert_int_equal(finding->remedy[0] == '\0', finding->verdict == MACHINE_GOOD);
	rig->findings[rig->count++] = *finding;
}

static inline int rig_ask_link(const char *name, struct machine_link *ret_link)
{
	(void)name;
	*ret_link = the_rig->link;
	return ret_link->driver[0] != '\0' ? 0 : -ENODEV;
}

static inline void rig_open(struct rig *rig)
{
	memset(rig, 0, sizeof(*rig));
	(void)snprintf(rig->root, sizeof(rig->root), "/tmp/test_machine.XXXXXX");
	assert_non_null(mkdtemp(rig->root));
	machine_init(&rig->machine, rig_say, rig);
	rig->machine.root = rig->root;
	rig->machine.link = rig_ask_link;
	config_init(&rig->config);
	the_rig = rig;
}

static inline int rig_remove(const char *path, const struct stat *info, int type, struct FTW *ftw)
{
	(void)info;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void rig_close(struct rig *rig)
{
	assert_int_equal(nftw(rig->root, rig_remove, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static inline void rig_make_folders(char *path)
{
	for (char *at = path + 1; (at = strchr(at, '/')) != NULL; at++) {
		*at = '\0';
		assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
		*at = '/';
	}
}

static inline void rig_write(struct rig *rig, const char *name, const char *text)
{
	char path[512];
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s%s", rig->root, name);
	rig_make_folders(path);
	file = fopen(path, "we");
	assert_non_null(file);
	(void)fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

static inline void PRINTF_LIKE(3, 4)
	rig_link(struct rig *rig, const char *name, const char *fmt, ...)
{
	char path[512], target[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(target, sizeof(target), fmt, ap);
	va_end(ap);
	(void)snprintf(path, sizeof(path), "%s%s", rig->root, name);
	rig_make_folders(path);
	(void)unlink(path);
	assert_int_equal(symlink(target, path), 0);
}

static inline const struct machine_finding *rig_finding(const struct rig *rig, const char *check)
{
	for (uint32_t i = 0; i < rig->count; i++) {
		if (strcmp(rig->findings[i].check, check) == 0)
			return &rig->findings[i];
	}
	fail_msg("nothing was said of %s", check);
	return &rig->findings[0];
}

static inline const char *rig_found(const struct rig *rig, const char *check)
{
	return rig_finding(rig, check)->found;
}

/** A finding of this name has this verdict, and its texts contain these. */
static inline void rig_expect(const struct rig *rig, const char *check,
			      enum machine_verdict verdict, const char *found, const char *remedy)
{
	const struct machine_finding *finding = rig_finding(rig, check);

	assert_int_equal(finding->verdict, verdict);
	if (strstr(finding->found, found) == NULL || strstr(finding->remedy, remedy) == NULL)
		fail_msg("%s: \"%s\", remedy \"%s\"", check, finding->found, finding->remedy);
}
