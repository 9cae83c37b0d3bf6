/* SPDX-License-Identifier: Apache-2.0 */
/* The ports of a core, as a list in the order of dpdk.port. */
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "dataplane/core/wireport_impl.h"

/* Each port may hand the same payload to sessions in a turn, whatever the others have to give. */
static void deal_shares(struct wireport *first)
{
	uint32_t count = 0;

	for (struct wireport *port = first; port != NULL; port = port->next)
		count++;
	for (struct wireport *port = first; port != NULL; port = port->next)
		port->turn_max = WIREPORT_TURN_SIZE / count;
}

void wireport_join(struct wireport *port)
{
	struct wireport **at = &port->core->wireport;

	while (*at != NULL)
		at = &(*at)->next;
	*at = port;
	deal_shares(port->core->wireport);
}

void wireport_leave(struct wireport *port)
{
	struct wireport **at = &port->core->wireport;

	while (*at != port)
		at = &(*at)->next;
	*at = port->next;
	deal_shares(port->core->wireport);
	if (port->epoll_fd >= 0)
		(void)close(port->epoll_fd);
}

struct wireport *wireport_find(struct wireport *port, const struct nic *nic)
{
	while (port != NULL && port->nic != nic)
		port = port->next;
	return port;
}

/* One descriptor that is readable when one of them is. */
static int join_descriptors(struct wireport *first)
{
	first->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (first->epoll_fd < 0)
		return -errno;
	for (struct wireport *port = first; port != NULL; port = port->next) {
		struct epoll_event event = { .events = EPOLLIN };
		int fd = nic_wait_fd(port->nic, port->queue);

		if (fd < 0) { /* all of them must be polled for this one */
			(void)close(first->epoll_fd);
			first->epoll_fd = -1;
			return 0;
		}
		if (epoll_ctl(first->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
			return -errno;
	}
	return 0;
}

int wireport_thread_begin(struct wireport *port)
{
	int error = nic_thread_register(port->nic);

	return error == 0 && port->next != NULL ? join_descriptors(port) : error;
}

int wireport_wait_fd(const struct wireport *port)
{
	return port->next == NULL ? nic_wait_fd(port->nic, port->queue) : port->epoll_fd;
}
