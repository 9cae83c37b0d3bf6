/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Names of ports, and what this machine must have for one.
 *
 * Context: starting thread. Memory: none.
 */
#pragma once

#include "dataplane/nic/nic.h"

enum nic_port_kind {
	NIC_PORT_AF_XDP,    /* an interface of the kernel, by XDP sockets */
	NIC_PORT_AF_PACKET, /* the same by packet sockets, which lose packets: for tests */
	NIC_PORT_MEMIF,     /* shared memory with another process */
	NIC_PORT_TAP,       /* an interface made for the port */
	NIC_PORT_VIRTIO,    /* shared memory with a switch that speaks vhost-user */
	NIC_PORT_PCI, /* a device bound to vfio-pci, or one whose driver works beside the kernel's */
};

#define NIC_PORT_XDP_MTU_MAX    3502 /* what fits a buffer of one page beside headers, headrooms */
#define NIC_PORT_PACKET_MTU_MAX 1500 /* the driver takes no more */

/**
 * "KIND:NAME" or a PCI address.
 *
 * @param[out] ret_name  the part of `port` that names the device
 * @return 0; -EINVAL
 */
NODISCARD int nic_port_parse(const char *port, enum nic_port_kind *ret_kind, const char **ret_name);

/**
 * What the kernel would refuse without a word of help, or worse, accept and never deliver.
 *
 * @param[out] reterr  [reterr_size] what does not fit and the remedy
 * @return 0; -EPERM, -EINVAL, -ENODEV
 */
NODISCARD int nic_port_check(const struct nic_config *config, enum nic_port_kind kind,
			     const char *name, char *reterr, size_t reterr_size);

/** @return whether an interface of the kernel is up and has a carrier */
bool nic_port_is_running(const char *interface);
