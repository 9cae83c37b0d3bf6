/* SPDX-License-Identifier: Apache-2.0 */
#include "control/control.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"

#include "control/group/coordinator.h"
#include "control/meta/admin.h"
#include "control/meta/boxlink.h"
#include "control/meta/describe.h"
#include "control/meta/parked.h"
#include "control/meta/timelookup.h"

#define SCRATCH_SIZE (32U * 1024 * 1024) /* decoded arrays of one request and its answer */
#define REPLY_MAX    (BOXLINK_RECORD_MAX - sizeof(struct command_reply))
#define GUESTS_MAX   4
/* Guest N's requests are parked as of core GUEST_CORE + N, which no core is. */
#define GUEST_CORE        (UINT32_MAX - GUESTS_MAX + 1)
#define SERVED_TIMEOUT_MS 30000 /* longest wait for the cores, whatever the client allows */
#define TABLE_RETRY_NS    (100 * NS_PER_MS)
#define NO_OWNER          UINT32_MAX
#define CLIENT_ID_NULL    0xffff

/** An answer that waits until every core serves the metadata it speaks of. */
struct waiter {
	struct list link;
	uint64_t token;
	uint64_t generation;
	int64_t due_ns;
	uint32_t size;
	uint8_t body[]; /* [size] */
};

struct control {
	const struct config *config;
	char log_dir[CONFIG_TEXT_MAX + 8];
	char table_path[CONFIG_TEXT_MAX + 16];
	struct meta *meta;
	struct admin admin;
	struct parked *parked;
	struct coordinator *coordinator;
	struct timelookup *timelookup;
	struct boxlink *link;
	struct partitions *table;                       /* NULL: not connected, or not there yet */
	const struct control_guest *guests[GUESTS_MAX]; /* [guest_count] */
	uint32_t guest_count;
	uint32_t owners
		[COORDINATOR_PARTITIONS_MAX]; /* core of each offsets partition, or NO_OWNER */
	struct list waiters;
	uint64_t announced;          /* generation told to the cores; 0: not connected */
	uint64_t served;             /* generation that every core serves */
	uint64_t producer_ids_asked; /* generation that brings the block under way; 0: none */
	uint8_t *scratch;            /* [SCRATCH_SIZE] */
	uint8_t *reply;              /* [REPLY_MAX] */
	int signal_fd;
	int64_t now_ns; /* of this turn */
	int64_t wall_ms;
	bool stop;
};

/* ---- answers ---- */

static void send_reply(struct control *control, const struct parked_request *request,
		       const uint8_t *body, uint32_t size)
{
	struct command_reply reply = {
		.header = { .kind = COMMAND_REPLY, .size = (uint32_t)sizeof(reply) + size },
		.cookie = request->cookie,
		.error = body != NULL ? 0 : -EPROTO,
		.body_size = size,
	};
	int error;

	if (request->core >= GUEST_CORE) {
		const struct control_guest *guest = control->guests[request->core - GUEST_CORE];

		guest->answer(guest->context, request->cookie, body, size);
		return;
	}
	error = boxlink_send(control->link, request->core, &reply, sizeof(reply), body, size);
	if (error != 0 && error != -ENOTCONN)
		log_warn("an answer to api %d could not be sent: %s", request->api_key,
			 err_str(error));
}

/** @param body  NULL: there is no answer, the connection is to be closed */
static void reply(void *context, uint64_t token, const uint8_t *body, uint32_t size)
{
	static const uint8_t nothing;
	struct control *control = context;
	struct parked_request request;

	if (!parked_take(control->parked, token, &request))
		return;
	if (body != NULL && size == 0)
		body = &nothing;
	send_reply(control, &request, body, body != NULL ? size : 0);
}

static void forget(void *context, uint64_t token)
{
	struct control *control = context;
	struct parked_request request;

	(void)parked_take(control->parked, token, &request); /* it may be forgotten already */
}

static void wait_for_cores(struct control *control, uint64_t token, const uint8_t *body,
			   uint32_t size, int32_t timeout_ms)
{
	struct waiter *waiter = malloc(sizeof(*waiter) + size);
	int64_t timeout = MIN(MAX(timeout_ms, 0), SERVED_TIMEOUT_MS);

	if (waiter == NULL) {
		reply(control, token, body, size);
		return;
	}
	list_init(&waiter->link);
	waiter->token = token;
	waiter->generation = meta_generation(control->meta);
	waiter->due_ns = control->now_ns + timeout * NS_PER_MS;
	waiter->size = size;
	if (size > 0)
		memcpy(waiter->body, body, size);
	list_push_back(&control->waiters, &waiter->link);
}

