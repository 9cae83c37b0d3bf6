/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"

#include "compute/table/delta_impl.h"

/* Take the commitInfo of a commit; the rest is not wanted. */
static int visit(void *context, const char *kind, json_t *body, struct delta_error *error)
{
	json_t *entry = context;

	if (strcmp(kind, "commitInfo") == 0 && json_object_update(entry, body) < 0)
		return delta_text_fail(error, -ENOMEM, "out of memory");
	return 0;
}

/* Plain names for what people look for; the time of the file where the commit tells none. */
static int finish(const struct delta_log *log, int64_t version, json_t *entry)
{
	char name[DELTA_NAME_MAX];
	struct stat st;
	json_t *value;

	delta_log_name(version, name);
	if (json_object_get(entry, "timestamp") == NULL && fstatat(log->fd, name, &st, 0) == 0 &&
	    json_object_set_new(
		    entry, "timestamp",
		    json_integer(st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / NS_PER_MS)) < 0)
		return -ENOMEM;
	value = json_object_get(entry, "operationParameters");
	if (value != NULL && json_object_set(entry, "parameters", value) < 0)
		return -ENOMEM;
	value = json_object_get(entry, "operationMetrics");
	if (value != NULL && json_object_set(entry, "metrics", value) < 0)
		return -ENOMEM;
	(void)json_object_del(entry, "operationParameters");
	(void)json_object_del(entry, "operationMetrics");
	return json_object_set_new(entry, "version", json_integer(version)) < 0 ? -ENOMEM : 0;
}

json_t *delta_history(const char *path, uint32_t count, char *reterr, size_t reterr_size)
{
	CLEANUP(json_decrefp) json_t *history = json_array();
	struct delta_error error = { reterr, reterr_size };
	struct delta_log log;
	int failed = delta_log_open(path, false, &log, &error);

	if (failed != 0)
		return NULL;
	for (uint32_t i = log.commit_count; failed == 0 && i > 0 && count > 0; i--, count--) {
		json_t *entry = json_object();

		failed = delta_log_read(&log, log.commits[i - 1], visit, entry, &error);
		if (failed == 0)
			failed = finish(&log, log.commits[i - 1], entry);
		if (json_array_append_new(history, entry) < 0)
			failed = -ENOMEM;
	}
	delta_log_close(&log);
	return failed == 0 ? TAKE_PTR(history) : NULL;
}
