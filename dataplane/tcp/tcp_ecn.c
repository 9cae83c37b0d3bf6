/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tcp/tcp_ecn.h"

#include "dataplane/tcp/tcp_packet.h"

#include "dataplane/core/hot.h"

void tcp_ecn_init(struct tcp_ecn *ecn, enum tcp_ecn_policy policy)
{
	*ecn = (struct tcp_ecn){ .policy = (uint8_t)policy };
}

uint8_t tcp_ecn_syn_flags(struct tcp_ecn *ecn, bool is_again)
{
	if (ecn->policy != TCP_ECN_REQUEST || is_again) {
		ecn->is_plain = true; /* section 6.1.1.1: without, as others may drop it */
		return 0;
	}
	ecn->has_asked = true;
	return TCP_ECE | TCP_CWR;
}

uint8_t tcp_ecn_answer_flags(const struct tcp_ecn *ecn)
{
	return ecn->echoes ? TCP_ECE : 0;
}

bool tcp_ecn_syn_in(struct tcp_ecn *ecn, uint8_t flags)
{
	uint8_t bits = flags & (TCP_ECE | TCP_CWR);

	if ((flags & TCP_ACK) != 0)
		ecn->echoes = bits == TCP_ECE && (ecn->has_asked || ecn->echoes);
	else
		ecn->echoes =
			bits == (TCP_ECE | TCP_CWR) && ecn->policy != TCP_ECN_OFF && !ecn->is_plain;
	if (!ecn->echoes)
		ecn->is_plain = true;
	ecn->marks = ecn->echoes && !ecn->is_plain;
	return ecn->marks;
}

bool tcp_ecn_data_in(struct tcp_ecn *ecn, uint8_t flags, enum tcp_ecn_codepoint codepoint)
{
	bool is_first;

	if (!ecn->echoes)
		return false;
	if ((flags & TCP_CWR) != 0)
		ecn->owes_echo = false;
	if (codepoint != TCP_ECN_CE)
		return false;
	is_first = !ecn->owes_echo;
	ecn->owes_echo = true;
	return is_first;
}

bool tcp_ecn_ack_in(struct tcp_ecn *ecn, uint8_t flags, uint32_t ack)
{
	/* The first new data after the reduction says so to the peer: before that is acknowledged, the
	   peer is still reporting what we have acted on. */
	if (ecn->is_reduced && tcp_seq_lt(ecn->reduced_end, ack))
		ecn->is_reduced = false;
	return ecn->marks && (flags & TCP_ECE) != 0 && !ecn->is_reduced;
}

void tcp_ecn_reduced(struct tcp_ecn *ecn, uint32_t snd_max)
{
	if (!ecn->marks)
		return;
	ecn->is_reduced = ecn->owes_cwr = true;
	ecn->reduced_end = snd_max;
}

uint8_t tcp_ecn_flags(const struct tcp_ecn *ecn, bool is_new_data)
{
	uint8_t flags = ecn->owes_echo ? TCP_ECE : 0;

	if (ecn->owes_cwr && is_new_data)
		flags |= TCP_CWR;
	return flags;
}

enum tcp_ecn_codepoint tcp_ecn_codepoint(const struct tcp_ecn *ecn, bool is_new_data)
{
	return ecn->marks && is_new_data ? TCP_ECN_ECT0 : TCP_ECN_NOT_ECT;
}

void tcp_ecn_sent(struct tcp_ecn *ecn, bool is_new_data)
{
	if (is_new_data)
		ecn->owes_cwr = false;
}
