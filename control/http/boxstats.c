/* SPDX-License-Identifier: Apache-2.0 */
#include "control/http/boxstats.h"

#include <stdio.h>
#include <string.h>

#define LINE_SIZE  512
#define LINES_MAX  16
#define EXTRA_SIZE 16 /* "/transports" */

void boxstats_init(struct boxstats *stats, const char *run_dir)
{
	memset(stats, 0, sizeof(*stats));
	(void)snprintf(stats->run_dir, sizeof(stats->run_dir), "%s", run_dir);
}

void boxstats_fini(struct boxstats *stats)
{
	shmcounters_close(stats->shared);
	stats->shared = NULL;
	stats->count = 0;
}

void boxstats_refresh(struct boxstats *stats)
{
	char path[sizeof(stats->run_dir) + EXTRA_SIZE];
	struct shmcounters *shared;

	if (stats->shared != NULL && !shmcounters_is_retired(stats->shared))
		return;
	(void)snprintf(path, sizeof(path), "%s/counters", stats->run_dir);
	/* The last values of a dataplane that left stay until there are newer ones. */
	if (shmcounters_open(path, &shared) != 0)
		return;
	shmcounters_close(stats->shared);
	stats->shared = shared;
	stats->count = shmcounters_cores(shared);
	for (uint32_t i = 0; i < stats->count; i++) {
		stats->counters[i] = shmcounters_core(shared, i);
		stats->flush_ns[i] = shmcounters_flush_ns(shared, i);
	}
}

void boxstats_flush_all(const struct boxstats *stats, struct hist *ret_hist)
{
	hist_init(ret_hist);
	for (uint32_t i = 0; i < stats->count; i++)
		hist_merge(ret_hist, stats->flush_ns[i]);
}

int64_t boxstats_sum(const struct boxstats *stats, enum counter which)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < stats->count; i++)
		sum += counters_get(stats->counters[i], which);
	return (int64_t)sum;
}

json_t *boxstats_memory(const struct boxstats *stats)
{
	char path[sizeof(stats->run_dir) + EXTRA_SIZE], name[32];
	json_t *parts = json_object();
	unsigned long long size;
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/memory", stats->run_dir);
	file = fopen(path, "re");
	if (file == NULL)
		return parts;
	while (json_object_size(parts) < LINES_MAX && fscanf(file, "%31s %llu", name, &size) == 2)
		(void)json_object_set_new(parts, name, json_integer((json_int_t)size));
	(void)fclose(file);
	return parts;
}

json_t *boxstats_ports(const struct boxstats *stats)
{
	uint32_t count = stats->shared != NULL ? shmcounters_ports(stats->shared) : 0;
	json_t *ports = json_array();

	for (uint32_t i = 0; i < count; i++) {
		const struct shmcounters_port *port = shmcounters_port(stats->shared, i);
		json_t *object = json_pack("{s:s}", "port", port->name);

		for (uint32_t j = 0; j < SHMCOUNTERS_PORT_VALUES; j++)
			(void)json_object_set_new(
				object, shmcounters_port_infos[j].name,
				json_integer((json_int_t)shmcounters_port_get(port, j)));
		(void)json_array_append_new(ports, object);
	}
	return ports;
}

json_t *boxstats_transports(const struct boxstats *stats)
{
	char path[sizeof(stats->run_dir) + EXTRA_SIZE], line[LINE_SIZE];
	json_t *lines = json_array();
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/transports", stats->run_dir);
	file = fopen(path, "re");
	if (file == NULL)
		return lines;
	while (json_array_size(lines) < LINES_MAX && fgets(line, sizeof(line), file) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] != '\0')
			(void)json_array_append_new(lines, json_string(line));
	}
	(void)fclose(file);
	return lines;
}
