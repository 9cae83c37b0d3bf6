/* SPDX-License-Identifier: Apache-2.0 */
/* Claim: routes match by path and method, bodies are bounded, tokens are asked for, parked calls are
   answered later, and every refusal is JSON with a status of its own. Shown over real connections to a
   server on loopback, driven step by step as control's loop does. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/http/http.h"

#include "cm.h"

static struct http_call *parked;

static void handle_hello(void *ctx, struct http_call *call)
{
	http_reply(call, 200, "text/plain", ctx, strlen(ctx));
}

static void handle_thing(void *ctx, struct http_call *call)
{
	json_t *body = http_call_json(call);

	(void)ctx;
	http_reply_json(
		call, 200,
		json_pack("{s:s, s:b}", "rest", http_call_rest(call), "body", body != NULL));
	json_decref(body);
}

static void handle_later(void *ctx, struct http_call *call)
{
	(void)ctx;
	parked = call;
}

static const struct http_route routes[] = {
	{ "GET", "/health", handle_hello },
	{ "GET", "/hello", handle_hello },
	{ "POST", "/things/*", handle_thing },
	{ "GET", "/later", handle_later },
};
static char greeting[] = "good day";

/** Start a server on a free port of 127.0.0.1. */
static struct http *start(const char *token, uint16_t *ret_port)
{
	struct http *http = NULL;
	char why[256];

	for (uint16_t port = 21500; port < 21900; port++) {
		struct http_config config = {
			.address = "127.0.0.1",
			.port = port,
			.token = token,
			.routes = routes,
			.route_count = ARRAY_COUNT(routes),
			.ctx = greeting,
		};

		if (http_open(&config, &http, why, sizeof(why)) == 0) {
			*ret_port = port;
			return http;
		}
	}
	fail_msg("no free port: %s", why);
	return NULL;
}

static int connect_to(uint16_t port)
{
	struct sockaddr_in where = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&where, sizeof(where)), 0);
	return fd;
}

/** Let the server work until the peer has an answer (or closes), then read all of it. */
static void exchange(struct http *http, uint16_t port, const char *request, char *ret, size_t size)
{
	int fd = connect_to(port);
	size_t sent = 0, got = 0;

	for (int turn = 0; turn < 5000; turn++) {
		if (sent < strlen(request)) {
			ssize_t n = send(fd, request + sent, strlen(request) - sent,
					 MSG_DONTWAIT | MSG_NOSIGNAL);
			sent += n > 0 ? (size_t)n : 0;
		}
		http_run(http);
		if (parked != NULL && turn > 5) {
			struct http_call *call = parked;

			parked = NULL;
			http_reply_json(call, 200, json_pack("{s:s}", "late", "yes"));
		}
		ssize_t n = recv(fd, ret + got, size - 1 - got, MSG_DONTWAIT);
		if (n == 0)
			break;
		if (n > 0)
			got += (size_t)n;
		else
			(void)poll(NULL, 0, 1);
	}
	ret[got] = '\0';
	(void)close(fd);
}

static void expect(struct http *http, uint16_t port, const char *request, const char *status,
		   const char *part)
{
	static char answer[8192];

	exchange(http, port, request, answer, sizeof(answer));
	if (strncmp(answer, status, strlen(status)) != 0 || strstr(answer, part) == NULL)
		fail_msg("%s\nwanted %s ... %s, got\n%s", request, status, part, answer);
}

#define CLOSE "Host: x\r\nConnection: close\r\n"

static void test_http_routes_by_path_and_method(void **state)
{
	uint16_t port;
	struct http *http = start("", &port);

	(void)state;
	expect(http, port, "GET /hello HTTP/1.1\r\n" CLOSE "\r\n", "HTTP/1.1 200", "good day");
	expect(http, port, "POST /hello HTTP/1.1\r\n" CLOSE "Content-Length: 0\r\n\r\n",
	       "HTTP/1.1 405", "\"error\"");
	expect(http, port, "GET /nowhere HTTP/1.1\r\n" CLOSE "\r\n", "HTTP/1.1 404", "/nowhere");
	expect(http, port,
	       "POST /things/a.b HTTP/1.1\r\n" CLOSE "Content-Length: 7\r\n\r\n{\"x\":1}",
	       "HTTP/1.1 200", "{\"rest\":\"a.b\",\"body\":true}");
	http_close(http);
}

