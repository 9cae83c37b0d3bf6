/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The partition rings' memory: one file per core on hugetlbfs (else tmpfs), mapped MAP_SHARED and
 * cut into chunks of 64 KiB to 2 MiB by a buddy allocator.
 *
 * The file outlives the process. A directory in its first pages says for every bound chunk which
 * bytes of which segment it holds; after a killed process, chunk_salvage() hands those bytes to
 * recovery, which writes them to the segment files before it scans them. The header carries boot id,
 * data-directory id and layout version, checksummed: a file of another boot or box is discarded.
 *
 * Life of a chunk: free > taken (scratch) > bound to a log position > clean (durable; still readable,
 * may be evicted when memory is short and only the log holds it) > free. A borrowed one is kept instead:
 * clean, of nobody's ring.
 *
 * Context: the owning core's thread; chunk_salvage() runs before any core starts.
 * Memory: the file and an array of descriptors, fixed at open. Source: DESIGN section 4.
 */
#pragma once

#include <sys/uio.h>

#include "base/defs.h"
#include "base/list.h"
#include "base/uuid.h"

#define CHUNK_SIZE_MIN        (64U * 1024)
#define CHUNK_SIZE_MAX        (2U * 1024 * 1024)
#define CHUNK_BUFFER_SIZE_MAX (UINT64_C(1) << 30) /* io_uring's limit of one registered buffer */

struct chunk_pool;

/** What a chunk is borrowed for. */
enum chunk_use {
	CHUNK_FOR_BATCHES, /* received beside the log */
	CHUNK_FOR_FRAMES,  /* requests being gathered, answers being built */
	CHUNK_FOR_READS,   /* read from the files */
	CHUNK_USE_COUNT
};

struct chunk {
	uint32_t magic;
	uint32_t refs;   /* 1 for the owner, 1 for each slice being sent */
	uint8_t *mem;    /* [size], CHUNK_SIZE_MIN aligned */
	uint32_t size;   /* power of two */
	uint16_t buffer; /* index of the registered buffer it lies in */
	bool is_bound;
	uint8_t borrowed;     /* enum chunk_use + 1; 0: a log's */
	struct list node;     /* for the owner's list */
	struct list lru;      /* the pool's: linked while clean or kept */
	int64_t segment_base; /* bound: base offset of the segment */
	uint32_t pos;         /* bound: file position of mem[0] */
	uint32_t end;         /* bound: file position behind its bytes; the log may lower it */
	struct chunk_pool *pool;
	void (*on_evict)(void *owner, struct chunk *chunk); /* clean, kept: the owner forgets it */
	void *owner;
};

struct chunk_identity {
	struct uuid directory_id; /* of the data directory */
	char boot_id[40];         /* /proc/sys/kernel/random/boot_id */
};

/** One bound chunk of a process that is gone. */
struct chunk_remains {
	struct uuid topic_id;
	uint32_t partition;
	int64_t segment_base;
	uint32_t pos;         /* file position of bytes[0] */
	uint32_t size;        /* bytes; what lies past the log's end is garbage or zero */
	const uint8_t *bytes; /* borrowed until the visitor returns */
};

/**
 * Visit what a killed process left in `path`, lowest position first per partition. A missing,
 * foreign or damaged file has no remains (damage is reported).
 *
 * @param visit  returns 0 to go on; anything else ends the visit and is returned
 * @return 0; ERR_CORRUPT header or entries damaged, what was intact has been visited;
 *         ERR_UNSUPPORTED written by another version; what `visit` returned; -errno
 */
NODISCARD int chunk_salvage(const char *path, const struct chunk_identity *identity,
			    int (*visit)(void *ctx, const struct chunk_remains *remains),
			    void *ctx);

/**
 * Create or take over the file and map it; every chunk is free afterwards.
 *
 * @param path  file on hugetlbfs or tmpfs
 * @param size  bytes, rounded up to CHUNK_SIZE_MAX
 * @return 0; -ENOMEM too few hugepages or too little tmpfs; -errno
 */
NODISCARD int chunk_pool_open(const char *path, uint64_t size,
			      const struct chunk_identity *identity, struct chunk_pool **ret_pool);

/**
 * Unmap. The file is removed only when no bound chunk is dirty (is_bound and not clean). Chunks may
 * still be referenced; they must not be touched any more.
 * NULL is accepted.
 */
void chunk_pool_close(struct chunk_pool *pool);

/**
 * Have those who hold chunks that they could do without asked, before chunk_take() finds none.
 *
 * @param give  lets chunks become free or clean, if it can; takes none. is_last: without it not even a chunk
 *              of the smallest size is left
 */
void chunk_pool_on_short(struct chunk_pool *pool, void (*give)(void *ctx, bool is_last), void *ctx);

/** The regions to register with io_uring, in the order of chunk.buffer. @return their number */
uint32_t chunk_pool_buffers(const struct chunk_pool *pool, const struct iovec **ret_buffers);

/**
 * Take a chunk, evicting clean ones when needed.
 *
 * Its bytes are what the last owner left: clearing 2 MiB costs more than receiving a small batch.
 * Before chunk_bind() the owner clears what salvage must not take for its own.
 *
 * @param size  bytes wanted; rounded up to a power of two, at most CHUNK_SIZE_MAX
 * @return chunk with refs 1; NULL when memory is short or in pieces that are too small: a caller that
 *         can do with less asks again for less
 */
struct chunk *chunk_take(struct chunk_pool *pool, uint32_t size);

/**
 * The same for what is not a log's: each use has a quarter of the pool at most, of which only the
 * smallest chunks may take the second half, so that clients who stop half way or read nothing leave
 * room for logs, and for the small batches of others.
 */
struct chunk *chunk_borrow(struct chunk_pool *pool, uint32_t size, enum chunk_use use);

/** Record in the directory that this chunk holds segment bytes [pos, pos + size). */
void chunk_bind(struct chunk *chunk, const struct uuid *topic_id, uint32_t partition,
		int64_t segment_base, uint32_t pos);

/**
 * All its bytes are durable in the segment: no remains any more, and it may be evicted from now on,
 * when the owner's is the only reference. `on_evict` drops the owner's reference.
 */
void chunk_set_clean(struct chunk *chunk, void (*on_evict)(void *owner, struct chunk *chunk),
		     void *owner);

/**
 * A borrowed chunk whose bytes are those of a file, which may be wanted again: it may be evicted from now
 * on, before clean ones, and by those who borrow for the same use; till then it counts as borrowed. The
 * rest is as of chunk_set_clean().
 */
void chunk_keep(struct chunk *chunk, void (*on_evict)(void *owner, struct chunk *chunk),
		void *owner);

static inline struct chunk *chunk_ref(struct chunk *chunk)
{
	chunk->refs++;
	return chunk;
}

/** Drop a reference; the last one unbinds and frees the chunk. */
void chunk_unref(struct chunk *chunk);

/**
 * The owner lets go of a chunk that others may still be sending: unbind it, call `on_evict` never
 * more, drop the owner's reference. An owner must use this, not chunk_unref(), for a clean chunk
 * that is not being evicted.
 */
void chunk_drop(struct chunk *chunk);

/** @return bytes free, clean or kept */
uint64_t chunk_pool_available(const struct chunk_pool *pool);
/** @return bytes of all chunks */
uint64_t chunk_pool_size(const struct chunk_pool *pool);
