/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Writer of Prometheus' text format, and the families that every box has: its counters and the
 * latency of its commit rounds, by core.
 *
 * A family is begun once, then its samples follow. Label values are escaped; bytes that are not
 * UTF-8 are replaced, so that one odd group name does not spoil the whole page.
 *
 * Context: one thread. Memory: heap, the text. Source: Prometheus' exposition formats, text 0.0.4.
 */
#pragma once

#define CONTROL_LAYER

#include <stdio.h>

#include "base/counters.h"
#include "base/defs.h"
#include "base/hist.h"

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct metrics {
	FILE *out;          /* into `text` */
	char *text;         /* valid after metrics_end() */
	size_t size;        /* bytes of text */
	const char *family; /* begun last, without "millrace_" */
};

struct metrics_label {
	const char *name;
	const char *value;
};

/** @return 0; -ENOMEM */
NODISCARD int metrics_begin(struct metrics *metrics);
/** Close the text. The caller frees metrics->text with free(). @return 0; -ENOMEM, text is NULL */
NODISCARD int metrics_end(struct metrics *metrics);

/** @param name  without "millrace_". @param type  "counter", "gauge", "histogram" */
void metrics_family(struct metrics *metrics, const char *name, const char *type, const char *help);
/** @param labels  [label_count] */
void metrics_integer(struct metrics *metrics, const struct metrics_label *labels,
		     uint32_t label_count, int64_t value);
void metrics_real(struct metrics *metrics, const struct metrics_label *labels, uint32_t label_count,
		  double value);

/** Every counter as <name>_total. @param cores  [count] */
void metrics_counters(struct metrics *metrics, const struct counters *const *cores, uint32_t count);
/** Commit rounds as the histogram flush_latency_seconds. @param cores  [count], nanoseconds */
void metrics_flush(struct metrics *metrics, const struct hist *const *cores, uint32_t count);
