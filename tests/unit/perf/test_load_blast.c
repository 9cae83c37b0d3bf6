/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: a blaster goes on until its socket takes no more. It once gave away what its queue had, which is less
   than a send buffer takes, and then slept with nothing under way. Shown over loopback with bodies so small
   that a whole queue is far below any send buffer; nobody reads. */
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cm.h"
#include "perf/load/load_blast.h"
#include "perf/load/load_sock.h"

#define BODY  16U
#define QUEUE (64U * BODY) /* bytes of a queue that is full */

static int listen_somewhere(uint16_t *ret_port)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 4), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
	*ret_port = ntohs(at.sin_port);
	return fd;
}

static void test_load_blast_does_not_run_dry(void **state)
{
	struct load_call_target target = { .address = INADDR_LOOPBACK };
	struct load_net *net = load_sock_new();
	struct load_blast *blast = NULL;
	int fd = listen_somewhere(&target.port);
	uint64_t before;

	(void)state;
	assert_non_null(net);
	assert_int_equal(load_blast_new(net, &target, 1, BODY, &blast), 0);
	before = load_blast_bytes(blast);
	load_blast_run(blast, net, 0);
	assert_true(load_blast_bytes(blast) - before >= 4 * QUEUE);
	assert_int_equal(load_blast_lost(blast), 0);
	load_blast_free(blast);
	load_net_free(net);
	(void)close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_load_blast_does_not_run_dry),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
