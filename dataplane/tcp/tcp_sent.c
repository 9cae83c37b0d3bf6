/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tcp/tcp_sent.h"

#include "dataplane/core/hot.h"

#define RANGE(link) LIST_ENTRY(link, struct tcp_sent_range, node)

void tcp_sent_pool_init(struct tcp_sent_pool *pool, struct tcp_sent_range *ranges, uint32_t count,
			uint32_t holders)
{
	CHECK(count >= holders);
	list_init(&pool->spare);
	pool->spare_count = count;
	pool->reserved = holders;
	for (uint32_t i = 0; i < count; i++) {
		list_init(&ranges[i].node);
		list_push_back(&pool->spare, &ranges[i].node);
	}
}

void tcp_sent_init(struct tcp_sent *sent)
{
	*sent = (struct tcp_sent){ .count = 0 };
	list_init(&sent->ranges);
}

static struct tcp_sent_range *last_of(const struct tcp_sent *sent)
{
	return RANGE(sent->ranges.prev);
}

/** @return a node outside any list; NULL: this connection may have no further one */
static struct tcp_sent_range *take(struct tcp_sent *sent, struct tcp_sent_pool *pool)
{
	if (sent->count == 0) {
		CHECK(pool->reserved > 0);
		pool->reserved--;
	} else if (sent->count >= TCP_SENT_RANGES_MAX || pool->spare_count <= pool->reserved) {
		return NULL;
	}
	sent->count++;
	CHECK(pool->spare_count > 0);
	pool->spare_count--;
	return RANGE(list_pop_front(&pool->spare));
}

static void give_back(struct tcp_sent *sent, struct tcp_sent_pool *pool,
		      struct tcp_sent_range *range)
{
	list_remove(&range->node);
	list_push_front(&pool->spare, &range->node);
	pool->spare_count++;
	CHECK(sent->count > 0);
	if (--sent->count == 0)
		pool->reserved++;
}

/** Take a range into the sums, or out of them before it changes. */
static void account(struct tcp_sent *sent, const struct tcp_sent_range *range, bool is_in)
{
	uint32_t size = is_in ? range->end - range->start : range->start - range->end;

	sent->size += size;
	if (range->is_sacked)
		sent->sacked += size;
	else if (range->is_resent)
		sent->resent += size;
	if (range->is_lost)
		sent->lost += size;
}

/** Make `left` reach over its right neighbour, which goes. Times and states join on the side of doubt:
    the caller chose two with equal states. */
static void merge(struct tcp_sent *sent, struct tcp_sent_pool *pool, struct tcp_sent_range *left)
{
	struct tcp_sent_range *right = RANGE(left->node.next);

	CHECK(left->end == right->start);
	account(sent, left, false);
	account(sent, right, false);
	left->is_resent |= right->is_resent;
	left->is_vague |= right->is_vague || left->xmit_ns != right->xmit_ns;
	left->xmit_ns = MAX(left->xmit_ns, right->xmit_ns);
	left->end = right->end;
	account(sent, left, true);
	give_back(sent, pool, right);
}

/** @return true: the one range says the same as both */
static bool are_alike(const struct tcp_sent_range *a, const struct tcp_sent_range *b)
{
	if (a->is_sacked || b->is_sacked)
		return a->is_sacked && b->is_sacked;
	return a->is_lost == b->is_lost && a->is_resent == b->is_resent &&
	       a->is_vague == b->is_vague && a->xmit_ns == b->xmit_ns;
}

/** Merge with both neighbours if nothing is forgotten by it. @return the range it is now part of */
static struct tcp_sent_range *join(struct tcp_sent *sent, struct tcp_sent_pool *pool,
				   struct tcp_sent_range *range)
{
	if (range->node.next != &sent->ranges && are_alike(range, RANGE(range->node.next)))
		merge(sent, pool, range);
	if (range->node.prev != &sent->ranges && are_alike(RANGE(range->node.prev), range)) {
		range = RANGE(range->node.prev);
		merge(sent, pool, range);
	}
	return range;
}

/** No node is left: merge each second range with the one before it where their states agree. */
static void compact(struct tcp_sent *sent, struct tcp_sent_pool *pool)
{
	for (struct list *link = sent->ranges.next;
	     link != &sent->ranges && link->next != &sent->ranges; link = link->next) {
		struct tcp_sent_range *left = RANGE(link), *right = RANGE(link->next);

		if (left->is_sacked == right->is_sacked && left->is_lost == right->is_lost)
			merge(sent, pool, left);
	}
}

