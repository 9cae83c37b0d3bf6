/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: only a sane SYN for an open port opens; half-open connections are capped, beyond that SYNs get
 * cookies, and who brings one back is connected and takes no embryo's place (RFC 4987); the rest is refused by
 * RFC 9293 section 3.10.7.1. Shown by segments.
 */
#include "dataplane/tcp/tcp_cookie.h"

#include "tcp_rig_play.h"

static void test_tcp_listen_refuses(void **state)
{
	static const struct rig_step steps[] = {
		{ IN, A, 5, 77 },  { OUT, R },       { IN, R, 5 },      { QUIET },   { IN, F, 5 },
		{ OUT, RA, 0, 6 }, { IN, S | F, 5 }, { OUT, RA, 0, 7 }, { RIG_END },
	};
	struct tcp_config config = rig_config();
	struct rig rig;

	(void)state;
	rig_open(&rig, &config);
	rig_play(&rig, steps);
	assert_int_equal(tcp_connection_count(rig.stack), 0);
	rig_close(&rig);
}

static uint64_t counted(const struct rig *rig, enum counter which)
{
	return counters_get(&rig->counters, which);
}

/** Strangers can't make us send without end: a number of resets a second that
    varies, so that counting them tells nothing (RFC 5961 section 7). */
static void test_tcp_listen_resets_are_limited(void **state)
{
	static const struct rig_step stray[] = { { IN, A, 5, 77 }, { RIG_END } };
	struct tcp_config config = rig_config();
	struct rig rig;
	uint64_t resets;

	(void)state;
	rig_open(&rig, &config);
	for (uint32_t i = 0; i < 2 * TCP_ANSWERS_PER_S; i++) {
		rig.out_count = 0;
		rig_play(&rig, stray);
	}
	resets = counted(&rig, COUNTER_TCP_RESETS_OUT);
	assert_in_range(resets, TCP_ANSWERS_PER_S / 2, TCP_ANSWERS_PER_S * 3 / 2 - 1);
	rig.now_ns += NS_PER_S;
	rig_play(&rig, stray);
	assert_int_equal(counted(&rig, COUNTER_TCP_RESETS_OUT), resets + 1);
	rig_close(&rig);
}

static const struct rig_step syn[] = { { IN, S }, { OUT, SA, 0, 1 }, { RIG_END } };

/** Two half-open connections, from ports 1 and 2: no more may be. */
static void fill_backlog(struct rig *rig)
{
	for (rig->port = 1; rig->port <= 2; rig->port++)
		rig_play(rig, syn);
	assert_int_equal(rig->stack->embryo_count, 2);
}

static void test_tcp_listen_rfc4987_flood_is_answered_with_cookies(void **state)
{
	static const struct rig_step open[] = {
		{ IN, A, 1, 1, 100 },
		{ GOT, .size = 100 },
		{ IN, A, 101, 1, 900 },
		{ SEND, .size = 50 },
		{ OUT, A, 1, 1001, 50 },
		{ IN, A, 1001, 51 },
		{ ACKED, .size = 50 },
		{ IN, A, 1, 1, 100 }, /* its first segment again: old data, nothing else */
		{ BURST },
		{ OUT, A, 51, 1001 },
		{ QUIET },
		{ RIG_END },
	};
	static const struct rig_step ack[] = { { IN, A, 1, 1 }, { BURST }, { QUIET }, { RIG_END } };
	struct tcp_config config = rig_config();
	uint32_t first_isn;
	struct rig rig;

	(void)state;
	rig_open(&rig, &config);
	fill_backlog(&rig);
	first_isn = rig.out[0].seq;
	for (rig.port = 3; rig.port <= 50; rig.port++)
		rig_play(&rig, syn);
	assert_int_equal(rig.stack->embryo_count, 2);
	assert_int_equal(tcp_connection_count(rig.stack), 2);
	assert_int_equal(counted(&rig, COUNTER_TCP_BACKLOG_EVICTIONS), 0);
	assert_int_equal(counted(&rig, COUNTER_TCP_COOKIES_SENT), 48);
	rig.port = 50;
	rig_play(&rig, open); /* its ACK was lost: data opens it, too */
	assert_int_equal(rig.accepted, 1);
	assert_int_equal(rig.tcb->snd_mss, 536); /* of the sizes a cookie can tell */
	assert_int_equal(counted(&rig, COUNTER_TCP_COOKIES_ACCEPTED), 1);
	/* Those that were remembered lost nothing by it: they may be real, too. */
	assert_int_equal(counted(&rig, COUNTER_TCP_BACKLOG_EVICTIONS), 0);
	rig.port = 1;
	rig.isn = first_isn;
	rig_play(&rig, ack);
	rig.port = 2;
	rig.isn = rig.out[1].seq;
	rig_play(&rig, ack);
	assert_int_equal(rig.accepted, 3);
	rig_close(&rig);
}

