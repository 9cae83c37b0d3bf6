/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/worker/taskplan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"

static struct taskplan_input *add_input(struct taskplan *plan)
{
	struct taskplan_input *bigger =
		reallocarray(plan->inputs, plan->input_count + 1, sizeof(*bigger));

	if (bigger == NULL)
		return NULL;
	plan->inputs = bigger;
	bigger[plan->input_count] = (struct taskplan_input){ .from = -1 };
	return &bigger[plan->input_count++];
}

static struct delta_txn *add_txn(struct taskplan *plan, int64_t before, int64_t version)
{
	struct delta_txn *txns = reallocarray(plan->txns, plan->txn_count + 1, sizeof(*txns));
	int64_t *befores;

	if (txns == NULL)
		return NULL;
	plan->txns = txns;
	befores = reallocarray(plan->before, plan->txn_count + 1, sizeof(*befores));
	if (befores == NULL)
		return NULL;
	plan->before = befores;
	befores[plan->txn_count] = before;
	txns[plan->txn_count].version = version;
	return &txns[plan->txn_count++];
}

void taskplan_app_id(const struct taskspec *spec, const struct uuid *topic_id, uint32_t partition,
		     char *ret_id)
{
	char id[UUID_TEXT_SIZE];

	uuid_format(topic_id, id);
	(void)snprintf(ret_id, DELTA_APP_ID_MAX, "%.200s/%.200s/%s/%u", spec->dag, spec->task, id,
		       partition);
}

int taskplan_topic_id(const struct partitions *table, const char *topic, struct uuid *ret_id)
{
	const uint32_t cells = table != NULL ? partitions_count(table) : 0;
	struct partition_view view;

	for (uint32_t i = 0; i < cells; i++) {
		if (partition_cell_read(partitions_at(table, i), &view) &&
		    strcmp(view.topic, topic) == 0) {
			*ret_id = view.topic_id;
			return 0;
		}
	}
	return ERR_UNKNOWN;
}

/* ---- topics ---- */

static int lost(struct taskjob *job, struct taskplan_input *input,
		const struct partition_view *view, int64_t seen)
{
	const struct taskspec *spec = job->spec;

	if (spec->skips_lost) {
		attemptlog_line(job->log, "warning",
				"%s/%u: offsets %" PRId64 " to %" PRId64
				" were removed by retention before they were read; going on behind "
				"them, as on_lost says",
				input->name, view->partition, seen, view->start_offset - 1);
		input->lost += view->start_offset - seen;
		return 0;
	}
	return taskjob_fail(job, "retention",
			    "%s/%u: offsets %" PRId64 " to %" PRId64
			    " were removed by retention before this task read them: they are lost "
			    "to %s. To go on behind them: millrace dag trigger %s --conf "
			    "'{\"on_lost\":\"skip\"}'. To keep it from happening again raise the "
			    "topic's retention.ms or retention.bytes, or run more often",
			    input->name, view->partition, seen, view->start_offset - 1,
			    spec->writes, spec->dag);
}

/** One partition: from what the target has to the watermark. */
static int plan_partition(struct taskjob *job, const struct delta_snapshot *target,
			  struct taskplan *plan, struct taskplan_input *input,
			  const struct partition_view *view)
{
	const int64_t limit = MIN(view->high_watermark, view->last_stable_offset);
	struct topicscan_range *range = &input->ranges[input->range_count];
	char app_id[DELTA_APP_ID_MAX];
	struct delta_txn *txn;
	int64_t seen;

	taskplan_app_id(job->spec, &view->topic_id, view->partition, app_id);
	seen = target != NULL ? delta_txn(target, app_id) : -1;
	if (seen > limit)
		return taskjob_fail(job, "io",
				    "%s/%u: %s has its records up to offset %" PRId64
				    ", but the log ends before %" PRId64
				    ": was the data folder put back from a copy?",
				    input->name, view->partition, job->spec->writes, seen - 1,
				    limit);
	if (input->read == TASKSPEC_NEW && seen >= 0 && seen < view->start_offset &&
	    lost(job, input, view, seen) != 0)
		return -1;
	*range = (struct topicscan_range){ view->partition, view->start_offset,
					   MAX(limit, view->start_offset) };
	if (input->read == TASKSPEC_NEW)
		range->begin = MAX(seen, range->begin);
	if (range->end > seen && range->end > range->begin)
		input->is_moved = true;
	input->range_count++;
	txn = add_txn(plan, seen, range->end);
	if (txn == NULL)
		return taskjob_fail(job, "memory", "no memory for the plan");
	memcpy(txn->app_id, app_id, sizeof(app_id));
	return 0;
}

