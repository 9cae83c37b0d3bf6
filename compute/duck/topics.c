/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/duck/topics.h"

#include "compute/duck/duck_impl.h"

void topics_begin(struct topics *topics)
{
	(void)topics;
}

enum duck_status topics_error(struct topics *topics, char *reterr, size_t reterr_size)
{
	(void)topics;
	(void)reterr;
	(void)reterr_size;
	return DUCK_OK;
}

void topics_free(struct topics *topics)
{
	(void)topics;
}
