/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/netem/netem_fate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/prng.h"

void netem_settings_init(struct netem_settings *settings)
{
	*settings = (struct netem_settings){ .reorder_by = 8, .queue_size = 256 * 1024 };
}

/* A number behind `name=`. @return false: `text` is another setting */
static bool is_setting(const char *text, const char *name, double *ret_value)
{
	size_t size = strlen(name);
	char *end;

	if (strncmp(text, name, size) != 0 || text[size] != '=')
		return false;
	*ret_value = strtod(text + size + 1, &end);
	if (end == text + size + 1 || (*end != '\0' && *end != ',') || *ret_value < 0)
		*ret_value = -1;
	return true;
}

static int parse_one(struct netem_settings *settings, const char *text)
{
	const struct {
		const char *name;
		uint64_t *chance;
	} chances[] = { { "loss", &settings->loss },
			{ "duplicate", &settings->duplicate },
			{ "corrupt", &settings->corrupt },
			{ "reorder", &settings->reorder },
			{ "mark", &settings->mark } };
	double value = -1;

	for (size_t i = 0; i < ARRAY_COUNT(chances); i++) {
		if (is_setting(text, chances[i].name, &value)) {
			*chances[i].chance = (uint64_t)(value * 4294967296.0);
			return value < 0 || value > 1 ? -EINVAL : 0;
		}
	}
	if (is_setting(text, "reorder-by", &value))
		settings->reorder_by = (uint32_t)value;
	else if (is_setting(text, "delay-us", &value))
		settings->delay_ns = (int64_t)(value * (double)NS_PER_US);
	else if (is_setting(text, "jitter-us", &value))
		settings->jitter_ns = (int64_t)(value * (double)NS_PER_US);
	else if (is_setting(text, "rate-mbit", &value))
		settings->rate_mbit = (uint64_t)value;
	else if (is_setting(text, "queue-kib", &value))
		settings->queue_size = (uint32_t)value * 1024;
	return value < 0 || settings->reorder_by == 0 ? -EINVAL : 0;
}

int netem_settings_parse(struct netem_settings *settings, const char *text)
{
	while (*text != '\0') {
		const char *comma = strchr(text, ',');

		if (parse_one(settings, text) != 0)
			return -EINVAL;
		if (comma == NULL)
			break;
		text = comma + 1;
	}
	return 0;
}

void netem_fate(const struct netem_settings *settings, uint64_t seed, uint32_t direction,
		uint64_t n, struct netem_fate *ret_fate)
{
	/* Each packet draws from a stream of its own, each choice at a fixed place in it: a setting
	   more or less does not move the others. */
	struct prng prng = { seed * UINT64_C(0x2545f4914f6cdd1d) + direction };
	uint64_t draw[6]; /* of which the last is for jitter */

	prng.state = prng_next(&prng) ^ n * UINT64_C(0xda942042e4dd58b5);
	for (size_t i = 0; i < ARRAY_COUNT(draw); i++)
		draw[i] = prng_next(&prng);
	*ret_fate = (struct netem_fate){
		.is_lost = draw[0] >> 32 < settings->loss,
		.is_duplicated = draw[1] >> 32 < settings->duplicate,
		.is_corrupted = draw[2] >> 32 < settings->corrupt,
		.corrupt_at = (uint32_t)draw[2],
		.is_marked = draw[4] >> 32 < settings->mark,
		.overtaken_by = draw[3] >> 32 < settings->reorder
					? 1 + (uint32_t)draw[3] % settings->reorder_by
					: 0,
	};
	if (settings->jitter_ns > 0)
		ret_fate->jitter_ns = (int64_t)(draw[5] % ((uint64_t)settings->jitter_ns + 1));
}
