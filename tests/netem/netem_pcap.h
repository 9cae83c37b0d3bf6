/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * A capture file (pcap, nanoseconds) of bounded size.
 *
 * Context: one thread. Memory: stdio's buffer. Limits: the size given; what comes after is counted.
 */
#pragma once

#include <stdio.h>

#include "base/defs.h"

struct netem_pcap {
	FILE *file; /* NULL: nothing is captured */
	uint64_t left, written, skipped;
	uint32_t snap;
};

/** @param limit  bytes of the file. @param snap  bytes kept of a frame. @return 0; -errno */
NODISCARD int netem_pcap_open(struct netem_pcap *pcap, const char *path, uint64_t limit,
			      uint32_t snap);
void netem_pcap_write(struct netem_pcap *pcap, int64_t now_ns, const uint8_t *frame, uint32_t size);
/** @return 0; -EIO not all of it is in the file */
NODISCARD int netem_pcap_close(struct netem_pcap *pcap);
