/* SPDX-License-Identifier: Apache-2.0 */
#define ALLOW_EXPERIMENTAL_API /* rte_dev_dma_map(), as it has been for years */
#include "dataplane/nic/nic_pieces.h"

#include <errno.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_memory.h>
#include <unistd.h>

#undef NS_PER_S /* DPDK has one of its own */

#include "base/check.h"

#define HUGEPAGE_SIZE  (2U * 1024 * 1024)
#define FRAMES_MAX     (UINT16_MAX - 1) /* that point to one lent memory: the count has 16 bits */
#define TCP_SIZE_AT    (RTE_ETHER_HDR_LEN + (uint32_t)sizeof(struct rte_ipv4_hdr) + 12)
#define IP_CHECKSUM_AT (RTE_ETHER_HDR_LEN + 10U)

static_assert(sizeof(struct rte_mbuf_ext_shared_info) <= sizeof(((struct nic_lent *)0)->books),
	      "the library's books fit");

/* One more buffer at the end of the frame. @return NULL: none is free, or the port takes no more */
static struct rte_mbuf *add(struct nic *nic, struct rte_mempool *pool, struct nic_packet *packet,
			    uint16_t size)
{
	uint16_t most = packet->split > 0 ? nic->split_pieces : nic->pieces;
	struct rte_mbuf *head = packet->handle, *mbuf;

	if (head->nb_segs >= most)
		return NULL;
	mbuf = rte_pktmbuf_alloc(pool);
	if (unlikely(mbuf == NULL))
		return NULL;
	rte_pktmbuf_lastseg(head)->next = mbuf;
	head->nb_segs++;
	packet->more += size;
	return mbuf;
}

uint8_t *nic_pieces_extend(struct nic *nic, void *pool, struct nic_packet *packet, uint16_t size)
{
	struct rte_mbuf *mbuf = add(nic, pool, packet, size);

	if (mbuf == NULL)
		return NULL;
	mbuf->data_len = size;
	return rte_pktmbuf_mtod(mbuf, uint8_t *);
}

static void come_back(void *bytes, void *opaque)
{
	struct nic_lent *lent = opaque;

	(void)bytes;
	lent->on_back(lent);
}

bool nic_pieces_lend(struct nic *nic, void *pool, struct nic_packet *packet, const uint8_t *bytes,
		     uint16_t size, struct nic_lent *lent)
{
	struct rte_mbuf_ext_shared_info *shared = (void *)lent->books;
	void *at = (void *)(uintptr_t)bytes; /* nobody writes to what is sent */
	struct rte_mbuf *mbuf;

	if (lent->nic != NULL && rte_mbuf_ext_refcnt_read(shared) >= FRAMES_MAX)
		return false;
	mbuf = add(nic, pool, packet, size);
	if (mbuf == NULL)
		return false;
	if (lent->nic == NULL) {
		lent->nic = nic;
		shared->free_cb = come_back;
		shared->fcb_opaque = lent;
		rte_mbuf_ext_refcnt_set(shared, 1);
	}
	(void)rte_mbuf_ext_refcnt_update(shared, 1);
	/* The address is the device's, too: nic_setup.c asks for that. */
	rte_pktmbuf_attach_extbuf(mbuf, at, (rte_iova_t)(uintptr_t)bytes, size, shared);
	mbuf->data_len = size;
	return true;
}

bool nic_pieces_lent_end(struct nic *nic, struct nic_lent *lent)
{
	struct rte_mbuf_ext_shared_info *shared = (void *)lent->books;

	(void)nic;
	return rte_mbuf_ext_refcnt_update(shared, -1) == 0;
}

int nic_pieces_register(uint16_t port_id, void *bytes, size_t size)
{
	uintptr_t at = (uintptr_t)bytes;
	size_t page =
		(at | size) % HUGEPAGE_SIZE == 0 ? HUGEPAGE_SIZE : (size_t)sysconf(_SC_PAGESIZE);
	struct rte_eth_dev_info info;
	int r = rte_eth_dev_info_get(port_id, &info);

	if (r != 0)
		return r;
	if (rte_extmem_register(bytes, size, NULL, 0, page) != 0 && rte_errno != EEXIST)
		return -rte_errno;
	/* Ports of one IOMMU group share what was mapped for the first of them. */
	if (rte_dev_dma_map(info.device, bytes, at, size) != 0 && rte_errno != EEXIST)
		return rte_errno != 0 ? -rte_errno : -EIO;
	return 0;
}

void nic_pieces_finish(const struct nic_packet *packet, bool makes_ip)
{
	struct rte_mbuf *mbuf = packet->handle;

	mbuf->data_len = packet->size;
	mbuf->pkt_len = packet->size + packet->more;
	if (!packet->wants_checksum)
		return;
	mbuf->l2_len = RTE_ETHER_HDR_LEN;
	mbuf->l3_len = sizeof(struct rte_ipv4_hdr);
	mbuf->ol_flags |= RTE_MBUF_F_TX_IPV4;
	if (packet->split == 0) {
		mbuf->ol_flags |= RTE_MBUF_F_TX_TCP_CKSUM;
		return;
	}
	mbuf->l4_len = (uint64_t)(packet->data[TCP_SIZE_AT] >> 4) * 4;
	mbuf->tso_segsz = packet->split;
	mbuf->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
	if (makes_ip) {
		packet->data[IP_CHECKSUM_AT] = packet->data[IP_CHECKSUM_AT + 1] = 0;
		mbuf->ol_flags |= RTE_MBUF_F_TX_IP_CKSUM;
	}
}
