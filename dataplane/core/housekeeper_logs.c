/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"

#include "dataplane/core/housekeeper_impl.h"

#define PROGRESS_NS (2 * NS_PER_S)

bool housekeeper_set_add(struct housekeeper_set *set, struct partition *partition)
{
	if (set->count == set->room) {
		uint32_t room = MAX(2 * set->room, 64U);
		struct partition **items =
			reallocarray(set->items, room, sizeof(struct partition *));

		if (items == NULL)
			return false;
		set->items = items;
		set->room = room;
	}
	set->items[set->count++] = partition;
	return true;
}

static struct seglog_settings settings_of(const struct snapshot_topic *info)
{
	return (struct seglog_settings){
		.segment_size = (uint32_t)MIN(MAX(info->segment_size, 1), INT32_MAX),
		.segment_ms = info->segment_ms,
		.retention_ms = info->retention_ms,
		.retention_size = info->retention_size,
		.message_size_max = (uint32_t)MIN(MAX(info->message_size_max, 0), INT32_MAX),
		.append_time = info->append_time,
		.is_compacted = info->is_compacted,
	};
}

static struct partition_cell *cell_add(const struct housekeeper *housekeeper,
				       const struct topic *topic, const struct partition *partition,
				       int32_t leader_epoch)
{
	struct partition_view view = {
		.topic_id = partition->topic_id,
		.partition = partition->index,
		.core = partition->owner,
		.leader_epoch = leader_epoch,
	};

	memcpy(view.topic, topic->info->name, sizeof(view.topic));
	return partitions_add(housekeeper->args.partitions, &view);
}

/* Between the lines of a recovery that takes long. */
static void report_progress(struct housekeeper *housekeeper)
{
	int64_t now_ns = clock_now_ns();

	if (now_ns < housekeeper->progress_ns)
		return;
	if (housekeeper->progress_ns != 0)
		log_info("opening partitions: %u so far", housekeeper->open.count);
	housekeeper->progress_ns = now_ns + PROGRESS_NS;
}

void housekeeper_log_open(struct housekeeper *housekeeper, const struct topic *topic,
			  struct partition *partition)
{
	int32_t leader_epoch = topic->info->leader_epoch + housekeeper->args.epoch_raise;
	struct seglog_open_args args = {
		.log_dir_fd = housekeeper->args.log_dir_fd,
		.topic = topic->info->name,
		.topic_id = partition->topic_id,
		.partition = partition->index,
		.leader_epoch = leader_epoch,
		.settings = settings_of(topic->info),
		.checkpoint_offset = checkpoint_find(housekeeper->recovery, topic->info->name,
						     partition->index, 0),
		.was_clean = housekeeper->args.was_clean && housekeeper->recovery != NULL,
		.is_discarded = housekeeper->args.config->discard &&
				strncmp(topic->info->name, "__", 2) != 0,
		.now_ms = clock_wall_ms(),
		.fill = &housekeeper->fill,
		.readers = housekeeper->args.partitions,
	};
	struct seglog_recovery recovery = { 0 };
	int error;

	report_progress(housekeeper);
	partition->cell = args.cell = cell_add(housekeeper, topic, partition, leader_epoch);
	if (args.cell == NULL) {
		log_error("%s-%u: the table of partitions is full", args.topic, args.partition);
		return;
	}
	error = seglog_open(&args, &partition->opened, &recovery);
	if (error == ERR_CORRUPT)
		log_error("%s-%u: damaged below the recovery point; the partition is offline",
			  args.topic, args.partition);
	else if (error < 0)
		log_error("%s-%u: cannot be opened: %s", args.topic, args.partition,
			  err_str(error));
	if (recovery.truncated_size > 0)
		log_info("%s-%u: %llu bytes after its last whole batch are cut off", args.topic,
			 args.partition, (unsigned long long)recovery.truncated_size);
	if (partition->opened != NULL && housekeeper_set_add(&housekeeper->open, partition))
		return;
	/* No log: the cores answer with a retriable error. */
	partitions_remove(housekeeper->args.partitions, args.cell);
	partition->cell = NULL;
	if (partition->opened != NULL && seglog_close(partition->opened) < 0)
		log_error("%s-%u: cannot be closed", args.topic, args.partition);
	partition->opened = NULL;
}

static void send(struct housekeeper *housekeeper, struct core_item *item)
{
	item->reply = housekeeper_on_reply;
	list_init(&item->item.node);
	list_init(&item->node);
	housekeeper->outstanding++;
	mesh_send(housekeeper->args.mesh, housekeeper->args.core_count, item->partition->owner,
		  &item->item);
}

