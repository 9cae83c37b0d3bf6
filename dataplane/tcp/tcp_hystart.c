/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tcp/tcp_hystart.h"

#include "dataplane/core/hot.h"

/* Section 4.3 */
#define SAMPLES_MIN     8U
#define GROWTH_MIN_NS   (4 * NS_PER_MS)
#define GROWTH_MAX_NS   (16 * NS_PER_MS)
#define GROWTH_DIVISOR  8
#define CAREFUL_ROUNDS  5U
#define NOT_MEASURED_NS INT64_MAX
/* Of the train: gaps, and the shortest round trip at which the order of polls is no gap. */
#define GAP_MAX_NS   (2 * NS_PER_MS)
#define TRAIN_RTT_NS NS_PER_MS

void tcp_hystart_init(struct tcp_hystart *hystart)
{
	*hystart = (struct tcp_hystart){ .last_ns = NOT_MEASURED_NS,
					 .current_ns = NOT_MEASURED_NS,
					 .baseline_ns = NOT_MEASURED_NS,
					 .shortest_ns = NOT_MEASURED_NS };
}

/** Section 4.2: has the delay grown, or was it a mistake to think so? */
static void judge(struct tcp_hystart *hystart)
{
	int64_t growth_ns;

	if (hystart->samples < SAMPLES_MIN)
		return;
	if (hystart->is_careful) {
		hystart->is_careful = hystart->current_ns >= hystart->baseline_ns;
		return;
	}
	if (hystart->last_ns == NOT_MEASURED_NS)
		return;
	growth_ns = MAX(GROWTH_MIN_NS, MIN(hystart->last_ns / GROWTH_DIVISOR, GROWTH_MAX_NS));
	if (hystart->current_ns < hystart->last_ns + growth_ns)
		return;
	hystart->is_careful = true;
	hystart->baseline_ns = hystart->current_ns;
	hystart->rounds = 0; /* the rest of this one counts as one */
}

enum tcp_hystart_phase tcp_hystart_on_ack(struct tcp_hystart *hystart, int64_t rtt_ns,
					  bool ends_round)
{
	/* The acknowledgement that ends a round is for a segment of it: so is its sample. */
	if (rtt_ns > 0) {
		hystart->current_ns = MIN(hystart->current_ns, rtt_ns);
		hystart->shortest_ns = MIN(hystart->shortest_ns, rtt_ns);
		hystart->samples++;
		judge(hystart);
	}
	if (ends_round) {
		hystart->last_ns = hystart->current_ns;
		hystart->current_ns = NOT_MEASURED_NS;
		hystart->samples = 0;
		if (hystart->is_careful && ++hystart->rounds >= CAREFUL_ROUNDS)
			return TCP_HYSTART_OVER;
	}
	return hystart->is_careful ? TCP_HYSTART_CAREFUL : TCP_HYSTART_FAST;
}

bool tcp_hystart_on_train(struct tcp_hystart *hystart, bool is_paced, int64_t now_ns)
{
	int64_t limit_ns = hystart->shortest_ns / 4 * (is_paced ? 3 : 2);

	if (now_ns - hystart->wagon_ns > MIN(GAP_MAX_NS, limit_ns / 2))
		hystart->train_ns = now_ns;
	hystart->wagon_ns = now_ns;
	return hystart->shortest_ns != NOT_MEASURED_NS && hystart->shortest_ns >= TRAIN_RTT_NS &&
	       now_ns - hystart->train_ns > limit_ns;
}
