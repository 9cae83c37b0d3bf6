/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/worker/background.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"

#define NICE_LOWEST 19

void background_enter(const struct config *config)
{
	const struct sched_param none = { .sched_priority = 0 };
	int error;

	if (!config->worker_background)
		return;
	/* Both are the calling thread's alone here, whatever POSIX says of processes. */
	error = strcmp(config->idle_mode, "busy") == 0
			? setpriority(PRIO_PROCESS, (id_t)gettid(), NICE_LOWEST)
			: sched_setscheduler(0, SCHED_IDLE, &none);
	if (error != 0)
		log_warn("SQL runs with the priority of everything else: %s", strerror(errno));
}
