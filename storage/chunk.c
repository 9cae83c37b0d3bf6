/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/chunk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "storage/chunk_dir.h"

#define CHUNK_MAGIC     UINT32_C(0x6b6e6843)
#define ORDER_COUNT     6 /* 64 KiB << 0..5 */
#define ORDER_NONE      0xff
#define UNITS_PER_BLOCK (CHUNK_SIZE_MAX / CHUNK_SIZE_MIN)
#define EVICT_SCAN_MAX  1024 /* clean chunks looked at by one chunk_take() */
#define BORROW_DIVISOR  4    /* each use may have a quarter */

_Static_assert(CHUNK_SIZE_MIN << (ORDER_COUNT - 1) == CHUNK_SIZE_MAX, "orders cover all sizes");
_Static_assert(CHUNK_BUFFER_SIZE_MAX % CHUNK_SIZE_MAX == 0, "no chunk lies in two buffers");

/*
 * Units are 64 KiB; a block is CHUNK_SIZE_MAX and starts at a multiple of it. A free run of
 * 2^order units is on the free list of its order through the descriptor of its first unit, which
 * is the only one that has `free_order` set.
 */
struct chunk_pool {
	uint8_t *map; /* [map_size] the whole file */
	size_t map_size;
	uint8_t *area; /* first unit */
	uint32_t unit_count;
	uint64_t free_size;
	uint64_t clean_size;
	uint64_t borrowed_size[CHUNK_USE_COUNT];
	uint64_t dirty_count; /* bound and not clean */
	uint64_t bind_count;
	struct chunk_dir_entry *entries; /* [unit_count] in the file */
	struct list free[ORDER_COUNT];
	struct list lru;     /* clean chunks, oldest first */
	struct list kept;    /* those of chunk_keep(), oldest first */
	uint8_t *free_order; /* [unit_count] */
	struct iovec *buffers;
	uint32_t buffer_count;
	char *path;
	void (*give)(void *ctx, bool is_last); /* NULL: nobody to ask */
	void *give_ctx;
	struct chunk units[]; /* [unit_count] */
};

/* ---- the file ---- */

/* A file of the wanted size whose pages all exist: a later touch can raise no SIGBUS. */
static int prepare_file(int fd, uint64_t size)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if ((uint64_t)st.st_size != size &&
	    (ftruncate(fd, 0) < 0 || ftruncate(fd, (off_t)size) < 0))
		return errno == EINVAL ? -ENOMEM : -errno;
	while (fallocate(fd, 0, 0, (off_t)size) < 0) {
		if (errno == EINTR)
			continue;
		return errno == ENOSPC ? -ENOMEM : -errno;
	}
	return 0;
}

/* Map at a multiple of CHUNK_SIZE_MAX; tmpfs by itself would give any page. */
static int map_file(int fd, size_t size, uint8_t **ret_map)
{
	size_t room_size = size + CHUNK_SIZE_MAX;
	uint8_t *room = mmap(NULL, room_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *at;
	size_t before;
	int error;

	if (room == MAP_FAILED)
		return -errno;
	at = (uint8_t *)ALIGN_UP((uintptr_t)room, (uintptr_t)CHUNK_SIZE_MAX);
	before = (size_t)(at - room);
	if (mmap(at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd, 0) ==
	    MAP_FAILED) {
		error = -errno;
		(void)munmap(room, room_size);
		return error;
	}
	if (before > 0)
		(void)munmap(room, before);
	(void)munmap(at + size, room_size - size - before);
	*ret_map = at;
	return 0;
}

static int open_map(const char *path, size_t size, uint8_t **ret_map)
{
	bool is_new = true;
	int error;
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 && errno == EEXIST) {
		is_new = false;
		fd = open(path, O_RDWR | O_CLOEXEC);
	}
	if (fd < 0)
		return -errno;
	error = prepare_file(fd, size);
	if (error == 0)
		error = map_file(fd, size, ret_map);
	(void)close(fd); /* the mapping keeps the file */
	if (error != 0 && is_new)
		(void)unlink(path); /* nothing is in it */
	return error;
}

