/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
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
#define LINE_SIZE   (REASON_SIZE + 96)
/*
 * Packet buffers of a queue: what lies in the receive and send rings, what af_xdp's fill ring holds
 * (whatever the descriptors), and what TCP keeps out of order; 4 to 8 MB, so that they stay in the
 * last-level cache.
 */
#define DESCRIPTORS 512
#define BUFFERS     (DESCRIPTORS * 6)

/* Why a port could not be opened; empty: it is open. */
struct reasons {
	char of[PORTLIST_MAX][REASON_SIZE];
};

static void close_port(struct box *box, uint32_t index)
{
	for (uint32_t i = 0; i < box->core_count && box->nics[index] != NULL; i++) {
		if (box->threads[i].core != NULL)
			wireport_free(
				wireport_find(box->threads[i].core->wireport, box->nics[index]));
	}
	nic_close(box->nics[index]);
	box->nics[index] = NULL;
}

static struct nic_config config_of(const struct box *box, uint32_t index)
{
	return (struct nic_config){
		.port = box->ports.ports[index].port,
		.queues = (uint16_t)box->core_count,
		.mtu = box->ports.ports[index].mtu,
		.descriptors = DESCRIPTORS,
		.buffers = BUFFERS,
		.tcp_port = (uint16_t)box->config->port,
		.is_plain = !box->config->dpdk_offloads,
		.is_waited_for = strcmp(box->config->idle_mode, "busy") != 0,
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
static void lend_rings(const struct box *box, struct nic *nic)
{
	for (uint32_t i = 0; i < box->core_count; i++) {
		const struct iovec *buffers;
		uint32_t count = chunk_pool_buffers(box->chunks[i], &buffers);

		for (uint32_t j = 0; j < count && (nic->offloads & NIC_TX_LENT) != 0; j++) {
			int error = nic_lendable(nic, buffers[j].iov_base, buffers[j].iov_len);

			if (error == 0)
				continue;
			log_warn("the port cannot read the rings (%s): what is fetched is copied "
				 "into packets",
				 err_str(error));
		}
	}
}

static int open_port(struct box *box, uint32_t index, char reterr[REASON_SIZE])
{
	const struct nic_config config = config_of(box, index);
	int error = nic_dpdk_open(&config, &box->nics[index], reterr, REASON_SIZE);

	if (error == 0)
		lend_rings(box, box->nics[index]);
	for (uint32_t i = 0; i < box->core_count && error == 0; i++)
		error = wireport_new(box->threads[i].core, box->nics[index],
				     &box->ports.ports[index], reterr, REASON_SIZE);
	if (error < 0)
		close_port(box, index);
	return error;
}

/* @return 0; the first error, and the other ports are open */
static int open_ports(struct box *box, struct reasons *ret_reasons)
{
	struct nic_config fitting[PORTLIST_MAX];
	uint32_t count = 0;
	int error = 0, up_error = 0;

	for (uint32_t i = 0; i < box->ports.count; i++) {
		struct machine machine;

		ret_reasons->of[i][0] = '\0';
		machine_init(&machine, keep_finding, ret_reasons->of[i]);
		machine.ports = box->ports.count;
		machine_check_port(&machine, box->config, &box->ports.ports[i]);
		if (machine.bad_count == 0)
			fitting[count++] = config_of(box, i);
		else
			error = -ENODEV;
	}
	for (uint32_t i = 0; i < box->ports.count && count > 0; i++) {
		char *reason = ret_reasons->of[i];
		int port_error;

		if (reason[0] != '\0')
			continue;
		/* Once for all of them; what failed is said of each. */
		up_error = nic_dpdk_up(fitting, count, reason, REASON_SIZE);
		port_error = up_error == 0 ? open_port(box, i, reason) : up_error;
		if (error == 0)
			error = port_error;
	}
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

/* What is open, and what is not and why: a sentence for each. */
struct said {
	uint32_t count;
	char lines[PORTLIST_MAX + 1][LINE_SIZE];
};

/* @return the line */
static const char *PRINTF_LIKE(2, 3) say(struct said *said, const char *fmt, ...)
{
	char *line = said->lines[said->count];
	va_list ap;

	CHECK(said->count < ARRAY_COUNT(said->lines));
	va_start(ap, fmt);
	(void)vsnprintf(line, LINE_SIZE, fmt, ap);
	va_end(ap);
	said->count++;
	return line;
}

static void say_all(const struct box *box, const struct reasons *reasons, struct said *ret_said)
{
	const struct config *config = box->config;
	uint32_t count = box->ports.count;
	char tcp_ports[32];

	(void)snprintf(tcp_ports, sizeof(tcp_ports), box->core_count > 1 ? "%u-%u" : "%u",
		       (uint32_t)config->port, (uint32_t)config->port + box->core_count - 1);
	ret_said->count = 0;
	for (uint32_t i = 0; i < count; i++) {
		const struct portlist_port *port = &box->ports.ports[i];
		const char *name = count > 1 ? port->port : "";

		if (box->nics[i] != NULL)
			log_info("transport: %s", say(ret_said, "dpdk on %.160s%s%.64s at %s:%s",
						      box->nics[i]->describe, count > 1 ? ", " : "",
						      name, port->address_text, tcp_ports));
		else
			(void)say(ret_said, "no kernel bypass%s%.64s: %s", /* logged before */
				  count > 1 ? " on " : "", name, reasons->of[i]);
	}
	if (count == 0)
		log_info("%s", say(ret_said, "no kernel bypass: dpdk.port is not set"));
	if (config->socket_address[0] != '\0')
		log_info("transport: %s", say(ret_said, "socket (io_uring) at %s:%s",
					      config->socket_address, tcp_ports));
	else
		log_info("%s", say(ret_said, "no kernel socket"));
}

/** For people who ask the box: one sentence a line in <run>/transports. */
static void publish(const struct box *box, const struct said *said)
{
	char path[STARTUP_PATH_MAX];
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/transports", box->config->run_dir);
	file = fopen(path, "we");
	if (file == NULL) {
		log_warn("%s: %s", path, err_str(-errno));
		return;
	}
	for (uint32_t i = 0; i < said->count; i++)
		(void)fprintf(file, "%s\n", said->lines[i]);
	if (fchmod(fileno(file), 0644) < 0)
		log_warn("%s: mode cannot be set: %s", path, err_str(-errno));
	(void)fclose(file);
}

static void publish_memory(const struct box *box)
{
	struct nic_config configs[PORTLIST_MAX];
	uint32_t count = 0;

	for (uint32_t i = 0; i < box->ports.count; i++) {
		if (box->nics[i] != NULL)
			configs[count++] = config_of(box, i);
	}
	startup_memory_publish(box->config, configs, count);
}

int startup_transports_open(struct box *box)
{
	const struct config *config = box->config;
	struct reasons reasons;
	struct said said;
	int error = open_ports(box, &reasons);
	bool has_port = false;

	for (uint32_t i = 0; i < box->ports.count; i++) {
		has_port |= box->nics[i] != NULL;
		if (box->nics[i] == NULL && config->dpdk_required)
			log_error("dpdk.port=%s: %s", box->ports.ports[i].port, reasons.of[i]);
		else if (box->nics[i] == NULL)
			log_warn("dpdk.port=%s: %s; the box serves without it",
				 box->ports.ports[i].port, reasons.of[i]);
	}
	if (error < 0 && config->dpdk_required)
		return error;
	if (config->socket_address[0] != '\0') {
		int socket_error = open_sockets(box);

		if (socket_error < 0)
			return socket_error;
	} else if (!has_port) {
		log_error("no transport: %s", error < 0 ? "no port of dpdk.port can be opened"
							: "set socket.address or dpdk.port");
		return error < 0 ? error : ERR_CONFIG;
	}
	publish_memory(box);
	say_all(box, &reasons, &said);
	publish(box, &said);
	return 0;
}

int startup_transports_thread_begin(struct core *core)
{
	return core->wireport != NULL ? wireport_thread_begin(core->wireport) : 0;
}

void startup_transports_close(struct box *box)
{
	for (uint32_t i = 0; i < box->ports.count; i++)
		close_port(box, i);
	for (uint32_t i = 0; i < box->core_count; i++) {
		if (box->threads[i].core == NULL)
			continue;
		sock_free(box->threads[i].core->sock);
		box->threads[i].core->sock = NULL;
	}
}
