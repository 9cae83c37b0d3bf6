/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <string.h>

const char *err_str(int error)
{
	switch (error) {
#define ERR(name, value, text)                                                                     \
	case name:                                                                                 \
		return text;
#include "base/err.def"
#undef ERR
	default:
		break;
	}
	const char *text = strerrordesc_np(error < 0 ? -error : error);
	return text != NULL ? text : "unknown error";
}
