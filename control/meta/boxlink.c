/* SPDX-License-Identifier: Apache-2.0 */
#include "control/meta/boxlink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"
#include "base/list.h"
#include "base/log.h"
#include "storage/bytering.h"

enum state {
	DOWN,    /* no connection; the next attempt is due at `due_ns` */
	GREETED, /* hello sent, welcome awaited until `due_ns` */
	UP
};

/** A command that waits for room. */
struct waiting {
	struct list link;
	uint32_t size;
	uint8_t bytes[];
};

struct lane {
	struct bytering *commands;
	struct bytering *upcalls;
	struct list backlog;
	int wake_fd; /* eventfd, ours > core */
	bool wake;
};

struct boxlink {
	const struct boxlink_ops *ops;
	void *context;
	uint64_t epoch;
	char socket_path[108];
	char cores_path[128];
	enum state state;
	int64_t due_ns;
	int fd;      /* socket; -1: none */
	int bell_fd; /* eventfd, cores > us; -1: none */
	int memory_fd;
	void *memory;
	size_t memory_size;
	uint32_t cores;
	size_t backlog_size;
	bool told;   /* the log has said that nobody is there */
	bool more;   /* a core has upcalls left after its share of a run */
	bool broken; /* found while sending: dropped on the next run */
	struct lane lanes[BOXLINK_CORES_MAX];
};

int boxlink_new(const char *run_dir, uint64_t epoch, const struct boxlink_ops *ops, void *context,
		struct boxlink **ret_link)
{
	struct boxlink *link = calloc(1, sizeof(*link));

	if (link == NULL)
		return -ENOMEM;
	link->ops = ops;
	link->context = context;
	link->epoch = epoch;
	link->fd = link->bell_fd = link->memory_fd = -1;
	for (uint32_t i = 0; i < BOXLINK_CORES_MAX; i++) {
		link->lanes[i].wake_fd = -1;
		list_init(&link->lanes[i].backlog);
	}
	if (snprintf(link->socket_path, sizeof(link->socket_path), "%s/dataplane.sock", run_dir) >=
		    (int)sizeof(link->socket_path) ||
	    snprintf(link->cores_path, sizeof(link->cores_path), "%s/cores", run_dir) >=
		    (int)sizeof(link->cores_path)) {
		free(link);
		return -ENAMETOOLONG;
	}
	*ret_link = link;
	return 0;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd); /* sockets, memfds and eventfds have nothing left to report */
	*fd = -1;
}

/** Drop the connection, its rings and what waits for them. */
static void disconnect(struct boxlink *link)
{
	close_fd(&link->fd);
	close_fd(&link->bell_fd);
	close_fd(&link->memory_fd);
	if (link->memory != NULL)
		(void)munmap(link->memory, link->memory_size);
	link->memory = NULL;
	for (uint32_t i = 0; i < BOXLINK_CORES_MAX; i++) {
		struct lane *lane = &link->lanes[i];
		struct list *node;

		while ((node = list_pop_front(&lane->backlog)) != NULL)
			free(LIST_ENTRY(node, struct waiting, link));
		close_fd(&lane->wake_fd);
		lane->commands = lane->upcalls = NULL;
		lane->wake = false;
	}
	link->backlog_size = 0;
	link->cores = 0;
	link->broken = false;
}

void boxlink_free(struct boxlink *link)
{
	if (link == NULL)
		return;
	disconnect(link);
	free(link);
}

static void drop(struct boxlink *link, int64_t now_ns)
{
	bool was_up = link->state == UP;

	disconnect(link);
	link->state = DOWN;
	link->due_ns = now_ns + BOXLINK_RETRY_NS;
	if (was_up)
		link->ops->lost(link->context);
}

static int read_cores(const struct boxlink *link, uint32_t *ret_cores)
{
	FILE *file = fopen(link->cores_path, "re");
	char text[32] = "";
	char *end;
	unsigned long cores;

	if (file == NULL)
		return -errno;
	if (fgets(text, sizeof(text), file) == NULL)
		text[0] = '\0';
	(void)fclose(file); /* read-only */
	cores = strtoul(text, &end, 10);
	if (end == text || cores < 1 || cores > BOXLINK_CORES_MAX)
		return ERR_MALFORMED;
	*ret_cores = (uint32_t)cores;
	return 0;
}

