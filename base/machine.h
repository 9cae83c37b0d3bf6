/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * What a machine offers a box, held against its settings: each misfit is named with its remedy.
 * `millrace doctor` prints all of it; the dataplane asks about its port before it opens it.
 *
 * Context: cold path, before any core runs; the disk check writes and removes one file of the data
 * directory. Memory: none. Source: sysfs-bus-pci, sysfs-class-net, proc(5) of the kernel.
 */
#pragma once

#include "base/config.h"
#include "base/defs.h"

#define MACHINE_TEXT_MAX 320

struct portlist_port;

enum machine_verdict {
	MACHINE_GOOD, /* as it should be */
	MACHINE_WEAK, /* works; something is slower or less safe than it could be */
	MACHINE_BAD,  /* does not work */
};

struct machine_finding {
	const char *check; /* "hugepages", "port driver": a name that scripts may look for */
	enum machine_verdict verdict;
	char found[MACHINE_TEXT_MAX];
	char remedy[MACHINE_TEXT_MAX]; /* "" when good */
};

/** What only ioctls tell of a network interface. */
struct machine_link {
	char driver[32];
	bool is_lro_on; /* frames are merged by the device */
};

struct machine {
	const char *root; /* "" for this machine; else a folder that has sys/, proc/ and dev/ */
	/** @return 0; -errno. */
	int (*link)(const char *name, struct machine_link *ret_link);
	void (*say)(void *ctx, const struct machine_finding *finding);
	void *ctx;
	uint32_t bad_count;  /* findings so far */
	const char *subject; /* named first in what is found; NULL: nothing is */
	uint32_t ports;      /* of the box; 0 counts as one */
};

/** This machine. @param say  called for each finding */
void machine_init(struct machine *machine,
		  void (*say)(void *ctx, const struct machine_finding *finding), void *ctx);

/** All of it, in the order people read it. */
void machine_check(struct machine *machine, const struct config *config);

/** Each port of dpdk.port, of any kind, and named when there are several; says one thing when there is
    none. */
void machine_check_ports(struct machine *machine, const struct config *config);

/** One of them. */
void machine_check_port(struct machine *machine, const struct config *config,
			const struct portlist_port *port);

/** io_uring, huge pages, AF_XDP, limits. */
void machine_check_kernel(struct machine *machine, const struct config *config);

/** Instructions, clock, isolation and frequency of the poll cores. */
void machine_check_cpus(struct machine *machine, const struct config *config);

/** File system, direct writes, flush time and write cache of the data directory. */
void machine_check_disk(struct machine *machine, const struct config *config);

/* ---- for the files of these checks ---- */

/** Report one thing. */
void machine_say(struct machine *machine, const char *check, enum machine_verdict verdict,
		 const char *remedy, const char *fmt, ...) PRINTF_LIKE(5, 6);

/** First line of a small file, its path made from `fmt`, into `ret` [size]. @return false: none */
bool machine_read(const struct machine *machine, char *ret, size_t size, const char *fmt, ...)
	PRINTF_LIKE(4, 5);

/** The same as a number. @return `otherwise` when there is none */
int64_t machine_read_number(const struct machine *machine, int64_t otherwise, const char *fmt, ...)
	PRINTF_LIKE(3, 4);

/** Last part of what a symbolic link points to. @return false: there is none */
bool machine_read_link(const struct machine *machine, char *ret, size_t size, const char *fmt, ...)
	PRINTF_LIKE(4, 5);

/** @return whether the path made from `fmt` exists */
bool machine_exists(const struct machine *machine, const char *fmt, ...) PRINTF_LIKE(2, 3);

/** Capability numbers of linux/capability.h. @return whether this process has all of `mask` */
bool machine_has_capabilities(const struct machine *machine, uint64_t mask);

#define MACHINE_CAP_NET_ADMIN (UINT64_C(1) << 12)
#define MACHINE_CAP_NET_RAW   (UINT64_C(1) << 13)
#define MACHINE_CAP_IPC_LOCK  (UINT64_C(1) << 14)
