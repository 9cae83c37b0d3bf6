/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "dataplane/core/channel_impl.h"

struct channel *channel_new(struct core *core)
{
	struct channel *channel = calloc(1, sizeof(*channel));

	if (channel == NULL)
		return NULL;
	list_init(&channel->snapshots_idle);
	list_init(&channel->snapshots_done);
	for (size_t i = 0; i < ARRAY_COUNT(channel->snapshots); i++) {
		struct channel_snapshot *snapshot = &channel->snapshots[i];

		snapshot->core = core;
		list_init(&snapshot->node);
		list_init(&snapshot->item.node);
		list_push_back(&channel->snapshots_idle, &snapshot->node);
	}
	return channel;
}

void channel_free(struct channel *channel)
{
	free(channel);
}
