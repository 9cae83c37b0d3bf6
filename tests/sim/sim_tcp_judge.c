/* SPDX-License-Identifier: Apache-2.0 */
/* What must hold, seen from outside the stacks wherever that is possible. */
#include <stdlib.h>

#include "base/bytes.h"

#include "sim_tcp.h"

#define WINDOW_LIMIT   (UINT64_C(1) << 30)
#define EXTRA_SEGMENTS 3U /* beyond the window: limited transmit, a probe of the tail */
#define STALL_NS       (200 * NS_PER_S) /* three times the longest timeout */
#define STALL_LOSSY_NS (900 * NS_PER_S)
#define STALL_DROPS    3U
#define LIMIT_NS       (7200 * NS_PER_S)
#define GIVE_UP_DROPS  4U              /* who gives up has lost so many packets in a row */
#define GIVE_UP_NS     (45 * NS_PER_S) /* keepalives: five, ten seconds apart */
#define SETTLE_NS      (3 * NS_PER_S)  /* until a connection that rests is silent */
#define PROBE_NS       (10 * NS_PER_S) /* keepalives of one that rests come no closer */
#define STORM_FACTOR   3U
#define STORM_FLOOR    20U
#define PROVEN_WINDOW  8U /* segments; one of fewer has little to reduce */
#define PROVEN_LOSSES  3U /* so many segments sent again, and the window was reduced */

void sim_tcp_fail(struct sim *sim, const struct sim_pair *pair, const char *why)
{
	if (sim->failure != NULL)
		return;
	sim->failure = why;
	sim->failed_pair = pair != NULL ? pair->index : SIM_STRANGER;
}

static void fail(const struct sim_app *app, const char *why)
{
	sim_tcp_fail(app->pair->sim, app->pair, why);
}

static struct sim_app *peer_of(const struct sim_app *app)
{
	return &app->pair->apps[!app->side->index];
}

static bool has_disturbance(const struct sim *sim, enum sim_disturbance_kind kind)
{
	for (uint32_t i = 0; i < sim->plan.disturbance_count; i++)
		if (sim->plan.disturbances[i].kind == kind)
			return true;
	return false;
}

/** The congestion window: its bounds, and what of an older, larger one may still be out. */
static void watch_window(struct sim_app *app, const struct tcb *tcb)
{
	uint64_t window = tcb->cc.window;

	if (tcb->state < TCP_STATE_ESTABLISHED)
		return;
	if (window < tcb->cc.mss)
		fail(app, "the congestion window is less than a segment");
	if (window > WINDOW_LIMIT)
		fail(app, "the congestion window is beyond all bounds");
	if (window < app->window) {
		app->reductions += window <= app->window - app->window / 10 ||
				   window <= 4 * (uint64_t)tcb->cc.mss;
		app->allowed_until = tcb->snd_max;
		app->is_reducing = true;
	}
	app->window = window;
	app->mss = tcb->cc.mss;
	if (window >= app->allowed ||
	    (app->is_reducing && tcp_seq_leq(app->allowed_until, tcb->snd_una))) {
		app->allowed = window;
		app->is_reducing = false;
	}
}

/** RFC 3168 section 6.1.2: a reported mark reduces the window like a loss, once a window. */
static void watch_marks(struct sim_app *app, const struct tcb *tcb)
{
	if (!app->is_told || tcp_seq_leq(tcb->snd_una, app->told_end))
		return;
	app->is_told = false;
	if (app->reductions == app->told_reductions && app->window > PROVEN_WINDOW * tcb->cc.mss)
		fail(app, "a mark did not reduce the congestion window");
}

/** What may be marked, and what must be reported. */
static void judge_ecn(struct sim_app *app, const struct tcp_segment_out *segment,
		      const struct tcp_packet *packet)
{
	const struct tcb *tcb = segment->tcb;

	if (segment->ecn != TCP_ECN_NOT_ECT &&
	    (segment->ecn != TCP_ECN_ECT0 || !tcb->ecn.marks || packet->size == 0 ||
	     tcp_seq_lt(packet->seq, app->snd_high)))
		fail(app, "a segment that must not be markable");
	if (app->owes_echo && (packet->flags & (TCP_ECE | TCP_SYN)) == 0)
		fail(app, "a mark was not reported");
}