/** Send the answers that are due. @return when the next one is */
static int64_t answer_waiters(struct control *control)
{
	int64_t due_ns = INT64_MAX;

	LIST_EACH_SAFE(&control->waiters, node)
	{
		struct waiter *waiter = LIST_ENTRY(node, struct waiter, link);

		if (waiter->generation <= control->served || waiter->due_ns <= control->now_ns) {
			list_remove(&waiter->link);
			reply(control, waiter->token, waiter->body, waiter->size);
			free(waiter);
		} else {
			due_ns = MIN(due_ns, waiter->due_ns);
		}
	}
	return due_ns;
}

/* ---- requests ---- */

static enum call_result dispatch(struct control *control, struct call *call)
{
	switch (call->api_key) {
	case WIRE_API_CREATE_TOPICS:
		return admin_create_topics(&control->admin, call);
	case WIRE_API_DELETE_TOPICS:
		return admin_delete_topics(&control->admin, call);
	case WIRE_API_CREATE_PARTITIONS:
		return admin_create_partitions(&control->admin, call);
	case WIRE_API_DESCRIBE_CONFIGS:
		return describe_configs(&control->admin, call);
	case WIRE_API_LIST_OFFSETS:
		return timelookup_list_offsets(control->timelookup, call);
	default:
		return coordinator_call(control->coordinator, call);
	}
}

static bool is_known(int16_t api_key, int16_t version)
{
	const struct wire_api_info *info = wire_api_info(api_key);

	return info != NULL && version >= info->min && version <= info->max;
}

static void serve(struct control *control, struct call *call)
{
	enum call_result result = CALL_BAD;

	call->now_ns = control->now_ns;
	call->wall_ms = control->wall_ms;
	wire_scratch_init(&call->scratch, control->scratch, SCRATCH_SIZE);
	writer_init(&call->reply, control->reply, REPLY_MAX);
	if (is_known(call->api_key, call->version))
		result = dispatch(control, call);
	switch (result) {
	case CALL_DONE:
		reply(control, call->token, control->reply, (uint32_t)writer_size(&call->reply));
		break;
	case CALL_SERVED:
		wait_for_cores(control, call->token, control->reply,
			       (uint32_t)writer_size(&call->reply), call->timeout_ms);
		break;
	case CALL_LATER:
		break;
	case CALL_BAD:
		reply(control, call->token, NULL, 0);
		break;
	}
}

static uint32_t guest_index(const struct control *control, const struct control_guest *guest)
{
	uint32_t i = 0;

	while (i < control->guest_count && control->guests[i] != guest)
		i++;
	CHECK(i < control->guest_count);
	return i;
}

int control_request(struct control *control, const struct control_guest *guest, uint64_t token,
		    int16_t api_key, int16_t version, const uint8_t *body, uint32_t size)
{
	struct parked_request request = { GUEST_CORE + guest_index(control, guest), token, api_key,
					  version };
	struct call call = {
		.api_key = api_key,
		.version = version,
		.client_id = WIRE_STRING("http"),
		.client_host = WIRE_STRING("127.0.0.1"),
	};

	call.token = parked_add(control->parked, &request);
	if (call.token == 0)
		return -EBUSY;
	reader_init(&call.body, body, size);
	serve(control, &call);
	return 0;
}

/* ---- upcalls ---- */

static void on_request(struct control *control, uint32_t core, const struct upcall_request *upcall,
		       uint32_t size)
{
	struct parked_request request = { core, upcall->cookie, upcall->api_key,
					  upcall->api_version };
	bool is_null = upcall->client_id_size == CLIENT_ID_NULL;
	uint64_t client_size = is_null ? 0 : upcall->client_id_size;
	const char *at = (const char *)upcall->bytes;
	struct call call = { .api_key = upcall->api_key,
			     .version = upcall->api_version,
			     .connection = upcall->connection };

	if (sizeof(*upcall) + upcall->listener_size + client_size + upcall->host_size +
		    (uint64_t)upcall->body_size >
	    size) {
		log_error("core %u sent a request of impossible sizes", core);
		return;
	}
	call.token = parked_add(control->parked, &request);
	if (call.token == 0) {
		send_reply(control, &request, NULL, 0);
		return;
	}
	at += upcall->listener_size;
	call.client_id =
		is_null ? WIRE_STRING("") : (struct wire_string){ at, (int32_t)client_size };
	at += client_size;
	call.client_host = (struct wire_string){ at, upcall->host_size };
	at += upcall->host_size;
	reader_init(&call.body, at, upcall->body_size);
	serve(control, &call);
}

