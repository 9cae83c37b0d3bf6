/* SPDX-License-Identifier: Apache-2.0 */
/* In place of nic_dpdk.c where DPDK is not installed. */
#include <errno.h>
#include <stdio.h>

#include "dataplane/nic/nic.h"

uint64_t nic_dpdk_size(const struct nic_config *config)
{
	(void)config;
	return 0;
}

int nic_dpdk_open(const struct nic_config *config, struct nic **ret_nic, char *reterr,
		  size_t reterr_size)
{
	(void)ret_nic;
	(void)snprintf(reterr, reterr_size,
		       "port %s needs DPDK, and this build has none: install libdpdk-dev and build "
		       "again with -Ddpdk=enabled",
		       config->port);
	return -ENOTSUP;
}
