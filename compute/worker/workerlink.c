/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/worker/workerlink.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"

#include "compute/task.h"
#include "compute/worker/workerline.h"

#define REASON_MAX 256

struct peer {
	uint32_t number; /* 0: free */
	int fd;
	bool is_subscribed;
	bool is_broken; /* to be closed at the end of the turn */
	struct workerline input;
	char *output; /* [output_size] bytes [output_begin, output_size) wait */
	size_t output_begin, output_size, output_room;
};

struct workerlink {
	const struct workerlink_ops *ops;
	void *context;
	int fd;
	uint32_t next_number;
	struct peer peers[WORKERLINK_PEERS_MAX];
};

int workerlink_open(const char *path, const struct workerlink_ops *ops, void *context,
		    struct workerlink **ret_link)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct workerlink *link;
	int error = 0;

	if (strlen(path) >= sizeof(address.sun_path))
		return ERR_TOO_LARGE;
	memcpy(address.sun_path, path, strlen(path));
	link = calloc(1, sizeof(*link));
	if (link == NULL)
		return -ENOMEM;
	link->ops = ops;
	link->context = context;
	link->next_number = 1;
	link->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	(void)unlink(path);
	if (link->fd < 0 ||
	    bind(link->fd, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
	    listen(link->fd, WORKERLINK_PEERS_MAX) != 0)
		error = -errno;
	if (error != 0) {
		workerlink_close(link);
		return error;
	}
	*ret_link = link;
	return 0;
}

static void close_peer(struct workerlink *link, struct peer *peer)
{
	const uint32_t number = peer->number;

	(void)close(peer->fd);
	workerline_close(&peer->input);
	free(peer->output);
	*peer = (struct peer){ 0 };
	link->ops->closed(link->context, number);
}

void workerlink_close(struct workerlink *link)
{
	if (link == NULL)
		return;
	for (uint32_t i = 0; i < WORKERLINK_PEERS_MAX; i++) {
		if (link->peers[i].number != 0)
			close_peer(link, &link->peers[i]);
	}
	if (link->fd >= 0)
		(void)close(link->fd);
	free(link);
}

static struct peer *find_peer(struct workerlink *link, uint32_t number)
{
	for (uint32_t i = 0; i < WORKERLINK_PEERS_MAX; i++) {
		if (link->peers[i].number == number)
			return &link->peers[i];
	}
	return NULL;
}

uint32_t workerlink_fds(const struct workerlink *link, struct pollfd *ret_fds)
{
	uint32_t count = 0;

	ret_fds[count++] = (struct pollfd){ .fd = link->fd, .events = POLLIN };
	for (uint32_t i = 0; i < WORKERLINK_PEERS_MAX; i++) {
		const struct peer *peer = &link->peers[i];
		const bool has_output = peer->output_begin < peer->output_size;

		if (peer->number != 0)
			ret_fds[count++] = (struct pollfd){
				.fd = peer->fd,
				.events = (short)(POLLIN | (has_output ? POLLOUT : 0)),
			};
	}
	return count;
}

/* ---- output ---- */

static int add_output(struct peer *peer, const char *text, size_t size)
{
	size_t wanted;
	char *bigger;

	if (peer->output_begin == peer->output_size)
		peer->output_begin = peer->output_size = 0;
	if (peer->output_size + size + 1 > peer->output_room) {
		wanted = MAX(2 * peer->output_room, peer->output_size + size + 1);
		if (wanted > 2 * (size_t)WORKERLINK_OUTPUT_MAX)
			return ERR_TOO_LARGE;
		bigger = realloc(peer->output, wanted);
		if (bigger == NULL)
			return -ENOMEM;
		peer->output = bigger;
		peer->output_room = wanted;
	}
	memcpy(peer->output + peer->output_size, text, size);
	peer->output_size += size;
	peer->output[peer->output_size++] = '\n';
	return peer->output_size - peer->output_begin > WORKERLINK_OUTPUT_MAX ? ERR_TOO_LARGE : 0;
}

