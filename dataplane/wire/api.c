/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/wire/api.h"

const struct wire_api_info *wire_api_info(int16_t key)
{
	for (size_t i = 0; i < wire_api_count; i++) {
		if (wire_apis[i].key == key)
			return &wire_apis[i];
	}
	return NULL;
}

bool wire_api_is_served(int16_t key, int16_t version)
{
	const struct wire_api_info *info = wire_api_info(key);

	return info != NULL && version >= info->min && version <= info->max;
}

const struct wire_codec *wire_codec_get(enum wire_kind kind, int16_t key)
{
	for (size_t i = 0; i < wire_codec_count; i++) {
		if (wire_codecs[i].kind == kind && wire_codecs[i].key == key)
			return &wire_codecs[i];
	}
	return NULL;
}