/** Cut the ranges to so many offsets in all, in even shares of what each still has. */
static int apply_limit(struct taskplan_input *input, int64_t limit)
{
	int64_t *ends, left = limit, wanted = 1;

	if (input->records <= limit)
		return 0;
	ends = calloc(input->range_count, sizeof(*ends));
	if (ends == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < input->range_count; i++) {
		ends[i] = input->ranges[i].end;
		input->ranges[i].end = input->ranges[i].begin;
	}
	while (left > 0 && wanted > 0) {
		const int64_t share = MAX(left / input->range_count, 1);

		wanted = 0;
		for (uint32_t i = 0; i < input->range_count && left > 0; i++) {
			struct topicscan_range *range = &input->ranges[i];
			const int64_t rest = ends[i] - range->end;
			int64_t taken = MIN(share, left);

			taken = MIN(taken, rest);
			range->end += taken;
			left -= taken;
			wanted += taken;
		}
	}
	input->records = limit - left;
	free(ends);
	return 0;
}

static int plan_topic(struct taskjob *job, const struct delta_snapshot *target,
		      struct taskplan *plan, struct taskplan_input *input)
{
	const uint32_t cells = partitions_count(job->table);
	const uint32_t first_txn = plan->txn_count;
	const json_t *declared = json_object_get(job->spec->topics, input->name);
	struct topics_declaration declaration = {
		.columns = json_object_get(declared, "columns"),
		.keep_bad = json_is_string(json_object_get(declared, "quarantine")),
	};
	char message[TASKJOB_MESSAGE_MAX] = "";
	struct partition_view view;
	int result = 0;

	for (uint32_t i = 0; i < cells && result == 0; i++) {
		struct topicscan_range *bigger;

		if (!partition_cell_read(partitions_at(job->table, i), &view) ||
		    strcmp(view.topic, input->name) != 0)
			continue;
		bigger = reallocarray(input->ranges, input->range_count + 1, sizeof(*bigger));
		if (bigger == NULL)
			return taskjob_fail(job, "memory", "no memory for the plan");
		input->ranges = bigger;
		result = plan_partition(job, target, plan, input, &view);
	}
	if (result != 0)
		return result;
	for (uint32_t i = 0; i < input->range_count; i++)
		input->records += input->ranges[i].end - input->ranges[i].begin;
	if (job->spec->limit > 0 && input->read == TASKSPEC_NEW &&
	    apply_limit(input, job->spec->limit) != 0)
		return taskjob_fail(job, "memory", "no memory for the plan");
	for (uint32_t i = 0; i < input->range_count; i++)
		plan->txns[first_txn + i].version = input->ranges[i].end;
	declaration.ranges = input->ranges;
	declaration.range_count = input->range_count;
	if (topics_declare(job->duck, input->name, &declaration, message, sizeof(message)) != 0)
		return taskjob_fail(job, "user", "topic %s: %s", input->name, message);
	return 0;
}

/* ---- tables ---- */

static int plan_table(struct taskjob *job, const struct delta_snapshot *target,
		      struct taskplan *plan, struct taskplan_input *input)
{
	char path[PATH_MAX], message[TASKJOB_MESSAGE_MAX] = "";
	char app_id[DELTA_APP_ID_MAX];
	struct delta_txn *txn;
	int error;

