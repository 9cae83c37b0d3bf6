/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claimed: any text renders within the limits or fails with a reason; what template_check() refuses is
 * not rendered either.
 * Input: a template.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/err.h"

#include "orchestrate/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static json_t *names;
	char reason[256] = "", *text = malloc(size + 1), *out = NULL;
	uint32_t line = 0;
	int checked, error;

	CHECK(text != NULL);
	if (size > 0)
		memcpy(text, bytes, size);
	text[size] = '\0';
	if (names == NULL)
		names = json_loads(
			"{\"ds\":\"2026-01-31\",\"n\":3,\"a\":{\"b\":[1,\"x\",{\"c\":null}]}}", 0,
			NULL);
	checked = template_check(text, &line, reason, sizeof(reason));
	CHECK((checked == 0) == (line == 0) && (checked == 0) == (reason[0] == '\0'));
	error = template_render(text, names, &out, reason, sizeof(reason));
	CHECK(error == 0 || error == ERR_MALFORMED || error == ERR_TOO_LARGE);
	CHECK((error == 0) == (out != NULL));
	CHECK(checked == 0 || error != 0);
	CHECK(out == NULL || strlen(out) <= TEMPLATE_SIZE_MAX);
	free(out);
	free(text);
	return 0;
}
