/* SPDX-License-Identifier: Apache-2.0 */
/** @file Plays tables of steps on a rig: what each step does or expects. */
#pragma once

#include "dataplane/tcp/tcp_recovery.h"

#include "tcp_rig.h"

/* Steps that many scripts begin with: so many segments go out. */
#define RIG_FIVE_OUT                                                                               \
	{ OUT, A, 1, 1, 1000 }, { OUT, A, 1001, 1, 1000 }, { OUT, A, 2001, 1, 1000 },              \
		{ OUT, A, 3001, 1, 1000 },                                                         \
	{                                                                                          \
		OUT, A, 4001, 1, 1000                                                              \
	}
#define RIG_TEN_OUT                                                                                \
	RIG_FIVE_OUT, { OUT, A, 5001, 1, 1000 }, { OUT, A, 6001, 1, 1000 },                        \
		{ OUT, A, 7001, 1, 1000 }, { OUT, A, 8001, 1, 1000 }, { OUT, A, 9001, 1, 1000 },   \
	{                                                                                          \
		QUIET                                                                              \
	}

static inline void rig_expect(struct rig *rig, const struct rig_step *step, uint32_t line)
{
	const struct tcp_packet *last = &rig->out[rig->out_next > 0 ? rig->out_next - 1 : 0];
	uint64_t is = UINT64_MAX, wanted = step->size;

	switch ((int)step->what) {
	case SACKED:
		assert_true(last->options.sack_count > step->size);
		is = last->options.sack[step->size].start - RIG_PEER_ISN;
		wanted = step->seq;
		assert_int_equal(last->options.sack[step->size].end - RIG_PEER_ISN, step->ack);
		break;
	case WINDOW:
		is = (uint64_t)last->window << rig->tcb->rcv_wscale;
		break;
	case ECN:
		is = last->ecn;
		break;
	case QUIET:
		is = rig->out_count - rig->out_next;
		wanted = 0;
		break;
	case GOT:
		is = rig->got;
		break;
	case ACKED:
		is = rig->acked;
		break;
	case EOF_IS:
		is = rig->has_eof;
		break;
	case STATE:
		is = rig->tcb->state;
		break;
	case CLOSED:
		is = rig->is_closed ? (uint64_t)rig->reason : 99;
		break;
	case FLIGHT:
		is = tcp_recovery_flight(rig->tcb);
		break;
	case CWND:
		is = rig->tcb->cc.window;
		break;
	case HELD:
		is = (uint64_t)rig->held;
		break;
	default:
		fail_msg("step %u: unknown", line);
	}
	if (is != wanted)
		fail_msg("step %u: %lu where %lu was expected", line, (unsigned long)is,
			 (unsigned long)wanted);
}

static inline void rig_step(struct rig *rig, const struct rig_step *step, uint32_t line)
{
	switch ((int)step->what) {
	case IN:
		rig_in(rig, step);
		break;
	case OUT:
		rig_out(rig, step, line);
		break;
	case WAIT:
		rig->now_ns += step->size * NS_PER_MS;
		(void)tcp_poll(rig->stack, rig->now_ns);
		break;
	case BURST:
		tcp_burst_end(rig->stack, rig->now_ns);
		break;
	case SEND:
		tcp_send(rig->tcb, step->size, rig->now_ns);
		break;
	case TAKE:
		rig->take_max = step->size;
		break;
	case RESUME:
		tcp_resume(rig->tcb, rig->now_ns);
		break;
	case CREDIT:
		tcp_set_credit(rig->tcb, step->size);
		break;
	case SHUT:
		tcp_shutdown(rig->tcb, rig->now_ns);
		break;
	case ABORT:
		tcp_abort(rig->tcb, rig->now_ns);
		break;
	case NOBUF:
		rig->no_buffer = step->size;
		break;
	case TS:
		rig->ts = step->size;
		break;
	case MERGE:
		assert_true(step->size <= RIG_PIECES_MAX);
		rig->buffers = step->size;
		break;
	case MARK:
		rig->mark = (uint8_t)step->size;
		break;
	case SACK:
		assert_true(rig->sack_count < TCP_OPTIONS_SACK_MAX);
		rig->sack[rig->sack_count++] = (struct tcp_range){ step->seq, step->ack };
		break;
	case ECHO:
		rig->echo =
			tcp_tcb_ts_now(rig->tcb->ts_offset, rig->now_ns - step->size * NS_PER_MS);
		break;
	default:
		rig_expect(rig, step, line);
	}
}

/** Play steps up to RIG_END on an open rig. */
static inline void rig_play(struct rig *rig, const struct rig_step *steps)
{
	for (uint32_t i = 0; steps[i].what != RIG_END; i++)
		rig_step(rig, &steps[i], i);
}

/** How a connection is opened to the listener. */
struct rig_mode {
	uint32_t rtt_ms; /* of the handshake */
	bool no_sack, has_ts;
};

/** Open a connection to the listener, for those who look inside. */
static inline void rig_open_mode(struct rig *rig, const struct tcp_config *config,
				 struct rig_mode mode)
{
	const struct rig_step handshake[] = {
		{ IN, S },       { OUT, SA, 0, 1 }, { WAIT, .size = mode.rtt_ms },
		{ IN, A, 1, 1 }, { BURST },         { QUIET },
		{ RIG_END },
	};

	rig_open(rig, config);
	rig->no_sack = mode.no_sack;
	rig->ts = mode.has_ts ? 1000 : 0;
	rig_play(rig, handshake);
}

static inline void rig_run_mode(const struct rig_step *steps, struct rig_mode mode)
{
	struct tcp_config config = rig_config();
	struct rig rig;

	rig_open_mode(&rig, &config, mode);
	rig_play(&rig, steps);
	rig_close(&rig);
}

/** Open a connection to the listener, then play. */
static inline void rig_run(const struct rig_step *steps)
{
	rig_run_mode(steps, (struct rig_mode){ 0 });
}
