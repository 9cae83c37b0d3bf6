/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: a thread in the background, and those that it makes, leave the processor to others; beside poll
   cores that never sleep they still run; the thread that made them is not touched. Shown by what the
   kernel says of each thread. */
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include "compute/worker/background.h"

#include "cm.h"

struct seen {
	const struct config *config; /* NULL: of a child, which enters nothing */
	int policy, nice;
	struct seen *child;
};

static void *look(void *context)
{
	struct seen *seen = context;
	pthread_t thread;

	if (seen->config != NULL)
		background_enter(seen->config);
	seen->policy = sched_getscheduler(0);
	seen->nice = getpriority(PRIO_PROCESS, (id_t)gettid());
	if (seen->child != NULL && pthread_create(&thread, NULL, look, seen->child) == 0)
		(void)pthread_join(thread, NULL);
	return NULL;
}

/** What a thread and its child look like to the kernel. */
static void play(struct config *config, struct seen *seen, struct seen *child)
{
	pthread_t thread;
	const int policy = sched_getscheduler(0);

	*child = (struct seen){ .policy = -1 };
	*seen = (struct seen){ .config = config, .policy = -1, .child = child };
	assert_int_equal(pthread_create(&thread, NULL, look, seen), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(sched_getscheduler(0), policy);
}

static void test_background_is_idle_with_all_its_threads(void **state)
{
	struct config config = { .worker_background = true, .idle_mode = "adaptive" };
	struct seen seen, child;

	(void)state;
	play(&config, &seen, &child);
	assert_int_equal(seen.policy, SCHED_IDLE);
	assert_int_equal(child.policy, SCHED_IDLE);
}

static void test_background_runs_beside_cores_that_never_sleep(void **state)
{
	struct config config = { .worker_background = true, .idle_mode = "busy" };
	struct seen seen, child;

	(void)state;
	play(&config, &seen, &child);
	assert_int_not_equal(seen.policy, SCHED_IDLE);
	assert_int_equal(seen.nice, 19);
	assert_int_equal(child.nice, 19);
}

static void test_background_can_be_turned_off(void **state)
{
	struct config config = { .worker_background = false, .idle_mode = "adaptive" };
	const int policy = sched_getscheduler(0);
	struct seen seen, child;

	(void)state;
	play(&config, &seen, &child);
	assert_int_equal(seen.policy, policy);
	assert_int_equal(child.policy, policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_background_is_idle_with_all_its_threads),
		cmocka_unit_test(test_background_runs_beside_cores_that_never_sleep),
		cmocka_unit_test(test_background_can_be_turned_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