/** Fresh rings in a memfd that can neither shrink nor grow, so that nobody faults on it. */
static int make_rings(struct boxlink *link)
{
	size_t ring_size = ALIGN_UP(bytering_memory_size(CHANNEL_RING_SIZE), CHANNEL_RING_ALIGN);
	uint8_t *at;

	link->memory_size = ring_size * 2 * link->cores;
	link->memory_fd = memfd_create("millrace-channel", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (link->memory_fd < 0 || ftruncate(link->memory_fd, (off_t)link->memory_size) != 0 ||
	    fcntl(link->memory_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
		return -errno;
	at = mmap(NULL, link->memory_size, PROT_READ | PROT_WRITE, MAP_SHARED, link->memory_fd, 0);
	if (at == MAP_FAILED)
		return -errno;
	link->memory = at;
	link->bell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (link->bell_fd < 0)
		return -errno;
	for (uint32_t i = 0; i < link->cores; i++) {
		struct lane *lane = &link->lanes[i];

		lane->commands = bytering_init(at, CHANNEL_RING_SIZE);
		lane->upcalls = bytering_init(at + ring_size, CHANNEL_RING_SIZE);
		at += 2 * ring_size;
		lane->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (lane->wake_fd < 0)
			return -errno;
	}
	return 0;
}

static int send_hello(struct boxlink *link)
{
	struct channel_hello hello = { CHANNEL_VERSION, link->cores, link->epoch };
	struct iovec part = { &hello, sizeof(hello) };
	int fds[2 + BOXLINK_CORES_MAX];
	size_t fds_size = (2 + link->cores) * sizeof(int);
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(fds))];
	} control;
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = CMSG_SPACE(fds_size),
	};
	struct cmsghdr *head;

	memset(&control, 0, sizeof(control));
	fds[0] = link->memory_fd;
	fds[1] = link->bell_fd;
	for (uint32_t i = 0; i < link->cores; i++)
		fds[2 + i] = link->lanes[i].wake_fd;
	head = CMSG_FIRSTHDR(&message);
	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(fds_size);
	memcpy(CMSG_DATA(head), fds, fds_size);
	return sendmsg(link->fd, &message, MSG_NOSIGNAL) == (ssize_t)sizeof(hello) ? 0 : -errno;
}

static int greet(struct boxlink *link)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int error = read_cores(link, &link->cores);

	if (error != 0)
		return error;
	memcpy(address.sun_path, link->socket_path, sizeof(address.sun_path));
	link->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (link->fd < 0)
		return -errno;
	if (connect(link->fd, (const struct sockaddr *)&address, sizeof(address)) != 0)
		return -errno;
	error = make_rings(link);
	return error == 0 ? send_hello(link) : error;
}

static void try_connect(struct boxlink *link, int64_t now_ns)
{
	int error;

	if (now_ns < link->due_ns)
		return;
	error = greet(link);
	if (error != 0) {
		if (!link->told)
			log_info("no dataplane at %s yet (%s); trying on", link->socket_path,
				 err_str(error));
		link->told = true;
		drop(link, now_ns);
		return;
	}
	link->state = GREETED;
	link->due_ns = now_ns + BOXLINK_WELCOME_NS;
}

