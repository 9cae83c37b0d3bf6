/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/core/channel_server.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"
#include "base/log.h"

#include "dataplane/core/channel.h"

#define FDS_MAX (2 + CHANNEL_CORES_MAX)

/** The rings of one connection. */
struct channel_link {
	struct channel_server *server;
	struct list node; /* of the server */
	void *map;
	size_t map_size;
	int fds[FDS_MAX]; /* memfd (-1 once mapped), eventfd to control, eventfd per core */
	uint32_t fd_count;
	uint32_t unreleased; /* ports that a core still has */
	bool is_dropped;
	struct channel_port ports[CHANNEL_CORES_MAX];
};

struct channel_server {
	uint32_t cores;
	struct mesh *mesh;
	bool is_unclean_start;
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	int listen_fd;
	int pending_fd;            /* accepted, has not said hello; -1: none */
	int current_fd;            /* -1: none */
	struct channel_link *link; /* of current_fd */
	struct list links;
	uint32_t link_count;
};

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void link_free(struct channel_link *link)
{
	for (uint32_t i = 0; i < link->fd_count; i++)
		close_fd(&link->fds[i]);
	if (link->map != NULL)
		munmap(link->map, link->map_size);
	list_remove(&link->node);
	link->server->link_count--;
	free(link);
}

/* The connection is gone: every core lets its rings go, the last one ends the mapping. */
static void drop_current(struct channel_server *server)
{
	struct channel_link *link = server->link;

	close_fd(&server->current_fd);
	server->link = NULL;
	if (link == NULL)
		return;
	link->is_dropped = true;
	for (uint32_t i = 0; i < server->cores; i++)
		mesh_send(server->mesh, server->cores, i, &link->ports[i].drop);
}

static void on_released(void *housekeeper, struct mesh_item *item)
{
	struct channel_link *link = CONTAINER_OF(item, struct channel_port, released)->link;

	(void)housekeeper;
	CHECK(link->is_dropped && link->unreleased > 0);
	if (--link->unreleased == 0)
		link_free(link);
}

static void on_broken(void *housekeeper, struct mesh_item *item)
{
	struct channel_link *link = CONTAINER_OF(item, struct channel_port, broken)->link;

	(void)housekeeper;
	if (link->server->link != link)
		return;
	log_warn("control sent a command that breaks the format: its connection is closed");
	drop_current(link->server);
}

int channel_server_open(const struct channel_server_args *args, struct channel_server **ret_server)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct channel_server *server;
	int error;

	CHECK(args->cores > 0 && args->cores <= CHANNEL_CORES_MAX);
	if (strlen(args->path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	server = calloc(1, sizeof(*server));
	if (server == NULL)
		return -ENOMEM;
	memcpy(address.sun_path, args->path, strlen(args->path) + 1);
	memcpy(server->path, address.sun_path, sizeof(server->path));
	server->cores = args->cores;
	server->mesh = args->mesh;
	server->is_unclean_start = args->is_unclean_start;
	server->pending_fd = server->current_fd = -1;
	list_init(&server->links);
	server->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	/* The data directory's lock says that nobody else listens there. */
	(void)unlink(args->path);
	if (server->listen_fd < 0 ||
	    bind(server->listen_fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(server->listen_fd, 4) < 0) {
		error = -errno;
		close_fd(&server->listen_fd);
		free(server);
		return error;
	}
	*ret_server = server;
	return 0;
}

void channel_server_close(struct channel_server *server)
{
	if (server == NULL)
		return;
	LIST_EACH_SAFE(&server->links, node)
	{
		link_free(LIST_ENTRY(node, struct channel_link, node));
	}
	close_fd(&server->listen_fd);
	close_fd(&server->pending_fd);
	close_fd(&server->current_fd);
	(void)unlink(server->path);
	free(server);
}

void channel_server_fds(const struct channel_server *server, struct pollfd *ret_fds)
{
	/* While old rings are still in use, whoever wants new ones waits. */
	bool is_full = server->link_count >= CHANNEL_SERVER_LINKS_MAX;

	ret_fds[0] = (struct pollfd){ .fd = server->listen_fd, .events = POLLIN };
	ret_fds[1] = (struct pollfd){ .fd = is_full ? -1 : server->pending_fd, .events = POLLIN };
	ret_fds[2] = (struct pollfd){ .fd = server->current_fd, .events = POLLIN };
}

static size_t ring_stride(void)
{
	return ALIGN_UP(bytering_memory_size(CHANNEL_RING_SIZE), CHANNEL_RING_ALIGN);
}

/* Map the memfd and find the rings in it. The seal keeps it from shrinking under the mapping. */
static int map_rings(struct channel_link *link)
{
	uint32_t cores = link->server->cores;
	size_t stride = ring_stride();
	struct stat info;
	int seals = fcntl(link->fds[0], F_GET_SEALS);
	uint8_t *at;

	link->map_size = 2 * cores * stride;
	if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 || fstat(link->fds[0], &info) < 0 ||
	    (uint64_t)info.st_size < link->map_size)
		return -EPROTO;
	at = mmap(NULL, link->map_size, PROT_READ | PROT_WRITE, MAP_SHARED, link->fds[0], 0);
	if (at == MAP_FAILED)
		return -errno;
	link->map = at;
	close_fd(&link->fds[0]);
	for (uint32_t i = 0; i < cores; i++) {
		struct channel_port *port = &link->ports[i];

		port->commands = bytering_attach(at + 2 * i * stride, stride, CHANNEL_RING_SIZE);
		port->upcalls =
			bytering_attach(at + (2 * i + 1) * stride, stride, CHANNEL_RING_SIZE);
		if (port->commands == NULL || port->upcalls == NULL)
			return -EPROTO;
		port->control_fd = link->fds[1];
		port->wake_fd = link->fds[2 + i];
	}
	return 0;
}

static void prepare_ports(struct channel_link *link)
{
	for (uint32_t i = 0; i < link->server->cores; i++) {
		struct channel_port *port = &link->ports[i];

		port->link = link;
		port->install.run = channel_on_install;
		port->drop.run = channel_on_drop;
		port->broken.run = on_broken;
		port->released.run = on_released;
		list_init(&port->install.node);
		list_init(&port->drop.node);
		list_init(&port->broken.node);
		list_init(&port->released.node);
	}
}

/* Descriptors of the hello; those of a truncated message are closed by the kernel. */
static void take_fds(struct channel_link *link, struct msghdr *message)
{
	for (struct cmsghdr *at = CMSG_FIRSTHDR(message); at != NULL;
	     at = CMSG_NXTHDR(message, at)) {
		size_t count = (at->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(at) + i * sizeof(int), sizeof(fd));
			if (link->fd_count < FDS_MAX)
				link->fds[link->fd_count++] = fd;
			else
				close(fd);
		}
	}
}

