/* Ports: found, started, polled, closed. */
#include "shim.h"

#include <errno.h>
#include <string.h>

#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_memcpy.h>

/* Attaches the device where that has not happened, and finds its port. */
int pfs_port_probe(const char *devargs, const char *name, uint16_t *port)
{
	int rc;

	if (rte_eth_dev_get_port_by_name(name, port) == 0)
		return 0;
	rc = rte_dev_probe(devargs);
	if (rc < 0 && rc != -EEXIST)
		return rc;
	return rte_eth_dev_get_port_by_name(name, port) == 0 ? 0 : -ENODEV;
}

/* A device of software alone needs no leave. */
static int dma(uint16_t port, void *base, size_t len, int map)
{
	struct rte_eth_dev_info info;
	int rc = rte_eth_dev_info_get(port, &info);

	if (rc < 0)
		return rc;
	if (rte_eal_iova_mode() != RTE_IOVA_VA || info.device == NULL)
		return 0;
	rc = map ? rte_dev_dma_map(info.device, base, (uint64_t)(uintptr_t)base, len)
		 : rte_dev_dma_unmap(info.device, base, (uint64_t)(uintptr_t)base, len);
	return rc == 0 || rte_errno == ENOTSUP ? 0 : -rte_errno;
}

/* Lets the device reach memory that EAL did not make. */
int pfs_port_dma(uint16_t port, void *base, size_t len)
{
	return dma(port, base, len, 1);
}

static uint64_t rx_offloads(const struct rte_eth_dev_info *info, const struct pfs_port_wish *wish,
			    struct rte_mempool *pool, uint16_t mtu)
{
	uint64_t wanted = 0;

	if (wish->vlan_strip)
		wanted |= RTE_ETH_RX_OFFLOAD_VLAN_STRIP;
	/* A frame that is longer than an mbuf comes in several, where the device can. */
	if ((uint32_t)mtu + RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN + 2 * RTE_VLAN_HLEN >
	    (uint32_t)rte_pktmbuf_data_room_size(pool) - RTE_PKTMBUF_HEADROOM)
		wanted |= RTE_ETH_RX_OFFLOAD_SCATTER;
	return wanted & info->rx_offload_capa;
}

static int set_up_queues(uint16_t port, const struct rte_eth_dev_info *info,
			 const struct pfs_port_grant *grant, const struct pfs_port_wish *wish,
			 struct rte_mempool *pool, const char **step)
{
	struct rte_eth_rxconf rx = info->default_rxconf;
	int node = rte_eth_dev_socket_id(port);
	uint16_t queue;
	int rc;

