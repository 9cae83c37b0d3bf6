/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: the copy holds every used cell of the table and nothing else, in order, and lookups find exactly
   those. Shown on a real table with holes, before and after it changes. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "control/http/positions.h"

#include "cm.h"

#define TOPICS     20
#define PARTITIONS 7

static struct uuid topic_id(uint8_t topic)
{
	/* Not the order in which they are added. */
	return (struct uuid){ .bytes = { (uint8_t)(topic * 37), topic } };
}

static void test_positions_follow_the_table(void **state)
{
	char dir[] = "/tmp/test_positions.XXXXXX", path[64], leases[80];
	struct partition_cell *cells[TOPICS][PARTITIONS];
	struct partitions *table = NULL;
	struct positions positions;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/partitions", dir);
	(void)snprintf(leases, sizeof(leases), "%s.leases", path);
	assert_int_equal(partitions_open(path, true, &table), 0);
	positions_init(&positions);
	assert_int_equal(positions_refresh(&positions, table), 0);
	assert_int_equal(positions.count, 0);
	assert_null(positions_find(&positions, &(struct uuid){ .bytes = { 1 } }, 0));
	for (uint8_t t = 0; t < TOPICS; t++) {
		for (uint32_t p = 0; p < PARTITIONS; p++) {
			struct partition_view view = { .topic_id = topic_id(t),
						       .partition = PARTITIONS - 1 - p,
						       .core = p % 2,
						       .high_watermark = 1000 * t + p,
						       .topic = "t" };

			cells[t][p] = partitions_add(table, &view);
			assert_non_null(cells[t][p]);
		}
	}
	for (uint8_t t = 0; t < TOPICS; t += 3)
		partitions_remove(table, cells[t][2]);
	assert_int_equal(positions_refresh(&positions, table), 0);
	assert_int_equal(positions.count, TOPICS * PARTITIONS - (TOPICS + 2) / 3);
	for (uint32_t i = 1; i < positions.count; i++)
		assert_true(positions_compare(&positions.all[i - 1], &positions.all[i]) < 0);
	for (uint8_t t = 0; t < TOPICS; t++) {
		struct uuid id = topic_id(t);

		for (uint32_t p = 0; p < PARTITIONS; p++) {
			const struct position *found =
				positions_find(&positions, &id, PARTITIONS - 1 - p);

			if (p == 2 && t % 3 == 0) {
				assert_null(found);
				continue;
			}
			assert_non_null(found);
			assert_int_equal(found->high_watermark, 1000 * t + p);
			assert_int_equal(found->core, p % 2);
		}
		assert_null(positions_find(&positions, &id, PARTITIONS));
	}
	positions_fini(&positions);
	partitions_close(table);
	(void)unlink(path);
	(void)unlink(leases);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_positions_follow_the_table),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
