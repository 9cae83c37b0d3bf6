/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claims: a reader sees what the writer counts; a file of another build is refused; a reader learns
 * that its writer left or started anew. Shown with both sides in one process.
 */
#include <stdio.h>
#include <unistd.h>

#include "base/err.h"
#include "storage/shmcounters.h"

#include "cm.h"

static void test_shmcounters_reader_sees_the_writer(void **state)
{
	struct shmcounters *writer, *reader, *again;
	char path[64];
	FILE *file;

	(void)state;
	(void)snprintf(path, sizeof(path), "/dev/shm/test_shmcounters.%d", (int)getpid());
	assert_int_equal(shmcounters_open(path, &reader), -2);
	assert_int_equal(shmcounters_create(path, 3, &writer), 0);
	assert_int_equal(shmcounters_open(path, &reader), 0);
	assert_int_equal(shmcounters_cores(reader), 3);
	assert_int_equal(shmcounters_pid(reader), getpid());
	counters_add(shmcounters_core(writer, 2), COUNTER_CORE_CYCLES, 5);
	hist_add(shmcounters_flush_ns(writer, 1), 1000);
	assert_int_equal(counters_get(shmcounters_core(reader, 2), COUNTER_CORE_CYCLES), 5);
	assert_int_equal(counters_get(shmcounters_core(reader, 1), COUNTER_CORE_CYCLES), 0);
	assert_int_equal(shmcounters_flush_ns(reader, 1)->count, 1);
	assert_int_equal(shmcounters_flush_ns(reader, 2)->count, 0);
	assert_false(shmcounters_is_retired(reader));
	assert_int_equal(shmcounters_create(path, 1, &again), 0);
	assert_true(shmcounters_is_retired(reader));
	shmcounters_close(reader);
	shmcounters_close(writer);
	assert_int_equal(shmcounters_open(path, &reader), 0);
	assert_int_equal(shmcounters_cores(reader), 1);
	shmcounters_close(again);
	assert_true(shmcounters_is_retired(reader));
	shmcounters_close(reader);
	file = fopen(path, "r+e");
	assert_non_null(file);
	assert_int_equal(fwrite("nonsense", 1, 8, file), 8);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(shmcounters_open(path, &reader), ERR_UNSUPPORTED);
	assert_int_equal(truncate(path, 100), 0);
	assert_int_equal(shmcounters_open(path, &reader), ERR_UNSUPPORTED);
	assert_int_equal(unlink(path), 0);
}

/* As many as there may be, each with its own name and values, behind what the cores count. */
static void test_shmcounters_tell_of_each_port(void **state)
{
	struct shmcounters *writer, *reader;
	char name[32], path[64];

	(void)state;
	(void)snprintf(path, sizeof(path), "/dev/shm/test_shmcounters.%d", (int)getpid());
	assert_int_equal(shmcounters_create(path, 2, &writer), 0);
	assert_int_equal(shmcounters_open(path, &reader), 0);
	assert_int_equal(shmcounters_ports(reader), 0);
	for (uint32_t i = 0; i < PORTLIST_MAX; i++) {
		struct shmcounters_port *port;

		(void)snprintf(name, sizeof(name), "tap:%u", i);
		port = shmcounters_port_add(writer, name);
		for (uint32_t j = 0; j < SHMCOUNTERS_PORT_VALUES; j++)
			shmcounters_port_set(port, j, 100 * (i + 1) + j);
	}
	assert_int_equal(shmcounters_ports(reader), PORTLIST_MAX);
	for (uint32_t i = 0; i < PORTLIST_MAX; i++) {
		(void)snprintf(name, sizeof(name), "tap:%u", i);
		assert_string_equal(shmcounters_port(reader, i)->name, name);
		for (uint32_t j = 0; j < SHMCOUNTERS_PORT_VALUES; j++) {
			assert_int_equal(shmcounters_port_get(shmcounters_port(reader, i), j),
					 100 * (i + 1) + j);
			assert_non_null(shmcounters_port_infos[j].name);
		}
	}
	assert_int_equal(shmcounters_flush_ns(reader, 1)->count, 0);
	shmcounters_close(reader);
	shmcounters_close(writer);
	assert_int_equal(unlink(path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shmcounters_reader_sees_the_writer),
		cmocka_unit_test(test_shmcounters_tell_of_each_port),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
