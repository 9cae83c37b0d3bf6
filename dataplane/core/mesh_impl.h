/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Inside of the mesh, shared by mesh.c (every turn) and mesh_new.c (set-up).
 *
 * Context: see mesh.h. Memory: one block per mesh.
 */
#pragma once

#include "base/list.h"
#include "storage/spsc.h"

#include "dataplane/core/mesh.h"

#define MESH_RING_CAPACITY 256

/** One ordered pair of members. */
struct mesh_lane {
	struct spsc *ring;   /* NULL for the lane to oneself */
	struct list waiting; /* sender's: items that did not fit; to oneself: all items */
};

struct mesh_member {
	CACHELINE uint32_t is_asleep; /* atomic */
	void *context;
	int wait_fd;
	bool is_signalled;      /* own thread only: somebody wrote to wait_fd, or is about to */
	uint32_t waiting_count; /* items in the waiting lists of this sender */
};

struct mesh {
	uint32_t count; /* cores + the housekeeper */
	struct mesh_member *members;
	struct mesh_lane *lanes; /* [count * count], from * count + to */
};

static inline struct mesh_lane *mesh_lane(struct mesh *mesh, uint32_t from, uint32_t to)
{
	return &mesh->lanes[from * mesh->count + to];
}
