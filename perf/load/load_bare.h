/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * What own TCP takes from a stock client on a port when nothing is done with the bytes: each segment's
 * checksum is verified, and then it is forgotten. No copy, no protocol above: what a box reaches on the
 * same port is held against it.
 *
 * Context: one thread, polling. Memory: wire_client.h. Limits: LOAD_BARE_CONNECTIONS.
 */
#pragma once

#include "base/defs.h"

#define LOAD_BARE_CONNECTIONS 64

struct load_bare;

struct load_bare_options {
	const char *port;    /* as dpdk.port of the box */
	const char *address; /* ours, "10.1.0.2" */
	uint32_t prefix;
	uint16_t tcp_port;
	uint16_t mtu;
};

/** @param[out] reterr  [reterr_size] what failed. @return 0; -errno */
NODISCARD int load_bare_new(const struct load_bare_options *options, struct load_bare **ret_bare,
			    char *reterr, size_t reterr_size);
void load_bare_free(struct load_bare *bare);

/** Receive a burst and answer it; sleep for a moment when nothing came for long. */
void load_bare_poll(struct load_bare *bare);

/** @return payload bytes taken so far */
uint64_t load_bare_bytes(const struct load_bare *bare);