/* @return 0 the hello is good; -errno */
static int receive_hello(struct channel_server *server, struct channel_link *link)
{
	struct channel_hello hello;
	struct iovec iov = { .iov_base = &hello, .iov_len = sizeof(hello) };
	union {
		struct cmsghdr align;
		uint8_t bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control;
	struct msghdr message = { .msg_iov = &iov,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	ssize_t size = recvmsg(server->pending_fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (size < 0)
		return -errno;
	take_fds(link, &message);
	if (size == 0)
		return -ECONNRESET;
	if (size != sizeof(hello) || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 ||
	    hello.version != CHANNEL_VERSION)
		return -EPROTO;
	if (hello.cores != server->cores || link->fd_count != 2 + server->cores)
		return -EINVAL;
	/* Neither waking control nor draining a wake-up may ever block a core. */
	for (uint32_t i = 1; i < link->fd_count; i++) {
		if (fcntl(link->fds[i], F_SETFL, O_NONBLOCK) < 0)
			return -EPROTO;
	}
	return map_rings(link);
}

static void welcome(const struct channel_server *server, int fd, int error, uint64_t generation)
{
	const struct channel_welcome answer = {
		.version = CHANNEL_VERSION,
		.error = error,
		.cores = server->cores,
		.is_unclean_start = server->is_unclean_start,
		.snapshot_generation = generation,
	};

	/* A peer that is gone already is noticed at the next receive. */
	if (send(fd, &answer, sizeof(answer), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return;
}

static void greet(struct channel_server *server, uint64_t generation)
{
	struct channel_link *link = calloc(1, sizeof(*link));
	int error;

	if (link == NULL)
		return;
	link->server = server;
	list_init(&link->node);
	list_push_back(&server->links, &link->node);
	server->link_count++;
	prepare_ports(link);
	error = receive_hello(server, link);
	if (error < 0) {
		link_free(link);
		if (error == -EAGAIN)
			return;
		if (error != -ECONNRESET) {
			log_warn("control's hello was refused: %s", err_str(error));
			welcome(server, server->pending_fd, error, generation);
		}
		close_fd(&server->pending_fd);
		return;
	}
	drop_current(server);
	server->current_fd = server->pending_fd;
	server->pending_fd = -1;
	server->link = link;
	link->unreleased = server->cores;
	for (uint32_t i = 0; i < server->cores; i++)
		mesh_send(server->mesh, server->cores, i, &link->ports[i].install);
	welcome(server, server->current_fd, 0, generation);
	log_info("control is connected");
}

/* After the hello control says nothing more: whatever can be read is the end, or nonsense. */
static void watch_current(struct channel_server *server)
{
	char byte;
	ssize_t size = recv(server->current_fd, &byte, 1, MSG_DONTWAIT);

	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	log_warn("control is gone: requests that need it get retriable errors until it returns");
	drop_current(server);
}

void channel_server_poll(struct channel_server *server, uint64_t generation)
{
	int fd;

	if (server->current_fd >= 0)
		watch_current(server);
	if (server->pending_fd >= 0 && server->link_count < CHANNEL_SERVER_LINKS_MAX)
		greet(server, generation);
	fd = accept4(server->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return;
	/* A newer one that is about to say hello counts more than one that never did. */
	close_fd(&server->pending_fd);
	server->pending_fd = fd;
	if (server->link_count < CHANNEL_SERVER_LINKS_MAX)
		greet(server, generation);
}