/** A mark arrives, its report, or the answer to that. */
static void note_marks(struct sim_app *app, const struct sim_net_packet *packet)
{
	const struct tcb *tcb = app->tcb;
	uint8_t flags = packet->bytes[13];
	uint32_t seq = bytes_load_u32(packet->bytes + 4), ack = bytes_load_u32(packet->bytes + 8);

	if (tcb == NULL || tcb->state < TCP_STATE_ESTABLISHED || (flags & TCP_SYN) != 0 ||
	    !sim_net_keeps_order(app->pair->sim->net))
		return;
	if (packet->payload > 0 && (flags & TCP_CWR) != 0)
		app->owes_echo = false;
	if (packet->payload > 0 && seq == tcb->rcv_nxt && seq != tcb->rcv_edge && tcb->ecn.echoes)
		app->owes_echo |= packet->ecn == SIM_NET_CE;
	/* Until the peer has seen that the window is reduced, it reports what was acted on. */
	if ((flags & TCP_ECE) != 0 && tcb->ecn.marks && !app->is_told && !app->is_reducing &&
	    (!tcb->ecn.is_reduced || tcp_seq_lt(tcb->ecn.reduced_end, ack)) &&
	    tcp_seq_leq(tcb->snd_una, ack)) {
		app->is_told = true;
		app->told_end = tcb->snd_max;
		app->told_reductions = app->reductions;
	}
}

/** Is [start, end) in what the connection keeps beyond its next byte? */
static bool is_kept(const struct tcb *tcb, uint32_t start, uint32_t end)
{
	LIST_EACH(&tcb->ranges.early, node)
	{
		const struct tcp_piece *piece = LIST_ENTRY(node, struct tcp_piece, node);

		if (tcp_seq_leq(piece->seq, start) && tcp_seq_lt(start, piece->seq + piece->size))
			start = piece->seq + piece->size;
		if (tcp_seq_leq(end, start))
			return true;
	}
	return false;
}

/** @return runs of bytes that are kept beyond the next one */
static uint32_t runs_kept(const struct tcb *tcb)
{
	uint32_t count = 0, end = tcb->rcv_nxt;

	LIST_EACH(&tcb->ranges.early, node)
	{
		const struct tcp_piece *piece = LIST_ENTRY(node, struct tcp_piece, node);

		count += piece->seq != end;
		end = piece->seq + piece->size;
	}
	return count;
}

/** RFC 2018: what is kept is reported, and nothing else; RFC 2883: the first block may be a repeat. */
static void judge_sack(struct sim_app *app, const struct tcb *tcb, const struct tcp_packet *packet)
{
	const struct tcp_options *options = &packet->options;
	uint32_t blocks = options->sack_count, runs = runs_kept(tcb), most;

	if (!tcb->has_sack && blocks > 0)
		fail(app, "selective acknowledgements were not agreed");
	if (!tcb->has_sack || (packet->flags & (TCP_SYN | TCP_RST)) != 0)
		return;
	for (uint32_t i = 0; i < options->sack_count; i++) {
		struct tcp_range block = options->sack[i];
		bool is_repeat = i == 0 && (tcp_seq_leq(block.end, packet->ack) ||
					    (options->sack_count > 1 &&
					     tcp_seq_leq(options->sack[1].start, block.start) &&
					     tcp_seq_leq(block.end, options->sack[1].end)));

		blocks -= is_repeat;
		if (!is_repeat && !is_kept(tcb, block.start, block.end))
			fail(app, "a selective acknowledgement of what is not held");
	}
	app->runs_max = runs > 0 ? MAX(app->runs_max, runs) : 0;
	most = (tcb->has_ts ? 3U : TCP_OPTIONS_SACK_MAX) - (options->sack_count - blocks);
	/* Of more runs than it remembers, it may have forgotten those that are left. */
	if (app->runs_max <= TCP_SACK_BLOCKS_MAX && blocks < MIN(runs, most))
		fail(app, "what is held out of order is not reported");
}