static void test_tcp_listen_rfc4987_cookie_keeps_scale_and_sack(void **state)
{
	static const struct rig_step steps[] = {
		{ IN, S },
		{ OUT, SA, 0, 1 },
		{ IN, A, 1, 1, 0, 30 },
		{ STATE, .size = TCP_STATE_ESTABLISHED },
		{ IN, A, 101, 1, 100 },
		{ OUT, A, 1, 1 },
		{ SACKED, 0, 101, 201, 0 },
		{ SEND, .size = 20000 },
		{ OUT, A, 1, 1, 512 },
		{ RIG_END },
	};
	struct tcp_config config = rig_config();
	const struct tcp_packet *answer;
	struct rig rig;

	(void)state;
	config.window_max = 1U << 20;
	rig_open(&rig, &config);
	fill_backlog(&rig);
	rig.port = 9;
	rig.ts = 5000;
	rig.echoes = true;
	rig.wscale = 9;
	rig_play(&rig, steps);
	answer = &rig.out[2];
	assert_int_equal(answer->options.ts_echo, 5000);
	assert_int_equal(answer->options.wscale, 5);
	assert_int_equal(answer->options.mss, RIG_MSS);
	assert_true(answer->options.sack_permitted && answer->options.has_wscale);
	assert_true(rig.tcb->has_ts && rig.tcb->has_sack && rig.tcb->has_wscale);
	assert_int_equal(rig.tcb->snd_wscale, 9);
	assert_int_equal(rig.tcb->rcv_wscale, 5);
	assert_int_equal(rig.tcb->rtt.smoothed_ns, 0); /* the echo was no clock */
	rig_close(&rig);
}

static void test_tcp_listen_rfc4987_wrong_cookie_opens_nothing(void **state)
{
	static const struct rig_step steps[] = {
		{ IN, S },
		{ OUT, SA, 0, 1 },
		{ IN, A, 1, 2 },
		{ OUT, R },
		{ IN, A, 501, 77, 500 }, /* of a connection of long ago: told so at once */
		{ OUT, R },
		{ IN, A, 2, 1 },
		{ QUIET },
		{ IN, SA, 1, 1 },
		{ OUT, R },
		{ IN, A, 501, 1, 500 },
		{ QUIET }, /* its first segment is lost: it comes again */
		{ IN, FA, 501, 1 },
		{ QUIET },
		{ IN, A, 1, 1, 500 },
		{ GOT, .size = 500 },
		{ RIG_END },
	};
	static const struct rig_step late[] = {
		{ IN, A, 1, 1, 10 }, { OUT, R }, { RIG_END }, /* a peer of long ago is told so */
	};
	struct tcp_config config = rig_config();
	struct rig rig;

	(void)state;
	rig_open(&rig, &config);
	fill_backlog(&rig);
	rig.port = 3;
	rig_play(&rig, steps);
	assert_int_equal(rig.accepted, 1);
	assert_int_equal(counted(&rig, COUNTER_TCP_COOKIES_FAILED), 5);
	rig_close(&rig);
	rig_open(&rig, &config);
	fill_backlog(&rig);
	rig.port = 3;
	rig_play(&rig, syn);
	rig.now_ns += TCP_COOKIE_LIFE_NS;
	rig_play(&rig, late);
	assert_int_equal(rig.accepted, 0);
	rig_close(&rig);
}

/** The first words of an honest peer come in any order: whichever carries the number after its SYN opens,
    and none of them is answered by a reset. */
