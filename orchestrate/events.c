/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrate/events.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define AT_ONCE 64

struct events {
	int fd;
	struct epoll_event found[AT_ONCE];
	int count, next; /* of found, while events_run() calls them */
};

int events_new(struct events **ret_events)
{
	struct events *events = calloc(1, sizeof(*events));

	if (events == NULL)
		return -ENOMEM;
	events->fd = epoll_create1(EPOLL_CLOEXEC);
	if (events->fd < 0) {
		free(events);
		return -errno;
	}
	*ret_events = events;
	return 0;
}

void events_free(struct events *events)
{
	if (events == NULL)
		return;
	(void)close(events->fd);
	free(events);
}

int events_fd(const struct events *events)
{
	return events->fd;
}

int events_watch(struct events *events, struct event_source *source, int fd, uint32_t mask)
{
	struct epoll_event event = { .events = mask, .data.ptr = source };
	bool is_known = source->fd == fd;

	if (epoll_ctl(events->fd, is_known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) != 0)
		return -errno;
	source->fd = fd;
	return 0;
}

void events_forget(struct events *events, struct event_source *source)
{
	if (source->fd < 0)
		return;
	(void)epoll_ctl(events->fd, EPOLL_CTL_DEL, source->fd, NULL);
	source->fd = -1;
	for (int i = events->next; i < events->count; i++) {
		if (events->found[i].data.ptr == source)
			events->found[i].data.ptr = NULL;
	}
}

void events_run(struct events *events)
{
	events->count = epoll_wait(events->fd, events->found, AT_ONCE, 0);
	for (events->next = 0; events->next < events->count;) {
		const struct epoll_event *event = &events->found[events->next++];
		struct event_source *source = event->data.ptr;

		if (source != NULL)
			source->ready(source, event->events);
	}
	events->count = 0;
}
