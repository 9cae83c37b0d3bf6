/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrate/manifest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"

#include "compute/decode/schema.h"
#include "orchestrate/civil.h"
#include "orchestrate/digest.h"
#include "orchestrate/instant.h"
#include "orchestrate/manifest_graph.h"
#include "orchestrate/manifest_task.h"
#include "orchestrate/manifest_value.h"
#include "orchestrate/tzfile.h"

#define FILE_SIZE_MAX  (1U << 20)
#define FILES_MAX      200
#define FOLDER_DEPTH   8
#define TOPIC_NAME_MAX 249
#define SECOND_US      INT64_C(1000000)

static void refuse_yaml(void *context, uint32_t line, uint32_t column, const char *message,
			const char *hint)
{
	manifest_value_refuse_at(context, MANIFEST_FILE, line, column, message, hint);
}

/** A date or an instant; without an offset it is in the zone of the schedule. */
static bool parse_instant(const char *text, const struct tzfile *zone, int64_t *ret_us)
{
	size_t size = strlen(text);
	bool has_offset = size > 10 && strpbrk(text + 10, "Zz+-") != NULL;

	if (instant_parse(text, ret_us) != 0)
		return false;
	if (!has_offset)
		*ret_us =
			tzfile_to_utc(zone, civil_floor_div(*ret_us, SECOND_US), false) * SECOND_US;
	return true;
}

static void read_instant(struct manifest_report *report, const struct yamltree_node *node,
			 const struct tzfile *zone, int64_t *ret_us)
{
	const char *text = NULL;

	manifest_value_text(report, node, &text);
	if (text != NULL && !parse_instant(text, zone, ret_us))
		manifest_value_refuse(report, node, "write 2026-01-31 or 2026-01-31T06:00:00+01:00",
				      "`%.60s` is not a date", text);
}

/** The map form of `schedule`, or its text. @param[out] ret_every  [64] room for "every 5m" */
static void read_schedule_text(struct manifest_report *report, const struct yamltree_node *node,
			       struct timetable_spec *ret_spec, char *ret_every)
{
	static const char *const schedule_keys[] = { "cron", "every", "timezone", "window" };
	static const char *const windows[] = { "none", "previous" };
	const struct yamltree_node *every;
	const char *text = NULL;
	int window = 0;

	if (node == NULL || node->kind == YAMLTREE_NULL)
		return;
	if (node->kind != YAMLTREE_MAP) {
		manifest_value_text(report, node, &ret_spec->schedule);
		return;
	}
	(void)manifest_value_map(report, node, "schedule", schedule_keys,
				 ARRAY_COUNT(schedule_keys));
	every = yamltree_get(node, "every");
	if ((yamltree_get(node, "cron") != NULL) == (every != NULL))
		manifest_value_refuse(report, node, NULL,
				      "a schedule has one of `cron` and `every`");
	manifest_value_text(report, yamltree_get(node, "cron"), &ret_spec->schedule);
	manifest_value_scalar(report, every, &text);
	if (text != NULL) {
		(void)snprintf(ret_every, 64, "every %.50s%s", text,
			       every->kind == YAMLTREE_NUMBER ? "s" : "");
		ret_spec->schedule = ret_every;
	}
	manifest_value_text(report, yamltree_get(node, "timezone"), &ret_spec->timezone);
	manifest_value_choice(report, yamltree_get(node, "window"), windows, ARRAY_COUNT(windows),
			      &window);
	ret_spec->has_interval = window == 1;
}

static void read_schedule(struct manifest_report *report, const struct yamltree_node *root,
			  struct dag *dag)
{
	const struct yamltree_node *node = yamltree_get(root, "schedule");
	struct timetable_spec spec = { .start_us = TIMETABLE_NONE, .end_us = TIMETABLE_NONE };
	CLEANUP(tzfile_freep) struct tzfile *zone = NULL;
	char message[256], every[64];
	size_t before = json_array_size(report->errors);
	int error;

	read_schedule_text(report, node, &spec, every);
	error = tzfile_load(spec.timezone, &zone);
	if (error == -ENOMEM) {
		report->is_out_of_memory = true;
		return;
	}
	if (error != 0) {
		manifest_value_refuse(report, yamltree_get(node, "timezone"),
				      "write a name as in Europe/Amsterdam",
				      "there is no time zone `%.60s`", spec.timezone);
		return;
	}
	read_instant(report, yamltree_get(root, "start"), zone, &spec.start_us);
	read_instant(report, yamltree_get(root, "end"), zone, &spec.end_us);
	manifest_value_bool(report, yamltree_get(root, "catchup"), &spec.catchup);
	if (json_array_size(report->errors) > before)
		return;
	error = timetable_new(&spec, &dag->timetable, message, sizeof(message));
	if (error == ERR_CONFIG)
		manifest_value_refuse(report, node != NULL ? node : root, NULL, "%s", message);
	else if (error != 0)
		report->is_out_of_memory = true;
}

