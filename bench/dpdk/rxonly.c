/* The least that a receiver does: bursts of 64 from net_null, one byte of each packet read, the
 * packets freed in bulk. What pfs over the same device is held against.
 *
 *   cc -O3 -march=native $(pkg-config --cflags libdpdk) rxonly.c -o rxonly $(pkg-config --libs libdpdk)
 *   ./rxonly SECONDS [EAL arguments]   # e.g. ./rxonly 3 --in-memory --no-pci -l 0 --vdev net_null0,size=64
 *
 * Prints packets, the sum of the bytes, packets a second and cycles a packet.
 */
#include <stdio.h>
#include <stdlib.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#define BURST 64

int main(int argc, char **argv)
{
	struct rte_eth_conf conf = { 0 };
	struct rte_mbuf *mbufs[BURST];
	struct rte_mempool *pool;
	uint64_t packets = 0, sum = 0, begin, end;
	double seconds;

	if (argc < 2)
		return 2;
	seconds = atof(argv[1]);
	argv[1] = argv[0];
	if (rte_eal_init(argc - 1, argv + 1) < 0)
		return 1;
	pool = rte_pktmbuf_pool_create("rxonly", 8192, 256, 0, 2176, rte_socket_id());
	if (pool == NULL || rte_eth_dev_configure(0, 1, 1, &conf) < 0 ||
	    rte_eth_rx_queue_setup(0, 0, 1024, rte_socket_id(), NULL, pool) < 0 ||
	    rte_eth_tx_queue_setup(0, 0, 1024, rte_socket_id(), NULL) < 0 ||
	    rte_eth_dev_start(0) < 0)
		return 1;
	begin = rte_rdtsc();
	end = begin + (uint64_t)(seconds * rte_get_tsc_hz());
	while (rte_rdtsc() < end) {
		uint16_t count = rte_eth_rx_burst(0, 0, mbufs, BURST), at;

		for (at = 0; at < count; at++)
			sum += *rte_pktmbuf_mtod(mbufs[at], const uint8_t *);
		rte_pktmbuf_free_bulk(mbufs, count);
		packets += count;
	}
	end = rte_rdtsc();
	printf("%lu packets, sum %lu, %.1f M/s, %.2f cycles each\n", packets, sum,
	       packets / ((double)(end - begin) / rte_get_tsc_hz()) / 1e6,
	       (double)(end - begin) / packets);
	rte_eal_cleanup();
	return 0;
}
