/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tcp/tcp_rack.h"

#include "dataplane/core/hot.h"

#define MIN_PERIOD_NS  (60 * NS_PER_S)
#define PATIENCE_MAX   64U
#define PERSISTENCE    16U /* section 6.2, step 4 */
#define REPORTS_ENOUGH 3U  /* segments above a hole: as many as duplicates were once waited for */

void tcp_rack_init(struct tcp_rack *rack, uint32_t seq)
{
	*rack = (struct tcp_rack){ .fack = seq, .patience = 1 };
}

void tcp_rack_sample(struct tcp_rack *rack, int64_t rtt_ns, int64_t now_ns)
{
	rtt_ns = MAX(rtt_ns, INT64_C(1));
	if (now_ns >= rack->min_until_ns) {
		rack->min_until_ns = now_ns + MIN_PERIOD_NS;
		rack->min_ns[1] = rack->min_ns[0];
		rack->min_ns[0] = rtt_ns;
	}
	rack->min_ns[0] = MIN(rack->min_ns[0], rtt_ns);
}

int64_t tcp_rack_min_ns(const struct tcp_rack *rack)
{
	if (rack->min_ns[1] == 0)
		return rack->min_ns[0];
	return MIN(rack->min_ns[0], rack->min_ns[1]);
}

/** Segments of one time were sent in the order of their numbers (section 6.2, step 2). */
static bool is_sent_after(int64_t a_ns, uint32_t a_end, int64_t b_ns, uint32_t b_end)
{
	return a_ns > b_ns || (a_ns == b_ns && tcp_seq_lt(b_end, a_end));
}

/** An answer that may be to an earlier transmission makes the round trip no shorter: taken for one, all
    that was sent before the last transmission would be lost. */
static void take(struct tcp_rack *rack, const struct tcp_sent_stamp *stamp, bool is_sure,
		 int64_t now_ns)
{
	int64_t rtt_ns = now_ns - stamp->xmit_ns;

	if (stamp->xmit_ns == 0 ||
	    !is_sent_after(stamp->xmit_ns, stamp->end, rack->latest.xmit_ns, rack->latest.end))
		return;
	rack->latest = *stamp;
	rack->rtt_ns = is_sure ? rtt_ns : MAX(rack->rtt_ns, rtt_ns);
}

void tcp_rack_delivered(struct tcp_rack *rack, const struct tcp_sent_news *news, int64_t now_ns)
{
	if (news->delivered == 0)
		return;
	if (news->first.xmit_ns != 0) {
		tcp_rack_sample(rack, now_ns - news->first.xmit_ns, now_ns);
		/* Sent once, and something above it arrived before (step 3). */
		if (tcp_seq_lt(news->lowest, rack->fack))
			rack->has_reordering = true;
	}
	take(rack, &news->first, true, now_ns);
	/* Sooner than any round trip: the answer is to an earlier transmission. */
	if (now_ns - news->again.xmit_ns >= tcp_rack_min_ns(rack))
		take(rack, &news->again, false, now_ns);
	rack->fack = tcp_seq_max(rack->fack, news->highest);
}

void tcp_rack_resent(struct tcp_rack *rack, uint32_t size)
{
	rack->resent = MIN(rack->resent, UINT32_MAX - size) + size;
}

void tcp_rack_duplicate(struct tcp_rack *rack, uint32_t size, uint32_t una, uint32_t nxt)
{
	if (size > rack->resent)
		return;
	rack->resent -= size;
	if (rack->has_dsack_round && tcp_seq_lt(una, rack->dsack_round))
		return;
	rack->has_dsack_round = true;
	rack->dsack_round = nxt;
	rack->patience = (uint8_t)MIN(rack->patience + 1U, PATIENCE_MAX);
	rack->persistence = PERSISTENCE;
}

void tcp_rack_reordered(struct tcp_rack *rack)
{
	rack->has_reordering = true;
}

void tcp_rack_recovered(struct tcp_rack *rack)
{
	if (rack->persistence > 0 && --rack->persistence == 0)
		rack->patience = 1;
}

/** Step 4: the reordering window. */
static int64_t patience_ns(const struct tcp_rack *rack, const struct tcp_sent *sent,
			   const struct tcp_rack_look *look)
{
	if (!rack->has_reordering &&
	    (look->is_recovering || sent->sacked > (REPORTS_ENOUGH - 1) * look->mss))
		return 0;
	return MIN(rack->patience * tcp_rack_min_ns(rack) / 4, look->srtt_ns);
}

/** The common case: what is out was sent in this order, and all of it after what arrived. */
static bool is_in_order(const struct tcp_rack *rack, const struct tcp_sent *sent)
{
	const struct tcp_sent_range *first =
		LIST_ENTRY(sent->ranges.next, struct tcp_sent_range, node);

	return sent->count == 0 ||
	       (sent->sacked == 0 && sent->resent == 0 &&
		!is_sent_after(rack->latest.xmit_ns, rack->latest.end, first->xmit_ns, first->end));
}

int64_t tcp_rack_detect(const struct tcp_rack *rack, struct tcp_sent *sent,
			const struct tcp_rack_look *look, uint32_t *ret_lost)
{
	int64_t limit_ns = rack->rtt_ns + patience_ns(rack, sent, look), wait_ns = 0;

	*ret_lost = 0;
	if (is_in_order(rack, sent))
		return 0;
	LIST_EACH(&sent->ranges, link)
	{
		struct tcp_sent_range *range = LIST_ENTRY(link, struct tcp_sent_range, node);
		int64_t left_ns = range->xmit_ns + limit_ns - look->now_ns;

		if (range->is_sacked || range->is_lost ||
		    !is_sent_after(rack->latest.xmit_ns, rack->latest.end, range->xmit_ns,
				   range->end))
			continue;
		if (left_ns <= 0)
			*ret_lost += tcp_sent_lose(sent, range);
		else
			wait_ns = MAX(wait_ns, left_ns);
	}
	return wait_ns > 0 ? look->now_ns + wait_ns : 0;
}

uint32_t tcp_rack_timeout(const struct tcp_rack *rack, struct tcp_sent *sent,
			  const struct tcp_rack_look *look)
{
	int64_t limit_ns = rack->rtt_ns + patience_ns(rack, sent, look);
	uint32_t lost = 0;

	LIST_EACH(&sent->ranges, link)
	{
		struct tcp_sent_range *range = LIST_ENTRY(link, struct tcp_sent_range, node);

		if (link == sent->ranges.next || range->xmit_ns + limit_ns <= look->now_ns)
			lost += tcp_sent_lose(sent, range);
	}
	return lost;
}
