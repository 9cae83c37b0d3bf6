/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into a box by hotpath.py: counts the calls of poll cores to what must not happen there,
 * allocation and locks. Poll cores are the threads that are named "core-N". The counts are in the
 * file HOTPATH_COUNTS, one 64-bit number a function, beside where it was called from last.
 *
 * With HOTPATH_PLANT set, each reading of the clock by a poll core allocates, locks and enters the
 * kernel once: a control that shows that the checks can fail.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define EARLY_SIZE 65536

enum call {
	CALL_MALLOC,
	CALL_CALLOC,
	CALL_REALLOC,
	CALL_ALIGNED_ALLOC,
	CALL_POSIX_MEMALIGN,
	CALL_FREE,
	CALL_MUTEX_LOCK,
	CALL_RWLOCK,
	CALL_COND_WAIT,
	CALL_COUNT
};

static struct page {
	uint64_t count[CALL_COUNT];
	uint64_t from[CALL_COUNT];
	uint64_t turns; /* readings of the clock: shows that the cores were seen at all */
} fallback, *page = &fallback;

static __thread bool is_poll_core __attribute__((tls_model("initial-exec")));
static bool is_planted;
static uint8_t early[EARLY_SIZE]; /* for dlsym(), which allocates while the real ones are unknown */
static size_t early_used;

static void *(*real_malloc)(size_t);
static void *(*real_calloc)(size_t, size_t);
static void *(*real_realloc)(void *, size_t);
static void *(*real_aligned_alloc)(size_t, size_t);
static int (*real_posix_memalign)(void **, size_t, size_t);
static void (*real_free)(void *);
static int (*real_mutex_lock)(pthread_mutex_t *);
static int (*real_rdlock)(pthread_rwlock_t *);
static int (*real_wrlock)(pthread_rwlock_t *);
static int (*real_cond_wait)(pthread_cond_t *, pthread_mutex_t *);
static int (*real_setname)(pthread_t, const char *);
static int (*real_clock_gettime)(clockid_t, struct timespec *);

static void find(void *ret_function, const char *name)
{
	*(void **)ret_function = dlsym(RTLD_NEXT, name);
}

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("HOTPATH_COUNTS");
	int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *at = fd >= 0 ? mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
			   : MAP_FAILED;

	if (at != MAP_FAILED)
		page = at;
	is_planted = getenv("HOTPATH_PLANT") != NULL;
}

static void note(enum call call, void *from)
{
	if (!is_poll_core)
		return;
	__atomic_fetch_add(&page->count[call], 1, __ATOMIC_RELAXED);
	page->from[call] = (uint64_t)(uintptr_t)from;
}

#define NOTE(call) note(call, __builtin_return_address(0))

static void *take_early(size_t size)
{
	void *at = early + early_used;

	early_used += (size + 15) & ~(size_t)15;
	if (early_used > EARLY_SIZE)
		abort();
	return at;
}

void *malloc(size_t size)
{
	static bool is_finding;

	if (real_malloc == NULL) {
		if (is_finding)
			return take_early(size);
		is_finding = true;
		find(&real_malloc, "malloc");
		is_finding = false;
	}
	NOTE(CALL_MALLOC);
	return real_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	static bool is_finding;

	if (real_calloc == NULL) {
		if (is_finding)
			return take_early(count * size); /* the array is zero */
		is_finding = true;
		find(&real_calloc, "calloc");
		is_finding = false;
	}
	NOTE(CALL_CALLOC);
	return real_calloc(count, size);
}

static bool is_early(const void *at)
{
	return (const uint8_t *)at >= early && (const uint8_t *)at < early + EARLY_SIZE;
}

void *realloc(void *at, size_t size)
{
	if (real_realloc == NULL)
		find(&real_realloc, "realloc");
	NOTE(CALL_REALLOC);
	if (is_early(at)) {
		void *moved = malloc(size);

		if (moved != NULL)
			memcpy(moved, at, size); /* of the array, so readable */
		return moved;
	}
	return real_realloc(at, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	if (real_aligned_alloc == NULL)
		find(&real_aligned_alloc, "aligned_alloc");
	NOTE(CALL_ALIGNED_ALLOC);
	return real_aligned_alloc(alignment, size);
}

int posix_memalign(void **ret_at, size_t alignment, size_t size)
{
	if (real_posix_memalign == NULL)
		find(&real_posix_memalign, "posix_memalign");
	NOTE(CALL_POSIX_MEMALIGN);
	return real_posix_memalign(ret_at, alignment, size);
}

void free(void *at)
{
	if (at == NULL || is_early(at))
		return;
	if (real_free == NULL)
		find(&real_free, "free");
	NOTE(CALL_FREE);
	real_free(at);
}

int pthread_mutex_lock(pthread_mutex_t *mutex)
{
	if (real_mutex_lock == NULL)
		find(&real_mutex_lock, "pthread_mutex_lock");
	NOTE(CALL_MUTEX_LOCK);
	return real_mutex_lock(mutex);
}

int pthread_rwlock_rdlock(pthread_rwlock_t *lock)
{
	if (real_rdlock == NULL)
		find(&real_rdlock, "pthread_rwlock_rdlock");
	NOTE(CALL_RWLOCK);
	return real_rdlock(lock);
}

int pthread_rwlock_wrlock(pthread_rwlock_t *lock)
{
	if (real_wrlock == NULL)
		find(&real_wrlock, "pthread_rwlock_wrlock");
	NOTE(CALL_RWLOCK);
	return real_wrlock(lock);
}

int pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
	if (real_cond_wait == NULL)
		find(&real_cond_wait, "pthread_cond_wait");
	NOTE(CALL_COND_WAIT);
	return real_cond_wait(condition, mutex);
}

int pthread_setname_np(pthread_t thread, const char *name)
{
	if (real_setname == NULL)
		find(&real_setname, "pthread_setname_np");
	is_poll_core = strncmp(name, "core-", 5) == 0 && pthread_equal(thread, pthread_self());
	return real_setname(thread, name);
}

static void plant(void)
{
	static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	void *volatile at = malloc(16);

	free(at);
	(void)pthread_mutex_lock(&mutex);
	(void)pthread_mutex_unlock(&mutex);
	(void)syscall(SYS_getppid);
}

int clock_gettime(clockid_t clock, struct timespec *ret_time)
{
	if (real_clock_gettime == NULL)
		find(&real_clock_gettime, "clock_gettime");
	if (is_poll_core) {
		__atomic_fetch_add(&page->turns, 1, __ATOMIC_RELAXED);
		if (is_planted)
			plant();
	}
	return real_clock_gettime(clock, ret_time);
}