static void on_create(struct control *control, uint32_t core, const struct upcall_create *upcall,
		      uint32_t size)
{
	struct parked_request request = { .core = core, .cookie = upcall->cookie };
	const uint8_t *at = upcall->bytes;
	const uint8_t *end = at + MIN((size_t)upcall->bytes_size, size - sizeof(*upcall));
	uint64_t token;

	for (uint32_t i = 0; i < upcall->topic_count; i++) {
		struct wire_string name;
		uint16_t name_size;

		if ((size_t)(end - at) < sizeof(name_size))
			break;
		memcpy(&name_size, at, sizeof(name_size));
		at += sizeof(name_size);
		if ((size_t)(end - at) < name_size)
			break;
		name = (struct wire_string){ (const char *)at, name_size };
		at += name_size;
		/* What cannot be made stays unknown in the Metadata answer. */
		(void)admin_auto_create(&control->admin, name);
	}
	if (upcall->cookie == 0)
		return;
	token = parked_add(control->parked, &request);
	if (token == 0)
		send_reply(control, &request, NULL, 0);
	else
		wait_for_cores(control, token, control->reply, 0, SERVED_TIMEOUT_MS);
}

/** Several cores may ask while one block is under way. */
static void on_producer_ids(struct control *control)
{
	int error;

	if (control->producer_ids_asked > control->served)
		return;
	error = meta_next_producer_ids(control->meta);
	if (error != 0)
		log_error("no new block of producer ids: %s", err_str(error));
	else
		control->producer_ids_asked = meta_generation(control->meta);
}

static void on_upcall(void *context, uint32_t core, const struct upcall_header *record,
		      uint32_t size)
{
	struct control *control = context;
	const struct upcall_appended *appended = (const void *)record;
	const struct upcall_snapshot *snapshot = (const void *)record;
	const struct upcall_gone *gone = (const void *)record;

	switch (record->kind) {
	case UPCALL_REQUEST:
		if (size >= sizeof(struct upcall_request))
			on_request(control, core, (const void *)record, size);
		break;
	case UPCALL_CREATE:
		if (size >= sizeof(struct upcall_create))
			on_create(control, core, (const void *)record, size);
		break;
	case UPCALL_APPENDED:
		if (size >= sizeof(*appended))
			coordinator_appended(control->coordinator, appended->cookie,
					     appended->error, control->now_ns, control->wall_ms);
		break;
	case UPCALL_SNAPSHOT:
		if (size >= sizeof(*snapshot))
			control->served = MAX(control->served, snapshot->generation);
		break;
	case UPCALL_PRODUCER_IDS:
		on_producer_ids(control);
		break;
	case UPCALL_GONE:
		/* Other answers to nobody are dropped by the core. */
		if (size >= sizeof(*gone) && gone->connection != 0)
			timelookup_gone(control->timelookup, gone->connection);
		break;
	default:
		break;
	}
}

/* ---- the connection ---- */

static void announce(struct control *control)
{
	struct command_snapshot command = {
		.header = { .kind = COMMAND_SNAPSHOT, .size = sizeof(command) },
		.generation = meta_generation(control->meta),
	};

	control->announced = command.generation;
	/* Without a connection the next one announces it. */
	if (boxlink_send(control->link, 0, &command, sizeof(command), NULL, 0) != 0)
		control->announced = 0;
}

/** The table is made before the dataplane listens; a new dataplane makes a new one. */
static int64_t open_table(struct control *control)
{
	int error;

	if (control->table != NULL || !boxlink_is_up(control->link))
		return INT64_MAX;
	error = partitions_open(control->table_path, false, &control->table);
	if (error != 0)
		return control->now_ns + TABLE_RETRY_NS;
	coordinator_start(control->coordinator, control->log_dir, control->table);
	timelookup_start(control->timelookup, control->log_dir, control->table);
	return control->now_ns;
}

static void on_connected(void *context, const struct channel_welcome *welcome)
{
	struct control *control = context;

	log_info("connected to the dataplane: %u cores%s", welcome->cores,
		 welcome->is_unclean_start != 0 ? ", after an unclean stop" : "");
	control->served = 0;
	memset(control->owners, 0xff, sizeof(control->owners));
	announce(control);
}