void housekeeper_logs_attach(struct housekeeper *housekeeper, uint32_t first)
{
	uint32_t count = housekeeper->open.count - first;
	struct core_item *items;

	if (count == 0)
		return;
	items = calloc(count, sizeof(*items));
	if (items == NULL) {
		log_error("no memory to attach %u partitions", count);
		return;
	}
	for (uint32_t i = 0; i < count; i++) {
		items[i].item.run = core_on_attach;
		items[i].partition = housekeeper->open.items[first + i];
		items[i].log = items[i].partition->opened;
		send(housekeeper, &items[i]);
	}
	housekeeper_wait(housekeeper);
	for (uint32_t i = 0; i < count; i++) {
		if (items[i].error < 0)
			log_error("a partition cannot be attached to core %u: %s",
				  items[i].partition->owner, err_str(items[i].error));
	}
	free(items);
}

void housekeeper_logs_detach(struct housekeeper *housekeeper)
{
	struct core_item *items = calloc(housekeeper->open.count + 1, sizeof(*items));

	if (items == NULL) {
		/* Closing a log that a core still uses is no choice: end like a killed process. */
		log_error("no memory to detach partitions");
		abort();
	}
	for (uint32_t i = 0; i < housekeeper->open.count; i++) {
		struct partition *partition = housekeeper->open.items[i];

		if (!partition->is_swept)
			continue;
		items[i].item.run = core_on_detach;
		items[i].partition = partition;
		send(housekeeper, &items[i]);
	}
	housekeeper_wait(housekeeper);
	free(items);
}

void housekeeper_logs_end(struct housekeeper *housekeeper, bool is_destroy)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < housekeeper->open.count; i++) {
		struct partition *partition = housekeeper->open.items[i];
		int error = 0;

		if (!partition->is_swept) {
			housekeeper->open.items[kept++] = partition;
			continue;
		}
		list_remove(&partition->later);
		if (is_destroy)
			seglog_destroy(partition->opened);
		else
			error = seglog_close(partition->opened);
		if (error < 0 && housekeeper->error == 0)
			housekeeper->error = error;
		partition->opened = NULL;
		partition->is_swept = false;
		partitions_remove(housekeeper->args.partitions, partition->cell);
		partition->cell = NULL;
	}
	housekeeper->open.count = kept;
}

void housekeeper_logs_configure(struct housekeeper *housekeeper, const struct topics *before,
				const struct topics *after)
{
	struct core_item *items = calloc(housekeeper->open.count + 1, sizeof(*items));

	if (items == NULL) {
		log_error("no memory to change topic settings; they apply after a restart");
		return;
	}
	for (uint32_t i = 0; before != NULL && i < housekeeper->open.count; i++) {
		struct partition *partition = housekeeper->open.items[i];
		const struct topic *old = topics_find_id(before, &partition->topic_id);
		const struct topic *new = topics_find_id(after, &partition->topic_id);
		struct seglog_settings old_settings;

		if (old == NULL || new == NULL)
			continue;
		items[i].settings = settings_of(new->info);
		old_settings = settings_of(old->info);
		if (memcmp(&items[i].settings, &old_settings, sizeof(old_settings)) == 0)
			continue;
		items[i].item.run = core_on_configure;
		items[i].partition = partition;
		send(housekeeper, &items[i]);
	}
	housekeeper_wait(housekeeper);
	free(items);
}

int housekeeper_checkpoint(const struct housekeeper *housekeeper)
{
	static const char *const names[] = { CHECKPOINT_RECOVERY_POINT, CHECKPOINT_REPLICATION,
					     CHECKPOINT_LOG_START };
	struct checkpoint_entry *entries = calloc(housekeeper->open.count + 1, sizeof(*entries));
	int error = entries == NULL ? -ENOMEM : 0;

	for (size_t which = 0; which < ARRAY_COUNT(names) && error == 0; which++) {
		uint32_t count = 0;

		for (uint32_t i = 0; i < housekeeper->open.count; i++) {
			const struct partition *partition = housekeeper->open.items[i];
			struct checkpoint_entry *entry = &entries[count];
			struct partition_view view;

			if (!partition_cell_read(partition->cell, &view))
				continue;
			memcpy(entry->topic, view.topic, sizeof(entry->topic));
			entry->partition = partition->index;
			entry->offset = which == 0   ? seglog_checkpoint_offset(partition->opened)
					: which == 1 ? view.high_watermark
						     : view.start_offset;
			count++;
		}
		error = checkpoint_save(housekeeper->args.log_dir_fd, names[which], entries, count);
	}
	free(entries);
	return error;
}
