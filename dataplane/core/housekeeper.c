/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/core/housekeeper.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"

#include "dataplane/core/channel.h"
#include "dataplane/core/channel_server.h"
#include "dataplane/core/housekeeper_impl.h"
#include "dataplane/nic/nic.h"

#define MESH_PER_TURN_MAX 16                /* what cores wait for, between logs that can wait */
#define TEND_NS           (200 * NS_PER_US) /* for logs that can wait, if they have nothing to do */
#define HOUSEKEEP_NS      NS_PER_S          /* between rounds over all logs, at most */
#define PORT_NS           (100 * NS_PER_MS)

static uint64_t generation(const struct housekeeper *housekeeper)
{
	return housekeeper->topics != NULL ? housekeeper->topics->generation : 0;
}

/* ---- what cores send ---- */

void housekeeper_on_reply(void *context, struct mesh_item *item)
{
	struct housekeeper *housekeeper = context;

	(void)item;
	CHECK(housekeeper->outstanding > 0);
	housekeeper->outstanding--;
}

void housekeeper_on_snapshot(void *context, struct mesh_item *item)
{
	struct housekeeper *housekeeper = context;
	struct channel_snapshot *snapshot = CONTAINER_OF(item, struct channel_snapshot, item);

	list_push_back(&housekeeper->snapshots, &snapshot->node);
}

/* Appends wait for this: when a thousand logs roll at once, none for the end of another's old segment. */
void housekeeper_on_wanted(void *context, struct mesh_item *item)
{
	struct housekeeper *housekeeper = context;
	struct partition *partition = CONTAINER_OF(item, struct partition, housekeep);

	if (partition->opened != NULL) {
		seglog_prepare(partition->opened, clock_wall_ms());
		housekeeper_queue_ask(&housekeeper->later, &partition->later);
	}
	item->run = partition->housekept;
	mesh_send(housekeeper->args.mesh, housekeeper->args.core_count, partition->owner, item);
}

/* ---- waiting ---- */

static void serve_once(struct housekeeper *housekeeper, int64_t timeout_ms)
{
	const struct housekeeper_args *args = &housekeeper->args;
	struct pollfd fds[1 + CHANNEL_SERVER_FDS];
	bool is_readable = false, is_asleep;

	is_asleep = mesh_poll(args->mesh, args->core_count, MESH_PER_TURN_MAX) == 0 &&
		    mesh_sleep_begin(args->mesh, args->core_count);
	fds[0] = (struct pollfd){ .fd = mesh_wait_fd(args->mesh, args->core_count),
				  .events = POLLIN };
	channel_server_fds(args->server, fds + 1);
	/* A signal ends the sleep too. */
	if (poll(fds, ARRAY_COUNT(fds), is_asleep ? (int)timeout_ms : 0) > 0) {
		for (size_t i = 1; i < ARRAY_COUNT(fds); i++)
			is_readable |= fds[i].fd >= 0 && fds[i].revents != 0;
	}
	if (is_asleep)
		mesh_sleep_end(args->mesh, args->core_count);
	if (is_readable)
		channel_server_poll(args->server, generation(housekeeper));
}

void housekeeper_wait(struct housekeeper *housekeeper)
{
	while (housekeeper->outstanding > 0)
		serve_once(housekeeper, 1000);
}

/* ---- snapshots ---- */

/* Every core serves the table from its next turn on; the one before has no user any more. */
static void hand_out(struct housekeeper *housekeeper, struct topics *topics)
{
	struct core_item items[COUNTERS_CORES_MAX] = { 0 };
	struct topics *before = housekeeper->topics;

	for (uint32_t i = 0; i < housekeeper->args.core_count; i++) {
		items[i].item.run = core_on_topics;
		items[i].reply = housekeeper_on_reply;
		items[i].topics = topics;
		list_init(&items[i].item.node);
		list_init(&items[i].node);
		housekeeper->outstanding++;
		mesh_send(housekeeper->args.mesh, housekeeper->args.core_count, i, &items[i].item);
	}
	housekeeper_wait(housekeeper);
	housekeeper->topics = topics;
	if (before != topics)
		topics_free(before);
}

