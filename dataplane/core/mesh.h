/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Messages between the threads of the dataplane: N cores and the housekeeper (member number N), one
 * SPSC ring for each ordered pair. An item is embedded in the object it is about and carries the
 * function that the receiver runs, so handing work over never allocates and never fails: what does
 * not fit the ring waits in a list of the sender.
 *
 * Context: each member calls with its own number only. Memory: rings made at mesh_new().
 */
#pragma once

#include "base/defs.h"
#include "base/list.h"

struct mesh;

struct mesh_item {
	void (*run)(void *member, struct mesh_item *item); /* member: what mesh_join() was given */
	struct list node;                                  /* private; list_init() it once */
};

/** @param cores  poll cores; the housekeeper is member `cores`. @return NULL out of memory */
struct mesh *mesh_new(uint32_t cores);
void mesh_free(struct mesh *mesh);

/** Set what items are run with, before any other call of this member. */
void mesh_join(struct mesh *mesh, uint32_t member, void *context);

/** Hand `item` to another member (or to oneself: run at the next mesh_poll()). Wakes a sleeper. */
void mesh_send(struct mesh *mesh, uint32_t from, uint32_t to, struct mesh_item *item);

/** Run what others sent, at most `max` items, and move waiting items along. @return items run */
uint32_t mesh_poll(struct mesh *mesh, uint32_t member, uint32_t max);

/** @return eventfd that is readable when a sleeping member is wanted */
int mesh_wait_fd(struct mesh *mesh, uint32_t member);
/** Say that this member is about to sleep. @return false: something is there already, do not */
bool mesh_sleep_begin(struct mesh *mesh, uint32_t member);
void mesh_sleep_end(struct mesh *mesh, uint32_t member);
