/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/log.h"
#include "base/machine.h"

#include "dataplane/core/core.h"
#include "dataplane/core/startup_box.h"
#include "dataplane/core/wireport.h"
#include "dataplane/nic/nic.h"
#include "dataplane/sock/sock.h"

#define REASON_SIZE (2 * MACHINE_TEXT_MAX + 4)
/*
 * Packet buffers of a queue: what lies in the receive and send rings, what af_xdp's fill ring holds
 * (whatever the descriptors), and what TCP keeps out of order; 4 to 8 MB, so that they stay in the
 * last-level cache.
 */
#define DESCRIPTORS 512
#define BUFFERS     (DESCRIPTORS * 6)

static void close_wireports(struct box *box)
{
	for (uint32_t i = 0; i < box->core_count; i++) {
		if (box->threads[i].core == NULL || box->threads[i].core->wireport == NULL)
			continue;
		wireport_free(box->threads[i].core->wireport);
		box->threads[i].core->wireport = NULL;
	}
	nic_close(box->nic);
	box->nic = NULL;
}

static bool is_dpdk_wanted(const struct config *config)
{
	return config->dpdk_port[0] != '\0' && strcmp(config->dpdk_port, "none") != 0;
}

static struct nic_config port_of(const struct box *box)
{
	return (struct nic_config){
		.port = box->config->dpdk_port,
		.queues = (uint16_t)box->core_count,
		.mtu = (uint16_t)box->config->dpdk_mtu,
		.descriptors = DESCRIPTORS,
		.buffers = BUFFERS,
		.tcp_port = (uint16_t)box->config->port,
		.is_plain = !box->config->dpdk_offloads,
	};
}

/* What `millrace doctor` says of the port: the first thing that does not work is why there is none. */
static void keep_finding(void *ctx, const struct machine_finding *finding)
{
	char *reason = ctx;

	if (finding->verdict == MACHINE_WEAK)
		log_warn("%s: %s (%s)", finding->check, finding->found, finding->remedy);
	else if (finding->verdict == MACHINE_BAD && reason[0] == '\0')
		(void)snprintf(reason, REASON_SIZE, "%s: %s", finding->found, finding->remedy);
}

/* Answers are sent from where they lie in the rings, if the port can reach these. */
static void lend_rings(struct box *box)
{
	for (uint32_t i = 0; i < box->core_count; i++) {
		const struct iovec *buffers;
		uint32_t count = chunk_pool_buffers(box->chunks[i], &buffers);

		for (uint32_t j = 0; j < count && (box->nic->offloads & NIC_TX_LENT) != 0; j++) {
			int error = nic_lendable(box->nic, buffers[j].iov_base, buffers[j].iov_len);

			if (error == 0)
				continue;
			log_warn("the port cannot read the rings (%s): what is fetched is copied "
				 "into packets",
				 err_str(error));
		}
	}
}

static int open_dpdk(struct box *box, char reterr[REASON_SIZE])
{
	const struct nic_config config = port_of(box);
	const size_t reterr_size = REASON_SIZE;
	struct machine machine;
	int error;

	machine_init(&machine, keep_finding, reterr);
	machine_check_port(&machine, box->config);
	if (machine.bad_count > 0)
		return -ENODEV;
	error = nic_dpdk_open(&config, &box->nic, reterr, reterr_size);
	if (error == 0)
		lend_rings(box);
	for (uint32_t i = 0; i < box->core_count && error == 0; i++)
		error = wireport_new(box->threads[i].core, box->nic,
				     &box->threads[i].core->wireport, reterr, reterr_size);
	if (error < 0)
		close_wireports(box);
	return error;
}

static int open_sockets(struct box *box)
{
	const struct config *config = box->config;
	char reason[REASON_SIZE] = "";
	int error = 0;

	for (uint32_t i = 0; i < box->core_count && error == 0; i++)
		error = sock_new(box->threads[i].core, config->socket_address,
				 (uint16_t)(config->port + i), (uint32_t)config->connections_max,
				 &box->threads[i].core->sock, reason, sizeof(reason));
	if (error < 0)
		log_error("%s", reason);
	return error;
}

/** For people who ask the box: one sentence a line in <run>/transports. */
static void publish(const struct box *box, const char *dpdk, const char *sockets,
		    const char *why_no_dpdk)
{
	char path[STARTUP_PATH_MAX];
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/transports", box->config->run_dir);
	file = fopen(path, "we");
	if (file == NULL) {
		log_warn("%s: %s", path, err_str(-errno));
		return;
	}
	if (dpdk[0] != '\0')
		(void)fprintf(file, "%s\n", dpdk);
	else
		(void)fprintf(file, "no kernel bypass: %s\n", why_no_dpdk);
	(void)fprintf(file, "%s\n", sockets[0] != '\0' ? sockets : "no kernel socket");
	if (fchmod(fileno(file), 0644) < 0)
		log_warn("%s: mode cannot be set: %s", path, err_str(-errno));
	(void)fclose(file);
}

int startup_transports_open(struct box *box)
{
	const struct config *config = box->config;
	const struct nic_config port = port_of(box);
	char dpdk[REASON_SIZE] = "", sockets[CONFIG_TEXT_MAX + 64] = "", reason[REASON_SIZE] = "";
	char ports[32];
	int error = 0;

	(void)snprintf(ports, sizeof(ports), box->core_count > 1 ? "%u-%u" : "%u",
		       (uint32_t)config->port, (uint32_t)config->port + box->core_count - 1);
	if (is_dpdk_wanted(config)) {
		error = open_dpdk(box, reason);
		if (error < 0 && config->dpdk_required) {
			log_error("dpdk.port=%s: %s", config->dpdk_port, reason);
			return error;
		}
	}
	if (config->socket_address[0] != '\0') {
		int socket_error = open_sockets(box);

		if (socket_error < 0)
			return socket_error;
		(void)snprintf(sockets, sizeof(sockets), "socket (io_uring) at %s:%s",
			       config->socket_address, ports);
	}
	if (box->nic != NULL)
		(void)snprintf(dpdk, sizeof(dpdk), "dpdk on %.160s at %.32s:%s", box->nic->describe,
			       config->dpdk_address, ports);
	if (box->nic == NULL && sockets[0] == '\0') {
		log_error("no transport: %s",
			  error < 0 ? reason : "set socket.address or dpdk.port");
		return error < 0 ? error : ERR_CONFIG;
	}
	if (error < 0)
		log_warn("dpdk.port=%s: %s", config->dpdk_port, reason);
	startup_memory_publish(config, box->nic != NULL ? &port : NULL);
	publish(box, dpdk, sockets, error < 0 ? reason : "dpdk.port is not set");
	log_info("transport: %s%s%s%s", dpdk, dpdk[0] != '\0' ? "; " : "",
		 sockets[0] != '\0' ? sockets : "no kernel socket",
		 error < 0                 ? " only, because dpdk.port cannot be opened"
		 : !is_dpdk_wanted(config) ? " only, because dpdk.port is not set"
					   : "");
	return 0;
}

int startup_transports_thread_begin(struct core *core)
{
	return core->wireport != NULL ? wireport_thread_begin(core->wireport) : 0;
}

void startup_transports_close(struct box *box)
{
	close_wireports(box);
	for (uint32_t i = 0; i < box->core_count; i++) {
		if (box->threads[i].core == NULL)
			continue;
		sock_free(box->threads[i].core->sock);
		box->threads[i].core->sock = NULL;
	}
}
