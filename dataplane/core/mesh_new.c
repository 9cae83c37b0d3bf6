/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"

#include "dataplane/core/mesh_impl.h"

static bool fill(struct mesh *mesh)
{
	for (uint32_t i = 0; i < mesh->count; i++)
		mesh->members[i].wait_fd = -1;
	for (uint32_t i = 0; i < mesh->count * mesh->count; i++)
		list_init(&mesh->lanes[i].waiting);
	for (uint32_t from = 0; from < mesh->count; from++) {
		mesh->members[from].wait_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (mesh->members[from].wait_fd < 0)
			return false;
		for (uint32_t to = 0; to < mesh->count; to++) {
			if (to == from)
				continue;
			mesh_lane(mesh, from, to)->ring = spsc_new(MESH_RING_CAPACITY);
			if (mesh_lane(mesh, from, to)->ring == NULL)
				return false;
		}
	}
	return true;
}

struct mesh *mesh_new(uint32_t cores)
{
	struct mesh *mesh = calloc(1, sizeof(*mesh));

	CHECK(cores > 0);
	if (mesh == NULL)
		return NULL;
	mesh->count = cores + 1;
	mesh->members = aligned_alloc(CACHELINE_SIZE, mesh->count * sizeof(*mesh->members));
	mesh->lanes = calloc((size_t)mesh->count * mesh->count, sizeof(*mesh->lanes));
	if (mesh->members == NULL || mesh->lanes == NULL) {
		free(mesh->members);
		free(mesh->lanes);
		free(mesh);
		return NULL;
	}
	memset(mesh->members, 0, mesh->count * sizeof(*mesh->members));
	if (!fill(mesh)) {
		mesh_free(mesh);
		return NULL;
	}
	return mesh;
}

void mesh_free(struct mesh *mesh)
{
	if (mesh == NULL)
		return;
	for (uint32_t i = 0; i < mesh->count; i++) {
		if (mesh->members[i].wait_fd >= 0)
			close(mesh->members[i].wait_fd);
	}
	for (uint32_t i = 0; i < mesh->count * mesh->count; i++)
		spsc_free(mesh->lanes[i].ring);
	free(mesh->members);
	free(mesh->lanes);
	free(mesh);
}
