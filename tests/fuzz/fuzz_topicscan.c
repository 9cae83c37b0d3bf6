/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claimed: a scan of any file reads to the end or fails with a defined error and a reason, and every
 * record that it gives lies within the range and within the map or the reader's buffer.
 * Input: one byte (bit 0: make the checksums right, so that what lies behind them is reached), then a .log.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/err.h"

#include "compute/scan/topicscan.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static char dir[64] = "/dev/shm/millrace-fuzz-XXXXXX";
static char log_path[128];
static struct partitions *table;
static struct partition_cell *cell;
static struct partition_view view = { .topic = "t" };

static void clean(void)
{
	char path[128];

	(void)unlink(log_path);
	(void)snprintf(path, sizeof(path), "%s/t-0", dir);
	(void)rmdir(path);
	(void)snprintf(path, sizeof(path), "%s/p", dir);
	(void)unlink(path);
	(void)snprintf(path, sizeof(path), "%s/p.leases", dir);
	(void)unlink(path);
	(void)rmdir(dir);
}

static void prepare(void)
{
	char path[128];

	CHECK(mkdtemp(dir) != NULL);
	(void)snprintf(path, sizeof(path), "%s/p", dir);
	CHECK(partitions_open(path, true, &table) == 0);
	cell = partitions_add(table, &view);
	(void)snprintf(path, sizeof(path), "%s/t-0", dir);
	CHECK(mkdir(path, 0755) == 0);
	(void)snprintf(log_path, sizeof(log_path), "%s/00000000000000000000.log", path);
	CHECK(atexit(clean) == 0);
}

static void seal(uint8_t *log, size_t size)
{
	struct batch batch;

	for (size_t at = 0; size - at >= BATCH_HEADER_SIZE; at += batch.size) {
		if (batch_decode(log + at, &batch) != 0 || batch.size > size - at)
			return;
		bytes_store_u32(log + at + 17,
				crc32c_extend(CRC32C_INIT, log + at + BATCH_CRC_BEGIN,
					      batch.size - BATCH_CRC_BEGIN));
	}
}

/* Read them all. */
static void touch(const uint8_t *bytes, size_t size)
{
	CHECK(size == 0 || bytes != NULL);
	for (size_t i = 0; i < size; i++)
		(void)*(const volatile uint8_t *)(bytes + i);
}

static void scan_it(void)
{
	struct topicscan_request request = { .log_dir = dir,
					     .table = table,
					     .topic = "t",
					     .since_ms = INT64_MIN,
					     .until_ms = INT64_MAX };
	struct topicscan_reader *reader;
	struct topicscan_record record;
	struct topicscan *scan;
	char reason[512] = "";
	int64_t last = -1;
	int result = topicscan_open(&request, &scan, reason, sizeof(reason));

	CHECK(result == 0 || reason[0] != '\0');
	if (result != 0)
		return;
	CHECK(topicscan_reader_new(scan, &reader) == 0);
	while ((result = topicscan_next(reader, &record, reason, sizeof(reason))) == 1) {
		CHECK(record.offset > last && record.offset < view.high_watermark);
		CHECK(record.value_size >= 0 && record.key_size >= 0);
		last = record.offset;
		touch(record.value, (size_t)record.value_size);
		touch(record.key, (size_t)record.key_size);
		touch(record.headers, record.headers_size);
	}
	CHECK(result == 0 || result == ERR_CORRUPT);
	CHECK(result == 0 || reason[0] != '\0');
	topicscan_reader_free(reader);
	topicscan_close(scan);
	CHECK(partitions_lease_count(table) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	uint8_t *log;
	int fd;

	if (size < 2)
		return 0;
	if (table == NULL)
		prepare();
	log = malloc(size - 1);
	CHECK(log != NULL);
	memcpy(log, bytes + 1, size - 1);
	if (bytes[0] % 2 == 1)
		seal(log, size - 1);
	fd = open(log_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	CHECK(fd >= 0 && write(fd, log, size - 1) == (ssize_t)size - 1);
	(void)close(fd);
	free(log);
	view.file_end = (int64_t)size - 1;
	view.high_watermark = view.last_stable_offset = 100;
	partition_cell_write(cell, &view);
	scan_it();
	return 0;
}
