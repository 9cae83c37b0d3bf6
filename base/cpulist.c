/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cpulist.h"

#include <errno.h>
#include <stdlib.h>

#include "base/err.h"

#define CPU_MAX 1023

/* One number at *at, which moves past it. @return -1 there is none */
static long number(const char **at)
{
	char *end;
	long value;

	if (**at < '0' || **at > '9')
		return -1;
	errno = 0;
	value = strtol(*at, &end, 10);
	*at = end;
	return errno == 0 && value <= CPU_MAX ? value : -1;
}

int cpulist_parse(const char *text, uint32_t *ret_cpus, uint32_t cpus_max)
{
	uint32_t count = 0;

	while (*text != '\0') {
		long first = number(&text), last = first;

		if (*text == '-') {
			text++;
			last = number(&text);
		}
		if (first < 0 || last < first)
			return ERR_CONFIG;
		for (long cpu = first; cpu <= last; cpu++) {
			if (count == cpus_max)
				return ERR_CONFIG;
			ret_cpus[count++] = (uint32_t)cpu;
		}
		if (*text == ',' && text[1] != '\0')
			text++;
		else if (*text != '\0')
			return ERR_CONFIG;
	}
	return (int)count;
}
