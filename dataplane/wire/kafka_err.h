/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Kafka's protocol errors, as they stand in responses. Our own errors are `enum err` (base/err.h).
 *
 * Context: any thread. Memory: none. Source: Kafka 4.3.1.
 */
#pragma once

#include "base/defs.h"

enum kafka_err {
#define KAFKA_ERR(name, code, text) KAFKA_##name = (code),
#include "dataplane/wire/kafka_err.def"
#undef KAFKA_ERR
};

/** @return one sentence for people, for a response's error message; never NULL */
const char *kafka_err_str(int16_t error);

/** @return Kafka's constant, such as "NOT_COORDINATOR", for logs and labels; never NULL */
const char *kafka_err_name(int16_t error);
