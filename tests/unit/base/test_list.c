/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: the list keeps order, removal in a loop is safe, removed nodes know that they are free. */
#include "base/list.h"

#include "cm.h"

struct item {
	int value;
	struct list node;
};

static void test_list_keeps_order_and_survives_removal(void **state)
{
	struct item items[4];
	struct list head;
	int seen = 0;

	(void)state;
	list_init(&head);
	for (int i = 0; i < 4; i++) {
		items[i].value = i;
		list_init(&items[i].node);
		list_push_back(&head, &items[i].node);
	}
	LIST_EACH_SAFE(&head, node)
	{
		struct item *item = LIST_ENTRY(node, struct item, node);

		assert_int_equal(item->value, seen++);
		if (item->value % 2 == 0)
			list_remove(node);
	}
	assert_int_equal(seen, 4);
	assert_false(list_is_linked(&items[0].node));
	list_remove(&items[0].node); /* harmless */
	assert_ptr_equal(list_pop_front(&head), &items[1].node);
	list_push_front(&head, &items[0].node);
	assert_ptr_equal(list_pop_front(&head), &items[0].node);
	assert_ptr_equal(list_pop_front(&head), &items[3].node);
	assert_null(list_pop_front(&head));
	assert_true(list_is_empty(&head));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list_keeps_order_and_survives_removal),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
