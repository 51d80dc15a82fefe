/* DPDK's rte_ring as a peer: single producer, single consumer, bursts, in a C loop.
 *
 *     rte_ring ITEM_BYTES BURST ITEMS SLOTS PRODUCER_CORE CONSUMER_CORE
 *
 * Prints "CYCLES NANOSECONDS OK", OK being 1 when every item arrived in order. Sizes are
 * constants inside each variant, as an application would have them. The ring lives in plain
 * aligned memory: rte_ring_init needs no EAL.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <x86intrin.h>

#include <rte_ring.h>

#define MOST 256

struct run {
	struct rte_ring *ring;
	uint64_t items;
	int core;
	uint64_t cycles, ns;
	int ok;
	pthread_barrier_t *start;
};

static void pin(int core)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(core, &set);
	if (sched_setaffinity(0, sizeof(set), &set) != 0)
		exit(3);
}

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline __attribute__((always_inline)) void
produce(struct run *run, const unsigned item_bytes, const unsigned burst)
{
	const unsigned words = item_bytes / 8;
	uint64_t buf[MOST * 4] __attribute__((aligned(64))) = {0};
	uint64_t next = 0;

	while (next < run->items) {
		unsigned sent = 0;
		for (unsigned i = 0; i < burst; i++) {
			buf[i * words] = next + i;
			buf[i * words + words - 1] = ~(next + i);
		}
		while (sent < burst) {
			unsigned n = rte_ring_sp_enqueue_burst_elem(run->ring, buf + sent * words,
								    item_bytes, burst - sent, NULL);
			if (n == 0)
				rte_pause();
			sent += n;
		}
		next += burst;
	}
}

static inline __attribute__((always_inline)) void
consume(struct run *run, const unsigned item_bytes, const unsigned burst)
{
	const unsigned words = item_bytes / 8;
	uint64_t buf[MOST * 4] __attribute__((aligned(64)));
	uint64_t expected = 0, wrong = 0;

	while (expected < run->items) {
		unsigned n = rte_ring_sc_dequeue_burst_elem(run->ring, buf, item_bytes, burst, NULL);
		if (n == 0)
			rte_pause();
		for (unsigned i = 0; i < n; i++) {
			wrong |= buf[i * words] ^ (expected + i);
			wrong |= buf[i * words + words - 1] ^ ~(expected + i);
		}
		expected += n;
	}
	run->ok = wrong == 0;
}

#define EACH(body) \
	switch (burst) { \
	case 1: body(1); break; \
	case 8: body(8); break; \
	case 32: body(32); break; \
	case 64: body(64); break; \
	case 256: body(256); break; \
	default: exit(2); \
	}

static unsigned item_bytes, burst;

static void *producer(void *arg)
{
	struct run *run = arg;
	pin(run->core);
	pthread_barrier_wait(run->start);
#define P16(b) produce(run, 16, b)
#define P32(b) produce(run, 32, b)
	if (item_bytes == 16)
		EACH(P16)
	else
		EACH(P32)
	return NULL;
}

static void *consumer(void *arg)
{
	struct run *run = arg;
	pin(run->core);
	pthread_barrier_wait(run->start);
	uint64_t ns = now_ns(), cycles = __rdtsc();
#define C16(b) consume(run, 16, b)
#define C32(b) consume(run, 32, b)
	if (item_bytes == 16)
		EACH(C16)
	else
		EACH(C32)
	run->cycles = __rdtsc() - cycles;
	run->ns = now_ns() - ns;
	return NULL;
}

int main(int argc, char **argv)
{
	if (argc != 7)
		return 2;
	item_bytes = (unsigned)atoi(argv[1]);
	burst = (unsigned)atoi(argv[2]);
	uint64_t items = strtoull(argv[3], NULL, 10);
	unsigned slots = (unsigned)atoi(argv[4]);
	if (item_bytes != 16 && item_bytes != 32)
		return 2;

	/* EXACT_SZ gives the same usable slots as the others have. */
	unsigned flags = RING_F_SP_ENQ | RING_F_SC_DEQ | RING_F_EXACT_SZ;
	ssize_t size = rte_ring_get_memsize_elem(item_bytes, slots * 2);
	struct rte_ring *ring = aligned_alloc(4096, ((size_t)size + 4095) & ~(size_t)4095);
	if (ring == NULL || size < 0)
		return 3;
	memset(ring, 0, (size_t)size);
	if (rte_ring_init(ring, "peer", slots, flags) != 0)
		return 3;

	pthread_barrier_t start;
	pthread_barrier_init(&start, NULL, 2);
	struct run in = { ring, items, atoi(argv[5]), 0, 0, 0, &start };
	struct run out = { ring, items, atoi(argv[6]), 0, 0, 0, &start };
	pthread_t threads[2];
	pthread_create(&threads[0], NULL, producer, &in);
	pthread_create(&threads[1], NULL, consumer, &out);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	printf("%lu %lu %d\n", out.cycles, out.ns, out.ok);
	return 0;
}
