/* SPDX-License-Identifier: Apache-2.0 */
#include "base/privileges.h"

#include <errno.h>
#include <ftw.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

#define FOLDERS_OPEN_MAX 16

static const struct passwd *new_owner; /* nftw() passes no context */

static int give_away(const char *path, const struct stat *stat, int kind, struct FTW *where)
{
	(void)stat;
	(void)kind;
	(void)where;
	return lchown(path, new_owner->pw_uid, new_owner->pw_gid) == 0 ? 0 : -1;
}

/** Folders of the dataplane that control only reads: by group, whoever makes them first. */
static int let_read(const char *path)
{
	if (mkdir(path, 0750) != 0 && errno != EEXIST)
		return -errno;
	return chown(path, (uid_t)-1, new_owner->pw_gid) == 0 ? 0 : -errno;
}

/** The folder itself comes last, so that what was interrupted is done again. */
static int give_folder(const char *path)
{
	struct stat stat_now;

	if (mkdir(path, 0750) != 0 && errno != EEXIST)
		return -errno;
	if (stat(path, &stat_now) != 0)
		return -errno;
	if (stat_now.st_uid == new_owner->pw_uid)
		return 0;
	return nftw(path, give_away, FOLDERS_OPEN_MAX, FTW_PHYS | FTW_DEPTH) == 0 ? 0 : -errno;
}

/** Becoming another user makes the kernel forget the signal at the parent's death: whoever supervises us
    counts on it. */
static int become(const struct passwd *user)
{
	int death_signal = 0;

	if (prctl(PR_GET_PDEATHSIG, &death_signal) != 0)
		return -errno;
	if (initgroups(user->pw_name, user->pw_gid) != 0 || setgid(user->pw_gid) != 0 ||
	    setuid(user->pw_uid) != 0)
		return -errno;
	return prctl(PR_SET_PDEATHSIG, death_signal) == 0 ? 0 : -errno;
}

int privileges_drop(const struct config *config, const char *const *folders, uint32_t count)
{
	char path[CONFIG_TEXT_MAX + 16];
	int error;

	if (geteuid() != 0)
		return 0;
	new_owner = getpwnam(config->user);
	if (new_owner == NULL) {
		log_info("no user %s: going on as root", config->user);
		return 0;
	}
	error = let_read(config->data_dir);
	(void)snprintf(path, sizeof(path), "%s/log", config->data_dir);
	if (error == 0)
		error = let_read(path);
	for (uint32_t i = 0; i < count && error == 0; i++)
		error = give_folder(folders[i]);
	return error == 0 ? become(new_owner) : error;
}