static void mark_removed(void *context, struct partition *partition)
{
	struct housekeeper *housekeeper = context;

	partition->is_swept = true;
	/* Without memory for the note the partition is leaked, which nobody is hurt by. */
	if (!housekeeper_set_add(&housekeeper->removed, partition))
		log_warn("no memory to note a removed partition");
}

static void ignore_present(void *context, const struct topic *topic, struct partition *partition,
			   bool is_new)
{
	(void)context;
	(void)topic;
	(void)partition;
	(void)is_new;
}

static void ignore_removed(void *context, struct partition *partition)
{
	(void)context;
	(void)partition;
}

static void open_new(void *context, const struct topic *topic, struct partition *partition,
		     bool is_new)
{
	if (is_new)
		housekeeper_log_open(context, topic, partition);
}

static void write_checkpoint(const struct housekeeper *housekeeper)
{
	int error = housekeeper_checkpoint(housekeeper);

	if (error < 0)
		log_error("offset checkpoints cannot be written: %s", err_str(error));
}

static void remove_gone(struct housekeeper *housekeeper, const struct topics *topics)
{
	const struct topics_visitor visitor = { .ctx = housekeeper,
						.on_present = ignore_present,
						.on_removed = mark_removed };
	uint32_t count = housekeeper->removed.count;

	topics_diff(housekeeper->topics, topics, &visitor);
	if (housekeeper->removed.count == count)
		return;
	housekeeper_logs_detach(housekeeper);
	housekeeper_logs_end(housekeeper, true);
	/* A topic made anew under the same name must not meet the old one's recovery point. */
	write_checkpoint(housekeeper);
}

/* Load the snapshot file and bring logs and cores to it. */
static int take_snapshot(struct housekeeper *housekeeper)
{
	const struct topics_visitor visitor = { .ctx = housekeeper,
						.on_present = open_new,
						.on_removed = ignore_removed };
	struct topics *before = housekeeper->topics, *topics;
	struct snapshot *snapshot;
	uint32_t first;
	char path[2 * CONFIG_TEXT_MAX];
	int error;

	(void)snprintf(path, sizeof(path), "%s/%s", housekeeper->args.config->data_dir,
		       SNAPSHOT_FILE);
	error = snapshot_load(path, &snapshot);
	if (error < 0)
		return error;
	if (before != NULL && snapshot->generation <= before->generation) {
		snapshot_free(snapshot);
		return 0;
	}
	topics = topics_new(before, snapshot, housekeeper->args.core_count);
	if (topics == NULL) {
		snapshot_free(snapshot);
		return -ENOMEM;
	}
	remove_gone(housekeeper, topics);
	first = housekeeper->open.count;
	topics_diff(before, topics, &visitor);
	housekeeper_logs_attach(housekeeper, first);
	housekeeper_logs_configure(housekeeper, before, topics);
	hand_out(housekeeper, topics);
	return 0;
}

static void answer_snapshots(struct housekeeper *housekeeper)
{
	struct list asked, *node;
	int error;

	/* Only those that asked before the file is read are answered by it. */
	list_init(&asked);
	while ((node = list_pop_front(&housekeeper->snapshots)) != NULL)
		list_push_back(&asked, node);
	error = take_snapshot(housekeeper);
	if (error < 0)
		log_error("cluster snapshot cannot be taken: %s", err_str(error));
	while ((node = list_pop_front(&asked)) != NULL) {
		struct channel_snapshot *snapshot = LIST_ENTRY(node, struct channel_snapshot, node);

		snapshot->generation = generation(housekeeper);
		snapshot->item.run = channel_on_snapshot_done;
		mesh_send(housekeeper->args.mesh, housekeeper->args.core_count,
			  snapshot->core->index, &snapshot->item);
	}
}

/* ---- life ---- */

