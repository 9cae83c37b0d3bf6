/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/tcp/tcp_cubic.h"

#include "dataplane/core/hot.h"

/* Section 4.6: what is left of the window; section 5: C of the curve is 0.4 segments a s^3, so one
   segment is 2.5 s^3. */
#define BETA_PERCENT   70U
#define SEGMENT_MS3    UINT64_C(2500000000)
#define OFFSET_MAX_MS  (INT64_C(1) << 18) /* beyond it every window is at its bound */
#define ROOT_MAX       UINT64_C(2642245)  /* of UINT64_MAX */
#define ROOT_BITS      22
#define FRIENDLY_PARTS 17U /* alpha is 3 * (1 - 0.7) / (1 + 0.7), that is 9/17 (section 4.3) */
#define FRIENDLY_SLOW  9U

uint64_t tcp_cubic_root(uint64_t x)
{
	uint64_t root = 0;

	for (int bit = ROOT_BITS - 1; bit >= 0; bit--) {
		uint64_t next = root | UINT64_C(1) << bit;

		if (next <= ROOT_MAX && next * next * next <= x)
			root = next;
	}
	return root;
}

void tcp_cubic_init(struct tcp_cubic *cubic)
{
	*cubic = (struct tcp_cubic){ 0 };
}

static void begin_epoch(struct tcp_cubic *cubic, const struct tcp_cubic_input *input)
{
	uint64_t window = input->window;

	/* The first stage after slow start or a timeout has no peak yet (sections 4.8, 4.10). */
	if (cubic->peak == 0)
		cubic->peak = window;
	if (cubic->prior == 0)
		cubic->prior = window;
	cubic->origin = MAX(cubic->peak, window);
	cubic->climb_ms = tcp_cubic_root((cubic->origin - window) * SEGMENT_MS3 / input->mss);
	cubic->epoch_ns = input->now_ns;
	cubic->friendly = window;
	cubic->friendly_credit = cubic->credit = 0;
}

/** W_cubic of section 4.2 */
static uint64_t curve(const struct tcp_cubic *cubic, uint32_t mss, int64_t time_ns)
{
	int64_t offset_ms = time_ns / NS_PER_MS - (int64_t)cubic->climb_ms;
	uint64_t size = (uint64_t)MIN(offset_ms < 0 ? -offset_ms : offset_ms, OFFSET_MAX_MS);
	/* In two steps, as size^3 * mss would not fit. */
	uint64_t way = size * size * size / (SEGMENT_MS3 / 1000000) * mss / 1000000;

	if (offset_ms < 0)
		return cubic->origin - MIN(way, cubic->origin);
	return cubic->origin + way;
}

/** Section 4.3: Reno with this reduction would gain 9/17 of a segment a window, and a whole one once
    it is where it came from. */
static void grow_friendly(struct tcp_cubic *cubic, const struct tcp_cubic_input *input)
{
	uint64_t whole = FRIENDLY_PARTS * input->window;

	cubic->friendly_credit +=
		input->acked * (cubic->friendly < cubic->prior ? FRIENDLY_SLOW : FRIENDLY_PARTS);
	cubic->friendly += cubic->friendly_credit / whole * input->mss;
	cubic->friendly_credit %= whole;
}

uint64_t tcp_cubic_grow(struct tcp_cubic *cubic, const struct tcp_cubic_input *input)
{
	uint64_t window = input->window, target, gain;
	int64_t time_ns;

	if (cubic->epoch_ns == 0)
		begin_epoch(cubic, input);
	cubic->heard_ns = input->now_ns;
	time_ns = input->now_ns - cubic->epoch_ns;
	grow_friendly(cubic, input);
	if (curve(cubic, input->mss, time_ns) < cubic->friendly)
		return MAX(window, cubic->friendly);
	target = curve(cubic, input->mss, time_ns + input->srtt_ns);
	target = MIN(MAX(target, window), window / 2 * 3);
	gain = (target - window) * input->acked + cubic->credit;
	cubic->credit = gain % window;
	return window + gain / window;
}

void tcp_cubic_wait(struct tcp_cubic *cubic, int64_t now_ns)
{
	if (cubic->epoch_ns != 0)
		cubic->epoch_ns += now_ns - cubic->heard_ns;
	cubic->heard_ns = now_ns;
}

uint64_t tcp_cubic_reduce(struct tcp_cubic *cubic, uint64_t window, uint64_t flight, uint32_t mss)
{
	/* Fast convergence (section 4.7): a peak below the last one means that others came: make room. */
	cubic->peak = window < cubic->peak ? window * (100 + BETA_PERCENT) / 200 : window;
	cubic->prior = window;
	tcp_cubic_restart(cubic);
	return MAX(flight * BETA_PERCENT / 100, 2 * (uint64_t)mss);
}

void tcp_cubic_forget(struct tcp_cubic *cubic)
{
	cubic->peak = 0;
	tcp_cubic_restart(cubic);
}

void tcp_cubic_restart(struct tcp_cubic *cubic)
{
	cubic->epoch_ns = 0;
}
