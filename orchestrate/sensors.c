/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrate/sensors.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"

#include "orchestrate/instant.h"

static enum engine_outcome poke_topic(const json_t *spec, const char *topic,
				      const struct partitions *table, char *ret_text, size_t size)
{
	int64_t wanted = json_integer_value(json_object_get(spec, "records")), records = 0;
	struct partition_view view;
	bool is_there = false;

	if (table == NULL) {
		(void)snprintf(ret_text, size, "the dataplane is away");
		return ENGINE_NOT_YET;
	}
	for (uint32_t i = 0; i < partitions_count(table); i++) {
		if (!partition_cell_read(partitions_at(table, i), &view) ||
		    strcmp(view.topic, topic) != 0)
			continue;
		is_there = true;
		records += view.high_watermark - view.start_offset;
	}
	if (!is_there)
		(void)snprintf(ret_text, size, "there is no topic %.250s yet", topic);
	else
		(void)snprintf(ret_text, size,
			       "topic %.250s has %" PRId64 " records, %" PRId64 " are waited for",
			       topic, records, wanted);
	return is_there && records >= wanted ? ENGINE_SUCCESS : ENGINE_NOT_YET;
}

static enum engine_outcome poke_file(const char *path, char *ret_text, size_t size)
{
	struct stat stat_;

	if (stat(path, &stat_) == 0) {
		(void)snprintf(ret_text, size, "%.500s is there", path);
		return ENGINE_SUCCESS;
	}
	if (errno == ENOENT)
		(void)snprintf(ret_text, size, "%.500s is not there yet", path);
	else
		(void)snprintf(ret_text, size, "%.400s cannot be looked at: %s", path,
			       err_str(-errno));
	return ENGINE_NOT_YET;
}

static enum engine_outcome poke_time(const char *text, int64_t now_us, char *ret_text, size_t size)
{
	char shown[INSTANT_TEXT_SIZE];
	int64_t at_us;

	if (instant_parse(text, &at_us) != 0) {
		(void)snprintf(ret_text, size,
			       "'%.200s' is no time: write it as 2026-01-31T06:00:00Z", text);
		return ENGINE_FAILED_FINAL;
	}
	(void)snprintf(ret_text, size, "%s %s", instant_format(at_us, shown),
		       now_us >= at_us ? "has come" : "is waited for");
	return now_us >= at_us ? ENGINE_SUCCESS : ENGINE_NOT_YET;
}

enum engine_outcome sensors_poke(const json_t *spec, const struct partitions *table, int64_t now_us,
				 char *ret_text, size_t size)
{
	const char *topic = json_string_value(json_object_get(spec, "topic"));
	const char *file = json_string_value(json_object_get(spec, "file"));
	const char *time = json_string_value(json_object_get(spec, "time"));

	if (topic != NULL)
		return poke_topic(spec, topic, table, ret_text, size);
	if (file != NULL)
		return poke_file(file, ret_text, size);
	return poke_time(time != NULL ? time : "", now_us, ret_text, size);
}