/** Each column by itself, so that an error has the place of its column. */
static void read_columns(struct manifest_report *report, const struct yamltree_node *node,
			 json_t *topic)
{
	json_t *all;
	char message[256];

	if (!manifest_value_is(report, node, YAMLTREE_MAP))
		return;
	all = json_object();
	if (node->count > COLUMN_MAX)
		manifest_value_refuse(report, node, NULL, "a topic has at most %d columns",
				      COLUMN_MAX);
	for (uint32_t i = 0; i < node->count; i++) {
		json_t *one = json_object(), *column = manifest_value_json(report, node->at[i]);
		struct schema *schema = NULL;
		int error;

		manifest_value_put(report, one, node->key[i]->text, json_incref(column));
		manifest_value_put(report, all, node->key[i]->text, column);
		error = schema_parse(one, &schema, message, sizeof(message));
		if (error == ERR_CONFIG)
			manifest_value_refuse(report, node->key[i], NULL, "%s", message);
		else if (error != 0)
			report->is_out_of_memory = true;
		else
			schema_free(schema);
		json_decref(one);
	}
	manifest_value_put(report, topic, "columns", all);
}

static bool is_topic_name(const char *name)
{
	size_t size = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "0123456789._-");

	return size > 0 && size <= TOPIC_NAME_MAX && name[size] == '\0' && strcmp(name, ".") != 0 &&
	       strcmp(name, "..") != 0;
}

static void read_topics(struct manifest_report *report, const struct yamltree_node *node,
			struct dag *dag)
{
	static const char *const topic_keys[] = { "columns", "quarantine" };

	if (!manifest_value_is(report, node, YAMLTREE_MAP))
		return;
	for (uint32_t i = 0; i < node->count; i++) {
		const struct yamltree_node *at = node->at[i];
		const char *quarantine = NULL;
		json_t *topic = json_object();

		if (!is_topic_name(node->key[i]->text))
			manifest_value_refuse(report, node->key[i], NULL,
					      "`%.60s` is not the name of a topic",
					      node->key[i]->text);
		(void)manifest_value_map(report, at, "a topic", topic_keys,
					 ARRAY_COUNT(topic_keys));
		read_columns(report, yamltree_get(at, "columns"), topic);
		manifest_value_table(report, yamltree_get(at, "quarantine"), &quarantine);
		if (quarantine != NULL)
			manifest_value_put(report, topic, "quarantine", json_string(quarantine));
		manifest_value_put(report, dag->topics, node->key[i]->text, topic);
	}
}

/** What a task does, as one hash: kind, spec, and the topics that its SQL may decode. */
static void hash_task(struct manifest_report *report, const struct dag *dag, struct dag_task *task)
{
	json_t *all = json_pack("{s:s, s:s, s:O}", "name", task->name, "kind",
				task_kind_name(task->kind), "spec", task->spec);
	char *text;

	if (task->kind == TASK_SQL || task->kind == TASK_CHECK)
		manifest_value_put(report, all, "topics", json_incref(dag->topics));
	text = json_dumps(all, JSON_COMPACT | JSON_SORT_KEYS);
	json_decref(all);
	if (text == NULL)
		report->is_out_of_memory = true;
	else
		digest_hex(text, strlen(text), task->hash);
	free(text);
}

static void read_tasks(struct manifest_report *report, const struct yamltree_node *root,
		       const json_t *files, struct dag *dag)
{
	const struct yamltree_node *node = yamltree_get(root, "tasks");
	struct manifest_task_names names = { .files = files, .topics = dag->topics };
	struct dag_task defaults;

	manifest_task_defaults(report, yamltree_get(root, "defaults"), &defaults);
	if (!manifest_value_is(report, node, YAMLTREE_MAP))
		return;
	if (node->count == 0 || node->count > DAG_TASKS_MAX) {
		manifest_value_refuse(report, node, NULL, "a pipeline has 1 to %d tasks",
				      DAG_TASKS_MAX);
		return;
	}
	dag->tasks = calloc(node->count, sizeof(*dag->tasks));
	if (dag->tasks == NULL) {
		report->is_out_of_memory = true;
		return;
	}
	dag->task_count = node->count;
	for (uint32_t i = 0; i < node->count; i++) {
		dag->tasks[i] = defaults;
		manifest_task_read(report, node->key[i], node->at[i], &names, &dag->tasks[i]);
		if (dag->tasks[i].spec == NULL)
			report->is_out_of_memory = true;
		else
			hash_task(report, dag, &dag->tasks[i]);
	}
	manifest_graph_link(report, node, dag);
}

