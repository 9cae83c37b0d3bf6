/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

static __thread const char *context_now;

void check_context(const char *context)
{
	context_now = context;
}

void check_failed(const char *expression, const char *file, int line)
{
	(void)fprintf(stderr, "millrace: check failed: %s (%s:%d)%s%s\n", expression, file, line,
		      context_now != NULL ? " while " : "", context_now != NULL ? context_now : "");
	abort();
}
