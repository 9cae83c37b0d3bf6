/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Claimed: any JSON is a schema or is refused with a reason; what is accepted is within its limits and
 * makes a decoder.
 * Input: JSON.
 */
#include <string.h>

#include "base/check.h"
#include "base/err.h"

#include "compute/decode/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	json_t *columns = json_loadb((const char *)bytes, size, JSON_DECODE_ANY, NULL);
	struct json_decoder *decoder;
	struct schema *schema = NULL;
	char text[100] = "";
	int error;

	if (columns == NULL)
		return 0;
	error = schema_parse(columns, &schema, text, sizeof(text));
	json_decref(columns);
	CHECK(error == 0 || error == ERR_CONFIG);
	CHECK(strnlen(text, sizeof(text)) < sizeof(text));
	CHECK((error == 0) == (schema != NULL) && (error == 0) == (text[0] == '\0'));
	if (error != 0)
		return 0;
	CHECK(schema->count <= COLUMN_MAX);
	for (uint32_t i = 0; i < schema->count; i++) {
		CHECK(schema->fields[i].depth >= 1 && schema->fields[i].depth <= SCHEMA_DEPTH_MAX);
		CHECK(schema_sql_type(&schema->fields[i], text, sizeof(text))[0] != '\0');
	}
	CHECK(json_decoder_new(schema, &decoder) == 0);
	json_decoder_free(decoder);
	schema_free(schema);
	return 0;
}
