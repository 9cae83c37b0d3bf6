/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Processor time of this process and of the machine over a window, and the JSON of results.
 *
 * Context: one thread. Memory: the structs. Source: /proc/stat; idle time is exact to the tick, all
 * else is what is left of it.
 */
#pragma once

#include <stdio.h>

#include "base/hist.h"

/** Times in seconds since the machine started, or over a window. */
struct load_stat {
	double wall;
	double own;   /* user and system time of this process */
	double busy;  /* all CPUs, neither idle nor waiting for a disk nor stolen */
	double steal; /* taken by the host */
};

void load_stat_read(struct load_stat *ret_stat);
/** @return `end` - `begin` */
struct load_stat load_stat_between(const struct load_stat *begin, const struct load_stat *end);

/** Print `"name":{...}` of values in nanoseconds, shown as microseconds. */
void load_stat_print_hist(FILE *file, const char *name, const struct hist *hist);
/** Print the fields of a window, without braces. */
void load_stat_print(FILE *file, const struct load_stat *window);
/** Say on standard output that the window begins: what watches the driver looks at its own clocks. */
void load_stat_say(const char *event);