/** @return 1 read into ret_welcome; 0 not there yet; -errno, ERR_MALFORMED, -EPIPE at the end */
static int read_welcome(struct boxlink *link, struct channel_welcome *ret_welcome)
{
	ssize_t size = recv(link->fd, ret_welcome, sizeof(*ret_welcome), MSG_TRUNC);

	if (size < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (size == 0)
		return -EPIPE;
	return size == (ssize_t)sizeof(*ret_welcome) ? 1 : ERR_MALFORMED;
}

static void await_welcome(struct boxlink *link, int64_t now_ns)
{
	struct channel_welcome welcome;
	int got = read_welcome(link, &welcome);

	if (got == 0 && now_ns >= link->due_ns)
		got = -ETIMEDOUT;
	if (got == 0)
		return;
	if (got > 0 && welcome.version != CHANNEL_VERSION)
		got = -EPROTO;
	else if (got > 0 && (welcome.error != 0 || welcome.cores != link->cores))
		got = welcome.error != 0 ? welcome.error : -EINVAL;
	if (got < 0) {
		if (!link->told)
			log_warn("the dataplane refused the channel: %s", err_str(got));
		link->told = true;
		drop(link, now_ns);
		return;
	}
	link->state = UP;
	link->told = false;
	link->ops->connected(link->context, &welcome);
}

/** Deliver what one core has sent. @return false: it broke the ring */
static bool drain(struct boxlink *link, uint32_t core)
{
	struct bytering *ring = link->lanes[core].upcalls;

	for (uint32_t i = 0; i < BOXLINK_RECORDS_MAX && link->state == UP; i++) {
		const void *record;
		uint32_t size;
		int got = bytering_peek(ring, &record, &size);

		if (got == 0)
			return true;
		if (got < 0 || size < sizeof(struct upcall_header))
			return false;
		link->ops->upcall(link->context, core, record, size);
		bytering_release(ring);
	}
	link->more = true;
	return true;
}

static bool push(struct lane *lane, const void *head, uint32_t head_size, const void *tail,
		 uint32_t tail_size)
{
	uint8_t *room = bytering_claim(lane->commands, head_size + tail_size);

	if (room == NULL)
		return false;
	memcpy(room, head, head_size);
	if (tail_size > 0)
		memcpy(room + head_size, tail, tail_size);
	bytering_publish(lane->commands, head_size + tail_size);
	lane->wake = true;
	return true;
}

static void push_backlog(struct boxlink *link, struct lane *lane)
{
	while (!list_is_empty(&lane->backlog)) {
		struct waiting *first = LIST_ENTRY(lane->backlog.next, struct waiting, link);

		if (!push(lane, first->bytes, first->size, NULL, 0))
			return;
		list_remove(&first->link);
		link->backlog_size -= first->size;
		free(first);
	}
}

static void serve(struct boxlink *link, int64_t now_ns)
{
	struct channel_welcome more;
	uint64_t rings;
	ssize_t n;

	/* Cleared before draining: a bell for what is drained now costs an empty round, no more. */
	n = read(link->bell_fd, &rings, sizeof(rings));
	(void)n; /* EAGAIN: nobody rang */
	if (link->broken || read_welcome(link, &more) != 0) {
		log_warn("the dataplane is gone; reconnecting");
		drop(link, now_ns);
		return;
	}
	link->more = false;
	for (uint32_t i = 0; i < link->cores && link->state == UP; i++) {
		push_backlog(link, &link->lanes[i]);
		if (!drain(link, i)) {
			log_error("core %u broke its upcall ring; reconnecting", i);
			drop(link, now_ns);
			return;
		}
	}
}

int64_t boxlink_run(struct boxlink *link, int64_t now_ns)
{
	if (link->state == DOWN)
		try_connect(link, now_ns);
	if (link->state == GREETED)
		await_welcome(link, now_ns);
	if (link->state == UP)
		serve(link, now_ns);
	boxlink_flush(link);
	if (link->state != UP)
		return link->due_ns;
	if (link->more)
		return now_ns;
	/* A full command ring rings no bell when it empties. */
	return link->backlog_size > 0 ? now_ns + NS_PER_MS : INT64_MAX;
}

int boxlink_poll_fds(const struct boxlink *link, struct pollfd *ret_fds)
{
	if (link->state == DOWN)
		return 0;
	ret_fds[0] = (struct pollfd){ .fd = link->fd, .events = POLLIN };
	ret_fds[1] = (struct pollfd){ .fd = link->bell_fd, .events = POLLIN };
	return 2;
}

bool boxlink_is_up(const struct boxlink *link)
{
	return link->state == UP;
}

uint32_t boxlink_cores(const struct boxlink *link)
{
	return link->state == UP ? link->cores : 0;
}

static int keep_back(struct boxlink *link, struct lane *lane, const void *head, uint32_t head_size,
		     const void *tail, uint32_t tail_size)
{
	uint32_t size = head_size + tail_size;
	struct waiting *waiting;

	if (link->backlog_size + size > BOXLINK_BACKLOG_MAX) {
		link->broken = true;
		return -ENOTCONN;
	}
	waiting = malloc(sizeof(*waiting) + size);
	if (waiting == NULL)
		return -ENOMEM;
	list_init(&waiting->link);
	waiting->size = size;
	memcpy(waiting->bytes, head, head_size);
	if (tail_size > 0)
		memcpy(waiting->bytes + head_size, tail, tail_size);
	list_push_back(&lane->backlog, &waiting->link);
	link->backlog_size += size;
	return 0;
}

int boxlink_send(struct boxlink *link, uint32_t core, const void *head, uint32_t head_size,
		 const void *tail, uint32_t tail_size)
{
	struct lane *lane = &link->lanes[core];

	if (link->state != UP || link->broken)
		return -ENOTCONN;
	CHECK(core < link->cores);
	if (tail_size > BOXLINK_RECORD_MAX || head_size + tail_size > BOXLINK_RECORD_MAX)
		return ERR_TOO_LARGE;
	if (list_is_empty(&lane->backlog) && push(lane, head, head_size, tail, tail_size))
		return 0;
	return keep_back(link, lane, head, head_size, tail, tail_size);
}

void boxlink_flush(struct boxlink *link)
{
	for (uint32_t i = 0; i < link->cores; i++) {
		struct lane *lane = &link->lanes[i];
		uint64_t one = 1;

		if (lane->wake && write(lane->wake_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
			link->broken = true;
		lane->wake = false;
	}
}
