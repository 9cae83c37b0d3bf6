/* SPDX-License-Identifier: Apache-2.0 */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"

#include "compute/duck/duck.h"
#include "compute/duck/duck_api.h"

#define LIBRARY     "libduckdb.so"
#define VERSION_MIN 1004 /* major * 1000 + minor */
#define VERSION_END 3000

struct duck_api duck_api;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool is_loaded;

static void *open_at(const char *path, char *reterr, size_t reterr_size)
{
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);

	if (library == NULL && strchr(path, '/') != NULL && access(path, F_OK) == 0)
		(void)snprintf(reterr, reterr_size, "%s cannot be loaded: %s", path, dlerror());
	return library;
}

/** In the folders above the program: lib/ of an installed one, .cache/duckdb/ of a source tree. */
static void *open_near_program(char *reterr, size_t reterr_size)
{
	char folder[PATH_MAX], path[PATH_MAX + 64];
	const ssize_t size = readlink("/proc/self/exe", folder, sizeof(folder) - 1);
	void *library = NULL;
	char *slash;

	if (size < 0)
		return NULL;
	folder[size] = '\0';
	slash = strrchr(folder, '/');
	while (library == NULL && slash != NULL) {
		*slash = '\0';
		(void)snprintf(path, sizeof(path), "%s/lib/millrace/%s", folder, LIBRARY);
		library = open_at(path, reterr, reterr_size);
		if (library == NULL) {
			(void)snprintf(path, sizeof(path), "%s/.cache/duckdb/%s", folder, LIBRARY);
			library = open_at(path, reterr, reterr_size);
		}
		slash = strrchr(folder, '/');
	}
	return library;
}

static void *find_library(char *reterr, size_t reterr_size)
{
	const char *named = getenv("MILLRACE_DUCKDB");
	void *library;

	(void)snprintf(
		reterr, reterr_size,
		"%s was not found: %s%s. Fetch it with deploy/duckdb, or name it with "
		"MILLRACE_DUCKDB=/path/to/%s",
		LIBRARY,
		named != NULL
			? "there is nothing to load at "
			: "looked in lib/millrace "
			  "and .cache/duckdb of the folders above the program and in the system",
		named != NULL ? named : "", LIBRARY);
	if (named != NULL)
		return open_at(named, reterr, reterr_size);
	library = open_near_program(reterr, reterr_size);
	return library != NULL ? library : open_at(LIBRARY, reterr, reterr_size);
}

static int check_version(char *reterr, size_t reterr_size)
{
	const char *version = duck_api.library_version();
	unsigned int major = 0, minor = 0;

	if (sscanf(version, "v%u.%u", &major, &minor) == 2 && major * 1000 + minor >= VERSION_MIN &&
	    major * 1000 + minor < VERSION_END)
		return 0;
	(void)snprintf(
		reterr, reterr_size,
		"DuckDB %s was found; from v1.4 up to any v2 will do, deploy/duckdb fetches the "
		"version that was tested",
		version);
	return ERR_UNSUPPORTED;
}

/** Versions before 1.5 copy strings with a check only. */
static void *find(void *library, const char *name)
{
	void *found = dlsym(library, name);

	if (found == NULL && strncmp(name, "duckdb_unsafe_", strlen("duckdb_unsafe_")) == 0)
		found = dlsym(library, "duckdb_vector_assign_string_element_len");
	return found;
}

static int load_locked(char *reterr, size_t reterr_size)
{
	void *library = find_library(reterr, reterr_size);
	const char *missing = NULL;
	int error;

	if (library == NULL)
		return -ENOENT;
#define LOAD(result, name, parameters)                                                             \
	*(void **)&duck_api.name = find(library, "duckdb_" #name);                                 \
	if (duck_api.name == NULL)                                                                 \
		missing = "duckdb_" #name;
	DUCK_API(LOAD)
#undef LOAD
	if (missing != NULL) {
		(void)snprintf(
			reterr, reterr_size,
			"the DuckDB library has no function %s; deploy/duckdb fetches one that has",
			missing);
		error = ERR_UNSUPPORTED;
	} else {
		error = check_version(reterr, reterr_size);
	}
	if (error != 0)
		(void)dlclose(library);
	return error;
}

int duck_load(char *reterr, size_t reterr_size)
{
	int error = 0;

	(void)pthread_mutex_lock(&lock);
	if (!is_loaded) {
		error = load_locked(reterr, reterr_size);
		is_loaded = error == 0;
	}
	(void)pthread_mutex_unlock(&lock);
	return error;
}

const char *duck_version(void)
{
	return is_loaded ? duck_api.library_version() : "none";
}
