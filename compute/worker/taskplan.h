/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * What an SQL task takes in this time: offsets of topics and versions of tables, from what its target's
 * `txn` actions say was taken before.
 *
 * Context: the attempt's thread. Memory: heap, snapshots of the listed tables.
 */
#pragma once

#include "compute/scan/topicscan.h"
#include "compute/worker/taskjob.h"

/** One of the names in `reads`. */
struct taskplan_input {
	const char *name;
	enum taskspec_read read;
	bool is_topic;
	bool is_moved; /* there is something that the target has not seen */
	/* a topic */
	struct topicscan_range
		*ranges; /* [range_count]; of TASKSPEC_NEW what is read, else all of it */
	uint32_t range_count;
	int64_t records; /* Σ of the ranges' offsets */
	int64_t lost;    /* offsets that retention took, and the task was told to skip */
	/* a table */
	struct delta_snapshot *snapshot; /* NULL: there is no table yet */
	int64_t from;                    /* version seen before; -1: none */
};

struct taskplan {
	struct taskplan_input *inputs; /* [input_count] */
	uint32_t input_count;
	struct delta_txn *txns; /* [txn_count] to commit with the rows */
	int64_t *before;        /* [txn_count] versions of these now */
	uint32_t txn_count;
	bool is_nothing_new;
};

/**
 * @param target  NULL: it does not exist yet
 * @return 0; -1 the job says why
 */
NODISCARD int taskplan_make(struct taskjob *job, const struct delta_snapshot *target,
			    struct taskplan **ret_plan);
void taskplan_free(struct taskplan *plan);
DEFINE_CLEANUP(struct taskplan, taskplan_free);

/** @return {"raw.flights":{"records","ranges"},"bronze.flights":{"from","to","rows"}}; new reference */
json_t *taskplan_json(const struct taskplan *plan);

/** appId of a partition's txn, "<dag>/<task>/<topic id>/<partition>". */
void taskplan_app_id(const struct taskspec *spec, const struct uuid *topic_id, uint32_t partition,
		     char *ret_id);
/** Id of a topic. @return 0; ERR_UNKNOWN there is none of that name */
NODISCARD int taskplan_topic_id(const struct partitions *table, const char *topic,
				struct uuid *ret_id);
