/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/nic/nic.h"

int nic_thread_register(struct nic *nic)
{
	return nic->ops->thread_register(nic);
}

void nic_close(struct nic *nic)
{
	if (nic != NULL)
		nic->ops->close(nic);
}