	*step = "making a receive queue";
	for (queue = 0; queue < wish->queues; queue++) {
		rc = rte_eth_rx_queue_setup(port, queue, grant->rx_slots, (unsigned int)node, &rx,
					    pool);
		if (rc < 0)
			return rc;
	}
	*step = "making a transmit queue";
	for (queue = 0; queue < grant->tx_queues; queue++) {
		rc = rte_eth_tx_queue_setup(port, queue, grant->tx_slots, (unsigned int)node, NULL);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int set_mtu(uint16_t port, const struct pfs_port_wish *wish, const char **step)
{
	int rc;

	if (wish->mtu == 0)
		return 0;
	*step = "setting the MTU";
	rc = rte_eth_dev_set_mtu(port, wish->mtu);
	/* Devices of software alone have none: any length passes. */
	return rc == -ENOTSUP ? 0 : rc;
}

int pfs_port_start(uint16_t port, const struct pfs_port_wish *wish, struct rte_mempool *pool,
		   struct pfs_port_grant *grant, const char **step)
{
	struct rte_eth_dev_info info;
	struct rte_eth_conf conf;
	struct rte_ether_addr mac;
	uint16_t mtu = 0;
	int rc;

	memset(grant, 0, sizeof(*grant));
	memset(&conf, 0, sizeof(conf));
	*step = "asking what it can";
	rc = rte_eth_dev_info_get(port, &info);
	if (rc < 0)
		return rc;
	if (info.driver_name != NULL)
		strncpy(grant->driver, info.driver_name, sizeof(grant->driver) - 1);
	grant->max_queues = info.max_rx_queues;
	grant->max_mtu = info.max_mtu;
	grant->numa_node = (int16_t)rte_eth_dev_socket_id(port);
	if (wish->queues > info.max_rx_queues) {
		*step = "queues";
		return -ERANGE;
	}
	rte_eth_dev_get_mtu(port, &mtu);
	grant->tx_queues = wish->queues < info.max_tx_queues ? wish->queues : info.max_tx_queues;
	grant->rx_slots = wish->rx_slots;
	grant->tx_slots = wish->tx_slots;
	conf.rxmode.offloads =
		rx_offloads(&info, wish, pool, wish->mtu != 0 ? wish->mtu : mtu);
	conf.txmode.offloads = RTE_ETH_TX_OFFLOAD_MULTI_SEGS & info.tx_offload_capa;
	if (wish->mtu != 0 && wish->mtu <= info.max_mtu)
		conf.rxmode.mtu = wish->mtu;
	if (wish->queues > 1 && info.flow_type_rss_offloads != 0) {
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf =
			info.flow_type_rss_offloads & (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP);
		grant->rss = conf.rx_adv_conf.rss_conf.rss_hf != 0;
	}
	*step = "configuring it";
	rc = rte_eth_dev_configure(port, wish->queues, grant->tx_queues, &conf);
	if (rc < 0)
		return rc;
	*step = "setting the number of descriptors";
	rc = rte_eth_dev_adjust_nb_rx_tx_desc(port, &grant->rx_slots, &grant->tx_slots);
	if (rc < 0)
		return rc;
	rc = set_up_queues(port, &info, grant, wish, pool, step);
	if (rc < 0)
		return rc;
	rc = set_mtu(port, wish, step);
	if (rc < 0)
		return rc;
	*step = "starting it";
	rc = rte_eth_dev_start(port);
	if (rc < 0)
		return rc;
	if (wish->promiscuous)
		rte_eth_promiscuous_enable(port);
	grant->promiscuous = rte_eth_promiscuous_get(port) == 1;
	grant->scatter = (conf.rxmode.offloads & RTE_ETH_RX_OFFLOAD_SCATTER) != 0;
	grant->vlan_strip = (conf.rxmode.offloads & RTE_ETH_RX_OFFLOAD_VLAN_STRIP) != 0;
	rte_eth_dev_get_mtu(port, &grant->mtu);
	if (rte_eth_macaddr_get(port, &mac) == 0)
		memcpy(grant->mac, mac.addr_bytes, sizeof(grant->mac));
	return 0;
}

/* The device writes to the memory until it is stopped, and may not reach it afterwards. */
int pfs_port_close(uint16_t port, void *base, size_t len)
{
	struct rte_eth_dev_info info;
	struct rte_device *device = NULL;

	/* A port of net_memif whose peer has closed is taken down by the interrupt thread; the driver does not
	 * bear that its own close meets this. */
	pfs_settle_interrupts();
	if (rte_eth_dev_info_get(port, &info) == 0)
		device = info.device;
	rte_eth_dev_stop(port);
	dma(port, base, len, 0);
	if (device != NULL)
		return rte_dev_remove(device);
	return rte_eth_dev_close(port);
}

int pfs_port_stats(uint16_t port, struct pfs_port_stats *stats)
{
	struct rte_eth_stats all;
	int rc = rte_eth_stats_get(port, &all);

	if (rc < 0)
		return rc;
	stats->ipackets = all.ipackets;
	stats->opackets = all.opackets;
	stats->imissed = all.imissed;
	stats->ierrors = all.ierrors;
	stats->oerrors = all.oerrors;
	stats->rx_nombuf = all.rx_nombuf;
	return 0;
}

#define MOST_XSTATS 512

int pfs_port_xstats(uint16_t port, void (*each)(void *arg, const char *name, uint64_t value),
		    void *arg)
{
	static __thread struct rte_eth_xstat values[MOST_XSTATS];
	static __thread struct rte_eth_xstat_name names[MOST_XSTATS];
	int named = rte_eth_xstats_get_names(port, names, MOST_XSTATS);
	int count = rte_eth_xstats_get(port, values, MOST_XSTATS);
	int at;

	if (named < 0 || count < 0)
		return named < 0 ? named : count;
	if (count > MOST_XSTATS)
		count = MOST_XSTATS;
	for (at = 0; at < count; at++)
		if (values[at].id < (uint64_t)named && values[at].id < MOST_XSTATS)
			each(arg, names[values[at].id].name, values[at].value);
	return count;
}

int pfs_port_link(uint16_t port, uint32_t *mbps, int *up)
{
	struct rte_eth_link link;
	int rc = rte_eth_link_get_nowait(port, &link);

	if (rc < 0)
		return rc;
	*mbps = link.link_speed;
	*up = link.link_status == RTE_ETH_LINK_UP;
	return 0;
}

uint16_t pfs_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count)
{
	return rte_eth_rx_burst(port, queue, mbufs, count);
}

/* One frame in as many mbufs as it takes; NULL where the pool has too few. */
static struct rte_mbuf *copy_in(struct rte_mempool *pool, const struct pfs_frame *frame)
{
	const char *from = frame->data;
	size_t left = frame->len;
	struct rte_mbuf *head = rte_pktmbuf_alloc(pool);
	struct rte_mbuf *last = head;

	if (head == NULL)
		return NULL;
	for (;;) {
		uint16_t room = rte_pktmbuf_tailroom(last);
		uint16_t part = left < room ? (uint16_t)left : room;

		rte_memcpy(rte_pktmbuf_mtod(last, char *), from, part);
		last->data_len = part;
		head->pkt_len += part;
		from += part;
		left -= part;
		if (left == 0)
			return head;
		last->next = rte_pktmbuf_alloc(pool);
		if (last->next == NULL) {
			rte_pktmbuf_free(head);
			return NULL;
		}
		last = last->next;
		head->nb_segs++;
	}
}

/* Copies frames into mbufs and hands them to the device; how many it took, from the first on. */
uint16_t pfs_tx_burst(uint16_t port, uint16_t queue, struct rte_mempool *pool,
		      const struct pfs_frame *frames, uint16_t count)
{
	struct rte_mbuf *mbufs[64];
	uint16_t made, sent;

	if (count > RTE_DIM(mbufs))
		count = RTE_DIM(mbufs);
	for (made = 0; made < count; made++) {
		mbufs[made] = copy_in(pool, &frames[made]);
		if (mbufs[made] == NULL)
			break;
	}
	sent = made == 0 ? 0 : rte_eth_tx_burst(port, queue, mbufs, made);
	if (sent < made)
		rte_pktmbuf_free_bulk(&mbufs[sent], made - sent);
	return sent;
}