static void on_lost(void *context)
{
	struct control *control = context;
	struct list *node;

	coordinator_stop(control->coordinator);
	timelookup_stop(control->timelookup);
	partitions_close(control->table);
	control->table = NULL;
	control->served = 0;
	control->producer_ids_asked = 0;
	while ((node = list_pop_front(&control->waiters)) != NULL) {
		struct waiter *waiter = LIST_ENTRY(node, struct waiter, link);

		/* The change is durable: the guest at least can be told. */
		reply(control, waiter->token, waiter->body, waiter->size);
		free(waiter);
	}
	parked_clear(control->parked);
}

static const struct boxlink_ops link_ops = {
	.connected = on_connected,
	.lost = on_lost,
	.upcall = on_upcall,
};

/** Owners are fixed while a dataplane lives; any core passes on what is not its own. */
static uint32_t owner_of(struct control *control, const struct uuid *topic_id, uint32_t partition)
{
	struct partition_view view;

	CHECK(partition < COORDINATOR_PARTITIONS_MAX);
	if (control->owners[partition] == NO_OWNER &&
	    partitions_find(control->table, topic_id, partition, &view) == 0 &&
	    view.core < boxlink_cores(control->link))
		control->owners[partition] = view.core;
	return control->owners[partition] != NO_OWNER ? control->owners[partition] : 0;
}

static int append(void *context, uint32_t partition, uint64_t cookie, const uint8_t *batch,
		  uint32_t size)
{
	struct control *control = context;
	const struct metaimage_topic *topic =
		metaimage_topic(meta_image(control->meta), WIRE_STRING("__consumer_offsets"));
	struct command_append command = {
		.header = { .kind = COMMAND_APPEND, .size = (uint32_t)sizeof(command) + size },
		.cookie = cookie,
		.topic_id = topic->id,
		.partition = partition,
		.batch_size = size,
	};
	uint32_t core;

	if (control->table == NULL)
		return -ENOTCONN;
	core = owner_of(control, &topic->id, partition);
	return boxlink_send(control->link, core, &command, sizeof(command), batch, size);
}

static const struct coordinator_ops coordinator_ops = { .reply = reply, .append = append };
static const struct timelookup_ops timelookup_ops = { .reply = reply, .forget = forget };

/* ---- the loop ---- */

static int commit(struct control *control)
{
	int error;

	if (!meta_is_dirty(control->meta))
		return 0;
	error = meta_flush(control->meta, control->wall_ms);
	if (error == 0)
		error = meta_save(control->meta);
	if (error != 0) {
		log_error("the metadata cannot be written: %s; control ends", err_str(error));
		return error;
	}
	announce(control);
	return 0;
}

/** @return 0; the error that ends the process */
static int turn(struct control *control, int64_t *ret_due_ns)
{
	int64_t due_ns;
	int error;

	control->now_ns = clock_now_ns();
	control->wall_ms = clock_wall_ms();
	due_ns = boxlink_run(control->link, control->now_ns);
	due_ns = MIN(due_ns, open_table(control));
	due_ns = MIN(due_ns,
		     coordinator_run(control->coordinator, control->now_ns, control->wall_ms));
	due_ns = MIN(due_ns, timelookup_run(control->timelookup, control->now_ns));
	for (uint32_t i = 0; i < control->guest_count; i++)
		due_ns = MIN(due_ns,
			     control->guests[i]->run(control->guests[i]->context, control->now_ns));
	error = commit(control);
	if (error != 0)
		return error;
	due_ns = MIN(due_ns, answer_waiters(control));
	boxlink_flush(control->link);
	*ret_due_ns = due_ns;
	return 0;
}

static int timeout_ms(int64_t due_ns)
{
	int64_t left;

	if (due_ns == INT64_MAX)
		return -1;
	left = due_ns - clock_now_ns();
	if (left <= 0)
		return 0;
	return (int)MIN((left + NS_PER_MS - 1) / NS_PER_MS, (int64_t)INT_MAX);
}