static void test_http_parked_call_is_answered_later(void **state)
{
	uint16_t port;
	struct http *http = start("", &port);

	(void)state;
	expect(http, port, "GET /later HTTP/1.1\r\n" CLOSE "\r\n", "HTTP/1.1 200", "late");
	http_close(http);
}

static void test_http_refuses_a_body_over_the_limit(void **state)
{
	uint16_t port;
	struct http *http = start("", &port);
	size_t size = HTTP_BODY_MAX + 10;
	char *request = malloc(size + 200);

	(void)state;
	assert_non_null(request);
	int head =
		snprintf(request, 200,
			 "POST /things/x HTTP/1.1\r\n" CLOSE "Content-Length: %zu\r\n\r\n", size);
	memset(request + head, 'x', size);
	request[(size_t)head + size] = '\0';
	expect(http, port, request, "HTTP/1.1 413", "\"error\"");
	free(request);
	http_close(http);
}

static void test_http_token_is_asked_for(void **state)
{
	uint16_t port;
	struct http *http = start("secret", &port);

	(void)state;
	expect(http, port, "GET /hello HTTP/1.1\r\n" CLOSE "\r\n", "HTTP/1.1 401", "http.token");
	expect(http, port, "GET /hello HTTP/1.1\r\n" CLOSE "Authorization: Bearer secre\r\n\r\n",
	       "HTTP/1.1 401", "http.token");
	expect(http, port, "GET /hello HTTP/1.1\r\n" CLOSE "Authorization: Bearer secret\r\n\r\n",
	       "HTTP/1.1 200", "good day");
	expect(http, port, "GET /health HTTP/1.1\r\n" CLOSE "\r\n", "HTTP/1.1 200", "good day");
	http_close(http);
}

static void test_http_changes_only_from_its_own_page(void **state)
{
	uint16_t port;
	struct http *http = start("", &port);

	(void)state;
#define POST "POST /things/x HTTP/1.1\r\n" CLOSE "Content-Length: 0\r\n"
	expect(http, port, POST "Origin: http://evil.example\r\n\r\n", "HTTP/1.1 403",
	       "other sites");
	expect(http, port, POST "Origin: null\r\n\r\n", "HTTP/1.1 403", "other sites");
	expect(http, port, POST "Origin: http://x\r\n\r\n", "HTTP/1.1 200", "rest");
	expect(http, port, POST "\r\n", "HTTP/1.1 200", "rest");
	http_close(http);
}

static void test_http_errors_are_utf8_whatever_the_path_is(void **state)
{
	uint16_t port;
	struct http *http = start("", &port);

	(void)state;
	expect(http, port, "GET /no%ff%c3 HTTP/1.1\r\n" CLOSE "\r\n", "HTTP/1.1 404",
	       "no\xef\xbf\xbd\xef\xbf\xbd");
	http_close(http);
}

static void test_http_open_beyond_loopback_wants_a_token(void **state)
{
	struct http_config config = {
		.address = "0.0.0.0",
		.port = 21999,
		.token = "",
		.routes = routes,
		.route_count = ARRAY_COUNT(routes),
		.ctx = greeting,
	};
	struct http *http = NULL;
	char why[256];

	(void)state;
	assert_int_equal(http_open(&config, &http, why, sizeof(why)), -EACCES);
	assert_non_null(strstr(why, "http.token"));
	config.address = "nonsense";
	assert_int_equal(http_open(&config, &http, why, sizeof(why)), -EINVAL);
	assert_null(http);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_http_routes_by_path_and_method),
		cmocka_unit_test(test_http_parked_call_is_answered_later),
		cmocka_unit_test(test_http_refuses_a_body_over_the_limit),
		cmocka_unit_test(test_http_token_is_asked_for),
		cmocka_unit_test(test_http_changes_only_from_its_own_page),
		cmocka_unit_test(test_http_errors_are_utf8_whatever_the_path_is),
		cmocka_unit_test(test_http_open_beyond_loopback_wants_a_token),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
