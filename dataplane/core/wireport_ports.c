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

enum wireport_sleep wireport_sleep_begin(struct wireport *port)
{
	bool is_blind = false, must_look = false;

	for (; port != NULL; port = port->next) {
		enum nic_wait wait;

		if (port->has_interrupts_on)
			continue;
		wait = nic_wait_begin(port->nic, port->queue);
		is_blind |= wait == NIC_WAIT_NOT;
		must_look |= wait == NIC_WAIT_LOOK;
		port->has_interrupts_on = wait == NIC_WAIT_LOOK;
	}
	return must_look ? WIREPORT_LOOK_AGAIN : is_blind ? WIREPORT_BLIND : WIREPORT_SLEEP;
}

void wireport_sleep_end(struct wireport *port)
{
	for (; port != NULL; port = port->next) {
		if (port->has_interrupts_on)
			nic_wait_end(port->nic, port->queue);
		port->has_interrupts_on = false;
	}
}