static void flush_peer(struct peer *peer)
{
	while (!peer->is_broken && peer->output_begin < peer->output_size) {
		ssize_t count = send(peer->fd, peer->output + peer->output_begin,
				     peer->output_size - peer->output_begin, MSG_NOSIGNAL);

		if (count >= 0)
			peer->output_begin += (size_t)count;
		else if (errno == EAGAIN)
			return;
		else if (errno != EINTR)
			peer->is_broken = true;
	}
}

static void send_text(struct peer *peer, const char *text, size_t size)
{
	if (peer->is_broken)
		return;
	if (add_output(peer, text, size) != 0) {
		log_warn("a peer does not read what it is sent: closed");
		peer->is_broken = true;
		return;
	}
	flush_peer(peer);
}

void workerlink_subscribe(struct workerlink *link, uint32_t peer)
{
	struct peer *found = find_peer(link, peer);

	if (found != NULL)
		found->is_subscribed = true;
}

void workerlink_send(struct workerlink *link, uint32_t peer, const json_t *message)
{
	char *text = json_dumps(message, JSON_COMPACT);

	if (text == NULL) {
		log_error("a message could not be sent: no memory");
		return;
	}
	for (uint32_t i = 0; i < WORKERLINK_PEERS_MAX; i++) {
		struct peer *to = &link->peers[i];

		if (to->number != 0 &&
		    (to->number == peer || (peer == WORKERLINK_ALL && to->is_subscribed)))
			send_text(to, text, strlen(text));
	}
	free(text);
}

/* ---- input ---- */

static void refuse(struct workerlink *link, struct peer *peer, const char *why)
{
	json_t *answer = json_pack("{ss ss}", "op", "error", "message", why);

	if (answer != NULL)
		workerlink_send(link, peer->number, answer);
	json_decref(answer);
}

static void take_lines(struct workerlink *link, struct peer *peer)
{
	char reason[REASON_MAX];
	json_t *message;
	int result;

	while (!peer->is_broken) {
		result = workerline_next(&peer->input, &message, reason, sizeof(reason));
		if (result == 0)
			return;
		if (result == 1) {
			link->ops->line(link->context, peer->number, message);
			json_decref(message);
		} else {
			refuse(link, peer, reason);
		}
	}
}

static void read_peer(struct workerlink *link, struct peer *peer)
{
	while (!peer->is_broken) {
		size_t room;
		char *at;
		ssize_t count;

		if (workerline_room(&peer->input, &at, &room) != 0) {
			refuse(link, peer, "the line is too long");
			peer->is_broken = true;
			return;
		}
		count = recv(peer->fd, at, room, 0);
		if (count > 0) {
			workerline_filled(&peer->input, (size_t)count);
			take_lines(link, peer);
		} else if (count < 0 && errno == EAGAIN) {
			return;
		} else if (count == 0 || errno != EINTR) {
			peer->is_broken = true;
		}
	}
}

static void accept_peers(struct workerlink *link)
{
	for (;;) {
		int fd = accept4(link->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		struct peer *peer = find_peer(link, 0);

		if (fd < 0)
			return;
		if (peer == NULL) {
			log_warn("a connection was refused: %d are open", WORKERLINK_PEERS_MAX);
			(void)close(fd);
			continue;
		}
		peer->number = link->next_number++;
		peer->fd = fd;
	}
}

void workerlink_run(struct workerlink *link)
{
	accept_peers(link);
	for (uint32_t i = 0; i < WORKERLINK_PEERS_MAX; i++) {
		struct peer *peer = &link->peers[i];

		if (peer->number == 0)
			continue;
		flush_peer(peer);
		read_peer(link, peer);
	}
	for (uint32_t i = 0; i < WORKERLINK_PEERS_MAX; i++) {
		if (link->peers[i].number != 0 && link->peers[i].is_broken)
			close_peer(link, &link->peers[i]);
	}
}