/** An idle connection sends nothing but keepalives, if those. */
static void judge_rest(struct sim_app *app, const struct tcp_packet *packet)
{
	const struct sim_pair *pair = app->pair;
	const struct sim *sim = pair->sim;
	int64_t from_ns = pair->rest_since_ns;

	if (!pair->is_resting || sim->plan.flood + sim->plan.intruders + sim->plan.ghosts > 0)
		return;
	for (int i = 0; i < 2; i++) {
		from_ns = MAX(from_ns, pair->apps[i].deaf_until_ns);
		from_ns = MAX(from_ns, sim->sides[i].asleep_until_ns);
	}
	from_ns = MAX(from_ns, sim->end_ns) + SETTLE_NS + sim->net->links[0].late_ns;
	if (sim->now_ns < from_ns)
		return;
	app->sent_in_rest++;
	if (packet->size > 0 || (packet->flags & (TCP_SYN | TCP_FIN | TCP_RST)) != 0)
		fail(app, "a connection that rests sent something");
	if (!sim->plan.has_keepalive)
		fail(app, "a connection that rests was not silent");
	if (app->sent_in_rest > 4 + 2 * (sim->now_ns - from_ns) / PROBE_NS)
		fail(app, "too many keepalives");
}

static void judge_offer(struct sim_app *app, const struct tcb *tcb, const struct tcp_packet *packet)
{
	const struct sim_app *peer = peer_of(app);
	bool is_syn = (packet->flags & TCP_SYN) != 0;
	uint32_t edge = packet->ack + ((uint32_t)packet->window << (is_syn ? 0 : tcb->rcv_wscale));

	/* A SYN says its window without scale, and may be sent again after a challenge that scaled it. */
	if (app->has_edge && tcp_seq_lt(edge, app->edge) && !is_syn)
		fail(app, "an offered window was taken back");
	app->edge = app->has_edge ? tcp_seq_max(app->edge, edge) : edge;
	app->has_edge = true;
	/* A late SYN may have made the peer begin another numbering. */
	if (packet->size > 0 && peer->has_edge && peer->isn == tcb->irs &&
	    tcp_seq_lt(peer->edge + 1, packet->seq + packet->size))
		fail(app, "more was sent than the peer offered");
	if (tcb->state >= TCP_STATE_ESTABLISHED && peer->snd_high != 0 && peer->isn == tcb->irs &&
	    tcp_seq_lt(peer->snd_high, packet->ack))
		fail(app, "what was never sent was acknowledged");
}

/** Sent again? And if so, had the peer got it already? */
static void judge_repeat(struct sim_app *app, const struct tcp_packet *packet)
{
	const struct tcb *tcb = peer_of(app)->tcb;
	uint32_t end = packet->seq + packet->size;

	if (!tcp_seq_lt(packet->seq, app->snd_high))
		return;
	app->resent++;
	if (tcb != NULL && tcb->state >= TCP_STATE_ESTABLISHED &&
	    (tcp_seq_leq(end, tcb->rcv_nxt) || is_kept(tcb, packet->seq, end)))
		app->resent_needless++;
}

void sim_tcp_judge_emit(struct sim_app *app, const struct tcp_segment_out *segment)
{
	const struct tcb *tcb = segment->tcb;
	struct tcp_segment_in in = { .bytes = segment->header, .size = segment->header_size };
	struct tcp_packet packet;
	uint32_t end;

	if (tcp_packet_parse(&in, &packet) != 0) {
		fail(app, "a malformed segment");
		return;
	}
	packet.size = segment->payload_size;
	end = packet.seq + tcp_packet_length(&packet);
	if (app->isn != tcb->iss) {
		/* A late SYN may open what was aborted: another numbering. */
		app->isn = tcb->iss;
		app->snd_high = packet.seq;
		app->has_edge = false;
	}
	if (packet.size > 0 && (packet.flags & (TCP_SYN | TCP_RST)) != 0)
		fail(app, "payload where none may be");
	if (packet.size > 0 && app->acked + segment->payload_pos + packet.size > app->sent)
		fail(app, "payload beyond the output queue");
	if (packet.size > tcb->snd_mss)
		fail(app, "a segment larger than the peer takes");
	if (tcb->ranges.count > app->side->stack->pieces_max)
		fail(app, "more pieces are held than allowed");
	watch_window(app, tcb);
	watch_marks(app, tcb);
	if ((packet.flags & TCP_RST) != 0)
		return;
	if ((packet.flags & TCP_ACK) != 0)
		judge_offer(app, tcb, &packet);
	judge_sack(app, tcb, &packet);
	judge_ecn(app, segment, &packet);
	judge_rest(app, &packet);
	if (packet.size > 0)
		judge_repeat(app, &packet);
	app->in_network += packet.size;
	app->snd_high = tcp_seq_max(app->snd_high, end);
}

