/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One end of connections over the kernel's TCP. Prints "ready", then a JSON object for each connection
 * when it ended, its FIN acknowledged and the peer's received.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"

#include "tests/netem/talk.h"

#define BUFFER_SIZE  (256U * 1024)
#define STATE_CLOSE  7 /* of tcp_info.tcpi_state; TIME-WAIT shows as closed */
#define WAIT_NS      (5 * NS_PER_MS)
#define BACKLOG      TALK_CONNECTIONS_MAX
#define PROTOCOL_TCP 6

struct end {
	struct talk talk;
	int fd; /* -1: closed */
};

struct kernel {
	struct talk_plan plan;
	struct end ends[TALK_CONNECTIONS_MAX];
	uint32_t count;
	int listener;
	uint8_t buffer[BUFFER_SIZE];
};

static struct tcp_info info_of(int fd)
{
	struct tcp_info info;
	socklen_t size = sizeof(info);

	memset(&info, 0, sizeof(info));
	(void)getsockopt(fd, PROTOCOL_TCP, TCP_INFO, &info, &size); /* zeros then */
	return info;
}

/* The connection is over, in one way or another. */
static void finish(struct end *end, const char *how, int64_t now_ns)
{
	struct tcp_info info = info_of(end->fd);
	char more[256];

	talk_end(&end->talk, how, now_ns);
	(void)snprintf(more, sizeof(more),
		       ",\"retransmits\":%u,\"srtt_us\":%u,\"dsacks\":%u,\"reorderings\":%u,"
		       "\"out_of_order\":%u",
		       info.tcpi_total_retrans, info.tcpi_rtt, info.tcpi_dsack_dups,
		       info.tcpi_reord_seen, info.tcpi_rcv_ooopack);
	talk_print(&end->talk, more);
	(void)close(end->fd);
	end->fd = -1;
}

static void finish_with(struct end *end, int error, int64_t now_ns)
{
	const char *how = error == ECONNREFUSED                   ? "refused"
			  : error == ECONNRESET || error == EPIPE ? "reset"
			  : error == ETIMEDOUT                    ? "timeout"
								  : strerror(error);

	finish(end, how, now_ns);
}

static void prepare(const struct talk_plan *plan, int fd)
{
	int on = 1;

	CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
	(void)setsockopt(fd, PROTOCOL_TCP, TCP_NODELAY, &on, sizeof(on));
	if (plan->congestion != NULL &&
	    setsockopt(fd, PROTOCOL_TCP, TCP_CONGESTION, plan->congestion,
		       (socklen_t)strlen(plan->congestion)) != 0)
		fprintf(stderr, "talk_kernel: no %s here\n", plan->congestion);
}

static bool read_some(struct kernel *kernel, struct end *end, int64_t now_ns)
{
	size_t room = MIN(talk_room(&end->talk, now_ns), (size_t)BUFFER_SIZE);
	ssize_t n;

	if (room == 0 || end->talk.has_eof)
		return false;
	n = recv(end->fd, kernel->buffer, room, 0);
	if (n > 0)
		talk_take(&end->talk, kernel->buffer, (size_t)n, now_ns);
	else if (n == 0)
		talk_eof(&end->talk, now_ns);
	else if (errno != EAGAIN && errno != EINTR)
		finish_with(end, errno, now_ns);
	else
		return false;
	return true;
}

static bool write_some(struct kernel *kernel, struct end *end, int64_t now_ns)
{
	size_t size = talk_give(&end->talk, kernel->buffer, BUFFER_SIZE, now_ns);
	ssize_t n;

	if (size == 0)
		return false;
	n = send(end->fd, kernel->buffer, size, MSG_NOSIGNAL);
	if (n > 0)
		talk_gave(&end->talk, (size_t)n);
	else if (errno != EAGAIN && errno != EINTR)
		finish_with(end, errno, now_ns);
	else
		return false;
	return true;
}