/** Make `at`, which is inside the range, the start of a new one. @return it; NULL: no node */
static struct tcp_sent_range *split(struct tcp_sent *sent, struct tcp_sent_pool *pool,
				    struct tcp_sent_range *range, uint32_t at)
{
	struct tcp_sent_range *right = take(sent, pool);

	CHECK(tcp_seq_lt(range->start, at));
	CHECK(tcp_seq_lt(at, range->end));
	if (right == NULL)
		return NULL;
	right->xmit_ns = range->xmit_ns;
	right->is_sacked = range->is_sacked;
	right->is_lost = range->is_lost;
	right->is_resent = range->is_resent;
	right->is_vague = range->is_vague;
	right->start = at;
	right->end = range->end;
	range->end = at;
	list_insert_between(&right->node, &range->node, range->node.next);
	return right;
}

/** @return the range that holds `seq`; NULL: none */
static struct tcp_sent_range *find(const struct tcp_sent *sent, uint32_t seq)
{
	LIST_EACH(&sent->ranges, link)
	if (tcp_seq_lt(seq, RANGE(link)->end))
		return tcp_seq_leq(RANGE(link)->start, seq) ? RANGE(link) : NULL;
	return NULL;
}

/** Make `at` a border of ranges, if it is inside one and there is a node. What was reported is settled
    and needs no border. */
static void cut(struct tcp_sent *sent, struct tcp_sent_pool *pool, uint32_t at)
{
	struct tcp_sent_range *range = find(sent, at);

	if (range == NULL || range->start == at || range->is_sacked)
		return;
	if (split(sent, pool, range, at) == NULL) {
		compact(sent, pool);
		(void)split(sent, pool, find(sent, at), at);
	}
}

void tcp_sent_clear(struct tcp_sent *sent, struct tcp_sent_pool *pool)
{
	while (!list_is_empty(&sent->ranges))
		give_back(sent, pool, RANGE(sent->ranges.next));
	sent->size = sent->sacked = sent->lost = sent->resent = 0;
}

void tcp_sent_push(struct tcp_sent *sent, struct tcp_sent_pool *pool, struct tcp_range range,
		   bool is_resent, int64_t now_ns, int64_t slack_ns)
{
	struct tcp_sent_range *node;

	CHECK(tcp_seq_lt(range.start, range.end));
	CHECK(sent->count == 0 || last_of(sent)->end == range.start);
	if (sent->count > 0) {
		node = last_of(sent);
		if (!node->is_sacked && !node->is_lost && node->is_resent == is_resent &&
		    !node->is_vague && now_ns - node->xmit_ns <= slack_ns &&
		    node->xmit_ns >= sent->again_ns) {
			account(sent, node, false);
			node->end = range.end;
			account(sent, node, true);
			return;
		}
	}
	node = take(sent, pool);
	if (node == NULL) {
		compact(sent, pool);
		node = take(sent, pool);
	}
	if (node == NULL) {
		/* What the last range said is forgotten: all of it counts as sent now. */
		node = last_of(sent);
		account(sent, node, false);
		node->is_sacked = node->is_lost = false;
		node->is_vague = true;
	} else {
		list_push_back(&sent->ranges, &node->node);
		node->start = range.start;
		node->is_sacked = node->is_lost = false;
		node->is_resent = is_resent;
		node->is_vague = false;
	}
	node->end = range.end;
	node->xmit_ns = now_ns;
	account(sent, node, true);
}

void tcp_sent_again(struct tcp_sent *sent, struct tcp_sent_pool *pool, struct tcp_range range,
		    int64_t now_ns)
{
	struct tcp_sent_range *first = NULL;

	CHECK(tcp_seq_lt(range.start, range.end));
	sent->again_ns = now_ns;
	cut(sent, pool, range.start);
	cut(sent, pool, range.end);
	LIST_EACH(&sent->ranges, link)
	{
		struct tcp_sent_range *node = RANGE(link);

		if (tcp_seq_leq(node->end, range.start))
			continue;
		if (tcp_seq_leq(range.end, node->start))
			break;
		/* Without a node for the cut this is more than was sent: then the rest is late. */
		if (node->is_sacked)
			continue;
		account(sent, node, false);
		node->is_lost = false;
		node->is_resent = true;
		node->is_vague = false;
		node->xmit_ns = now_ns;
		account(sent, node, true);
		if (first == NULL)
			first = node;
	}
	if (first != NULL)
		(void)join(sent, pool, first);
}

/** Tell of bytes [start, end) of a range that arrived and were not known to. */
static void tell(const struct tcp_sent_range *range, uint32_t start, uint32_t end,
		 struct tcp_sent_news *news)
{
	bool is_plain = !range->is_resent && !range->is_vague;
	struct tcp_sent_stamp *stamp = is_plain ? &news->first : &news->again;

