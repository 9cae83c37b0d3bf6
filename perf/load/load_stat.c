/* SPDX-License-Identifier: Apache-2.0 */
#include "perf/load/load_stat.h"

#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"

enum { CPU_IDLE = 3, CPU_IOWAIT = 4, CPU_STEAL = 7, CPU_FIELDS = 8 };

static double seconds(struct timeval time)
{
	return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

void load_stat_read(struct load_stat *ret_stat)
{
	unsigned long long field[CPU_FIELDS] = { 0 };
	double hz = (double)sysconf(_SC_CLK_TCK);
	struct rusage usage = { 0 };
	FILE *file = fopen("/proc/stat", "re");

	if (file != NULL) {
		if (fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &field[0],
			   &field[1], &field[2], &field[3], &field[4], &field[5], &field[6],
			   &field[7]) != CPU_FIELDS)
			memset(field, 0, sizeof(field));
		(void)fclose(file);
	}
	(void)getrusage(RUSAGE_SELF, &usage);
	ret_stat->wall = (double)clock_now_ns() / (double)NS_PER_S;
	ret_stat->own = seconds(usage.ru_utime) + seconds(usage.ru_stime);
	ret_stat->steal = (double)field[CPU_STEAL] / hz;
	ret_stat->busy = ret_stat->wall * (double)sysconf(_SC_NPROCESSORS_ONLN) -
			 (double)(field[CPU_IDLE] + field[CPU_IOWAIT]) / hz - ret_stat->steal;
}

struct load_stat load_stat_between(const struct load_stat *begin, const struct load_stat *end)
{
	return (struct load_stat){ .wall = end->wall - begin->wall,
				   .own = end->own - begin->own,
				   .busy = end->busy - begin->busy,
				   .steal = end->steal - begin->steal };
}

void load_stat_print_hist(FILE *file, const char *name, const struct hist *hist)
{
	static const struct {
		const char *name;
		uint32_t per_million;
	} wanted[] = { { "p50", 500000 },
		       { "p90", 900000 },
		       { "p99", 990000 },
		       { "p999", 999000 },
		       { "p9999", 999900 } };

	(void)fprintf(file, "\"%s\":{\"n\":%llu", name, (unsigned long long)hist->count);
	for (size_t i = 0; i < ARRAY_COUNT(wanted); i++)
		(void)fprintf(file, ",\"%s\":%.1f", wanted[i].name,
			      (double)hist_quantile(hist, wanted[i].per_million) / 1e3);
	(void)fprintf(file, ",\"max\":%.1f,\"mean\":%.1f}", (double)hist->max / 1e3,
		      hist->count > 0 ? (double)hist->sum / (double)hist->count / 1e3 : 0.0);
}

void load_stat_print(FILE *file, const struct load_stat *window)
{
	(void)fprintf(file, "\"wall_s\":%.4f,\"own_cpu_s\":%.4f,\"busy_s\":%.3f,\"steal_s\":%.3f",
		      window->wall, window->own, window->busy, window->steal);
}

void load_stat_say(const char *event)
{
	(void)printf("%s\n", event);
	(void)fflush(stdout);
}
