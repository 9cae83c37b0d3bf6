/* SPDX-License-Identifier: Apache-2.0 */
/* In place of nic_dpdk.c where DPDK is not installed. */
#include <errno.h>
#include <stdio.h>

#include "dataplane/nic/nic.h"

uint64_t nic_dpdk_size(const struct nic_config *configs, uint32_t count)
{
	(void)configs;
	(void)count;
	return 0;
}

int nic_dpdk_up(const struct nic_config *configs, uint32_t count, char *reterr, size_t reterr_size)
{
	(void)count;
	return nic_dpdk_open(configs, NULL, reterr, reterr_size);
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
