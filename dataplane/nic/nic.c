/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/nic/nic.h"

int nic_thread_register(struct nic *nic)
{
	return nic->ops->thread_register(nic);
}

void nic_stats(struct nic *nic, struct nic_stats *ret_stats)
{
	nic->ops->stats(nic, ret_stats);
}

bool nic_link_up(struct nic *nic)
{
	return nic->ops->link_up(nic);
}

void nic_tend(struct nic *nic, int64_t now_ns)
{
	nic->ops->tend(nic, now_ns);
}

void nic_close(struct nic *nic)
{
	if (nic != NULL)
		nic->ops->close(nic);
}
