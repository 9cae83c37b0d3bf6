/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"

#include "compute/table/delta_impl.h"

#define ATTEMPTS_MAX 200

/* ---- txns ---- */

bool delta_commit_txn_moves(const struct delta_write *write, uint32_t index)
{
	return write->txns_before == NULL ||
	       write->txns_before[index] != write->txns[index].version;
}

int delta_commit_txns(const struct delta_write *write, const struct delta_snapshot *snapshot,
		      struct delta_error *error)
{
	for (uint32_t i = 0; i < write->txn_count; i++) {
		const struct delta_txn *txn = &write->txns[i];
		int64_t there = snapshot != NULL ? delta_txn(snapshot, txn->app_id) : -1;
		int64_t before = write->txns_before != NULL ? write->txns_before[i] : there;

		if (there != before || (there >= txn->version && delta_commit_txn_moves(write, i)))
			return delta_text_fail(error, ERR_DUPLICATE,
					       "txn %s of the table is at %" PRId64
					       ", this write goes from %" PRId64 " to %" PRId64,
					       txn->app_id, there, before, txn->version);
	}
	return 0;
}

/* ---- what others committed meanwhile ---- */

struct winner {
	const struct delta_commit *commit;
	int64_t version;
};

static int conflict(const struct winner *winner, const char *name, const char *what,
		    struct delta_error *error)
{
	return delta_text_fail(error, -EBUSY,
			       "%s: commit %" PRId64 " of another writer %s; run again", name,
			       winner->version, what);
}

static int visit_txn(const struct winner *winner, const json_t *txn, struct delta_error *error)
{
	const char *app_id = json_string_value(json_object_get(txn, "appId"));
	int64_t version = json_integer_value(json_object_get(txn, "version"));
	const struct delta_write *write = winner->commit->write;

	for (uint32_t i = 0; app_id != NULL && i < write->txn_count; i++) {
		if (strcmp(app_id, write->txns[i].app_id) != 0)
			continue;
		if (version >= write->txns[i].version || write->txns_before != NULL)
			return delta_text_fail(error, ERR_DUPLICATE,
					       "ConcurrentTransaction: commit %" PRId64
					       " brought txn %s to %" PRId64,
					       winner->version, app_id, version);
		return conflict(winner, "ConcurrentTransaction", "has a txn of this task", error);
	}
	return 0;
}

static int visit_winner(void *context, const char *kind, json_t *body, struct delta_error *error)
{
	const struct winner *winner = context;
	const json_t *change = json_object_get(body, "dataChange");

	if (strcmp(kind, "protocol") == 0)
		return conflict(winner, "ProtocolChanged", "changed the table's protocol", error);
	if (strcmp(kind, "metaData") == 0)
		return conflict(winner, "MetadataChanged", "changed the table's schema or settings",
				error);
	if (strcmp(kind, "txn") == 0)
		return visit_txn(winner, body, error);
	if (winner->commit->is_blind)
		return 0;
	if (strcmp(kind, "remove") == 0)
		return conflict(winner, "ConcurrentDeleteRead", "removed a file that was read",
				error);
	if (strcmp(kind, "add") == 0 && !json_is_false(change))
		return conflict(winner, "ConcurrentAppend",
				"added rows that this write did not see", error);
	return 0;
}

/* Look at every commit from `*version` on; leave the first free version there. */
static int check_winners(const struct delta_commit *commit, struct delta_log *log, int64_t *version,
			 struct delta_error *error)
{
	int result = delta_log_refresh(log, error);

	/* A cleaned log begins later: then nobody can say what was in between. */
	if (result == 0 && !delta_log_has(log, *version))
		return delta_text_fail(error, -EBUSY,
				       "commit %" PRId64 " of another writer is gone; run again",
				       *version);
	while (result == 0 && delta_log_has(log, *version)) {
		struct winner winner = { commit, *version };

		result = delta_log_read(log, *version, visit_winner, &winner, error);
		if (result == 0)
			(*version)++;
	}
	return result;
}

/* ---- the file ---- */

static char *make_text(const json_t *actions)
{
	char *text = NULL;
	json_t *action;
	size_t index;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (out == NULL)
		return NULL;
	json_array_foreach((json_t *)(uintptr_t)actions, index, action)
	{
		if (json_dumpf(action, out, JSON_COMPACT) < 0) {
			(void)fclose(out);
			free(text);
			return NULL;
		}
		(void)fputc('\n', out);
	}
	return delta_text_end(out, &text) == 0 ? text : NULL;
}

/* Give the file the first free name. */
static int link_commit(const struct delta_commit *commit, struct delta_log *log, const char *from,
		       struct delta_error *error, uint32_t *ret_attempts, int64_t *ret_version)
{
	int64_t version = commit->read_version + 1;
	char name[DELTA_NAME_MAX];

	for (uint32_t i = 1; i <= ATTEMPTS_MAX; i++) {
		int result;

		*ret_attempts = i;
		delta_log_name(version, name);
		if (linkat(log->fd, from, log->fd, name, 0) == 0) {
			*ret_version = version;
			return 0;
		}
		result = -errno;
		if (result != -EEXIST)
			return delta_text_fail(error, result, "%s/%s: %s", DELTA_LOG_DIR, name,
					       err_str(result));
		result = check_winners(commit, log, &version, error);
		if (result != 0)
			return result;
	}
	return delta_text_fail(error, -EBUSY,
			       "others took %d versions before this write; run again",
			       ATTEMPTS_MAX);
}

static int commit_text(const struct delta_commit *commit, struct delta_log *log, const char *text,
		       struct delta_error *error, uint32_t *ret_attempts, int64_t *ret_version)
{
	const struct delta_write *write = commit->write;
	char name[DELTA_NAME_MAX];
	char id[DELTA_ID_SIZE];
	int result;

	delta_text_id(id);
	(void)snprintf(name, sizeof(name), DELTA_TEMPORARY "%s.json", id);
	result = delta_disk_store(log->fd, name, text, strlen(text));
	if (result != 0)
		return delta_text_fail(error, result, "%s/%s: %s", DELTA_LOG_DIR, name,
				       err_str(result));
	delta_disk_step("commit stored");
	if (write->may_commit != NULL)
		result = write->may_commit(write->context);
	if (result != 0)
		(void)delta_text_fail(error, result, "the commit was not allowed: %s",
				      err_str(result));
	else
		result = link_commit(commit, log, name, error, ret_attempts, ret_version);
	delta_disk_step("commit linked");
	(void)unlinkat(log->fd, name, 0);
	return result;
}

int delta_commit_run(const struct delta_commit *commit, int64_t *ret_version,
		     uint32_t *ret_attempts, struct delta_error *error)
{
	struct delta_log log;
	int result = delta_log_open(commit->path, true, &log, error);
	char *text;

	if (result != 0)
		return result;
	text = make_text(commit->actions);
	result = text == NULL ? -ENOMEM
			      : commit_text(commit, &log, text, error, ret_attempts, ret_version);
	free(text);
	/* The name is there; that it stays there is known only now. */
	if (result == 0 && fsync(log.fd) < 0) {
		result = -errno;
		(void)delta_text_fail(error, result,
				      "version %" PRId64
				      " was committed, but its folder could not be "
				      "made durable: %s",
				      *ret_version, err_str(result));
	}
	delta_disk_step("commit durable");
	delta_log_close(&log);
	return result;
}
