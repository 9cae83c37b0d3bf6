/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * What a check expects: "> 0", "= 0", ">= 1", "!= 3", "< 0.01", "<= 9", "between 1 and 9", "none".
 *
 * Context: any thread. Memory: none.
 */
#pragma once

#include "base/defs.h"

enum taskcheck_kind {
	TASKCHECK_GREATER,
	TASKCHECK_GREATER_EQUAL,
	TASKCHECK_LESS,
	TASKCHECK_LESS_EQUAL,
	TASKCHECK_EQUAL,
	TASKCHECK_NOT_EQUAL,
	TASKCHECK_BETWEEN, /* both ends count */
	TASKCHECK_NONE,    /* the query's rows are the offenders */
};

struct taskcheck_rule {
	enum taskcheck_kind kind;
	double low, high; /* high: of between */
};

/** @return 0; ERR_CONFIG with reterr */
NODISCARD int taskcheck_parse(const char *text, struct taskcheck_rule *ret_rule, char *reterr,
			      size_t reterr_size);
/** Not of TASKCHECK_NONE. */
bool taskcheck_holds(const struct taskcheck_rule *rule, double value);