static int compare_ranges(const void *a, const void *b)
{
	uint32_t x = ((const struct tcp_range *)a)->start, y = ((const struct tcp_range *)b)->start;

	return tcp_seq_lt(y, x) - tcp_seq_lt(x, y);
}

/** @return bytes on their way that are not acknowledged, each counted once however often it was sent */
static uint64_t count_in_network(const struct sim_app *app, const struct tcb *tcb)
{
	const struct sim_net *net = app->pair->sim->net;
	static struct tcp_range ranges[SIM_NET_PACKETS];
	uint32_t count = 0, end = tcb->snd_una;
	uint64_t size = 0;

	for (uint32_t i = 0; i < net->count; i++) {
		const struct sim_net_packet *packet = net->heap[i];
		uint32_t seq = bytes_load_u32(packet->bytes + 4);

		if (packet->owner == app->pair->index && packet->to != app->side->index &&
		    packet->payload > 0)
			ranges[count++] = (struct tcp_range){ seq, seq + packet->payload };
	}
	qsort(ranges, count, sizeof(ranges[0]), compare_ranges);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t start = tcp_seq_max(ranges[i].start, end);

		end = tcp_seq_max(end, ranges[i].end);
		size += end - start > UINT32_MAX / 2 ? 0 : end - start;
	}
	return size;
}

void sim_tcp_judge_sent(struct sim_app *app, const struct tcp_segment_out *segment)
{
	const struct sim *sim = app->pair->sim;
	uint64_t extra = EXTRA_SEGMENTS * (uint64_t)segment->tcb->cc.mss;

	/* Where packets overtake each other or wait in a ring, the sender takes some for lost that
	   are not. */
	if (segment->payload_size == 0 || !sim_net_keeps_order(sim->net) ||
	    has_disturbance(sim, SIM_SLEEP))
		return;
	if (app->in_network > app->allowed + extra &&
	    count_in_network(app, segment->tcb) > app->allowed + extra)
		fail(app, "more is in flight than the congestion window allows");
}

static void left_network(struct sim *sim, const struct sim_net_packet *packet)
{
	struct sim_app *app = &sim->pairs[packet->owner].apps[!packet->to];

	if (!packet->is_copy) /* a new connection may have begun since */
		app->in_network -= MIN(app->in_network, (uint64_t)packet->payload);
}

void sim_tcp_judge_arrival(struct sim *sim, const struct sim_net_packet *packet)
{
	struct sim_app *app;

	if (packet->owner == SIM_STRANGER)
		return;
	left_network(sim, packet);
	app = &sim->pairs[packet->owner].apps[packet->to];
	note_marks(app, packet);
	app->drops_unheard = 0;
	app->heard_ns = sim->now_ns;
}

void sim_tcp_judge_lost(struct sim_pair *pair, uint8_t flags)
{
	pair->sim->drops++;
	pair->drops++;
	pair->drops_since_progress++;
	pair->apps[0].drops_unheard++;
	pair->apps[1].drops_unheard++;
	pair->is_reset_lost |=
		(flags & TCP_RST) != 0 || pair->apps[0].is_over || pair->apps[1].is_over;
}

