/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: a read gives whole batches from the wanted offset on, the same bytes from ring and files,
   nothing at or above the limit or the high watermark, and survives eviction, cancellation and files
   that are shorter than they were; who reads on is given what was read before, or ahead.
   Shown on the real io_uring and O_DIRECT files. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cm.h"
#include "logbox.h"

#define RING_SIZE (UINT64_C(32) * 1024 * 1024)

static int setup(void **state)
{
	struct logbox *box = logbox_new(RING_SIZE);

	CHECK(logbox_open(box, false, 0) == 0);
	*state = box;
	return 0;
}

static int teardown(void **state)
{
	logbox_free(*state);
	return 0;
}

static void append(struct logbox *box, uint32_t count, uint32_t value_size, int32_t records)
{
	for (uint32_t i = 0; i < count; i++) {
		int64_t offset;

		while ((offset = logbox_append(
				box, &(struct logbox_spec){ .value_size = value_size + i % 50,
							    .records = records })) == -EAGAIN)
			logbox_settle(box);
		assert_true(offset >= 0);
	}
	logbox_settle(box);
}

/* Make the log give up all its chunks: the tail is quiet, then memory is wanted. */
static void evict_all(struct logbox *box)
{
	struct chunk *chunks[RING_SIZE / CHUNK_SIZE_MIN];
	uint32_t count = 0;

	box->now_ms += 60000;
	logbox_housekeep(box);
	while (count < ARRAY_COUNT(chunks) &&
	       (chunks[count] = chunk_take(box->chunks, CHUNK_SIZE_MIN)) != NULL)
		count++;
	assert_true(list_is_empty(&box->log->chunks));
	while (count > 0)
		chunk_unref(chunks[--count]);
}

static uint64_t colds(const struct logbox *box)
{
	return counters_get(&box->counters, COUNTER_SEGLOG_READS_COLD);
}

static void test_segread_hot_and_cold_are_the_same(void **state)
{
	struct logbox *box = *state;

	append(box, 500, 700, 3);
	logbox_verify_range(box, 0, 1500, 10000);
	assert_int_equal(colds(box), 0);
	logbox_verify_range(box, 0, 1500, 1);
	assert_int_equal(colds(box), 0);
	evict_all(box);
	logbox_verify_range(box, 0, 1500, 10000);
	assert_true(colds(box) > 0);
	logbox_verify_range(box, 0, 1500, 1);
	logbox_verify_range(box, 0, 1500, 1024 * 1024);
	/* Appended again behind evicted bytes: both kinds in one log. */
	append(box, 50, 700, 3);
	logbox_verify_range(box, 0, 1650, 5000);
}

/*
 * A quiet log's next chunk begins inside its last one, at the tail's block. When it is evicted and the
 * older one is not, because an answer of it is still being sent, what the older one has there is no
 * batch: it is read from the file.
 */
static void test_segread_evicted_chunk_inside_an_older_one(void **state)
{
	struct chunk *chunks[RING_SIZE / CHUNK_SIZE_MIN];
	struct logbox *box = *state;
	struct seglog_read pinned;
	uint32_t count = 0;

	append(box, 5, 1000, 1);
	box->now_ms += 60000;
	logbox_housekeep(box);
	assert_int_equal(logbox_read(box, 0, 1, INT64_MAX, &pinned), 0);
	append(box, 3, 3000, 1);
	box->now_ms += 60000;
	logbox_housekeep(box);
	while (count < ARRAY_COUNT(chunks) &&
	       (chunks[count] = chunk_take(box->chunks, CHUNK_SIZE_MIN)) != NULL)
		memset(chunks[count++]->mem, 0x5a, CHUNK_SIZE_MIN);
	assert_false(list_is_empty(&box->log->chunks));
	while (count > 0)
		chunk_unref(chunks[--count]);
	append(box, 3, 3000, 1);
	logbox_verify_range(box, 0, 11, 1);
	logbox_verify_range(box, 0, 11, 100000);
	seglog_read_release(&pinned);
	logbox_verify_range(box, 0, 11, 1);
}

static void test_segread_from_inside_a_batch(void **state)
{
	struct logbox *box = *state;
	struct seglog_read read;

	append(box, 20, 100, 10);
	for (int pass = 0; pass < 2; pass++) {
		for (int64_t offset = 0; offset < 200; offset += 7) {
			assert_int_equal(logbox_read(box, offset, 1, INT64_MAX, &read), 0);
			assert_int_equal(logbox_verify(box, &read), offset / 10 * 10 + 10);
			seglog_read_release(&read);
		}
		evict_all(box);
	}
}