static void test_tcp_listen_rfc4987_data_before_the_handshake_ack(void **state)
{
	static const struct rig_step data_first[] = {
		{ IN, S },
		{ OUT, SA, 0, 1 },
		{ IN, A, 1001, 1, 1000 },
		{ IN, PA, 2001, 1, 500 },
		{ IN, FA, 2501, 1 },
		{ BURST },
		{ QUIET }, /* what its first number is, they don't tell */
		{ IN, A, 1, 1, 1000 },
		{ STATE, .size = TCP_STATE_ESTABLISHED },
		{ GOT, .size = 1000 },
		{ IN, A, 1, 1 }, /* the acknowledgement itself, late */
		{ OUT, A, 1, 1001 },
		{ IN, A, 1001, 1, 1000 },
		{ GOT, .size = 2000 },
		{ BURST },
		{ WAIT, .size = 40 },
		{ OUT, A, 1, 2001 },
		{ QUIET },
		{ RIG_END },
	};
	static const struct rig_step later_first[] = {
		{ IN, S },
		{ OUT, SA, 0, 1 },
		{ IN, A, 1001, 1, 1000 },
		{ QUIET },
		{ IN, A, 1, 1 },
		{ STATE, .size = TCP_STATE_ESTABLISHED },
		{ BURST },
		{ QUIET },
		{ IN, A, 1, 1, 1000 },
		{ GOT, .size = 1000 },
		{ RIG_END },
	};
	const struct rig_step *const cases[] = { data_first, later_first };
	struct tcp_config config = rig_config();

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
		struct rig rig;

		rig_open(&rig, &config);
		fill_backlog(&rig);
		rig.port = 3;
		rig_play(&rig, cases[i]);
		assert_int_equal(counted(&rig, COUNTER_TCP_COOKIES_ACCEPTED), 1);
		assert_int_equal(counted(&rig, COUNTER_TCP_RESETS_OUT), 0);
		rig_close(&rig);
	}
}

/** The last acknowledgement of a silent peer is lost: its keepalive opens the connection. */
static void test_tcp_listen_rfc4987_keepalive_brings_the_cookie(void **state)
{
	static const struct rig_step steps[] = {
		{ IN, S },
		{ OUT, SA, 0, 1 },
		{ IN, A, 0, 1 },
		{ STATE, .size = TCP_STATE_ESTABLISHED },
		{ IN, A, 1, 1, 10 },
		{ GOT, .size = 10 },
		{ SEND, .size = 10 },
		{ OUT, A, 1, 11, 10 },
		{ RIG_END },
	};
	struct tcp_config config = rig_config();
	struct rig rig;

	(void)state;
	rig_open(&rig, &config);
	fill_backlog(&rig);
	rig.port = 3;
	rig_play(&rig, steps);
	assert_int_equal(rig.accepted, 1);
	rig_close(&rig);
}

/** The first segment of a connection, late or again, opens no second one that takes it twice. */
static void test_tcp_listen_rfc4987_cookie_opens_once(void **state)
{
	static const struct rig_step steps[] = {
		{ IN, S },       { OUT, SA, 0, 1 },   { IN, A, 1, 1, 100 }, { GOT, .size = 100 },
		{ ABORT },       { OUT, RA, 1, 101 }, { IN, A, 1, 1, 100 }, { OUT, R },
		{ IN, A, 1, 1 }, { OUT, R },          { GOT, .size = 100 }, { QUIET },
		{ RIG_END },
	};
	struct tcp_config config = rig_config();
	struct rig rig;

	(void)state;
	rig_open(&rig, &config);
	fill_backlog(&rig);
	rig.port = 3;
	rig_play(&rig, steps);
	assert_int_equal(rig.accepted, 1);
	rig_close(&rig);
}

/** One SYN was answered by a cookie, its repetition by an embryo: the peer has heard the cookie. */
static void test_tcp_listen_rfc4987_cookie_and_embryo_of_one_peer(void **state)
{
	static const struct rig_step end[] = { { IN, A, 1, 1 }, { IN, R, 1 }, { RIG_END } };
	static const struct rig_step other[] = {
		{ IN, A, 501, 1, 500 },
		{ QUIET },
		{ IN, A, 501, 1 },
		{ QUIET },
		{ IN, A, 1, 1, 500 },
		{ GOT, .size = 500 },
		{ SEND, .size = 5 },
		{ OUT, A, 1, 501, 5 },
		{ RIG_END },
	};
	struct tcp_config config = rig_config();
	uint32_t cookie;
	struct rig rig;

	(void)state;
	rig_open(&rig, &config);
	fill_backlog(&rig);
	rig.port = 3;
	rig_play(&rig, syn);
	cookie = rig.isn;
	rig.port = 2;
	rig.isn = rig.out[1].seq;
	rig_play(&rig, end); /* room again */
	rig.is_closed = false;
	rig.port = 3;
	rig_play(&rig, syn);
	assert_int_equal(rig.stack->embryo_count, 2);
	assert_int_not_equal(rig.isn, cookie);
	rig.isn = cookie;
	rig_play(&rig, other);
	assert_int_equal(rig.accepted, 2);
	assert_int_equal(rig.stack->embryo_count, 1);
	rig_close(&rig);
}