int housekeeper_new(const struct housekeeper_args *args, struct housekeeper **ret_housekeeper)
{
	struct topics_visitor visitor = { .on_present = open_new, .on_removed = ignore_removed };
	struct housekeeper *housekeeper = calloc(1, sizeof(*housekeeper));
	int error;

	CHECK(args->core_count <= COUNTERS_CORES_MAX);
	if (housekeeper == NULL) {
		snapshot_free(args->initial);
		return -ENOMEM;
	}
	housekeeper->args = *args;
	list_init(&housekeeper->snapshots);
	housekeeper_queue_init(&housekeeper->later);
	mesh_join(args->mesh, args->core_count, housekeeper);
	if (args->initial == NULL) {
		*ret_housekeeper = housekeeper;
		return 0;
	}
	error = checkpoint_load(args->log_dir_fd, CHECKPOINT_RECOVERY_POINT,
				&housekeeper->recovery);
	if (error < 0 && error != -ENOENT)
		log_warn("recovery points are not readable (%s): every segment is checked",
			 err_str(error));
	housekeeper->topics = topics_new(NULL, args->initial, args->core_count);
	if (housekeeper->topics == NULL) {
		snapshot_free(args->initial);
		checkpoint_free(housekeeper->recovery);
		free(housekeeper);
		return -ENOMEM;
	}
	visitor.ctx = housekeeper;
	housekeeper->progress_ns = clock_now_ns() + 2 * NS_PER_S;
	topics_diff(NULL, housekeeper->topics, &visitor);
	checkpoint_free(housekeeper->recovery);
	housekeeper->recovery = NULL;
	*ret_housekeeper = housekeeper;
	return 0;
}

void housekeeper_begin(struct housekeeper *housekeeper)
{
	housekeeper_logs_attach(housekeeper, 0);
	hand_out(housekeeper, housekeeper->topics);
}

