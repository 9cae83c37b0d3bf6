/* SPDX-License-Identifier: Apache-2.0 */
#include "base/timers.h"

#include "base/check.h"

void timers_init(struct timers *timers)
{
	timers->root = NULL;
}

void timer_init(struct timer *timer, void (*fn)(struct timer *timer, int64_t now_ns))
{
	*timer = (struct timer){ .fn = fn };
}

/** Join two heaps (either may be NULL); the earlier root becomes parent of the other. */
static struct timer *meld(struct timer *a, struct timer *b)
{
	if (a == NULL || b == NULL)
		return a != NULL ? a : b;
	if (b->due_ns < a->due_ns) {
		struct timer *swap = a;

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

/** Join a list of siblings into one heap: in pairs from the left, then all into one. */
static struct timer *meld_siblings(struct timer *first)
{
	struct timer *pairs = NULL, *heap = NULL;

	while (first != NULL) {
		struct timer *a = first, *b = a->next;

		first = b != NULL ? b->next : NULL;
		a->next = a->prev = NULL;
		if (b != NULL)
			b->next = b->prev = NULL;
		a = meld(a, b);
		a->next = pairs;
		pairs = a;
	}
	while (pairs != NULL) {
		struct timer *pair = pairs;

		pairs = pair->next;
		pair->next = NULL;
		heap = meld(heap, pair);
	}
	return heap;
}

void timer_disarm(struct timers *timers, struct timer *timer)
{
	struct timer *children;

	if (!timer_is_armed(timer))
		return;
	children = meld_siblings(timer->child);
	if (timers->root == timer) {
		timers->root = children;
	} else {
		CHECK(timer->prev != NULL);
		if (timer->prev->child == timer)
			timer->prev->child = timer->next;
		else
			timer->prev->next = timer->next;
		if (timer->next != NULL)
			timer->next->prev = timer->prev;
		timers->root = meld(timers->root, children);
	}
	timer->child = timer->next = timer->prev = NULL;
	timer->due_ns = 0;
}

void timer_arm(struct timers *timers, struct timer *timer, int64_t due_ns)
{
	CHECK(due_ns > 0);
	CHECK(timer->fn != NULL);
	timer_disarm(timers, timer);
	timer->due_ns = due_ns;
	timers->root = meld(timers->root, timer);
}

uint32_t timers_run(struct timers *timers, int64_t now_ns, uint32_t max)
{
	uint32_t count = 0;

	while (count < max && timers->root != NULL && timers->root->due_ns <= now_ns) {
		struct timer *timer = timers->root;

		timer_disarm(timers, timer);
		timer->fn(timer, now_ns);
		count++;
	}
	return count;
}

int64_t timers_next_ns(const struct timers *timers)
{
	return timers->root != NULL ? timers->root->due_ns : INT64_MAX;
}