static void write_header(struct chunk_pool *pool, const struct chunk_identity *identity)
{
	struct chunk_dir_header *header = (void *)pool->map;

	__atomic_store_n(&header->magic, 0, __ATOMIC_SEQ_CST);
	memset(pool->entries, 0, pool->unit_count * sizeof(*pool->entries));
	header->version = CHUNK_DIR_VERSION;
	header->unit_count = pool->unit_count;
	header->area_pos = (uint64_t)(pool->area - pool->map);
	header->directory_id = identity->directory_id;
	memcpy(header->boot_id, identity->boot_id, sizeof(header->boot_id));
	header->reserved = 0;
	header->crc = chunk_dir_header_crc(header);
	__atomic_store_n(&header->magic, CHUNK_DIR_MAGIC, __ATOMIC_SEQ_CST);
}

/* ---- free runs ---- */

static uint32_t unit_of(const struct chunk *chunk)
{
	return (uint32_t)(chunk - chunk->pool->units);
}

static uint32_t order_of(uint32_t size)
{
	uint32_t order = 0;

	while (CHUNK_SIZE_MIN << order < size)
		order++;
	return order;
}

static void put_run(struct chunk_pool *pool, uint32_t unit, uint32_t order)
{
	while (order < ORDER_COUNT - 1) {
		uint32_t buddy = unit ^ (1U << order);

		if (buddy >= pool->unit_count || pool->free_order[buddy] != order)
			break;
		list_remove(&pool->units[buddy].node);
		pool->free_order[buddy] = ORDER_NONE;
		unit = MIN(unit, buddy);
		order++;
	}
	pool->free_order[unit] = (uint8_t)order;
	list_push_front(&pool->free[order], &pool->units[unit].node);
}

static struct chunk *take_run(struct chunk_pool *pool, uint32_t order)
{
	struct list *node = NULL;
	uint32_t found;
	struct chunk *chunk;
	uint32_t unit;

	for (found = order; found < ORDER_COUNT; found++) {
		node = list_pop_front(&pool->free[found]);
		if (node != NULL)
			break;
	}
	if (node == NULL)
		return NULL;
	chunk = LIST_ENTRY(node, struct chunk, node);
	unit = unit_of(chunk);
	CHECK(pool->free_order[unit] == found);
	pool->free_order[unit] = ORDER_NONE;
	while (found > order) {
		found--;
		pool->free_order[unit + (1U << found)] = (uint8_t)found;
		list_push_front(&pool->free[found], &pool->units[unit + (1U << found)].node);
	}
	return chunk;
}

/* ---- eviction ---- */

static bool is_evictable(const struct chunk *chunk)
{
	return list_is_linked(&chunk->lru) && chunk->refs == 1;
}

static void evict(struct chunk *chunk)
{
	struct chunk_pool *pool = chunk->pool;
	uint32_t unit = unit_of(chunk);

	list_remove(&chunk->lru);
	pool->clean_size -= chunk->size;
	chunk->on_evict(chunk->owner, chunk);
	CHECK(pool->units[unit].refs == 0);
}

/* @return whether the run of `order` units that `chunk` lies in can be had by evicting alone */
static bool is_run_evictable(const struct chunk *chunk, uint32_t order)
{
	const struct chunk_pool *pool = chunk->pool;
	uint32_t unit = ALIGN_DOWN(unit_of(chunk), 1U << order);
	uint32_t end = unit + (1U << order);

	while (unit < end) {
		if (pool->free_order[unit] != ORDER_NONE)
			unit += 1U << pool->free_order[unit];
		else if (is_evictable(&pool->units[unit]))
			unit += pool->units[unit].size / CHUNK_SIZE_MIN;
		else
			return false;
	}
	return true;
}

static void evict_run(struct chunk *chunk, uint32_t order)
{
	struct chunk_pool *pool = chunk->pool;
	uint32_t begin = ALIGN_DOWN(unit_of(chunk), 1U << order);

	for (uint32_t unit = begin; unit < begin + (1U << order); unit++) {
		if (is_evictable(&pool->units[unit]))
			evict(&pool->units[unit]);
	}
}