/* Retention and the like may leave the owning core something to do that it did not ask for. */
static void tend(const struct housekeeper *housekeeper, struct partition *partition)
{
	if (!seglog_housekeep(partition->opened, clock_wall_ms()) ||
	    __atomic_exchange_n(&partition->is_nudged, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	partition->nudge.run = core_on_nudge;
	mesh_send(housekeeper->args.mesh, housekeeper->args.core_count, partition->owner,
		  &partition->nudge);
}

/* One that has something to do, or many that have not. */
static void tend_some(struct housekeeper *housekeeper)
{
	int64_t until_ns = clock_now_ns() + TEND_NS;
	struct list *node;

	while ((node = housekeeper_queue_next(&housekeeper->later)) != NULL) {
		tend(housekeeper, LIST_ENTRY(node, struct partition, later));
		if (clock_now_ns() >= until_ns)
			return;
	}
}

static void tend_port(const struct housekeeper_port *port, int64_t now_ns)
{
	struct nic_stats stats;

	nic_tend(port->nic, now_ns);
	nic_stats(port->nic, &stats);
	const uint64_t values[SHMCOUNTERS_PORT_VALUES] = {
		[SHMCOUNTERS_PORT_UP] = nic_link_up(port->nic),
		[SHMCOUNTERS_PORT_RX_PACKETS] = stats.rx_packets,
		[SHMCOUNTERS_PORT_RX_BYTES] = stats.rx_bytes,
		[SHMCOUNTERS_PORT_RX_MISSED] = stats.rx_missed,
		[SHMCOUNTERS_PORT_RX_ERRORS] = stats.rx_errors,
		[SHMCOUNTERS_PORT_RX_NO_BUFFER] = stats.rx_no_buffer,
		[SHMCOUNTERS_PORT_TX_PACKETS] = stats.tx_packets,
		[SHMCOUNTERS_PORT_TX_BYTES] = stats.tx_bytes,
		[SHMCOUNTERS_PORT_TX_ERRORS] = stats.tx_errors,
		[SHMCOUNTERS_PORT_LINK_CHANGES] = nic_link_changes(port->nic),
		[SHMCOUNTERS_PORT_RESETS] = nic_resets(port->nic),
	};
	for (uint32_t i = 0; i < SHMCOUNTERS_PORT_VALUES; i++)
		shmcounters_port_set(port->counts, i, values[i]);
}

/* What is due by the clock. @return milliseconds until something is due again */
static int64_t run_due(struct housekeeper *housekeeper)
{
	int64_t now_ns = clock_now_ns();
	int64_t next_ns;

	if (now_ns >= housekeeper->housekeep_ns) {
		for (uint32_t i = 0; i < housekeeper->open.count; i++)
			housekeeper_queue_add(&housekeeper->later,
					      &housekeeper->open.items[i]->later);
		housekeeper->housekeep_ns =
			now_ns +
			MIN(HOUSEKEEP_NS, housekeeper->args.config->retention_check_ms * NS_PER_MS);
	}
	if (now_ns >= housekeeper->checkpoint_ns) {
		write_checkpoint(housekeeper);
		housekeeper->checkpoint_ns =
			now_ns + housekeeper->args.config->checkpoint_ms * NS_PER_MS;
	}
	if (housekeeper->port_count > 0 && now_ns >= housekeeper->port_ns) {
		for (uint32_t i = 0; i < housekeeper->port_count; i++)
			tend_port(&housekeeper->ports[i], now_ns);
		housekeeper->port_ns = now_ns + PORT_NS;
	}
	next_ns = MIN(housekeeper->housekeep_ns, housekeeper->checkpoint_ns);
	if (housekeeper->port_count > 0)
		next_ns = MIN(next_ns, housekeeper->port_ns);
	if (!housekeeper_queue_is_empty(&housekeeper->later))
		return 0;
	return MAX((next_ns - now_ns) / NS_PER_MS, 0) + 1;
}

void housekeeper_tend_port(struct housekeeper *housekeeper, struct nic *nic,
			   struct shmcounters_port *counts)
{
	CHECK(housekeeper->port_count < PORTLIST_MAX);
	housekeeper->ports[housekeeper->port_count++] = (struct housekeeper_port){ nic, counts };
}

void housekeeper_run(struct housekeeper *housekeeper, const volatile sig_atomic_t *stop)
{
	while (!*stop) {
		if (!list_is_empty(&housekeeper->snapshots))
			answer_snapshots(housekeeper);
		serve_once(housekeeper, run_due(housekeeper));
		tend_some(housekeeper);
	}
}

int housekeeper_close_logs(struct housekeeper *housekeeper)
{
	struct core_item items[COUNTERS_CORES_MAX] = { 0 };
	int error;

	for (uint32_t i = 0; i < housekeeper->args.core_count; i++) {
		items[i].item.run = core_on_stop_transports;
		items[i].reply = housekeeper_on_reply;
		list_init(&items[i].item.node);
		list_init(&items[i].node);
		housekeeper->outstanding++;
		mesh_send(housekeeper->args.mesh, housekeeper->args.core_count, i, &items[i].item);
	}
	housekeeper_wait(housekeeper);
	for (uint32_t i = 0; i < housekeeper->open.count; i++)
		housekeeper->open.items[i]->is_swept = true;
	housekeeper_logs_detach(housekeeper);
	error = housekeeper_checkpoint(housekeeper);
	/* Closing publishes nothing new: the checkpoint before it names every offset already. */
	housekeeper_logs_end(housekeeper, false);
	return housekeeper->error != 0 ? housekeeper->error : error;
}

int housekeeper_abandon(struct housekeeper *housekeeper)
{
	for (uint32_t i = 0; i < housekeeper->open.count; i++)
		housekeeper->open.items[i]->is_swept = true;
	housekeeper_logs_end(housekeeper, false);
	return housekeeper->error;
}

void housekeeper_free(struct housekeeper *housekeeper)
{
	struct topics *topics;

	if (housekeeper == NULL)
		return;
	topics = housekeeper->topics;
	for (uint32_t i = 0; topics != NULL && i < topics->topic_count; i++) {
		for (int32_t j = 0; j < topics->topics[i].info->partition_count; j++)
			topics_partition_free(topics->topics[i].partitions[j]);
	}
	topics_free(topics);
	for (uint32_t i = 0; i < housekeeper->removed.count; i++)
		topics_partition_free(housekeeper->removed.items[i]);
	free(housekeeper->removed.items);
	free(housekeeper->open.items);
	free(housekeeper);
}