static void reset(struct end *end, int64_t now_ns)
{
	const struct linger linger = { .l_onoff = 1, .l_linger = 0 };

	(void)setsockopt(end->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	finish(end, "abort", now_ns);
}

/* @return whether the connection stands; if not yet, `end` may be over */
static bool is_connected(struct end *end, int64_t now_ns)
{
	struct pollfd fd = { end->fd, POLLOUT, 0 };
	int error = 0;
	socklen_t size = sizeof(error);

	if (end->talk.is_open)
		return true;
	if (poll(&fd, 1, 0) != 1)
		return false;
	(void)getsockopt(end->fd, SOL_SOCKET, SO_ERROR, &error, &size);
	if (error != 0) {
		finish_with(end, error, now_ns);
		return false;
	}
	talk_open(&end->talk, now_ns);
	return true;
}

/* @return whether something was done */
static bool serve(struct kernel *kernel, struct end *end, int64_t now_ns)
{
	struct talk *talk = &end->talk;
	bool is_done = false;

	if (end->fd < 0 || !is_connected(end, now_ns))
		return false;
	is_done |= read_some(kernel, end, now_ns);
	if (end->fd >= 0 && talk_wants_reset(talk)) {
		reset(end, now_ns);
		return true;
	}
	if (end->fd >= 0)
		is_done |= write_some(kernel, end, now_ns);
	if (end->fd >= 0 && talk_wants_shutdown(talk, now_ns)) {
		talk->is_shut = true;
		is_done = true;
		if (shutdown(end->fd, SHUT_WR) != 0)
			finish_with(end, errno, now_ns);
	}
	if (end->fd >= 0 && talk->has_eof && talk->is_shut &&
	    info_of(end->fd).tcpi_state == STATE_CLOSE)
		finish(end, "normal", now_ns);
	return is_done;
}

static int make_socket(struct kernel *kernel, uint16_t port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	CHECK(fd >= 0);
	prepare(&kernel->plan, fd);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (port != 0 && bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0) {
		perror("talk_kernel: bind");
		exit(1);
	}
	return fd;
}

static void connect_all(struct kernel *kernel, int64_t now_ns)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(kernel->plan.port) };

	CHECK(inet_pton(AF_INET, kernel->plan.address, &to.sin_addr) == 1);
	for (; kernel->count < kernel->plan.connections; kernel->count++) {
		struct end *end = &kernel->ends[kernel->count];

		talk_init(&end->talk, &kernel->plan, kernel->count, now_ns);
		end->fd = make_socket(kernel, kernel->plan.local_port);
		if (connect(end->fd, (struct sockaddr *)&to, sizeof(to)) != 0 &&
		    errno != EINPROGRESS)
			finish_with(end, errno, now_ns);
	}
}

static bool accept_one(struct kernel *kernel, int64_t now_ns)
{
	struct end *end = &kernel->ends[kernel->count];
	int fd;

	if (kernel->listener < 0 || kernel->count == kernel->plan.connections)
		return false;
	fd = accept4(kernel->listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		return false;
	prepare(&kernel->plan, fd);
	talk_init(&end->talk, &kernel->plan, kernel->count++, now_ns);
	talk_open(&end->talk, now_ns);
	end->fd = fd;
	return true;
}

/* Until an end can do something; states without an event are looked at again soon. */
static void wait_for_work(struct kernel *kernel, int64_t now_ns)
{
	struct pollfd fds[TALK_CONNECTIONS_MAX + 1];
	const struct timespec timeout = { 0, WAIT_NS };
	uint8_t probe[1];
	nfds_t count = 0;

	if (kernel->listener >= 0 && kernel->count < kernel->plan.connections)
		fds[count++] = (struct pollfd){ kernel->listener, POLLIN, 0 };
	for (uint32_t i = 0; i < kernel->count; i++) {
		struct end *end = &kernel->ends[i];
		short events = 0;

		if (end->fd < 0)
			continue;
		if (!end->talk.has_eof && talk_room(&end->talk, now_ns) > 0)
			events |= POLLIN;
		if (!end->talk.is_open || talk_give(&end->talk, probe, 1, now_ns) > 0)
			events |= POLLOUT;
		if (events != 0)
			fds[count++] = (struct pollfd){ end->fd, events, 0 };
	}
	(void)ppoll(fds, count, &timeout, NULL); /* everything is looked at anyway */
}

static uint32_t open_ends(const struct kernel *kernel)
{
	uint32_t open = kernel->plan.connections - kernel->count;

	for (uint32_t i = 0; i < kernel->count; i++)
		open += kernel->ends[i].fd >= 0;
	return open;
}

static void run(struct kernel *kernel)
{
	int64_t limit_ns = clock_now_ns() + kernel->plan.limit_ns;

	while (open_ends(kernel) > 0) {
		int64_t now_ns = clock_now_ns();
		bool is_done = accept_one(kernel, now_ns);

		if (kernel->listener < 0 && kernel->count == 0 &&
		    clock_wall_ms() >= kernel->plan.start_at_ms)
			connect_all(kernel, now_ns);
		for (uint32_t i = 0; i < kernel->count; i++)
			is_done |= serve(kernel, &kernel->ends[i], now_ns);
		if (now_ns >= limit_ns) {
			for (uint32_t i = 0; i < kernel->count; i++) {
				if (kernel->ends[i].fd >= 0)
					finish(&kernel->ends[i], "limit", now_ns);
			}
			return;
		}
		if (!is_done)
			wait_for_work(kernel, now_ns);
	}
}

int main(int argc, char **argv)
{
	static struct kernel kernel = { .listener = -1 };

	if (!talk_read_options(&kernel.plan, argc, argv))
		return 2;
	if (kernel.plan.address[0] == '\0') {
		kernel.listener = make_socket(&kernel, kernel.plan.port);
		CHECK(listen(kernel.listener, BACKLOG) == 0);
	}
	printf("ready\n");
	(void)fflush(stdout);
	run(&kernel);
	if (kernel.listener >= 0)
		(void)close(kernel.listener);
	return 0;
}
