/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The least that takes bytes from a stock TCP client on a port: each packet's checksum is verified, its
 * payload copied once, and each connection acknowledged once a burst. No loss recovery, a window of one
 * size, no protocol above: what a box reaches is held against it.
 *
 * Context: one thread, polling. Memory: the struct and the port's buffers. Limits: LOAD_BARE_FLOWS
 * connections; what arrives out of order is dropped, for the client to send again.
 */
#pragma once

#include "base/defs.h"

#define LOAD_BARE_FLOWS 64

struct load_bare;

struct load_bare_options {
	const char *port;    /* as dpdk.port of the box */
	const char *address; /* ours, "10.1.0.2/24" */
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
