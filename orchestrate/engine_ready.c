/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#include "orchestrate/engine_impl.h"

/*
 * Two levels, so that a run at its max_active_tasks (or of a paused dag) leaves the queues of its pools with
 * all its ready tasks at once: a pool's heap holds groups, a group's heap the instances of one run.
 * Inside a pool the order is strict: a task that wants more slots than are free holds back those behind it,
 * otherwise narrow tasks could starve it.
 */

typedef bool before_fn(struct ready_node *a, struct ready_node *b);

static struct ready_node *meld(struct ready_node *a, struct ready_node *b, before_fn *before)
{
	if (a == NULL || b == NULL)
		return a != NULL ? a : b;
	if (before(b, a)) {
		struct ready_node *swap = a;

		a = b;
		b = swap;
	}
	b->prev = a;
	b->next = a->child;
	if (a->child != NULL)
		a->child->prev = b;
	a->child = b;
	return a;
}

static struct ready_node *meld_siblings(struct ready_node *first, before_fn *before)
{
	struct ready_node *pairs = NULL, *heap = NULL;

	while (first != NULL) {
		struct ready_node *a = first, *b = a->next;

		first = b != NULL ? b->next : NULL;
		a->next = a->prev = NULL;
		if (b != NULL)
			b->next = b->prev = NULL;
		a = meld(a, b, before);
		a->next = pairs;
		pairs = a;
	}
	while (pairs != NULL) {
		struct ready_node *pair = pairs;

		pairs = pair->next;
		pair->next = NULL;
		heap = meld(heap, pair, before);
	}
	return heap;
}

static void heap_push(struct ready_node **root, struct ready_node *node, before_fn *before)
{
	*node = (struct ready_node){ 0 };
	*root = meld(*root, node, before);
}

static void heap_remove(struct ready_node **root, struct ready_node *node, before_fn *before)
{
	struct ready_node *children = meld_siblings(node->child, before);

	if (*root == node) {
		*root = children;
		return;
	}
	CHECK(node->prev != NULL);
	if (node->prev->child == node)
		node->prev->child = node->next;
	else
		node->prev->next = node->next;
	if (node->next != NULL)
		node->next->prev = node->prev;
	*root = meld(*root, children, before);
}

/** (-priority, logical date, task index), then by name so that it is an order. */
static bool ti_before(struct ready_node *a, struct ready_node *b)
{
	const struct ti *x = CONTAINER_OF(a, struct ti_entry, node)->ti;
	const struct ti *y = CONTAINER_OF(b, struct ti_entry, node)->ti;
	int order;

	if (ti_task(x)->priority != ti_task(y)->priority)
		return ti_task(x)->priority > ti_task(y)->priority;
	if (x->run->slot.logical_us != y->run->slot.logical_us)
		return x->run->slot.logical_us < y->run->slot.logical_us;
	if (x->task != y->task)
		return x->task < y->task;
	order = strcmp(x->run->dag->id, y->run->dag->id);
	return order != 0 ? order < 0 : strcmp(x->run->id, y->run->id) < 0;
}

static bool group_before(struct ready_node *a, struct ready_node *b)
{
	return ti_before(CONTAINER_OF(a, struct ready_group, node)->ready,
			 CONTAINER_OF(b, struct ready_group, node)->ready);
}

static void group_leave(struct ready_group *group)
{
	if (group->is_in)
		heap_remove(&group->pool->groups, &group->node, group_before);
	group->is_in = false;
}

static void group_join(struct ready_group *group)
{
	const struct run_entry *run = group->run;

	CHECK(!group->is_in);
	if (group->ready == NULL || run->run.state != RUN_RUNNING || run->owner->is_paused)
		return;
	if (!group->pool->is_poke && run->active >= MAX(run->run.dag->max_active_tasks, 1U))
		return;
	heap_push(&group->pool->groups, &group->node, group_before);
	group->is_in = true;
}

struct pool_entry *engine_ready_pool(struct engine *engine, const char *name)
{
	struct pool_entry *pool;

	LIST_EACH(&engine->pools, node)
	{
		pool = LIST_ENTRY(node, struct pool_entry, link);
		if (strcmp(pool->name, name) == 0)
			return pool;
	}
	pool = calloc(1, sizeof(*pool));
	if (pool == NULL)
		return NULL;
	strncpy(pool->name, name, DAG_NAME_MAX);
	list_init(&pool->link);
	list_init(&pool->holders);
	list_push_back(&engine->pools, &pool->link);
	return pool;
}

void engine_ready_push(struct ti_entry *entry)
{
	struct ready_group *group = entry->group;

	group_leave(group);
	heap_push(&group->ready, &entry->node, ti_before);
	group_join(group);
}

void engine_ready_remove(struct ti_entry *entry)
{
	struct ready_group *group = entry->group;

	group_leave(group);
	heap_remove(&group->ready, &entry->node, ti_before);
	group_join(group);
}

void engine_ready_refresh(struct run_entry *run)
{
	for (uint32_t i = 0; i < run->group_count; i++) {
		group_leave(&run->groups[i]);
		group_join(&run->groups[i]);
	}
}

uint32_t engine_ready_slots(const struct ti_entry *entry)
{
	return MAX(1U, MIN(ti_task(entry->ti)->pool_slots, entry->group->pool->slots));
}

struct ti_entry *engine_ready_first(const struct pool_entry *pool)
{
	if (pool->groups == NULL)
		return NULL;
	return CONTAINER_OF(CONTAINER_OF(pool->groups, struct ready_group, node)->ready,
			    struct ti_entry, node);
}

static bool fits(const struct engine *engine, const struct ti_entry *entry)
{
	const struct pool_entry *pool = entry->group->pool;

	if (pool->is_poke)
		return true;
	return engine->active < engine->limits.parallelism && pool->used < pool->slots &&
	       pool->slots - pool->used >= engine_ready_slots(entry);
}

void engine_ready_pump(struct engine *engine)
{
	for (;;) {
		struct ti_entry *best = NULL;

		LIST_EACH(&engine->pools, node)
		{
			struct ti_entry *first =
				engine_ready_first(LIST_ENTRY(node, struct pool_entry, link));

			if (first != NULL && fits(engine, first) &&
			    (best == NULL || ti_before(&first->node, &best->node)))
				best = first;
		}
		if (best == NULL)
			return;
		engine_tasks_start(best);
	}
}
