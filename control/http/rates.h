/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * What happened in the last seconds: samples taken once a second, turned into rates by topic, busy
 * ratios by core, and two minutes of totals.
 *
 * Positions that go back (a restart, a topic made anew) count as no progress.
 *
 * Context: one thread. Memory: heap; 40 bytes a partition, RATES_WINDOW times 32 bytes a busy topic.
 */
#pragma once

#define CONTROL_LAYER

#include "base/counters.h"
#include "base/defs.h"

#include "control/http/positions.h"

#define RATES_WINDOW  5   /* seconds that a rate is the mean of */
#define RATES_HISTORY 120 /* seconds of totals kept */

/** Everything that grew between two samples. */
struct rates_second {
	int64_t elapsed_ns; /* 0: not taken yet */
	int64_t bytes_in;   /* of record batches appended */
	int64_t bytes_out;  /* of record batches sent */
	int64_t records_in; /* by watermark, internal topics not counted */
	int64_t requests;
};

struct rates_topic {
	struct uuid id;
	int64_t bytes;   /* growth of the log */
	int64_t records; /* growth of the watermarks */
};

/** What rates_take() looks at. */
struct rates_input {
	int64_t now_ns;
	const struct positions *positions;
	const struct counters *const *cores; /* [core_count] */
	uint32_t core_count;
	/** @return whether a topic is left out of records_in */
	bool (*is_internal)(void *ctx, const struct uuid *topic_id);
	void *ctx;
};

struct rates;

/** @return NULL out of memory */
struct rates *rates_new(void);
void rates_free(struct rates *rates);
DEFINE_CLEANUP(struct rates, rates_free);

/** Take a sample. @return 0; -ENOMEM and the sample is left out */
NODISCARD int rates_take(struct rates *rates, const struct rates_input *input);

/** Sums of the last RATES_WINDOW seconds; all 0 before the second sample. */
struct rates_second rates_total(const struct rates *rates);
/** @return what one topic gained in the time of rates_total() */
struct rates_topic rates_topic(const struct rates *rates, const struct uuid *topic_id);
/** @return share of the core's time spent in turns that did work, 0 to 1 */
double rates_busy(const struct rates *rates, uint32_t core);
/** @param age  0: the newest second. @return false: not that old */
bool rates_history(const struct rates *rates, uint32_t age, struct rates_second *ret_second);