void sim_tcp_judge_drop(void *ctx, const struct sim_net_packet *packet, enum sim_net_fate fate)
{
	struct sim *sim = ctx;
	struct sim_pair *pair;

	if (packet->owner == SIM_STRANGER || packet->is_copy)
		return;
	if (sim->is_traced)
		sim_tcp_trace_segment(sim, packet, sim_net_fate_name(fate));
	left_network(sim, packet);
	pair = &sim->pairs[packet->owner];
	sim_tcp_judge_lost(pair, packet->bytes[13]);
	pair->apps[!packet->to].dropped_data += packet->payload > 0;
}

void sim_tcp_judge_progress(struct sim_app *app)
{
	app->pair->progress_ns = app->pair->sim->now_ns;
	app->pair->drops_since_progress = 0;
}

/** Everything went both ways, whatever the last segments met. */
static bool is_done(const struct sim_app *app)
{
	return app->has_eof && app->is_shut && app->acked == app->size;
}

static bool has_given_up_early(const struct sim_app *app)
{
	const struct sim *sim = app->pair->sim;
	int64_t limit_ns = (int64_t)app->side->config.rto_min_ms * NS_PER_MS << 11;
	uint32_t drops = app->drops_unheard;

	/* One that was never open may have heard SYNs, whose answers were lost; the peer is open. */
	if (!app->was_open)
		drops = MAX(drops, app->pair->drops);
	/* Without progress for the time the user set, whatever was heard. */
	if (app->side->config.user_timeout_ms > 0 && app->was_open)
		return app->pair->drops_since_progress == 0 && !sim->plan.has_tiny_pool;
	/* What a reader without room refuses is as good as lost. */
	if (app->was_open && sim->plan.has_tiny_pool &&
	    sim->now_ns - app->pair->progress_ns >= TCP_SILENCE_NS)
		return false;
	if (drops < GIVE_UP_DROPS)
		return true;
	return app->was_open && sim->now_ns - app->heard_ns < MIN(limit_ns, GIVE_UP_NS) &&
	       !has_disturbance(sim, SIM_SLEEP) && !has_disturbance(sim, SIM_JUMP);
}

void sim_tcp_judge_closed(struct sim_app *app, enum tcp_close_reason reason)
{
	const struct sim_app *peer = peer_of(app);
	const struct sim *sim = app->pair->sim;
	/* Who answers by cookies does not tell a connection that is gone from one that is to come. */
	bool has_strangers = sim->plan.flood_size + sim->plan.intruders > 0;

	switch (reason) {
	case TCP_CLOSED_NORMAL:
		if (!app->is_shut || !app->has_eof)
			fail(app, "a connection ended before its end was told");
		if (app->acked != app->size || app->received != peer->size)
			fail(app, "a connection ended before all bytes were there");
		break;
	case TCP_CLOSED_ABORT:
		if (!app->aborts)
			fail(app, "a connection was aborted by nobody");
		break;
	case TCP_CLOSED_RESET:
		if (app->was_open && peer->was_open && !peer->is_over && !is_done(app))
			fail(app, "a connection was reset while its peer is there");
		break;
	case TCP_CLOSED_TIMEOUT:
		if (has_given_up_early(app) && !has_strangers)
			fail(app, "a connection was given up without cause");
		break;
	case TCP_CLOSED_REASON_COUNT:
		fail(app, "no such reason");
	}
}

void sim_tcp_judge_pair_over(struct sim_pair *pair)
{
	struct sim *sim = pair->sim;
	uint32_t resent = pair->apps[0].resent + pair->apps[1].resent;

	if (!sim->plan.is_calm)
		return;
	if (sim_net_keeps_order(sim->net) && resent > STORM_FACTOR * pair->drops + STORM_FLOOR)
		sim_tcp_fail(sim, pair, "more was sent again than losses explain");
	for (int i = 0; i < 2; i++) {
		const struct sim_app *app = &pair->apps[i];

		if (app->dropped_data >= PROVEN_LOSSES && app->resent >= PROVEN_LOSSES &&
		    app->reductions == 0 && app->window > PROVEN_WINDOW * (uint64_t)app->mss)
			fail(app, "losses did not reduce the congestion window");
	}
}