static void read_limits(struct manifest_report *report, const struct yamltree_node *root,
			struct dag *dag)
{
	int64_t runs = 16, tasks = 16;

	manifest_value_integer(report, yamltree_get(root, "max_active_runs"), 1, 10000, &runs);
	manifest_value_integer(report, yamltree_get(root, "max_active_tasks"), 1, 10000, &tasks);
	manifest_value_duration(report, yamltree_get(root, "run_timeout"), &dag->run_timeout_us);
	dag->max_active_runs = (uint32_t)runs;
	dag->max_active_tasks = (uint32_t)tasks;
}

static void read_dag(struct manifest_report *report, const struct yamltree_node *root,
		     const json_t *files, struct dag *dag)
{
	static const char *const dag_keys[] = {
		"dag",      "description", "schedule", "start",           "end",
		"catchup",  "tags",        "params",   "max_active_runs", "max_active_tasks",
		"defaults", "topics",      "tasks",    "run_timeout",
	};
	const struct yamltree_node *params = yamltree_get(root, "params");
	const char *id = NULL, *description = "";
	json_t *tags;

	if (manifest_value_map(report, root, "a pipeline", dag_keys, ARRAY_COUNT(dag_keys)) == NULL)
		return;
	if (yamltree_get(root, "dag") == NULL)
		manifest_value_refuse(report, root, "add dag: name", "the pipeline has no name");
	if (yamltree_get(root, "tasks") == NULL)
		manifest_value_refuse(report, root, NULL, "the pipeline has no `tasks`");
	manifest_value_text(report, yamltree_get(root, "dag"), &id);
	if (id != NULL && manifest_task_name_check(report, yamltree_get(root, "dag"), id, true))
		(void)snprintf(dag->id, sizeof(dag->id), "%s", id);
	manifest_value_text(report, yamltree_get(root, "description"), &description);
	dag->description = strdup(description);
	tags = manifest_value_texts(report, yamltree_get(root, "tags"));
	dag->tags = tags != NULL ? tags : json_array();
	if (manifest_value_is(report, params, YAMLTREE_MAP))
		dag->params = manifest_value_json(report, params);
	else
		dag->params = json_object();
	dag->topics = json_object();
	if (dag->description == NULL || dag->tags == NULL || dag->params == NULL ||
	    dag->topics == NULL) {
		report->is_out_of_memory = true;
		return;
	}
	read_limits(report, root, dag);
	read_schedule(report, root, dag);
	read_topics(report, yamltree_get(root, "topics"), dag);
	read_tasks(report, root, files, dag);
}

/** @return text of the manifest; NULL (reported): there is none, or a file is no text or too large */
static const char *check_files(struct manifest_report *report, const json_t *files)
{
	const char *name, *manifest = NULL;
	json_t *value;

	if (json_object_size(files) > FILES_MAX) {
		manifest_value_refuse_at(report, MANIFEST_FILE, 1, 1,
					 "a folder has at most 200 files", NULL);
		return NULL;
	}
	json_object_foreach((json_t *)(uintptr_t)files, name, value)
	{
		const char *text = json_string_value(value);

		if (text == NULL || strlen(text) != json_string_length(value)) {
			manifest_value_refuse_at(report, name, 1, 1, "this file is not text", NULL);
			return NULL;
		}
		if (json_string_length(value) > FILE_SIZE_MAX) {
			manifest_value_refuse_at(report, name, 1, 1, "a file has at most 1 MiB",
						 NULL);
			return NULL;
		}
		if (strcmp(name, MANIFEST_FILE) == 0)
			manifest = text;
	}
	if (manifest == NULL)
		manifest_value_refuse_at(report, MANIFEST_FILE, 1, 1, "there is no pipeline.yaml",
					 NULL);
	return manifest;
}

static void hash_files(struct manifest_report *report, const json_t *files, struct dag *dag)
{
	char *text = json_dumps(files, JSON_COMPACT | JSON_SORT_KEYS);

	if (text == NULL)
		report->is_out_of_memory = true;
	else
		digest_hex(text, strlen(text), dag->version);
	free(text);
}

