/* SPDX-License-Identifier: Apache-2.0 */
#include "control/http/metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"

#include "control/http/utf8.h"

int metrics_begin(struct metrics *metrics)
{
	*metrics = (struct metrics){ 0 };
	metrics->out = open_memstream(&metrics->text, &metrics->size);
	return metrics->out != NULL ? 0 : -ENOMEM;
}

int metrics_end(struct metrics *metrics)
{
	bool is_failed = ferror(metrics->out) != 0;

	is_failed |= fclose(metrics->out) != 0;
	metrics->out = NULL;
	if (!is_failed)
		return 0;
	free(metrics->text);
	metrics->text = NULL;
	return -ENOMEM;
}

void metrics_family(struct metrics *metrics, const char *name, const char *type, const char *help)
{
	metrics->family = name;
	(void)fprintf(metrics->out, "# HELP millrace_%s %s\n# TYPE millrace_%s %s\n", name, help,
		      name, type);
}

static void write_value(FILE *out, const char *value)
{
	while (*value != '\0') {
		uint32_t size = utf8_size(value);

		if (size == 0) {
			(void)fputs(UTF8_REPLACEMENT, out);
			size = 1;
		} else if (*value == '\n') {
			(void)fputs("\\n", out);
		} else {
			if (*value == '"' || *value == '\\')
				(void)fputc('\\', out);
			(void)fwrite(value, 1, size, out);
		}
		value += size;
	}
}

static void write_name(struct metrics *metrics, const char *suffix,
		       const struct metrics_label *labels, uint32_t label_count)
{
	CHECK(metrics->family != NULL);
	(void)fprintf(metrics->out, "millrace_%s%s", metrics->family, suffix);
	for (uint32_t i = 0; i < label_count; i++) {
		(void)fprintf(metrics->out, "%c%s=\"", i == 0 ? '{' : ',', labels[i].name);
		write_value(metrics->out, labels[i].value);
		(void)fputc('"', metrics->out);
	}
	(void)fputs(label_count > 0 ? "} " : " ", metrics->out);
}

void metrics_integer(struct metrics *metrics, const struct metrics_label *labels,
		     uint32_t label_count, int64_t value)
{
	write_name(metrics, "", labels, label_count);
	(void)fprintf(metrics->out, "%" PRId64 "\n", value);
}

void metrics_real(struct metrics *metrics, const struct metrics_label *labels, uint32_t label_count,
		  double value)
{
	write_name(metrics, "", labels, label_count);
	(void)fprintf(metrics->out, "%.9g\n", value);
}

void metrics_counters(struct metrics *metrics, const struct counters *const *cores, uint32_t count)
{
	for (enum counter which = 0; which < COUNTER_COUNT; which++) {
		const struct counter_info *info = counters_info(which);
		char name[128], help[256], core[12];

		(void)snprintf(name, sizeof(name), "%s_total", info->name);
		(void)snprintf(help, sizeof(help), "%s (%s)", info->sentence, info->unit);
		metrics_family(metrics, name, "counter", help);
		for (uint32_t i = 0; i < count; i++) {
			struct metrics_label label = { "core", core };

			(void)snprintf(core, sizeof(core), "%u", i);
			metrics_integer(metrics, &label, 1, (int64_t)counters_get(cores[i], which));
		}
	}
	metrics->family = NULL;
}

/* Commit rounds take tens of microseconds on a good disk and seconds on a stuck one. */
static const struct {
	const char *text; /* seconds */
	uint64_t ns;
} edges[] = {
	{ "0.00001", 10000 },          { "0.00002", 20000 },          { "0.00005", 50000 },
	{ "0.0001", 100000 },          { "0.0002", 200000 },          { "0.0005", 500000 },
	{ "0.001", 1000000 },          { "0.002", 2000000 },          { "0.005", 5000000 },
	{ "0.01", 10000000 },          { "0.02", 20000000 },          { "0.05", 50000000 },
	{ "0.1", 100000000 },          { "0.2", 200000000 },          { "0.5", 500000000 },
	{ "1", UINT64_C(1000000000) }, { "5", UINT64_C(5000000000) },
};

static void write_hist(struct metrics *metrics, const char *core, const struct hist *hist)
{
	struct metrics_label labels[2] = { { "core", core }, { "le", NULL } };
	uint64_t count = hist_count_to(hist, UINT64_MAX);

	for (size_t i = 0; i < ARRAY_COUNT(edges); i++) {
		labels[1].value = edges[i].text;
		write_name(metrics, "_bucket", labels, 2);
		(void)fprintf(metrics->out, "%" PRIu64 "\n", hist_count_to(hist, edges[i].ns));
	}
	labels[1].value = "+Inf";
	write_name(metrics, "_bucket", labels, 2);
	(void)fprintf(metrics->out, "%" PRIu64 "\n", count);
	write_name(metrics, "_sum", labels, 1);
	(void)fprintf(metrics->out, "%.9g\n", (double)hist->sum / (double)NS_PER_S);
	write_name(metrics, "_count", labels, 1);
	(void)fprintf(metrics->out, "%" PRIu64 "\n", count);
}

void metrics_flush(struct metrics *metrics, const struct hist *const *cores, uint32_t count)
{
	struct hist copy;
	char core[12];

	metrics_family(metrics, "flush_latency_seconds", "histogram",
		       "time of commit rounds, from submitting the writes to durable");
	for (uint32_t i = 0; i < count; i++) {
		/* A copy, so that the buckets and their count agree while rounds go on. */
		hist_init(&copy);
		hist_merge(&copy, cores[i]);
		(void)snprintf(core, sizeof(core), "%u", i);
		write_hist(metrics, core, &copy);
	}
	metrics->family = NULL;
}
