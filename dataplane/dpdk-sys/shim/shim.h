/* What the dataplane calls of DPDK. Its Rust side is src/lib.rs: the two must say the same.
 *
 * Functions return 0 or a positive count, or a negative errno; those that take several steps also
 * say at which step they failed.
 */
#ifndef PFS_DPDK_SHIM_H
#define PFS_DPDK_SHIM_H

#include <stddef.h>
#include <stdint.h>

struct rte_mbuf;
struct rte_mempool;

/* Takes one piece of a log line: RTE_LOG_* level, bytes, their number. */
typedef void (*pfs_log_sink)(uint32_t level, const char *text, size_t len);

struct pfs_port_wish {
	uint16_t queues;
	uint16_t rx_slots;
	uint16_t tx_slots;
	uint16_t mtu; /* 0: as it is */
	uint8_t promiscuous;
	uint8_t vlan_strip;
};

struct pfs_port_grant {
	char driver[32];
	uint16_t max_queues; /* set on failure too, 0 if not known */
	uint16_t max_mtu;
	uint16_t tx_queues;
	uint16_t rx_slots;
	uint16_t tx_slots;
	uint16_t mtu;
	int16_t numa_node;
	uint8_t promiscuous;
	uint8_t vlan_strip;
	uint8_t rss;
	uint8_t scatter;
	uint8_t mac[6];
};

struct pfs_port_stats {
	uint64_t ipackets;
	uint64_t opackets;
	uint64_t imissed;
	uint64_t ierrors;
	uint64_t oerrors;
	uint64_t rx_nombuf;
};

struct pfs_frame {
	const void *data;
	size_t len;
};

int pfs_eal_init(int argc, char **argv, pfs_log_sink sink);
int pfs_eal_cleanup(void);
void pfs_settle_interrupts(void);
const char *pfs_eal_version(void);
const char *pfs_compiled_version(void);
int pfs_eal_iova_is_va(void);
int pfs_eal_has_hugepages(void);
int pfs_thread_register(void);
void pfs_thread_unregister(void);
const char *pfs_strerror(int code);

int pfs_extmem_register(void *base, size_t len, size_t page);
int pfs_extmem_unregister(void *base, size_t len);
int pfs_pool_create(const char *name, uint32_t mbufs, uint32_t cache, uint16_t room, void *base,
		    size_t len, size_t page, int any_iova, struct rte_mempool **pool,
		    const char **step);
size_t pfs_pool_bytes(uint32_t mbufs, uint16_t room, size_t page, int any_iova);
void pfs_pool_free(struct rte_mempool *pool);
uint32_t pfs_pool_available(const struct rte_mempool *pool);
void pfs_mbuf_free(struct rte_mempool *pool, struct rte_mbuf **mbufs, uint16_t count);
void pfs_mbuf_put(struct rte_mempool *pool, struct rte_mbuf **mbufs, uint16_t count);
void pfs_mbuf_free_chain(struct rte_mbuf *mbuf);
struct rte_mbuf *pfs_mbuf_copy(struct rte_mbuf *mbuf, struct rte_mempool *pool);

int pfs_port_probe(const char *devargs, const char *name, uint16_t *port);
int pfs_port_dma(uint16_t port, void *base, size_t len);
int pfs_port_start(uint16_t port, const struct pfs_port_wish *wish, struct rte_mempool *pool,
		   struct pfs_port_grant *grant, const char **step);
int pfs_port_close(uint16_t port, void *base, size_t len);
int pfs_port_stats(uint16_t port, struct pfs_port_stats *stats);
int pfs_port_xstats(uint16_t port, void (*each)(void *arg, const char *name, uint64_t value),
		    void *arg);
int pfs_port_link(uint16_t port, uint32_t *mbps, int *up);
uint16_t pfs_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count);
uint16_t pfs_tx_burst(uint16_t port, uint16_t queue, struct rte_mempool *pool,
		      const struct pfs_frame *frames, uint16_t count);

#endif