int manifest_parse(const json_t *files, struct dag **ret_dag, json_t **ret_errors)
{
	struct manifest_report report = { .errors = json_array() };
	CLEANUP(yamltree_freep) struct yamltree_node *root = NULL;
	CLEANUP(dag_unrefp) struct dag *dag = calloc(1, sizeof(*dag));
	const char *text;

	if (report.errors == NULL || dag == NULL) {
		json_decref(report.errors);
		return -ENOMEM;
	}
	dag->references = 1;
	text = check_files(&report, files);
	if (text != NULL) {
		int error = yamltree_parse(text, refuse_yaml, &report, &root);

		if (error == -ENOMEM)
			report.is_out_of_memory = true;
		else if (error == 0)
			read_dag(&report, root, files, dag);
	}
	if (report.is_out_of_memory) {
		json_decref(report.errors);
		return -ENOMEM;
	}
	if (json_array_size(report.errors) > 0) {
		*ret_errors = report.errors;
		return ERR_CONFIG;
	}
	hash_files(&report, files, dag);
	json_decref(report.errors);
	if (report.is_out_of_memory)
		return -ENOMEM;
	*ret_dag = TAKE_PTR(dag);
	*ret_errors = NULL;
	return 0;
}

/** @return 0; -ENOMEM, ERR_TOO_LARGE, ERR_MALFORMED, -errno */
static int read_file(int folder, const char *name, const char *key, json_t *files)
{
	int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char *text = NULL;
	size_t used = 0;
	ssize_t count = 1;
	json_t *value;
	int error = 0;

	if (fd < 0)
		return -errno;
	text = malloc(FILE_SIZE_MAX + 1);
	if (text == NULL)
		error = -ENOMEM;
	while (error == 0 && count > 0) {
		count = read(fd, text + used, FILE_SIZE_MAX + 1 - used);
		if (count < 0)
			error = -errno;
		else
			used += (size_t)count;
		if (used > FILE_SIZE_MAX)
			error = ERR_TOO_LARGE;
	}
	(void)close(fd);
	if (error == 0) {
		value = memchr(text, '\0', used) == NULL ? json_stringn(text, used) : NULL;
		if (value == NULL)
			error = ERR_MALFORMED;
		else if (json_object_set_new(files, key, value) != 0)
			error = -ENOMEM;
	}
	free(text);
	return error;
}

static bool is_wanted(const char *name, const char *key)
{
	size_t size = strlen(name);

	return strcmp(key, MANIFEST_FILE) == 0 ||
	       (size > 4 && strcmp(name + size - 4, ".sql") == 0);
}

/** Walk the folder open at `folder` (closed here), whose name inside the pipeline's is `prefix`. */
static int walk(int folder, const char *prefix, uint32_t depth, json_t *files, char *ret_key)
{
	DIR *dir = fdopendir(folder);
	const struct dirent *entry;
	int error = 0;

	if (dir == NULL) {
		error = -errno;
		(void)close(folder);
		return error;
	}
	while (error == 0 && (entry = readdir(dir)) != NULL) {
		char key[PATH_MAX];
		struct stat status;

		if (entry->d_name[0] == '.')
			continue;
		if ((size_t)snprintf(key, sizeof(key), "%s%s%s", prefix, *prefix != '\0' ? "/" : "",
				     entry->d_name) >= sizeof(key) ||
		    fstatat(folder, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0)
			continue;
		if (S_ISDIR(status.st_mode) && depth < FOLDER_DEPTH) {
			int sub = openat(folder, entry->d_name,
					 O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

			error = sub < 0 ? -errno : walk(sub, key, depth + 1, files, ret_key);
		} else if (S_ISREG(status.st_mode) && is_wanted(entry->d_name, key)) {
			error = json_object_size(files) < FILES_MAX
					? read_file(folder, entry->d_name, key, files)
					: ERR_TOO_LARGE;
			if (error != 0)
				(void)snprintf(ret_key, PATH_MAX, "%s", key);
		}
	}
	(void)closedir(dir);
	return error;
}

int manifest_read_folder(const char *path, json_t **ret_files, char *reterr, size_t reterr_size)
{
	int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char key[PATH_MAX] = "";
	json_t *files;
	int error;

	if (folder < 0) {
		error = -errno;
		(void)snprintf(reterr, reterr_size, "%s: %s", path, err_str(error));
		return error;
	}
	files = json_object();
	error = walk(folder, "", 0, files, key);
	if (error == 0 && json_object_get(files, MANIFEST_FILE) == NULL) {
		(void)snprintf(reterr, reterr_size, "%s: there is no %s", path, MANIFEST_FILE);
		error = -ENOENT;
	} else if (error != 0) {
		(void)snprintf(reterr, reterr_size, "%s/%s: %s", path, key,
			       error == ERR_TOO_LARGE   ? "more than 1 MiB, or the 201st file"
			       : error == ERR_MALFORMED ? "this is not UTF-8 text"
							: err_str(error));
	}
	if (error != 0) {
		json_decref(files);
		return error;
	}
	*ret_files = files;
	return 0;
}