/* Free a run of `order` by evicting the oldest of a list that can be freed with all its run. */
static bool evict_oldest(const struct list *list, uint32_t order)
{
	uint32_t scanned = 0;

	LIST_EACH(list, node)
	{
		struct chunk *chunk = LIST_ENTRY(node, struct chunk, lru);

		if (scanned++ == EVICT_SCAN_MAX)
			break;
		if (chunk->refs == 1 && is_run_evictable(chunk, order)) {
			evict_run(chunk, order);
			return true;
		}
	}
	return false;
}

/*
 * Free a run of `order` by evicting. What is kept goes first, then the oldest clean chunks, but only
 * those whose whole run can be freed: throwing out old small chunks beside one that must stay would
 * cost hot reads and gain nothing.
 */
static bool make_room(struct chunk_pool *pool, uint32_t order)
{
	return evict_oldest(&pool->kept, order) || evict_oldest(&pool->lru, order);
}

/* ---- life cycle ---- */

static int alloc_pool(const char *path, uint32_t unit_count, struct chunk_pool **ret_pool)
{
	uint64_t area_size = (uint64_t)unit_count * CHUNK_SIZE_MIN;
	struct chunk_pool *pool;

	pool = calloc(1, sizeof(*pool) + unit_count * sizeof(pool->units[0]));
	if (pool == NULL)
		return -ENOMEM;
	pool->unit_count = unit_count;
	pool->buffer_count =
		(uint32_t)((area_size + CHUNK_BUFFER_SIZE_MAX - 1) / CHUNK_BUFFER_SIZE_MAX);
	pool->free_order = malloc(unit_count);
	pool->buffers = calloc(pool->buffer_count, sizeof(pool->buffers[0]));
	pool->path = strdup(path);
	*ret_pool = pool;
	if (pool->free_order == NULL || pool->buffers == NULL || pool->path == NULL)
		return -ENOMEM;
	return 0;
}

static void free_pool(struct chunk_pool *pool)
{
	if (pool == NULL)
		return;
	free(pool->free_order);
	free(pool->buffers);
	free(pool->path);
	free(pool);
}

static void init_units(struct chunk_pool *pool)
{
	uint64_t area_size = (uint64_t)pool->unit_count * CHUNK_SIZE_MIN;

	for (uint32_t i = 0; i < ORDER_COUNT; i++)
		list_init(&pool->free[i]);
	list_init(&pool->lru);
	list_init(&pool->kept);
	for (uint32_t i = 0; i < pool->unit_count; i++) {
		struct chunk *chunk = &pool->units[i];
		uint64_t at = (uint64_t)i * CHUNK_SIZE_MIN;

		chunk->magic = CHUNK_MAGIC;
		chunk->mem = pool->area + at;
		chunk->buffer = (uint16_t)(at / CHUNK_BUFFER_SIZE_MAX);
		chunk->pool = pool;
		list_init(&chunk->node);
		list_init(&chunk->lru);
	}
	memset(pool->free_order, ORDER_NONE, pool->unit_count);
	/* From the end, so that the lowest addresses are used first. */
	for (uint32_t unit = pool->unit_count; unit > 0; unit -= UNITS_PER_BLOCK)
		put_run(pool, unit - UNITS_PER_BLOCK, ORDER_COUNT - 1);
	pool->free_size = area_size;
	for (uint32_t i = 0; i < pool->buffer_count; i++) {
		uint64_t at = i * CHUNK_BUFFER_SIZE_MAX;

		pool->buffers[i].iov_base = pool->area + at;
		pool->buffers[i].iov_len = MIN(area_size - at, CHUNK_BUFFER_SIZE_MAX);
	}
}

int chunk_pool_open(const char *path, uint64_t size, const struct chunk_identity *identity,
		    struct chunk_pool **ret_pool)
{
	uint64_t unit_count = ALIGN_UP(size, (uint64_t)CHUNK_SIZE_MAX) / CHUNK_SIZE_MIN;
	struct chunk_pool *pool = NULL;
	uint64_t area_pos;
	int error;

