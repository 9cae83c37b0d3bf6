/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * RACK: loss is told by time. What was sent before something that is known to have arrived, longer ago
 * than a round trip and a little patience for reordering, is lost.
 *
 * The patience is none until reordering was seen and enough reports tell of a hole; afterwards a
 * quarter of the shortest round trip, and more for some recoveries after each needless retransmission.
 *
 * Context: owning core. Memory: caller's struct. Source: RFC 8985 sections 5 and 6.
 */
#pragma once

#include "dataplane/tcp/tcp_sent.h"

struct tcp_rack {
	struct tcp_sent_stamp latest; /* last sent of all that are known to have arrived */
	int64_t rtt_ns;               /* its round trip */
	int64_t min_ns[2];    /* shortest round trip of this and of the last period; 0: none */
	int64_t min_until_ns; /* end of this period */
	uint32_t fack;        /* end of the highest byte known to have arrived */
	uint32_t dsack_round; /* one needless retransmission counts until it is acknowledged */
	uint32_t resent;      /* bytes sent again and not reported to have come twice */
	uint8_t patience;     /* quarters of the shortest round trip */
	uint8_t persistence;  /* recoveries until patience is as at first */
	bool has_reordering;
	bool has_dsack_round;
};

/** What bounds the patience of one look. */
struct tcp_rack_look {
	int64_t srtt_ns;
	uint32_t mss;
	bool is_recovering;
	int64_t now_ns;
};

/** @param seq  first sequence number to be sent */
void tcp_rack_init(struct tcp_rack *rack, uint32_t seq);
/** One round trip that was timed by our own clock, without doubt. */
void tcp_rack_sample(struct tcp_rack *rack, int64_t rtt_ns, int64_t now_ns);
/** @return the shortest round trip of the last minutes; 0: none was timed */
int64_t tcp_rack_min_ns(const struct tcp_rack *rack);
/** Something arrived. `news->again` is that of an answer that can't be to an earlier transmission as
    far as timestamps tell. */
void tcp_rack_delivered(struct tcp_rack *rack, const struct tcp_sent_news *news, int64_t now_ns);
/** `size` bytes were sent again. */
void tcp_rack_resent(struct tcp_rack *rack, uint32_t size);
/** The peer got `size` bytes twice: be more patient. More than was sent again the network doubled, which
    says nothing about the order of arrival. */
void tcp_rack_duplicate(struct tcp_rack *rack, uint32_t size, uint32_t una, uint32_t nxt);
/** What was thought lost arrived late. */
void tcp_rack_reordered(struct tcp_rack *rack);
/** A recovery is over. */
void tcp_rack_recovered(struct tcp_rack *rack);

/**
 * Find out what is lost.
 *
 * @param[out] ret_lost  bytes newly thought lost
 * @return when to look again; 0: no need
 */
int64_t tcp_rack_detect(const struct tcp_rack *rack, struct tcp_sent *sent,
			const struct tcp_rack_look *look, uint32_t *ret_lost);

/** The retransmission timer ran out: the oldest is lost, and what was sent long enough ago (section
    6.3). @return bytes newly thought lost */
uint32_t tcp_rack_timeout(const struct tcp_rack *rack, struct tcp_sent *sent,
			  const struct tcp_rack_look *look);
