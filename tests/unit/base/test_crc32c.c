/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: crc32c_extend() is CRC-32C and may be fed in any pieces. Shown by RFC 3720's vectors and by
   comparing every split with the whole. */
#include "base/crc32c.h"

#include "cm.h"

static void test_crc32c_rfc3720_vectors(void **state)
{
	uint8_t bytes[32] = { 0 };

	(void)state;
	assert_int_equal(crc32c_extend(CRC32C_INIT, bytes, 32), 0x8a9136aa);
	for (int i = 0; i < 32; i++)
		bytes[i] = 0xff;
	assert_int_equal(crc32c_extend(CRC32C_INIT, bytes, 32), 0x62a8ab43);
	for (int i = 0; i < 32; i++)
		bytes[i] = (uint8_t)i;
	assert_int_equal(crc32c_extend(CRC32C_INIT, bytes, 32), 0x46dd794e);
	assert_int_equal(crc32c_extend(CRC32C_INIT, "123456789", 9), 0xe3069283);
	assert_int_equal(crc32c_extend(CRC32C_INIT, bytes, 0), 0);
}

static void test_crc32c_pieces_equal_whole(void **state)
{
	uint8_t bytes[300];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7 + 3);
	uint32_t whole = crc32c_extend(CRC32C_INIT, bytes, sizeof(bytes));
	for (size_t cut = 0; cut <= sizeof(bytes); cut++) {
		uint32_t crc = crc32c_extend(CRC32C_INIT, bytes, cut);

		crc = crc32c_extend(crc, bytes + cut, sizeof(bytes) - cut);
		assert_int_equal(crc, whole);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crc32c_rfc3720_vectors),
		cmocka_unit_test(test_crc32c_pieces_equal_whole),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