static void test_segread_stays_below_limit(void **state)
{
	struct logbox *box = *state;
	struct seglog_read read;

	append(box, 100, 300, 10);
	for (int pass = 0; pass < 2; pass++) {
		for (int64_t limit = 500; limit <= 540; limit++) {
			assert_int_equal(logbox_read(box, 480, 100000, limit, &read), 0);
			assert_int_equal(logbox_verify(box, &read), limit / 10 * 10);
			seglog_read_release(&read);
		}
		/* A batch that reaches over the limit is not there yet. */
		assert_int_equal(logbox_read(box, 500, 100000, 505, &read), 0);
		assert_int_equal(read.size, 0);
		assert_int_equal(logbox_read(box, 500, 100000, 500, &read), 0);
		assert_int_equal(read.size, 0);
		evict_all(box);
	}
}

static void test_segread_stays_below_high_watermark(void **state)
{
	struct logbox *box = *state;
	struct seglog_read read;

	append(box, 10, 100, 1);
	for (int i = 0; i < 10; i++)
		assert_int_equal(logbox_append(box, &(struct logbox_spec){ 0 }), 10 + i);
	assert_int_equal(logbox_read(box, 5, 100000, INT64_MAX, &read), 0);
	assert_int_equal(logbox_verify(box, &read), 10);
	seglog_read_release(&read);
	assert_int_equal(logbox_read(box, 10, 100000, INT64_MAX, &read), 0);
	assert_int_equal(read.size, 0);
	assert_int_equal(logbox_read(box, 20, 100000, INT64_MAX, &read), 0);
	assert_int_equal(read.size, 0);
	assert_int_equal(logbox_read(box, 21, 100000, INT64_MAX, &read), ERR_OFFSET_RANGE);
	assert_int_equal(logbox_read(box, -1, 100000, INT64_MAX, &read), ERR_OFFSET_RANGE);
}

static void test_segread_largest_batch(void **state)
{
	struct logbox *box = *state;
	const uint32_t value_size = SEGLOG_BATCH_SIZE_MAX - 100;

	append(box, 1, 50, 1);
	append(box, 1, value_size, 1);
	append(box, 1, 50, 1);
	logbox_verify_range(box, 0, 3, 1);
	evict_all(box);
	logbox_verify_range(box, 0, 3, 1);
	logbox_verify_range(box, 0, 3, UINT32_MAX);
}

/* Consumers ask for 1 MiB of a partition. Each read of the files fills its chunk, which is the next power
   of two, and half of what the disk read was thrown away. */
static void test_segread_reads_what_was_asked_for(void **state)
{
	static const uint32_t value_sizes[] = { 1000000, 100000, 900 };
	const uint32_t size_max = 1024 * 1024;
	struct logbox *box = *state;
	uint64_t before, from_files;
	int64_t first = 0, end = 0;

	for (size_t i = 0; i < ARRAY_COUNT(value_sizes); i++) {
		uint64_t given = 0;

		first = end;
		append(box, 6000000 / value_sizes[i], value_sizes[i], 1);
		end = box->log->high_watermark;
		evict_all(box);
		before = counters_get(&box->counters, COUNTER_SEGLOG_READ_COLD_BYTES);
		for (int64_t offset = first; offset < end;) {
			struct seglog_read read;

			assert_int_equal(logbox_read(box, offset, size_max, INT64_MAX, &read), 0);
			given += read.size;
			offset = logbox_verify(box, &read);
			seglog_read_release(&read);
		}
		from_files = counters_get(&box->counters, COUNTER_SEGLOG_READ_COLD_BYTES) - before;
		assert_true(from_files >= given && from_files < given + given / 5);
	}
}

static void test_segread_over_segments(void **state)
{
	struct logbox *box = *state;

	box->args.settings.segment_size = 128 * 1024;
	seglog_configure(box->log, &box->args.settings);
	append(box, 300, 2000, 1);
	assert_ptr_not_equal(box->log->first, box->log->tail);
	logbox_verify_range(box, 0, 300, 1024 * 1024);
	evict_all(box);
	logbox_verify_range(box, 0, 300, 1024 * 1024);
	logbox_verify_range(box, 0, 300, 1);
}

static void never(struct seglog_read *read, int error)
{
	(void)read;
	(void)error;
	fail_msg("a cancelled read was reported");
}

static void test_segread_cancel(void **state)
{
	struct logbox *box = *state;
	struct seglog_read *read = calloc(1, sizeof(*read));
	uint64_t available;

	append(box, 100, 700, 1);
	evict_all(box);
	available = chunk_pool_available(box->chunks);
	*read = (struct seglog_read){ .size_max = 1000, .limit = INT64_MAX, .done = never };
	assert_int_equal(seglog_read(box->log, read), -EINPROGRESS);
	assert_true(chunk_pool_available(box->chunks) < available);
	seglog_read_cancel(read);
	free(read);
	while (!seglog_detach(box->log))
		(void)uring_wait(box->uring, NS_PER_MS);
	assert_int_equal(chunk_pool_available(box->chunks), available);
}

