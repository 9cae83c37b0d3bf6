/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: one holder per interface, and the lock is free again when the holder is gone. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "dataplane/nic/nic_lock.h"

#include "cm.h"

static void test_nic_lock_second_box_on_one_interface_is_refused(void **state)
{
	char name[16], path[64];
	int first, other;

	(void)state;
	(void)snprintf(name, sizeof(name), "t%d", (int)getpid());
	first = nic_lock(name);
	assert_true(first >= 0);
	assert_int_equal(nic_lock(name), -EBUSY);
	other = nic_lock("t-other");
	assert_true(other >= 0);
	(void)close(other);
	(void)close(first);
	first = nic_lock(name);
	assert_true(first >= 0);
	(void)close(first);
	(void)snprintf(path, sizeof(path), "/dev/shm/millrace-port-%s.lock", name);
	(void)unlink(path);
	(void)unlink("/dev/shm/millrace-port-t-other.lock");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nic_lock_second_box_on_one_interface_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