	if (unit_count == 0 || unit_count > CHUNK_DIR_UNITS_MAX)
		return -EINVAL;
	error = alloc_pool(path, (uint32_t)unit_count, &pool);
	if (error != 0)
		goto fail;
	area_pos = chunk_dir_area_pos(pool->unit_count);
	pool->map_size = area_pos + unit_count * CHUNK_SIZE_MIN;
	error = open_map(path, pool->map_size, &pool->map);
	if (error != 0)
		goto fail;
	pool->area = pool->map + area_pos;
	pool->entries = (void *)(pool->map + CHUNK_DIR_ENTRIES_AT);
	init_units(pool);
	write_header(pool, identity);
	*ret_pool = pool;
	return 0;
fail:
	free_pool(pool);
	return error;
}

void chunk_pool_close(struct chunk_pool *pool)
{
	if (pool == NULL)
		return;
	if (pool->dirty_count == 0)
		(void)unlink(pool->path); /* left behind it would hold memory, not data */
	(void)munmap(pool->map, pool->map_size);
	free_pool(pool);
}

void chunk_pool_on_short(struct chunk_pool *pool, void (*give)(void *ctx, bool is_last), void *ctx)
{
	pool->give = give;
	pool->give_ctx = ctx;
}

uint32_t chunk_pool_buffers(const struct chunk_pool *pool, const struct iovec **ret_buffers)
{
	*ret_buffers = pool->buffers;
	return pool->buffer_count;
}

static struct chunk *find_run(struct chunk_pool *pool, uint32_t order)
{
	struct chunk *chunk = take_run(pool, order);

	if (chunk == NULL && make_room(pool, order)) {
		chunk = take_run(pool, order);
		CHECK(chunk != NULL);
	}
	return chunk;
}

struct chunk *chunk_take(struct chunk_pool *pool, uint32_t size)
{
	struct chunk *chunk;
	uint32_t order;

	CHECK(size > 0);
	CHECK(size <= CHUNK_SIZE_MAX);
	order = order_of(size);
	chunk = find_run(pool, order);
	if (chunk == NULL && pool->give != NULL) {
		pool->give(pool->give_ctx, order == 0);
		chunk = find_run(pool, order);
	}
	if (chunk == NULL)
		return NULL;
	CHECK(chunk->refs == 0);
	CHECK(!chunk->is_bound);
	chunk->refs = 1;
	chunk->size = CHUNK_SIZE_MIN << order;
	pool->free_size -= chunk->size;
	return chunk;
}

static bool may_borrow(const struct chunk_pool *pool, uint32_t size, enum chunk_use use)
{
	uint64_t limit = (uint64_t)pool->unit_count * CHUNK_SIZE_MIN / BORROW_DIVISOR;
	uint64_t used = pool->borrowed_size[use];

	return used + size <= limit && (used <= limit / 2 || size == CHUNK_SIZE_MIN);
}

/* Evict the oldest that is kept and counts as borrowed for the same. @return false: there is none */
static bool evict_kept(struct chunk_pool *pool, enum chunk_use use)
{
	uint32_t scanned = 0;

	LIST_EACH(&pool->kept, node)
	{
		struct chunk *chunk = LIST_ENTRY(node, struct chunk, lru);

		if (scanned++ == EVICT_SCAN_MAX)
			break;
		if (chunk->borrowed == use + 1 && is_evictable(chunk)) {
			evict(chunk);
			return true;
		}
	}
	return false;
}

struct chunk *chunk_borrow(struct chunk_pool *pool, uint32_t size, enum chunk_use use)
{
	uint32_t rounded = CHUNK_SIZE_MIN << order_of(size);
	struct chunk *chunk;

	while (!may_borrow(pool, rounded, use)) {
		if (!evict_kept(pool, use))
			return NULL;
	}
	chunk = chunk_take(pool, size);
	if (chunk == NULL)
		return NULL;
	chunk->borrowed = (uint8_t)(use + 1);
	pool->borrowed_size[use] += chunk->size;
	return chunk;
}

static void clear_entry(struct chunk *chunk)
{
	__atomic_store_n(&chunk->pool->entries[unit_of(chunk)].state, 0, __ATOMIC_RELEASE);
}