/** An open connection that has nothing to say, and nobody is there any more, or yet: the last segment of
    the handshake was lost, again and again; or the other end gave up, and what it says of that was
    lost, the answer to a challenge included. RFC 9293 section 3.8.4: only keepalives would tell. */
static bool is_deserted(const struct sim_pair *pair)
{
	for (int i = 0; i < 2; i++) {
		const struct sim_app *app = &pair->apps[i], *peer = &pair->apps[!i];

		if (!app->was_open || app->is_over || app->is_shut || app->sent != app->acked ||
		    pair->sim->plan.has_keepalive)
			continue;
		if (!peer->was_open)
			return pair->drops >= GIVE_UP_DROPS;
		if (peer->is_over && peer->reason == TCP_CLOSED_TIMEOUT)
			return pair->is_reset_lost;
	}
	return false;
}

static bool is_stalled(const struct sim_pair *pair)
{
	const struct sim *sim = pair->sim;
	int64_t idle_ns = sim->now_ns - MAX(pair->progress_ns, sim->end_ns);

	if (pair->is_resting || (pair->apps[0].is_over && pair->apps[1].is_over))
		return false;
	if (pair->apps[0].is_over && !pair->apps[1].was_open)
		return false;
	if (is_deserted(pair))
		return false; /* unless it speaks again */
	/* Round trips that a clock jumps in look long; what a reader without room refuses is lost. */
	if (pair->drops_since_progress >= STALL_DROPS || sim->plan.has_tiny_pool ||
	    has_disturbance(sim, SIM_JUMP))
		return idle_ns > STALL_LOSSY_NS;
	return idle_ns > STALL_NS;
}

void sim_tcp_judge_time(struct sim *sim)
{
	int64_t limit_ns = (sim->plan.has_tiny_pool ? 4 : 1) * LIMIT_NS + 4 * sim->plan.rest_ns;

	for (uint32_t i = 0; i < sim->plan.connections; i++)
		if (is_stalled(&sim->pairs[i]))
			sim_tcp_fail(sim, &sim->pairs[i], "a connection stalled");
	if (sim->now_ns - sim->begin_ns > limit_ns)
		sim_tcp_fail(sim, NULL, "it never ends: too much time");
	for (int i = 0; i < 2; i++) {
		const struct sim_side *side = &sim->sides[i];

		if (side->held > side->config.held_pieces_max)
			sim_tcp_fail(sim, NULL, "more buffers are held than allowed");
		if (side->stack->embryo_count > side->config.syn_backlog_max)
			sim_tcp_fail(sim, NULL, "more half-open connections than allowed");
		if (side->stack->count > side->config.connections_max)
			sim_tcp_fail(sim, NULL, "more connections than allowed");
	}
}

void sim_tcp_judge_end(struct sim *sim)
{
	for (uint32_t i = 0; i < sim->plan.connections; i++)
		if (is_deserted(&sim->pairs[i]))
			return; /* it stays, and what it holds */
	for (uint32_t i = 0; i < sim->plan.connections; i++) {
		struct sim_pair *pair = &sim->pairs[i];

		if (!pair->apps[SIM_CLIENT].is_over ||
		    (pair->apps[SIM_SERVER].was_open && !pair->apps[SIM_SERVER].is_over))
			sim_tcp_fail(sim, pair, "a connection never ended");
		sim_tcp_judge_pair_over(pair);
	}
	for (int i = 0; i < 2; i++) {
		const struct sim_side *side = &sim->sides[i];

		if (side->held != 0)
			sim_tcp_fail(sim, NULL, "buffers are still held");
		if (tcp_connection_count(side->stack) != 0 || side->stack->embryo_count != 0)
			sim_tcp_fail(sim, NULL, "a connection is left");
		if (side->stack->table.count != 0)
			sim_tcp_fail(sim, NULL, "the flow table is not empty");
		if (side->stack->pieces.spare_count != side->config.held_pieces_max)
			sim_tcp_fail(sim, NULL, "pieces leaked");
		if (side->held_max > side->config.held_pieces_max)
			sim_tcp_fail(sim, NULL, "more buffers were held than allowed");
	}
}