static void test_tcp_listen_no_cookies_while_there_is_room(void **state)
{
	static const struct rig_step steps[] = { { IN, A, 1, 1 }, { OUT, R }, { RIG_END } };
	struct tcp_config config = rig_config();
	struct tcp_tuple tuple = { RIG_SELF, RIG_PEER, RIG_PORT, 3 };
	struct rig rig;

	(void)state;
	rig_open(&rig, &config);
	rig.port = 3;
	rig.isn = tcp_cookie_make(&config.secret, &tuple, RIG_PEER_ISN, 1000, rig.now_ns);
	rig_play(&rig, steps);
	assert_int_equal(rig.accepted, 0);
	assert_int_equal(counted(&rig, COUNTER_TCP_COOKIES_SENT), 0);
	assert_int_equal(counted(&rig, COUNTER_TCP_COOKIES_FAILED), 0);
	rig_close(&rig);
}

static void test_tcp_listen_cookie_without_room_is_dropped(void **state)
{
	static const struct rig_step open[] = {
		{ IN, S },
		{ OUT, SA, 0, 1 },
		{ IN, A, 1, 1 },
		{ RIG_END },
	};
	static const struct rig_step late[] = { { IN, A, 1, 1, 10 }, { QUIET }, { RIG_END } };
	struct tcp_config config = rig_config();
	uint32_t isn;
	struct rig rig;

	(void)state;
	config.syn_backlog_max = 1;
	rig_open(&rig, &config);
	rig.port = 1;
	rig_play(&rig, syn);
	rig.port = 2;
	rig_play(&rig, syn);
	isn = rig.isn; /* a cookie that comes late */
	for (rig.port = 3; rig.port <= 6; rig.port++)
		rig_play(&rig, open); /* real ones: three free places, then the embryo's */
	assert_int_equal(rig.accepted, 4);
	rig.port = 2;
	rig.isn = isn;
	rig_play(&rig, late);
	assert_int_equal(rig.accepted, 4);
	assert_int_equal(counted(&rig, COUNTER_TCP_DROP_CONNECTIONS), 1);
	rig_close(&rig);
}

static void test_tcp_listen_all_connections_in_use(void **state)
{
	static const struct rig_step open[] = {
		{ IN, S }, { OUT, SA, 0, 1 }, { IN, A, 1, 1 }, { RIG_END }
	};
	static const struct rig_step ignored[] = { { IN, S }, { QUIET }, { RIG_END } };
	struct tcp_config config = rig_config();
	struct rig rig;

	(void)state;
	rig_open(&rig, &config);
	for (rig.port = 1; rig.port <= 4; rig.port++)
		rig_play(&rig, open);
	rig_play(&rig, ignored);
	assert_int_equal(rig.accepted, 4);
	assert_int_equal(counters_get(&rig.counters, COUNTER_TCP_DROP_CONNECTIONS), 1);
	rig_close(&rig);
}

static void test_tcp_listen_lost_answer_and_rejecting_owner(void **state)
{
	static const struct rig_step steps[] = {
		{ IN, S },
		{ OUT, SA, 0, 1 },
		{ IN, S },
		{ OUT, SA, 0, 1 },
		{ WAIT, .size = 1000 },
		{ OUT, SA, 0, 1 },
		{ IN, A, 1, 2 },
		{ OUT, R },
		{ IN, A, 1, 1 },
		{ OUT, RA, 1, 1 },
		{ CLOSED, .size = 99 },
		{ RIG_END },
	};
	struct tcp_config config = rig_config();
	struct rig rig;

	(void)state;
	rig_open(&rig, &config);
	rig.rejects = true;
	rig_play(&rig, steps);
	assert_int_equal(tcp_connection_count(rig.stack), 0);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_listen_refuses),
		cmocka_unit_test(test_tcp_listen_resets_are_limited),
		cmocka_unit_test(test_tcp_listen_rfc4987_flood_is_answered_with_cookies),
		cmocka_unit_test(test_tcp_listen_rfc4987_cookie_keeps_scale_and_sack),
		cmocka_unit_test(test_tcp_listen_rfc4987_wrong_cookie_opens_nothing),
		cmocka_unit_test(test_tcp_listen_rfc4987_data_before_the_handshake_ack),
		cmocka_unit_test(test_tcp_listen_rfc4987_keepalive_brings_the_cookie),
		cmocka_unit_test(test_tcp_listen_rfc4987_cookie_opens_once),
		cmocka_unit_test(test_tcp_listen_rfc4987_cookie_and_embryo_of_one_peer),
		cmocka_unit_test(test_tcp_listen_no_cookies_while_there_is_room),
		cmocka_unit_test(test_tcp_listen_cookie_without_room_is_dropped),
		cmocka_unit_test(test_tcp_listen_all_connections_in_use),
		cmocka_unit_test(test_tcp_listen_lost_answer_and_rejecting_owner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
