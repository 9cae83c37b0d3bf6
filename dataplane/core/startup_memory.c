/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The written sum of the process, for K cores of C connections each:
 *   program   code, libraries, stacks, the housekeeper: PROGRAM_SIZE
 *   logs      LOGS_SIZE: about 40 KiB a partition, and index entries of unrolled segments, which are
 *             0.5 % of their bytes. The one part that grows with the data: topics beyond it add to it
 *   rings     K of ring.size
 *   output    K of core_new.c's sum
 *   sessions  K of session_pool.c's sum
 *   sockets   K of sock_new.c's sum, when there are kernel sockets
 *   tcp       K of wireport_new.c's and tcp_stack.c's sums for each kernel-bypass port: each has room for
 *             C connections, since all may come by one, but sessions are C for all
 *   packets   the buffers of all ports, nic_setup.c's sums
 * A test asks whether the process stays below it under pressure.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/log.h"

#include "dataplane/core/core.h"
#include "dataplane/core/sessions.h"
#include "dataplane/core/startup_box.h"
#include "dataplane/core/wireport.h"
#include "dataplane/nic/nic.h"
#include "dataplane/sock/sock.h"

#define MIB          (UINT64_C(1) << 20)
#define PROGRAM_SIZE (64 * MIB)
#define LOGS_SIZE    (64 * MIB)

uint64_t startup_memory(const struct config *config, const struct nic_config *ports,
			uint32_t port_count,
			struct startup_memory_part ret_parts[STARTUP_MEMORY_PARTS])
{
	uint32_t connections = (uint32_t)config->connections_max;
	uint64_t cores = (uint64_t)config->cores, total = 0;
	const struct startup_memory_part parts[STARTUP_MEMORY_PARTS] = {
		{ "program", PROGRAM_SIZE },
		{ "logs", LOGS_SIZE },
		{ "rings", cores * (uint64_t)config->ring_size },
		{ "output", cores * core_size(config) },
		{ "sessions", cores * sessions_size(connections) },
		{ "sockets",
		  config->socket_address[0] != '\0' ? cores * sock_size(connections) : 0 },
		{ "tcp", port_count * cores * wireport_size(config) },
		{ "packets", nic_dpdk_size(ports, port_count) },
	};

	memcpy(ret_parts, parts, sizeof(parts));
	for (size_t i = 0; i < STARTUP_MEMORY_PARTS; i++)
		total += parts[i].size;
	return total;
}

/* What one more connection adds, on average: tables grow by doubling. */
static uint64_t size_of_connection(const struct config *config, const struct nic_config *ports,
				   uint32_t port_count)
{
	struct startup_memory_part parts[STARTUP_MEMORY_PARTS];
	struct config twice = *config;

	twice.connections_max *= 2;
	return (startup_memory(&twice, ports, port_count, parts) -
		startup_memory(config, ports, port_count, parts)) /
	       (uint64_t)(config->connections_max * config->cores);
}

void startup_memory_publish(const struct config *config, const struct nic_config *ports,
			    uint32_t port_count)
{
	struct startup_memory_part parts[STARTUP_MEMORY_PARTS];
	uint64_t total = startup_memory(config, ports, port_count, parts);
	char path[STARTUP_PATH_MAX];
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/memory", config->run_dir);
	file = fopen(path, "we");
	if (file == NULL) {
		log_warn("%s: %s", path, err_str(-errno));
		return;
	}
	for (size_t i = 0; i < STARTUP_MEMORY_PARTS; i++)
		(void)fprintf(file, "%s %llu\n", parts[i].name, (unsigned long long)parts[i].size);
	if (fchmod(fileno(file), 0644) < 0)
		log_warn("%s: mode cannot be set: %s", path, err_str(-errno));
	(void)fclose(file);
	log_info(
		"memory: at most %llu MiB, of which the rings take %llu; each connection %llu bytes",
		(unsigned long long)(total / MIB), (unsigned long long)(parts[2].size / MIB),
		(unsigned long long)size_of_connection(config, ports, port_count));
}
