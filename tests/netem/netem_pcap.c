/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/netem/netem_pcap.h"

#include <errno.h>

#define PCAP_MAGIC_NS 0xa1b23c4dU
#define LINK_ETHERNET 1

int netem_pcap_open(struct netem_pcap *pcap, const char *path, uint64_t limit, uint32_t snap)
{
	const struct {
		uint32_t magic;
		uint16_t major, minor;
		uint32_t zone, accuracy, snap, link;
	} header = { PCAP_MAGIC_NS, 2, 4, 0, 0, snap, LINK_ETHERNET };

	*pcap = (struct netem_pcap){ .left = limit, .snap = snap };
	pcap->file = fopen(path, "we");
	if (pcap->file == NULL)
		return -errno;
	return fwrite(&header, sizeof(header), 1, pcap->file) == 1 ? 0 : -EIO;
}

void netem_pcap_write(struct netem_pcap *pcap, int64_t now_ns, const uint8_t *frame, uint32_t size)
{
	uint32_t kept = MIN(size, pcap->snap);
	uint32_t header[4] = { (uint32_t)(now_ns / NS_PER_S), (uint32_t)(now_ns % NS_PER_S), kept,
			       size };

	if (pcap->file == NULL)
		return;
	if (pcap->left < sizeof(header) + kept) {
		pcap->left = 0; /* a hole in the middle would look like a loss */
		pcap->skipped++;
		return;
	}
	pcap->left -= sizeof(header) + kept;
	pcap->written++;
	(void)fwrite(header, sizeof(header), 1, pcap->file); /* told by netem_pcap_close() */
	(void)fwrite(frame, 1, kept, pcap->file);
}

int netem_pcap_close(struct netem_pcap *pcap)
{
	bool is_bad;

	if (pcap->file == NULL)
		return 0;
	is_bad = ferror(pcap->file) != 0;
	is_bad |= fclose(pcap->file) != 0;
	pcap->file = NULL;
	return is_bad ? -EIO : 0;
}
