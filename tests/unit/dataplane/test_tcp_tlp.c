/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claim: a probe goes after two round trips without an answer, and its fate is told apart as RFC 8985
 * section 7.4 says. Shown by values.
 */
#include "dataplane/tcp/tcp_tlp.h"

#include "cm.h"

static void test_tcp_tlp_timeout(void **state)
{
	(void)state;
	assert_true(tcp_tlp_timeout_ns(0, true) == NS_PER_S);
	assert_true(tcp_tlp_timeout_ns(20 * NS_PER_MS, false) == 40 * NS_PER_MS);
	assert_true(tcp_tlp_timeout_ns(20 * NS_PER_MS, true) == 80 * NS_PER_MS);
	assert_true(tcp_tlp_timeout_ns(20 * NS_PER_US, false) == TCP_TLP_MIN_NS);
}

static enum tcp_tlp_verdict judge(bool is_resend, struct tcp_tlp_ack ack)
{
	struct tcp_tlp tlp;
	enum tcp_tlp_verdict verdict;

	tcp_tlp_sent(&tlp, 5000, is_resend);
	verdict = tcp_tlp_on_ack(&tlp, &ack);
	assert_int_equal(tlp.is_out, verdict == TCP_TLP_NOTHING);
	return verdict;
}

static void test_tcp_tlp_fates(void **state)
{
	const struct tcp_range none = { 0, 0 }, covers = { 4000, 5000 }, other = { 3000, 4000 };
	struct tcp_tlp tlp = { .is_out = false };

	(void)state;
	assert_int_equal(tcp_tlp_on_ack(&tlp, &(struct tcp_tlp_ack){ 9000, none, false }),
			 TCP_TLP_NOTHING);
	/* new data */
	assert_int_equal(judge(false, (struct tcp_tlp_ack){ 4999, none, false }), TCP_TLP_NOTHING);
	assert_int_equal(judge(false, (struct tcp_tlp_ack){ 5000, none, false }), TCP_TLP_ENDED);
	/* old data: both arrived */
	assert_int_equal(judge(true, (struct tcp_tlp_ack){ 5000, covers, false }), TCP_TLP_ENDED);
	assert_int_equal(judge(true, (struct tcp_tlp_ack){ 6000, covers, false }), TCP_TLP_ENDED);
	assert_int_equal(judge(true, (struct tcp_tlp_ack){ 5000, none, true }), TCP_TLP_ENDED);
	/* one of the two did, or who knows */
	assert_int_equal(judge(true, (struct tcp_tlp_ack){ 5000, none, false }), TCP_TLP_NOTHING);
	assert_int_equal(judge(true, (struct tcp_tlp_ack){ 5000, other, false }), TCP_TLP_NOTHING);
	assert_int_equal(judge(true, (struct tcp_tlp_ack){ 5001, none, false }), TCP_TLP_REPAIRED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_tlp_timeout),
		cmocka_unit_test(test_tcp_tlp_fates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