static void test_segread_bounded_in_flight(void **state)
{
	struct logbox *box = *state;
	struct seglog_read reads[SEGLOG_COLD_READS + 1];

	append(box, 100, 700, 1);
	evict_all(box);
	for (uint32_t i = 0; i < ARRAY_COUNT(reads); i++)
		reads[i] =
			(struct seglog_read){ .size_max = 1000, .limit = INT64_MAX, .done = never };
	for (uint32_t i = 0; i < SEGLOG_COLD_READS; i++)
		assert_int_equal(seglog_read(box->log, &reads[i]), -EINPROGRESS);
	assert_int_equal(seglog_read(box->log, &reads[SEGLOG_COLD_READS]), -EAGAIN);
	for (uint32_t i = 0; i < SEGLOG_COLD_READS; i++)
		seglog_read_cancel(&reads[i]);
	while (!seglog_detach(box->log))
		(void)uring_wait(box->uring, NS_PER_MS);
}

static void test_segread_damaged_file(void **state)
{
	struct logbox *box = *state;
	struct seglog_read read;
	uint8_t bytes[4] = { 0xff, 0xff, 0xff, 0xff };
	char path[TEMP_PATH_SIZE];

	append(box, 50, 700, 1);
	evict_all(box);
	logbox_damage(box, 0, ".log", 8, bytes, sizeof(bytes));
	assert_int_equal(logbox_read(box, 0, 1000, INT64_MAX, &read), ERR_CORRUPT);
	assert_int_equal(read.slice_count, 0);
	logbox_path(box, 0, ".log", path);
	assert_int_equal(truncate(path, 8192), 0);
	assert_true(logbox_read(box, 40, 1000, INT64_MAX, &read) != 0);
	assert_int_equal(counters_get(&box->counters, COUNTER_SEGLOG_READ_FAILURES), 2);
}

/* Slices keep their chunk for as long as they are being sent. */
static void test_segread_slices_outlive_eviction(void **state)
{
	struct logbox *box = *state;
	struct chunk *chunks[RING_SIZE / CHUNK_SIZE_MIN];
	struct seglog_read read;
	uint32_t count = 0;

	append(box, 400, 700, 1);
	assert_int_equal(logbox_read(box, 3, 100000, INT64_MAX, &read), 0);
	box->now_ms += 60000;
	logbox_housekeep(box);
	while (count < ARRAY_COUNT(chunks) &&
	       (chunks[count] = chunk_take(box->chunks, CHUNK_SIZE_MIN)) != NULL)
		memset(chunks[count++]->mem, 0xdd, CHUNK_SIZE_MIN);
	assert_true(logbox_verify(box, &read) > 3);
	seglog_read_release(&read);
	while (count > 0)
		chunk_unref(chunks[--count]);
	logbox_verify_range(box, 0, 400, 1000);
}

static uint64_t counted(const struct logbox *box, enum counter counter)
{
	return counters_get(&box->counters, counter);
}

/* Let what is in flight arrive. */
static void arrive(struct logbox *box)
{
	while (uring_disk_in_flight(box->uring) > 0)
		(void)uring_wait(box->uring, NS_PER_MS);
}

/* @return records of one read of at most `size_max` bytes */
static int64_t read_on(struct logbox *box, int64_t offset, uint32_t size_max)
{
	struct seglog_read read;
	int64_t next;

	assert_int_equal(logbox_read(box, offset, size_max, INT64_MAX, &read), 0);
	assert_true(read.size > 0);
	next = logbox_verify(box, &read);
	seglog_read_release(&read);
	return next;
}

/* Seven megabytes of one segment, and none of them in the ring. */
static int64_t write_old(struct logbox *box)
{
	append(box, 700, 10000, 1);
	evict_all(box);
	return 700;
}

static void test_segread_who_reads_on_has_each_byte_read_once(void **state)
{
	static const uint32_t sizes[] = { 1, 64 * 1024, 1024 * 1024, 8 * 1024 * 1024 };
	struct logbox *box = *state;
	int64_t end = write_old(box);

	for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
		uint64_t before = counted(box, COUNTER_SEGLOG_READ_COLD_BYTES);
		uint64_t cold = colds(box), ahead = counted(box, COUNTER_SEGLOG_READS_AHEAD);
		uint64_t read;

		logbox_verify_range(box, 0, end, sizes[i]);
		arrive(box);
		seglog_read_forget(box->log, NULL);
		read = counted(box, COUNTER_SEGLOG_READ_COLD_BYTES) - before;
		/* The batch that a chunk cuts is read again; the first chunk is as small as its read. */
		assert_true(read < 7200000 + 10 * 12288);
		assert_int_equal(colds(box) - cold, 1);
		assert_true(counted(box, COUNTER_SEGLOG_READS_AHEAD) > ahead + 2);
	}
}

