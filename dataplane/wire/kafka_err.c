/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/wire/kafka_err.h"

const char *kafka_err_str(int16_t error)
{
	switch (error) {
#define KAFKA_ERR(name, code, text)                                                                \
	case code:                                                                                 \
		return text;
#include "dataplane/wire/kafka_err.def"
#undef KAFKA_ERR
	default:
		return "unknown error";
	}
}

const char *kafka_err_name(int16_t error)
{
	switch (error) {
#define KAFKA_ERR(name, code, text)                                                                \
	case code:                                                                                 \
		return #name;
#include "dataplane/wire/kafka_err.def"
#undef KAFKA_ERR
	default:
		return "UNKNOWN";
	}
}
