/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/core/mesh.h"

#include <unistd.h>

#include "base/check.h"

#include "dataplane/core/mesh_impl.h"

#include "dataplane/core/hot.h"

/*
 * Going to sleep without missing an item: the sleeper sets is_asleep and then looks at its rings;
 * the sender pushes and then looks at is_asleep. Both look by a read-modify-write, so one of the two
 * comes second in the order of that word and sees what the first had done before.
 */
static void wake(struct mesh_member *member)
{
	uint64_t one = 1;

	/* Who takes the mark writes; one is enough. */
	if (__atomic_exchange_n(&member->is_asleep, 0, __ATOMIC_ACQ_REL) == 0)
		return;
	/* EAGAIN means that the descriptor is readable already. */
	if (write(member->wait_fd, &one, sizeof(one)) < 0)
		return;
}

void mesh_join(struct mesh *mesh, uint32_t member, void *context)
{
	CHECK(member < mesh->count);
	mesh->members[member].context = context;
}

void mesh_send(struct mesh *mesh, uint32_t from, uint32_t to, struct mesh_item *item)
{
	struct mesh_lane *lane;

	CHECK(from < mesh->count && to < mesh->count);
	CHECK(item->run != NULL);
	lane = mesh_lane(mesh, from, to);
	/* What waits goes first, so order per lane is kept. */
	if (lane->ring == NULL || !list_is_empty(&lane->waiting) || !spsc_push(lane->ring, item)) {
		list_push_back(&lane->waiting, &item->node);
		mesh->members[from].waiting_count++;
		return;
	}
	wake(&mesh->members[to]);
}

static void run_item(struct mesh *mesh, uint32_t member, struct mesh_item *item)
{
	item->run(mesh->members[member].context, item);
}

/* Run what the member sent to itself before this call. */
static uint32_t poll_self(struct mesh *mesh, uint32_t member, uint32_t max)
{
	struct mesh_lane *lane = mesh_lane(mesh, member, member);
	struct list todo, *node;
	uint32_t count = 0;

	list_init(&todo);
	while (count < max && (node = list_pop_front(&lane->waiting)) != NULL) {
		list_push_back(&todo, node);
		count++;
	}
	mesh->members[member].waiting_count -= count;
	while ((node = list_pop_front(&todo)) != NULL)
		run_item(mesh, member, LIST_ENTRY(node, struct mesh_item, node));
	return count;
}

static void push_waiting(struct mesh *mesh, uint32_t member)
{
	for (uint32_t to = 0; to < mesh->count; to++) {
		struct mesh_lane *lane = mesh_lane(mesh, member, to);
		bool is_pushed = false;

		if (lane->ring == NULL)
			continue;
		while (!list_is_empty(&lane->waiting)) {
			struct list *node = list_pop_front(&lane->waiting);

			if (!spsc_push(lane->ring, LIST_ENTRY(node, struct mesh_item, node))) {
				list_push_front(&lane->waiting, node);
				break;
			}
			mesh->members[member].waiting_count--;
			is_pushed = true;
		}
		if (is_pushed)
			wake(&mesh->members[to]);
	}
}

uint32_t mesh_poll(struct mesh *mesh, uint32_t member, uint32_t max)
{
	uint32_t count = 0;

	CHECK(member < mesh->count);
	if (mesh->members[member].waiting_count > 0) {
		count += poll_self(mesh, member, max);
		push_waiting(mesh, member);
	}
	for (uint32_t from = 0; from < mesh->count; from++) {
		struct mesh_lane *lane = mesh_lane(mesh, from, member);

		while (lane->ring != NULL && count < max) {
			struct mesh_item *item = spsc_pop(lane->ring);

			if (item == NULL)
				break;
			run_item(mesh, member, item);
			count++;
		}
	}
	return count;
}

int mesh_wait_fd(struct mesh *mesh, uint32_t member)
{
	return mesh->members[member].wait_fd;
}

bool mesh_sleep_begin(struct mesh *mesh, uint32_t member)
{
	struct mesh_member *self = &mesh->members[member];
	bool is_work = self->waiting_count > 0;

	(void)__atomic_exchange_n(&self->is_asleep, 1, __ATOMIC_ACQ_REL);
	for (uint32_t from = 0; from < mesh->count && !is_work; from++) {
		struct mesh_lane *lane = mesh_lane(mesh, from, member);

		is_work = lane->ring != NULL && !spsc_is_empty(lane->ring);
	}
	if (is_work)
		mesh_sleep_end(mesh, member);
	return !is_work;
}

void mesh_sleep_end(struct mesh *mesh, uint32_t member)
{
	struct mesh_member *self = &mesh->members[member];
	uint64_t count;

	/* Who found the member asleep took that mark, and writes: in the usual case nobody did, because
	   another descriptor ended the sleep, and no system call is needed. */
	self->is_signalled |= __atomic_exchange_n(&self->is_asleep, 0, __ATOMIC_ACQ_REL) == 0;
	if (self->is_signalled && read(self->wait_fd, &count, sizeof(count)) > 0)
		self->is_signalled = false;
}
