/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: verbs and options are taken, and what is missing or out of range is refused. */
#include <errno.h>
#include <getopt.h>
#include <stdint.h>

#include "cm.h"
#include "perf/load/load_args.h"

#define PARSE(args, ...) parse(args, (const char *[]){ "millrace-load", __VA_ARGS__, NULL })

static int parse(struct load_args *args, const char **argv)
{
	int argc = 0;

	while (argv[argc] != NULL)
		argc++;
	optind = 0; /* begin anew */
	return load_args_parse(argc, (char **)(uintptr_t)argv, args);
}

static void test_load_args_are_taken(void **state)
{
	struct load_args args;

	(void)state;
	assert_int_equal(PARSE(&args, "produce", "--server", "127.0.0.1:9092", "--topic", "t",
			       "--rate", "1500", "--acks", "1", "--config", "a=b", "--direct"),
			 0);
	assert_int_equal(args.verb, LOAD_ARGS_PRODUCE);
	assert_int_equal(args.target.address, 0x7f000001);
	assert_int_equal(args.target.port, 9092);
	assert_string_equal(args.topic, "t");
	assert_true(args.rate > 1499 && args.rate < 1501);
	assert_int_equal(args.acks, 1);
	assert_int_equal(args.config_count, 1);
	assert_string_equal(args.configs[0], "a=b");
	assert_true(args.is_direct);
	assert_int_equal(args.record_size, 1024);
	assert_int_equal(PARSE(&args, "device", "--folder", "/tmp", "--read"), 0);
	assert_true(args.is_read);
	assert_int_equal(PARSE(&args, "--help"), 1);
}

static void test_load_args_are_judged(void **state)
{
	struct load_args args;

	(void)state;
	assert_int_equal(PARSE(&args, "produce", "--server", "127.0.0.1:9092"), -EINVAL);
	assert_int_equal(PARSE(&args, "produce", "--topic", "t"), -EINVAL);
	assert_int_equal(PARSE(&args, "device"), -EINVAL);
	assert_int_equal(PARSE(&args, "shout", "--server", "127.0.0.1:9092"), -EINVAL);
	assert_int_equal(PARSE(&args, "tail", "--server", "127.0.0.1:9092", "--topic", "t"),
			 -EINVAL); /* without a rate */
	assert_int_equal(PARSE(&args, "ping", "--server", "127.0.0.1"), -EINVAL);
	assert_int_equal(PARSE(&args, "ping", "--server", "127.0.0.1:0"), -EINVAL);
	assert_int_equal(PARSE(&args, "ping", "--server", "127.0.0.1:1", "--seconds", "x"),
			 -EINVAL);
	assert_int_equal(PARSE(&args, "ping", "--server", "127.0.0.1:1", "--connections", "0"),
			 -EINVAL);
	assert_int_equal(PARSE(&args, "ping", "--server", "127.0.0.1:1", "--acks", "0"), -EINVAL);
	assert_int_equal(PARSE(&args, "ping", "--server", "127.0.0.1:1"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_load_args_are_taken),
		cmocka_unit_test(test_load_args_are_judged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