void chunk_bind(struct chunk *chunk, const struct uuid *topic_id, uint32_t partition,
		int64_t segment_base, uint32_t pos)
{
	struct chunk_pool *pool = chunk->pool;
	struct chunk_dir_entry *entry = &pool->entries[unit_of(chunk)];

	CHECK_OBJ(chunk, CHUNK_MAGIC);
	CHECK(chunk->refs > 0);
	CHECK(chunk->on_evict == NULL);
	/*
	 * The order of chunk_dir.h: a kill in between leaves the entry without state. A killed
	 * thread's stores all arrive, so the compiler alone has to be held back.
	 */
	clear_entry(chunk);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	entry->unit = unit_of(chunk);
	entry->size = chunk->size;
	entry->bound = ++pool->bind_count;
	entry->topic_id = *topic_id;
	entry->segment_base = segment_base;
	entry->partition = partition;
	entry->pos = pos;
	entry->reserved = 0;
	entry->crc = chunk_dir_entry_crc(entry);
	__atomic_store_n(&entry->state, CHUNK_DIR_BOUND, __ATOMIC_RELEASE);
	if (!chunk->is_bound)
		pool->dirty_count++;
	chunk->is_bound = true;
	chunk->segment_base = segment_base;
	chunk->pos = pos;
	chunk->end = pos + chunk->size;
}

void chunk_set_clean(struct chunk *chunk, void (*on_evict)(void *owner, struct chunk *chunk),
		     void *owner)
{
	struct chunk_pool *pool = chunk->pool;

	CHECK_OBJ(chunk, CHUNK_MAGIC);
	CHECK(chunk->refs > 0);
	CHECK(chunk->is_bound);
	CHECK(on_evict != NULL);
	CHECK(chunk->on_evict == NULL);
	clear_entry(chunk);
	pool->dirty_count--;
	chunk->on_evict = on_evict;
	chunk->owner = owner;
	pool->clean_size += chunk->size;
	list_push_back(&pool->lru, &chunk->lru);
}

void chunk_keep(struct chunk *chunk, void (*on_evict)(void *owner, struct chunk *chunk),
		void *owner)
{
	struct chunk_pool *pool = chunk->pool;

	CHECK_OBJ(chunk, CHUNK_MAGIC);
	CHECK(chunk->refs > 0);
	CHECK(chunk->borrowed > 0);
	CHECK(on_evict != NULL);
	CHECK(chunk->on_evict == NULL);
	chunk->on_evict = on_evict;
	chunk->owner = owner;
	pool->clean_size += chunk->size;
	list_push_back(&pool->kept, &chunk->lru);
}

/* Nobody looks for the chunk any more: off the directory when dirty, off the LRU when clean. */
static void forget(struct chunk *chunk)
{
	struct chunk_pool *pool = chunk->pool;

	if (list_is_linked(&chunk->lru)) {
		list_remove(&chunk->lru);
		pool->clean_size -= chunk->size;
	} else if (chunk->is_bound && chunk->on_evict == NULL) {
		clear_entry(chunk);
		pool->dirty_count--;
	}
	chunk->is_bound = false;
}

void chunk_drop(struct chunk *chunk)
{
	CHECK_OBJ(chunk, CHUNK_MAGIC);
	forget(chunk);
	chunk_unref(chunk);
}

void chunk_unref(struct chunk *chunk)
{
	struct chunk_pool *pool = chunk->pool;

	CHECK_OBJ(chunk, CHUNK_MAGIC);
	CHECK(chunk->refs > 0);
	if (--chunk->refs > 0)
		return;
	CHECK(!list_is_linked(&chunk->node));
	forget(chunk);
	chunk->on_evict = NULL;
	chunk->owner = NULL;
	if (chunk->borrowed > 0)
		pool->borrowed_size[chunk->borrowed - 1] -= chunk->size;
	chunk->borrowed = 0;
	pool->free_size += chunk->size;
	put_run(pool, unit_of(chunk), order_of(chunk->size));
}

uint64_t chunk_pool_available(const struct chunk_pool *pool)
{
	return pool->free_size + pool->clean_size;
}

uint64_t chunk_pool_size(const struct chunk_pool *pool)
{
	return (uint64_t)pool->unit_count * CHUNK_SIZE_MIN;
}