static void wait_for_work(struct control *control, int64_t due_ns)
{
	struct pollfd fds[BOXLINK_POLL_FDS + 1 + GUESTS_MAX];
	int count = boxlink_poll_fds(control->link, fds);
	struct signalfd_siginfo info;

	fds[count++] = (struct pollfd){ .fd = control->signal_fd, .events = POLLIN };
	for (uint32_t i = 0; i < control->guest_count; i++)
		fds[count++] =
			(struct pollfd){ .fd = control->guests[i]->fd(control->guests[i]->context),
					 .events = POLLIN };
	(void)poll(fds, (nfds_t)count, timeout_ms(due_ns)); /* every turn looks at everything */
	if (read(control->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		log_info("signal %u: stopping", info.ssi_signo);
		control->stop = true;
	}
}

int control_run(struct control *control)
{
	int64_t due_ns;
	int error;

	while (!control->stop) {
		error = turn(control, &due_ns);
		if (error != 0)
			return error;
		wait_for_work(control, due_ns);
	}
	return 0;
}

/* ---- life cycle ---- */

static int open_signals(struct control *control)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
		return -errno;
	control->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return control->signal_fd >= 0 ? 0 : -errno;
}

static void on_deleted(void *context, const char *topic)
{
	struct control *control = context;

	coordinator_topic_deleted(control->coordinator, topic);
}

static int open_metadata(struct control *control)
{
	int error = meta_open(control->config, clock_wall_ms(), &control->meta);

	if (error != 0) {
		log_error("metadata in %s/metadata: %s%s", control->config->data_dir,
			  err_str(error),
			  error == -EACCES
				  ? ": the user whom control runs as (the setting user) may not "
				    "enter it; give it leave, as with chmod o+x on the folders "
				    "above, or start with --set user=root"
				  : "");
		return error;
	}
	control->admin = (struct admin){ control->meta, control->config, on_deleted, control };
	error = admin_create_offsets_topic(&control->admin);
	if (error == 0)
		error = meta_flush(control->meta, clock_wall_ms());
	/* The file may be missing or older than the log: a crash between the two. */
	if (error == 0)
		error = meta_save(control->meta);
	if (error != 0)
		log_error("metadata in %s/metadata cannot be written: %s",
			  control->config->data_dir, err_str(error));
	return error;
}

static int open_parts(struct control *control)
{
	int error;

	control->scratch = malloc(SCRATCH_SIZE);
	control->reply = malloc(REPLY_MAX);
	control->parked = parked_new();
	if (control->scratch == NULL || control->reply == NULL || control->parked == NULL)
		return -ENOMEM;
	error = open_signals(control);
	if (error == 0)
		error = open_metadata(control);
	if (error != 0)
		return error;
	control->coordinator = coordinator_new(control->config, control->meta, control->parked,
					       &coordinator_ops, control);
	control->timelookup = timelookup_new(control->meta, &timelookup_ops, control);
	if (control->coordinator == NULL || control->timelookup == NULL)
		return -ENOMEM;
	return boxlink_new(control->config->run_dir, (uint64_t)clock_now_ns(), &link_ops, control,
			   &control->link);
}

int control_open(const struct config *config, struct control **ret_control)
{
	CLEANUP(control_closep) struct control *control = calloc(1, sizeof(*control));
	int error;

	if (control == NULL)
		return -ENOMEM;
	control->config = config;
	control->signal_fd = -1;
	list_init(&control->waiters);
	(void)snprintf(control->log_dir, sizeof(control->log_dir), "%s/log", config->data_dir);
	(void)snprintf(control->table_path, sizeof(control->table_path), "%s/partitions",
		       config->run_dir);
	error = open_parts(control);
	if (error != 0)
		return error;
	*ret_control = TAKE_PTR(control);
	return 0;
}

void control_close(struct control *control)
{
	struct list *node;

	if (control == NULL)
		return;
	boxlink_free(control->link);
	coordinator_free(control->coordinator);
	timelookup_free(control->timelookup);
	while ((node = list_pop_front(&control->waiters)) != NULL)
		free(LIST_ENTRY(node, struct waiter, link));
	partitions_close(control->table);
	parked_free(control->parked);
	meta_close(control->meta);
	if (control->signal_fd >= 0)
		(void)close(control->signal_fd);
	free(control->scratch);
	free(control->reply);
	free(control);
}

void control_attach(struct control *control, const struct control_guest *guest)
{
	CHECK(control->guest_count < GUESTS_MAX);
	control->guests[control->guest_count++] = guest;
}

bool control_is_dataplane_up(const struct control *control)
{
	return boxlink_is_up(control->link);
}

const struct partitions *control_partitions(const struct control *control)
{
	return control->table;
}

const struct meta *control_meta(const struct control *control)
{
	return control->meta;
}

struct groups *control_groups(struct control *control)
{
	return coordinator_groups(control->coordinator);
}
