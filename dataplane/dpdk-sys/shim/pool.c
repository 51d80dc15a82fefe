/* Mbufs in memory of the caller's. */
#include "shim.h"

#include <errno.h>
#include <stdlib.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

/* src/mbuf.rs reads these fields by their places. */
#define AT(field, offset) \
	_Static_assert(offsetof(struct rte_mbuf, field) == (offset), "mbuf layout: " #field)
AT(buf_addr, 0);
AT(data_off, 16);
AT(refcnt, 18);
AT(nb_segs, 20);
AT(pkt_len, 36);
AT(ol_flags, 24);
AT(data_len, 40);
AT(vlan_tci, 42);
AT(pool, 56);
AT(next, 64);
_Static_assert(RTE_MBUF_F_RX_VLAN_STRIPPED == 1ULL << 6, "mbuf flag: tag stripped");
_Static_assert(RTE_MBUF_F_EXTERNAL == 1ULL << 61, "mbuf flag: external buffer");
_Static_assert(RTE_MBUF_F_INDIRECT == 1ULL << 62, "mbuf flag: attached buffer");
_Static_assert(sizeof(struct rte_mbuf) == 128, "mbuf layout: size");

#define POOL_OPS "ring_mp_mc"

/* A device without an IOMMU wants each page's physical address. */
int pfs_extmem_register(void *base, size_t len, size_t page)
{
	size_t pages = len / page, at;
	rte_iova_t *iova = NULL;
	int rc;

	if (rte_eal_iova_mode() == RTE_IOVA_PA) {
		iova = malloc(pages * sizeof(*iova));
		if (iova == NULL)
			return -ENOMEM;
		for (at = 0; at < pages; at++)
			iova[at] = rte_mem_virt2phy((char *)base + at * page);
	}
	rc = rte_extmem_register(base, len, iova, iova != NULL ? pages : 0, page);
	rc = rc == 0 ? 0 : -rte_errno;
	free(iova);
	return rc;
}

int pfs_extmem_unregister(void *base, size_t len)
{
	return rte_extmem_unregister(base, len) == 0 ? 0 : -rte_errno;
}

static unsigned int flags_of(int any_iova)
{
	return any_iova ? RTE_MEMPOOL_F_NO_IOVA_CONTIG : 0;
}

/* Bytes that so many mbufs with `room` bytes each take, the last page whole. */
size_t pfs_pool_bytes(uint32_t mbufs, uint16_t room, size_t page, int any_iova)
{
	uint32_t element = rte_mempool_calc_obj_size(sizeof(struct rte_mbuf) + room,
						     flags_of(any_iova), NULL);
	size_t per_page;

	if (any_iova || page == 0)
		return ((size_t)mbufs * element + page) & ~(page - 1);
	per_page = page / element;
	if (per_page == 0)
		return 0;
	/* An mbuf does not cross a page; one page more for the alignment of the first. */
	return ((mbufs + per_page - 1) / per_page + 1) * page;
}

int pfs_pool_create(const char *name, uint32_t mbufs, uint32_t cache, uint16_t room, void *base,
		    size_t len, size_t page, int any_iova, struct rte_mempool **pool,
		    const char **step)
{
	struct rte_pktmbuf_pool_private priv = { .mbuf_data_room_size = room };
	struct rte_mempool *made;
	int rc;

	*step = "making an empty pool";
	made = rte_mempool_create_empty(name, mbufs, sizeof(struct rte_mbuf) + room, cache,
					sizeof(priv), SOCKET_ID_ANY, flags_of(any_iova));
	if (made == NULL)
		return -rte_errno;
	*step = "choosing how the pool keeps free mbufs";
	rc = rte_mempool_set_ops_byname(made, POOL_OPS, NULL);
	if (rc == 0) {
		rte_pktmbuf_pool_init(made, &priv);
		*step = "filling the pool";
		rc = rte_mempool_populate_virt(made, base, len, page, NULL, NULL);
		if (rc == 0)
			rc = -ENOBUFS;
		if (rc > 0 && made->populated_size < mbufs)
			rc = -ENOMEM;
	}
	if (rc < 0) {
		rte_mempool_free(made);
		return rc;
	}
	rte_mempool_obj_iter(made, rte_pktmbuf_init, NULL);
	*pool = made;
	return 0;
}

void pfs_pool_free(struct rte_mempool *pool)
{
	rte_mempool_free(pool);
}

uint32_t pfs_pool_available(const struct rte_mempool *pool)
{
	return rte_mempool_avail_count(pool);
}

/* Frees segments one by one, whatever chain they came in. */
void pfs_mbuf_free(struct rte_mempool *pool, struct rte_mbuf **mbufs, uint16_t count)
{
	void *own[64];
	unsigned int owns = 0;
	uint16_t at;

	for (at = 0; at < count; at++) {
		struct rte_mbuf *seg = mbufs[at];

		seg->next = NULL;
		seg->nb_segs = 1;
		seg = rte_pktmbuf_prefree_seg(seg);
		if (seg == NULL)
			continue;
		if (unlikely(seg->pool != pool)) {
			rte_mbuf_raw_free(seg);
			continue;
		}
		own[owns++] = seg;
		if (owns == RTE_DIM(own)) {
			rte_mempool_put_bulk(pool, own, owns);
			owns = 0;
		}
	}
	if (owns > 0)
		rte_mempool_put_bulk(pool, own, owns);
}

/* Frees mbufs that are as their pool had them: one segment, one holder, a buffer of their own. */
void pfs_mbuf_put(struct rte_mempool *pool, struct rte_mbuf **mbufs, uint16_t count)
{
	rte_mempool_put_bulk(pool, (void *const *)mbufs, count);
}

void pfs_mbuf_free_chain(struct rte_mbuf *mbuf)
{
	rte_pktmbuf_free(mbuf);
}

struct rte_mbuf *pfs_mbuf_copy(struct rte_mbuf *mbuf, struct rte_mempool *pool)
{
	return rte_pktmbuf_copy(mbuf, pool, 0, UINT32_MAX);
}
