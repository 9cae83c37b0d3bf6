/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: peers' lines arrive one by one, answers go to the one or to all that subscribed, bad lines are answered, and
   a peer that is gone is told once. Shown with real sockets. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "compute/worker/workerlink.h"

#include "cm.h"

struct seen {
	uint32_t lines, closed, last_peer;
};

static void on_line(void *context, uint32_t peer, json_t *message)
{
	struct seen *seen = context;

	(void)message;
	seen->lines++;
	seen->last_peer = peer;
}

static void on_closed(void *context, uint32_t peer)
{
	struct seen *seen = context;

	(void)peer;
	seen->closed++;
}

static const struct workerlink_ops ops = { .line = on_line, .closed = on_closed };

static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void hear(int fd, const char *wanted)
{
	char text[256] = "";
	ssize_t size = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);

	if (wanted == NULL) {
		assert_true(size < 0 && errno == EAGAIN);
		return;
	}
	assert_true(size > 0);
	if (strstr(text, wanted) == NULL)
		fail_msg("%s", text);
}

static void test_workerlink_carries_lines_both_ways(void **state)
{
	char path[] = "/tmp/test_workerlink.XXXXXX";
	json_t *message = json_pack("{ss}", "op", "news");
	struct pollfd fds[WORKERLINK_FDS_MAX];
	struct workerlink *link = NULL;
	struct seen seen = { 0 };
	int first, second;
	uint32_t peer;

	(void)state;
	assert_non_null(mkdtemp(path));
	(void)rmdir(path);
	assert_int_equal(workerlink_open(path, &ops, &seen, &link), 0);
	first = connect_to(path);
	second = connect_to(path);
	workerlink_run(link);
	assert_int_equal(workerlink_fds(link, fds), 3);
	say(first, "{\"op\":1}\n{\"op\":2}\n{\"o");
	workerlink_run(link);
	assert_int_equal(seen.lines, 2);
	peer = seen.last_peer;
	workerlink_send(link, WORKERLINK_ALL, message);
	hear(first, NULL);
	workerlink_subscribe(link, peer);
	workerlink_send(link, WORKERLINK_ALL, message);
	hear(first, "{\"op\":\"news\"}\n");
	hear(second, NULL);
	say(first, "p\":3}\nnot json\n");
	workerlink_run(link);
	assert_int_equal(seen.lines, 3);
	hear(first, "\"error\"");
	(void)close(first);
	workerlink_run(link);
	workerlink_send(link, peer, message);
	assert_int_equal(seen.closed, 1);
	say(second, "{}\n");
	workerlink_run(link);
	assert_int_equal(seen.lines, 4);
	assert_true(seen.last_peer != peer);
	workerlink_close(link);
	assert_int_equal(seen.closed, 2);
	(void)close(second);
	(void)unlink(path);
	json_decref(message);
}

static void test_workerlink_refuses_a_path_that_is_too_long(void **state)
{
	char path[256];
	struct workerlink *link;

	(void)state;
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_true(workerlink_open(path, &ops, NULL, &link) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_workerlink_carries_lines_both_ways),
		cmocka_unit_test(test_workerlink_refuses_a_path_that_is_too_long),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