/* One group reads on while another, which begins elsewhere, does the same. */
static void test_segread_two_who_read_on(void **state)
{
	struct logbox *box = *state;
	int64_t end = write_old(box), one = 0, other = 350;
	uint64_t before = counted(box, COUNTER_SEGLOG_READ_COLD_BYTES);

	while (one < end || other < end) {
		if (one < end)
			one = read_on(box, one, 200000);
		if (other < end)
			other = read_on(box, other, 300000);
	}
	assert_true(counted(box, COUNTER_SEGLOG_READ_COLD_BYTES) - before <
		    7000000 + 3500000 + 2 * CHUNK_SIZE_MAX);
}

static void test_segread_who_jumps_about_has_nothing_read_ahead(void **state)
{
	struct logbox *box = *state;
	int64_t end = write_old(box);

	for (int64_t offset = end - 1; offset > 0; offset -= 7)
		(void)read_on(box, offset, 1);
	assert_int_equal(counted(box, COUNTER_SEGLOG_READS_AHEAD), 0);
}

static void test_segread_what_is_kept_goes_when_memory_is_short(void **state)
{
	struct logbox *box = *state;
	int64_t end = write_old(box), next = read_on(box, 0, 100000);
	uint64_t kept = counted(box, COUNTER_SEGLOG_READS_KEPT);

	assert_int_equal(chunk_pool_available(box->chunks), chunk_pool_size(box->chunks));
	next = read_on(box, next, 100);
	assert_int_equal(counted(box, COUNTER_SEGLOG_READS_KEPT), kept + 1);
	evict_all(box);
	next = read_on(box, next, 100);
	assert_int_equal(counted(box, COUNTER_SEGLOG_READS_KEPT), kept + 1);
	logbox_verify_range(box, next, end, 100000);
}

static void test_segread_cancelled_while_it_waits_for_what_is_read_ahead(void **state)
{
	struct logbox *box = *state;
	struct seglog_read *read = calloc(1, sizeof(*read));
	int64_t next;

	(void)write_old(box);
	next = read_on(box, 0, 8 * 1024 * 1024);
	*read = (struct seglog_read){
		.offset = next, .size_max = 1000, .limit = INT64_MAX, .done = never
	};
	assert_int_equal(seglog_read(box->log, read), -EINPROGRESS);
	seglog_read_cancel(read);
	free(read);
	arrive(box);
	assert_true(read_on(box, next, 1000) > next);
	assert_int_equal(counted(box, COUNTER_SEGLOG_READS_KEPT), 1);
	while (!seglog_detach(box->log))
		(void)uring_wait(box->uring, NS_PER_MS);
	assert_int_equal(chunk_pool_available(box->chunks), chunk_pool_size(box->chunks));
}

/* What is kept of a segment does not keep the segment. */
static void test_segread_kept_of_a_segment_that_goes(void **state)
{
	struct logbox *box = *state;
	char path[TEMP_PATH_SIZE];

	box->args.settings.segment_size = 128 * 1024;
	seglog_configure(box->log, &box->args.settings);
	append(box, 300, 2000, 1);
	evict_all(box);
	(void)read_on(box, 0, 1);
	logbox_path(box, 0, ".log", path);
	assert_int_equal(access(path, F_OK), 0);
	box->args.settings.retention_size = 128 * 1024;
	seglog_configure(box->log, &box->args.settings);
	for (int i = 0; i < 4; i++) {
		logbox_housekeep(box);
		logbox_settle(box);
	}
	assert_true(seglog_start_offset(box->log) > 0);
	assert_int_not_equal(access(path, F_OK), 0);
	logbox_verify_range(box, seglog_start_offset(box->log), 300, 1024 * 1024);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_segread_hot_and_cold_are_the_same),
		TEST(test_segread_evicted_chunk_inside_an_older_one),
		TEST(test_segread_from_inside_a_batch),
		TEST(test_segread_stays_below_limit),
		TEST(test_segread_stays_below_high_watermark),
		TEST(test_segread_largest_batch),
		TEST(test_segread_reads_what_was_asked_for),
		TEST(test_segread_over_segments),
		TEST(test_segread_cancel),
		TEST(test_segread_bounded_in_flight),
		TEST(test_segread_damaged_file),
		TEST(test_segread_slices_outlive_eviction),
		TEST(test_segread_who_reads_on_has_each_byte_read_once),
		TEST(test_segread_two_who_read_on),
		TEST(test_segread_who_jumps_about_has_nothing_read_ahead),
		TEST(test_segread_what_is_kept_goes_when_memory_is_short),
		TEST(test_segread_cancelled_while_it_waits_for_what_is_read_ahead),
		TEST(test_segread_kept_of_a_segment_that_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
