/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Layout of the partitions table and of its leases, for partitions.c and partitions_lease.c alone.
 *
 *   <path>         struct partitions_file: readable by all, written by the dataplane
 *   <path>.leases  struct partitions_leases: written by readers too, so a file of its own
 *
 * Context, memory, limits: as in partitions.h. Machine byte order: neither leaves the machine.
 */
#pragma once

#include "storage/partitions.h"

#define PARTITIONS_MAGIC     UINT64_C(0x747261506c6c694d) /* "MillPart" */
#define PARTITIONS_VERSION   1U
#define PARTITIONS_PATH_SIZE 1024

struct partitions_header {
	uint64_t magic;
	uint32_t version;
	uint32_t cell_size;
	uint32_t cell_max;
	uint32_t count;      /* cells ever used; grows */
	uint32_t is_retired; /* the writer left, or another file has taken the place of this one */
	uint32_t reserved[9];
};
_Static_assert(sizeof(struct partitions_header) == 64, "shared layout");

struct partition_cell {
	CACHELINE uint32_t sequence; /* odd: its writer is inside */
	uint32_t is_used;
	uint64_t words[sizeof(struct partition_view) / sizeof(uint64_t)];
};
_Static_assert(sizeof(struct partition_cell) == 384, "shared layout");

struct partitions_file {
	struct partitions_header header;
	struct partition_cell cells[PARTITIONS_MAX];
};

#define PARTITIONS_FILE_SIZE sizeof(struct partitions_file)

/* A lease's holder: process id in the low bits, its start time in clock ticks above; 0 is free. */
#define PARTITIONS_LEASE_PID_BITS 22
_Static_assert(PARTITIONS_LEASE_PID_BITS >= 22, "Linux's highest process id is 2^22");

struct partitions_leases {
	uint64_t holder[PARTITIONS_LEASES_MAX];
};

struct partitions {
	struct partitions_file *file; /* mapped [PARTITIONS_FILE_SIZE] */
	struct partitions_leases *leases;
	int leases_error; /* why `leases` is NULL */
	bool is_writer;
	uint32_t first_free; /* writer: no free cell below it */
};
