/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The descriptors that the scheduler's parts wait for, behind one that control's loop polls.
 *
 * Context: control's loop. Memory: sources live in their owners.
 */
#pragma once

#include "base/defs.h"

struct events;

struct event_source {
	int fd; /* -1: not watched */
	/** @param mask  EPOLL* bits. May forget any source. */
	void (*ready)(struct event_source *source, uint32_t mask);
};

/** @return 0; -errno */
NODISCARD int events_new(struct events **ret_events);
void events_free(struct events *events);
DEFINE_CLEANUP(struct events, events_free);

/** @return descriptor that is readable while a source is ready */
int events_fd(const struct events *events);
/** Watch fd; a source that watches changes its mask. @param mask  EPOLL* bits. @return 0; -errno */
NODISCARD int events_watch(struct events *events, struct event_source *source, int fd,
			   uint32_t mask);
/** Harmless when not watched. The descriptor stays open. */
void events_forget(struct events *events, struct event_source *source);
/** Call the sources that are ready, without waiting. */
void events_run(struct events *events);
