/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Connections of the load driver on own TCP over a port: memif to a box on the same machine, or a NIC.
 *
 * Batches are copied once, from where they lie into frames.
 *
 * Context: one thread. Memory: wire_client.h. Limits: connections, fixed at load_wire_new().
 */
#pragma once

#include "perf/load/load_link.h"

struct load_wire_options {
	const char *port;    /* as dpdk.port of the box */
	const char *address; /* of this end, "10.1.0.1/24" */
	const char *gateway; /* NULL: none */
	uint16_t mtu;
	uint32_t connections;
};

/** Take "10.1.0.1/24" apart. @param ret_address  [16]. @return 0; -EINVAL */
NODISCARD int load_wire_parse(const char *text, char *ret_address, uint32_t *ret_prefix);

/** @param[out] reterr  [reterr_size] what failed. @return 0; -errno */
NODISCARD int load_wire_new(const struct load_wire_options *options, struct load_net **ret_net,
			    char *reterr, size_t reterr_size);
