/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claimed: a log opens on any bytes in its files, or is offline, or fails with an error number; what it
 * opened with is a run of whole batches with dense offsets, and opening it again gives the same.
 * Input: one byte that chooses file and checkpoint, then the bytes of that file, beside a good segment.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "storage/segfile.h"
#include "storage/seglog.h"

#define FOLDER "fuzz-0"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static int make_folder(void)
{
	static char path[] = "/dev/shm/millrace-fuzz-XXXXXX";
	static int fd = -1;

	if (fd < 0) {
		CHECK(mkdtemp(path) != NULL);
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		CHECK(fd >= 0);
	}
	if (mkdirat(fd, FOLDER, 0700) == 0)
		return fd;
	return fd;
}

static void write_file(int dir_fd, const char *name, const void *bytes, size_t size)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CHECK(fd >= 0);
	CHECK(segfile_write(fd, bytes, size, 0) == 0);
	(void)close(fd);
}

/* Three good batches, offsets 0 to 2. */
static size_t good_log(uint8_t *memory, size_t room)
{
	size_t size = 0;

	for (int i = 0; i < 3; i++) {
		struct batch_builder builder;
		int64_t got;

		batch_builder_init(&builder, memory + size, room - size, 1000 + i, 0);
		batch_builder_add(&builder, NULL, 0, "value", 5);
		got = batch_builder_end(&builder, i, 0);
		CHECK(got > 0);
		size += (size_t)got;
	}
	return size;
}

static int open_log(int fd, bool was_clean, int64_t checkpoint, int64_t *ret_next)
{
	const struct seglog_open_args args = {
		.log_dir_fd = fd,
		.topic = "fuzz",
		.topic_id.bytes = { 1 },
		.settings = { .segment_size = 1024 * 1024,
			      .segment_ms = 1000000,
			      .retention_ms = -1,
			      .retention_size = -1,
			      .message_size_max = 1024 * 1024 },
		.checkpoint_offset = checkpoint,
		.was_clean = was_clean,
		.now_ms = 5000,
	};
	struct seglog_recovery found;
	struct seglog *log;
	int error = seglog_open(&args, &log, &found);

	if (error != 0 && error != ERR_CORRUPT)
		return error;
	if (error == 0) {
		CHECK(seglog_next_offset(log) >= checkpoint || was_clean);
		CHECK(seglog_high_watermark(log) == seglog_next_offset(log));
		CHECK(seglog_start_offset(log) <= seglog_next_offset(log));
	}
	*ret_next = seglog_next_offset(log);
	CHECK(seglog_close(log) == (error == 0 ? 0 : ERR_OFFLINE));
	return error;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static const char *const names[] = {
		"00000000000000000000.log",
		"00000000000000000003.log",
		"00000000000000000000.index",
		"00000000000000000000.timeindex",
		"00000000000000000003.snapshot",
		"leader-epoch-checkpoint",
		"partition.metadata",
	};
	uint8_t memory[1024];
	int64_t next, again;
	int fd, dir_fd;
	bool was_clean;

	if (size < 1 || size > 1024 * 1024)
		return 0;
	fd = make_folder();
	dir_fd = openat(fd, FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(dir_fd >= 0);
	for (size_t i = 0; i < ARRAY_COUNT(names); i++)
		(void)unlinkat(dir_fd, names[i], 0); /* of the run before, or not there */
	write_file(dir_fd, names[0], memory, good_log(memory, sizeof(memory)));
	write_file(dir_fd, names[(bytes[0] & 0x0f) % ARRAY_COUNT(names)], bytes + 1, size - 1);
	was_clean = (bytes[0] & 0x80) != 0;
	if (open_log(fd, was_clean, bytes[0] >> 4 & 0x03, &next) == 0) {
		CHECK(open_log(fd, true, next, &again) == 0);
		CHECK(again == next);
		CHECK(open_log(fd, false, next, &again) == 0);
		CHECK(again == next);
	}
	(void)close(dir_fd);
	return 0;
}
