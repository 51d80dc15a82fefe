/* EAL: start, logs, end. */
#define _GNU_SOURCE
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include <rte_alarm.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_version.h>

static ssize_t to_sink(void *cookie, const char *text, size_t len)
{
	int level = rte_log_cur_msg_loglevel();

	((pfs_log_sink)cookie)(level < 0 ? RTE_LOG_INFO : (uint32_t)level, text, len);
	return (ssize_t)len;
}

/* A refused argument makes EAL print its usage; standard output is the caller's. */
static int init_quietly(int argc, char **argv)
{
	int saved, null, rc;

	fflush(stdout);
	saved = dup(STDOUT_FILENO);
	null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (saved >= 0 && null >= 0)
		dup2(null, STDOUT_FILENO);
	rc = rte_eal_init(argc, argv);
	fflush(stdout);
	if (saved >= 0) {
		dup2(saved, STDOUT_FILENO);
		close(saved);
	}
	if (null >= 0)
		close(null);
	return rc;
}

int pfs_eal_init(int argc, char **argv, pfs_log_sink sink)
{
	cookie_io_functions_t io = { .write = to_sink };
	FILE *stream = fopencookie((void *)sink, "w", io);
	cpu_set_t before;
	int pinned, rc;

	if (stream == NULL)
		return -errno;
	setvbuf(stream, NULL, _IOLBF, 0);
	rte_openlog_stream(stream);
	/* EAL pins the thread that starts it, and threads made later would inherit that. */
	pinned = sched_getaffinity(0, sizeof(before), &before) == 0;
	rte_errno = 0;
	rc = init_quietly(argc, argv);
	if (pinned)
		sched_setaffinity(0, sizeof(before), &before);
	fflush(stream);
	if (rc >= 0)
		return 0;
	return rte_errno > 0 ? -rte_errno : -EINVAL;
}

static void reached(void *arg)
{
	__atomic_store_n((int *)arg, 1, __ATOMIC_RELEASE);
}

/* Waits until EAL's interrupt thread has handled what was there before, for a second at most. */
void pfs_settle_interrupts(void)
{
	int done = 0;
	int ms;

	if (rte_eal_alarm_set(1, reached, &done) != 0)
		return;
	for (ms = 0; ms < 1000 && !__atomic_load_n(&done, __ATOMIC_ACQUIRE); ms++)
		rte_delay_us_sleep(1000);
	/* Waits for the call where it is under way: `done` is not written to afterwards. */
	rte_eal_alarm_cancel(reached, &done);
}

/* EAL frees what its interrupt thread, which goes on, still reads: let it be idle then. */
int pfs_eal_cleanup(void)
{
	pfs_settle_interrupts();
	return rte_eal_cleanup();
}

const char *pfs_eal_version(void)
{
	return rte_version();
}

const char *pfs_compiled_version(void)
{
	return RTE_VER_PREFIX " " RTE_STR(RTE_VER_YEAR) "." RTE_STR(RTE_VER_MONTH);
}

int pfs_eal_iova_is_va(void)
{
	return rte_eal_iova_mode() == RTE_IOVA_VA;
}

int pfs_eal_has_hugepages(void)
{
	return rte_eal_has_hugepages();
}

/* Gives the calling thread a number, and with it a cache of free mbufs. */
int pfs_thread_register(void)
{
	if (rte_lcore_id() != LCORE_ID_ANY)
		return 0;
	return rte_thread_register() == 0 ? 0 : -rte_errno;
}

void pfs_thread_unregister(void)
{
	rte_thread_unregister();
}

const char *pfs_strerror(int code)
{
	return rte_strerror(code);
}