	if (!taskjob_table_path(job->config, input->name, path, sizeof(path)))
		return taskjob_fail(job, "user", "\"reads\": %s is neither a topic nor a table",
				    input->name);
	error = delta_open(path, DELTA_VERSION_NEWEST, job->duck, &input->snapshot, message,
			   sizeof(message));
	if (error == -ENOENT)
		return 0; /* nothing has been written to it yet */
	if (error != 0)
		return taskjob_fail_delta(job, error, DUCK_OK, input->name, message);
	(void)snprintf(app_id, sizeof(app_id), "%.200s/%.200s/table/%s", job->spec->dag,
		       job->spec->task, delta_id(input->snapshot));
	input->from = target != NULL ? delta_txn(target, app_id) : -1;
	input->is_moved = delta_version(input->snapshot) > input->from;
	if (input->read == TASKSPEC_NEW && input->from >= 0 && input->is_moved &&
	    !delta_is_append_only_since(input->snapshot, input->from))
		return taskjob_fail(
			job, "schema",
			"table %s was not only added to since version %" PRId64
			": its new rows cannot be told from changed ones. Read it as `changed`, or "
			"write it with append or merge",
			input->name, input->from);
	txn = add_txn(plan, input->from, delta_version(input->snapshot));
	if (txn == NULL)
		return taskjob_fail(job, "memory", "no memory for the plan");
	memcpy(txn->app_id, app_id, sizeof(app_id));
	return taskjob_view(job, input->name, input->snapshot,
			    input->read == TASKSPEC_NEW ? input->from : -1);
}

/* ---- the whole ---- */

/**
 * The form in which a txn remembers a definition: its hash (FNV-1a) in the low half, and in the high half how often
 * it changed, as versions of a txn only grow.
 */
static int64_t definition_number(const char *hash, int64_t before)
{
	uint32_t low = UINT32_C(0x811c9dc5);

	for (; *hash != '\0'; hash++)
		low = (low ^ (uint8_t)*hash) * UINT32_C(0x01000193);
	if (before < 0)
		return low;
	return (uint32_t)before == low ? before : (((before >> 32) + 1) << 32) | low;
}

/** `changed` inputs count as moved when the task was another one. @return 0; -1 */
static int plan_definition(struct taskjob *job, const struct delta_snapshot *target,
			   struct taskplan *plan)
{
	struct delta_txn *txn;
	char app_id[DELTA_APP_ID_MAX];
	int64_t before, number;
	bool has_changed = false;

	for (uint32_t i = 0; i < plan->input_count; i++)
		has_changed |= plan->inputs[i].read == TASKSPEC_CHANGED;
	if (!has_changed || job->spec->hash[0] == '\0')
		return 0;
	(void)snprintf(app_id, sizeof(app_id), "%.200s/%.200s/definition", job->spec->dag,
		       job->spec->task);
	before = target != NULL ? delta_txn(target, app_id) : -1;
	number = definition_number(job->spec->hash, before);
	txn = add_txn(plan, before, number);
	if (txn == NULL)
		return taskjob_fail(job, "memory", "no memory for the plan");
	memcpy(txn->app_id, app_id, sizeof(app_id));
	for (uint32_t i = 0; i < plan->input_count; i++) {
		struct taskplan_input *input = &plan->inputs[i];

		if (input->read == TASKSPEC_CHANGED && before != number &&
		    (input->is_topic || input->snapshot != NULL))
			input->is_moved = true;
	}
	return 0;
}

static bool is_topic(const struct taskjob *job, const char *name)
{
	char path[PATH_MAX];
	struct uuid id;

	if (json_object_get(job->spec->topics, name) != NULL)
		return true;
	return taskplan_topic_id(job->table, name, &id) == 0 &&
	       (!taskjob_table_path(job->config, name, path, sizeof(path)) ||
		access(path, F_OK) != 0);
}

