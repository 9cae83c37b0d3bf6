/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * On-file layout of a chunk file, shared by the pool (chunk.c) and its salvage (chunk_salvage.c).
 *
 *   0               struct chunk_dir_header
 *   4096            struct chunk_dir_entry [unit_count], one per 64 KiB unit; a chunk's entry is the
 *                   one of its first unit
 *   area_pos        the units themselves; a multiple of CHUNK_SIZE_MAX
 *
 * Machine byte order: the file never leaves the machine, nor the boot. A process may be killed
 * between any two instructions, so a header or entry is changed by clearing its `state` or `magic`,
 * filling the rest, and setting it again, in this order; a reader finds the old one, none, or the new
 * one, never a mixture. The checksum guards against stray writes.
 *
 * Context: as in chunk.h. Memory: none. Source: DESIGN section 4.
 */
#pragma once

#include <string.h>

#include "base/crc32c.h"
#include "storage/chunk.h"

#define CHUNK_DIR_MAGIC      UINT64_C(0x6b6e7568436c6c4d) /* "MllChunk" */
#define CHUNK_DIR_VERSION    1U
#define CHUNK_DIR_ENTRIES_AT 4096U
#define CHUNK_DIR_BOUND      UINT32_C(0x646e6f42) /* "Bond" */
#define CHUNK_DIR_UNITS_MAX  (UINT32_C(1) << 24)  /* 1 TiB */

struct chunk_dir_header {
	uint64_t magic;
	uint32_t version;
	uint32_t unit_count;
	uint64_t area_pos;
	struct uuid directory_id;
	char boot_id[40];
	uint32_t reserved;
	uint32_t crc; /* CRC-32C of version..reserved */
};
_Static_assert(sizeof(struct chunk_dir_header) == 88, "on-file layout");
_Static_assert(sizeof(struct chunk_dir_header) <= CHUNK_DIR_ENTRIES_AT, "header and entries");

struct chunk_dir_entry {
	uint32_t state; /* CHUNK_DIR_BOUND or 0 */
	uint32_t crc;   /* CRC-32C of everything below */
	uint32_t unit;  /* its own index */
	uint32_t size;  /* bytes of the chunk */
	uint64_t bound; /* grows with every bind: the later of two that overlap is the newer one */
	struct uuid topic_id;
	int64_t segment_base;
	uint32_t partition;
	uint32_t pos;
	uint64_t reserved;
};
_Static_assert(sizeof(struct chunk_dir_entry) == 64, "on-file layout");

static inline uint32_t chunk_dir_header_crc(const struct chunk_dir_header *header)
{
	size_t begin = offsetof(struct chunk_dir_header, version);

	return crc32c_extend(CRC32C_INIT, (const uint8_t *)header + begin,
			     offsetof(struct chunk_dir_header, crc) - begin);
}

static inline uint32_t chunk_dir_entry_crc(const struct chunk_dir_entry *entry)
{
	size_t begin = offsetof(struct chunk_dir_entry, unit);

	return crc32c_extend(CRC32C_INIT, (const uint8_t *)entry + begin, sizeof(*entry) - begin);
}

/** @return file position of the first unit when there are `unit_count` of them */
static inline uint64_t chunk_dir_area_pos(uint32_t unit_count)
{
	return ALIGN_UP(CHUNK_DIR_ENTRIES_AT +
				(uint64_t)unit_count * sizeof(struct chunk_dir_entry),
			(uint64_t)CHUNK_SIZE_MAX);
}