	if (is_plain) {
		if (news->first.xmit_ns == 0 || tcp_seq_lt(start, news->lowest))
			news->lowest = start;
		if (news->oldest_ns == 0 || range->xmit_ns < news->oldest_ns)
			news->oldest_ns = range->xmit_ns;
	}
	if (news->delivered == 0 || tcp_seq_lt(news->highest, end))
		news->highest = end;
	news->delivered += end - start;
	if (stamp->xmit_ns < range->xmit_ns ||
	    (stamp->xmit_ns == range->xmit_ns && tcp_seq_lt(stamp->end, end)))
		*stamp = (struct tcp_sent_stamp){ range->xmit_ns, end };
}

void tcp_sent_acked(struct tcp_sent *sent, struct tcp_sent_pool *pool, uint32_t una,
		    struct tcp_sent_news *news)
{
	while (!list_is_empty(&sent->ranges)) {
		struct tcp_sent_range *range = RANGE(sent->ranges.next);
		uint32_t end = tcp_seq_min(range->end, una);

		if (tcp_seq_leq(una, range->start))
			return;
		if (!range->is_sacked)
			tell(range, range->start, end, news);
		account(sent, range, false);
		if (end == range->end) {
			give_back(sent, pool, range);
			continue;
		}
		range->start = end;
		account(sent, range, true);
	}
}

void tcp_sent_sacked(struct tcp_sent *sent, struct tcp_sent_pool *pool, struct tcp_range range,
		     struct tcp_sent_news *news)
{
	struct tcp_sent_range *first = NULL;

	CHECK(tcp_seq_lt(range.start, range.end));
	cut(sent, pool, range.start);
	cut(sent, pool, range.end);
	LIST_EACH_SAFE(&sent->ranges, link)
	{
		struct tcp_sent_range *node = RANGE(link);

		/* Only what is inside as a whole: a border that could not be cut is not crossed. */
		if (tcp_seq_lt(node->start, range.start))
			continue;
		if (tcp_seq_lt(range.end, node->end))
			break;
		if (!node->is_sacked) {
			tell(node, node->start, node->end, news);
			account(sent, node, false);
			node->is_sacked = true;
			node->is_lost = false;
			account(sent, node, true);
		}
		if (first == NULL)
			first = node;
		else
			merge(sent, pool, first);
	}
	if (first != NULL)
		(void)join(sent, pool, first);
}

void tcp_sent_renege(struct tcp_sent *sent)
{
	LIST_EACH(&sent->ranges, link)
	{
		account(sent, RANGE(link), false);
		RANGE(link)->is_sacked = false;
		account(sent, RANGE(link), true);
	}
}

uint32_t tcp_sent_lose(struct tcp_sent *sent, struct tcp_sent_range *range)
{
	if (range->is_lost || range->is_sacked)
		return 0;
	account(sent, range, false);
	range->is_lost = true;
	account(sent, range, true);
	return range->end - range->start;
}

uint32_t tcp_sent_lose_part(struct tcp_sent *sent, struct tcp_sent_pool *pool,
			    struct tcp_range range)
{
	uint32_t size = 0;

	cut(sent, pool, range.start);
	cut(sent, pool, range.end);
	LIST_EACH(&sent->ranges, link)
	{
		if (tcp_seq_leq(RANGE(link)->end, range.start))
			continue;
		if (tcp_seq_leq(range.end, RANGE(link)->start))
			break;
		size += tcp_sent_lose(sent, RANGE(link));
	}
	return size;
}

void tcp_sent_unlose(struct tcp_sent *sent)
{
	LIST_EACH(&sent->ranges, link)
	{
		account(sent, RANGE(link), false);
		RANGE(link)->is_lost = false;
		account(sent, RANGE(link), true);
	}
}

bool tcp_sent_has_oldest(const struct tcp_sent *sent)
{
	return sent->count > 0 && RANGE(sent->ranges.next)->is_sacked;
}

struct tcp_sent_range *tcp_sent_first_lost(const struct tcp_sent *sent)
{
	if (sent->lost == 0)
		return NULL;
	LIST_EACH(&sent->ranges, link)
	if (RANGE(link)->is_lost)
		return RANGE(link);
	return NULL;
}

const struct tcp_sent_range *tcp_sent_last_missing(const struct tcp_sent *sent)
{
	for (struct list *link = sent->ranges.prev; link != &sent->ranges; link = link->prev)
		if (!RANGE(link)->is_sacked)
			return RANGE(link);
	return NULL;
}