static int plan_input(struct taskjob *job, const struct delta_snapshot *target,
		      struct taskplan *plan, const char *name)
{
	struct taskplan_input *input = add_input(plan);
	struct uuid id;

	if (input == NULL)
		return taskjob_fail(job, "memory", "no memory for the plan");
	input->name = name;
	input->read = taskspec_read(job->spec, name);
	input->is_topic = is_topic(job, name);
	if (!input->is_topic)
		return plan_table(job, target, plan, input);
	if (job->table == NULL)
		return taskjob_fail(job, "io",
				    "topic %s cannot be read: the dataplane is not running", name);
	if (taskplan_topic_id(job->table, name, &id) != 0)
		return taskjob_fail(job, "user", "there is no topic %s", name);
	return plan_topic(job, target, plan, input);
}

int taskplan_make(struct taskjob *job, const struct delta_snapshot *target,
		  struct taskplan **ret_plan)
{
	CLEANUP(taskplan_freep) struct taskplan *plan = calloc(1, sizeof(*plan));
	const json_t *value;
	const char *name;
	bool has_watched = false, has_moved = false;

	if (plan == NULL)
		return taskjob_fail(job, "memory", "no memory for the plan");
	json_object_foreach((json_t *)(uintptr_t)job->spec->reads, name, value)
	{
		if (taskspec_read(job->spec, name) != TASKSPEC_ALL &&
		    plan_input(job, target, plan, name) != 0)
			return -1;
	}
	if (plan_definition(job, target, plan) != 0)
		return -1;
	for (uint32_t i = 0; i < plan->input_count; i++) {
		has_watched = true;
		has_moved |= plan->inputs[i].is_moved;
	}
	plan->is_nothing_new = has_watched && !has_moved;
	*ret_plan = TAKE_PTR(plan);
	return 0;
}

void taskplan_free(struct taskplan *plan)
{
	if (plan == NULL)
		return;
	for (uint32_t i = 0; i < plan->input_count; i++) {
		free(plan->inputs[i].ranges);
		delta_close(plan->inputs[i].snapshot);
	}
	free(plan->inputs);
	free(plan->txns);
	free(plan->before);
	free(plan);
}

static json_t *topic_json(const struct taskplan_input *input)
{
	json_t *ranges = json_array();

	for (uint32_t i = 0; i < input->range_count; i++) {
		const struct topicscan_range *range = &input->ranges[i];

		if (range->end > range->begin)
			(void)json_array_append_new(ranges,
						    json_pack("[iII]", (int)range->partition,
							      (json_int_t)range->begin,
							      (json_int_t)range->end));
	}
	return json_pack("{sI sI so}", "records", (json_int_t)input->records, "lost",
			 (json_int_t)input->lost, "ranges", ranges);
}

static json_t *table_json(const struct taskplan_input *input)
{
	const struct delta_file *files;
	int64_t rows = 0;
	uint32_t count;

	if (input->snapshot == NULL)
		return json_pack("{si si si}", "from", -1, "to", -1, "rows", 0);
	files = delta_files(input->snapshot, &count);
	for (uint32_t i = 0; i < count; i++) {
		if (input->read != TASKSPEC_NEW || files[i].version > input->from)
			rows += MAX(files[i].rows, 0);
	}
	return json_pack("{sI sI sI}", "from", (json_int_t)input->from, "to",
			 (json_int_t)delta_version(input->snapshot), "rows", (json_int_t)rows);
}

json_t *taskplan_json(const struct taskplan *plan)
{
	json_t *read = json_object();

	for (uint32_t i = 0; i < plan->input_count; i++) {
		const struct taskplan_input *input = &plan->inputs[i];

		(void)json_object_set_new(read, input->name,
					  input->is_topic ? topic_json(input) : table_json(input));
	}
	return read;
}
