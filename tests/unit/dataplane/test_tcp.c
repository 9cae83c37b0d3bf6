/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: the owner may call the stack from inside its callbacks; a connection that ends there is told once
 * and its memory is safe until the outermost call returns. Shown by owners that do.
 */
#include "tcp_rig_play.h"

static struct rig *rig;

static size_t answer_then_abort(void *owner, struct tcb *tcb, const uint8_t *bytes, size_t size)
{
	(void)owner;
	(void)bytes;
	tcp_send(tcb, 10, rig->now_ns);
	assert_int_equal(rig->out_count, rig->out_next); /* output waits for the end of the burst */
	if (size == 2)
		tcp_abort(tcb, rig->now_ns);
	tcp_resume(tcb, rig->now_ns); /* harmless on what is gone */
	return size;
}

static void test_tcp_calls_from_inside_callbacks(void **state)
{
	static const struct rig_step steps[] = {
		{ IN, S },           { OUT, SA, 0, 1 },  { IN, A, 1, 1 },
		{ IN, A, 1, 1, 1 },  { BURST },          { OUT, A, 1, 2, 10 },
		{ IN, A, 2, 11, 2 }, { OUT, RA, 11, 2 }, { CLOSED, .size = TCP_CLOSED_ABORT },
		{ BURST },           { QUIET },          { RIG_END },
	};
	struct tcp_config config = rig_config();
	struct rig mine;

	(void)state;
	rig = &mine;
	rig_open(rig, &config);
	rig->stack->ops.on_data = answer_then_abort;
	rig_play(rig, steps);
	assert_int_equal(tcp_connection_count(rig->stack), 0);
	rig_close(rig);
}

static void resume_on_acked(void *owner, struct tcb *tcb, uint64_t size)
{
	(void)owner;
	(void)size;
	rig->take_max = UINT64_MAX;
	tcp_resume(tcb, rig->now_ns);
}

/* The acknowledgement of our data and FIN frees an owner that left the peer's last bytes, and it takes them
   while the connection does not yet know that our side is done. */
static void test_tcp_resumed_from_on_acked_while_both_sides_close(void **state)
{
	static const struct rig_step peer_first[] = {
		{ IN, S },
		{ OUT, SA, 0, 1 },
		{ IN, A, 1, 1 },
		{ TAKE, .size = 0 },
		{ IN, FA, 1, 1, 100 },
		{ EOF_IS, .size = 0 },
		{ SEND, .size = 10 },
		{ OUT, A, 1, 102, 10 },
		{ SHUT },
		{ OUT, FA, 11, 102 },
		{ STATE, .size = TCP_STATE_LAST_ACK },
		{ IN, A, 102, 12 },
		{ GOT, .size = 100 },
		{ EOF_IS, .size = 1 },
		{ CLOSED, .size = TCP_CLOSED_NORMAL },
		{ BURST },
		{ QUIET },
		{ RIG_END },
	};
	static const struct rig_step both[] = {
		{ IN, S },
		{ OUT, SA, 0, 1 },
		{ IN, A, 1, 1 },
		{ TAKE, .size = 0 },
		{ SEND, .size = 10 },
		{ OUT, A, 1, 1, 10 },
		{ SHUT },
		{ OUT, FA, 11, 1 },
		{ IN, FA, 1, 1, 100 },
		{ STATE, .size = TCP_STATE_CLOSING },
		{ BURST },
		{ OUT, A, 12, 102 },
		{ IN, A, 102, 12 },
		{ GOT, .size = 100 },
		{ EOF_IS, .size = 1 },
		{ CLOSED, .size = TCP_CLOSED_NORMAL },
		{ RIG_END },
	};
	static const struct rig_step *const plays[] = { peer_first, both };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(plays); i++) {
		struct tcp_config config = rig_config();
		struct rig mine;

		rig = &mine;
		rig_open(rig, &config);
		rig->stack->ops.on_acked = resume_on_acked;
		rig_play(rig, plays[i]);
		assert_int_equal(tcp_connection_count(rig->stack), 0);
		rig_close(rig);
	}
}

static void test_tcp_listen_port_zero(void **state)
{
	struct tcp_config config = rig_config();
	struct rig mine;

	(void)state;
	rig_open(&mine, &config);
	assert_int_equal(tcp_listen(mine.stack, 0), -EINVAL);
	assert_int_equal(tcp_next_timer_ns(mine.stack), INT64_MAX);
	rig_close(&mine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_calls_from_inside_callbacks),
		cmocka_unit_test(test_tcp_resumed_from_on_acked_while_both_sides_close),
		cmocka_unit_test(test_tcp_listen_port_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
