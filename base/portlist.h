/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The ports of a box as its settings name them: dpdk.port is a list, and what belongs to each port is a
 * list of the same length, or one value for all where that makes sense.
 *
 *     dpdk.address                one for each port, none twice
 *     dpdk.prefix, dpdk.mtu       one for each port, or one for all
 *     dpdk.gateway                one for each port, which may be empty; one alone is of the ports whose
 *                                 network it is in
 *     advertised.dpdk.address     one for each port, or one for all; empty: the port's address
 *
 * Context: cold path. Memory: the caller's. Limits: PORTLIST_MAX ports.
 */
#pragma once

#include "base/config.h"
#include "base/defs.h"

#define PORTLIST_MAX      8U
#define PORTLIST_PCI_SIZE 20 /* 0000:03:00.0 with its end, and room */

struct portlist_port {
	char port[CONFIG_TEXT_MAX]; /* "af_xdp:IFACE", a PCI address, ... */
	char host[CONFIG_TEXT_MAX]; /* told to clients that came by this port */
	char address_text[16];      /* dotted */
	uint32_t address, gateway;  /* IPv4, host byte order; gateway 0: none */
	uint32_t prefix;            /* bits */
	uint16_t mtu;               /* bytes of IP packet */
};

struct portlist {
	uint32_t count; /* 0: dpdk.port is empty or "none" */
	struct portlist_port ports[PORTLIST_MAX];
};

/**
 * Take the settings apart and hold them against each other.
 *
 * @param[out] reterr  [reterr_size] which setting does not fit, and the remedy
 * @return 0; ERR_CONFIG
 */
NODISCARD int portlist_read(const struct config *config, struct portlist *ret_list, char *reterr,
			    size_t reterr_size);

/** @return whether it is the address of a PCI device, with its domain or without */
bool portlist_is_pci(const char *port);

/** The full, lower case address of a PCI device: "03:0A.0" is "0000:03:0a.0". */
void portlist_pci(const char *name, char ret[PORTLIST_PCI_SIZE]);
