/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The unix socket that control connects to, and the rings it brings (command.h says what is sent).
 *
 * Context: housekeeper thread; never blocks. Memory: one mapping per
 * connection, CHANNEL_SERVER_LINKS_MAX at most; more connections wait.
 */
#pragma once

#include "base/defs.h"

#include "dataplane/core/mesh.h"

struct channel_server;

struct channel_server_args {
	const char *path; /* of the socket */
	uint32_t cores;
	struct mesh *mesh;
	bool is_unclean_start;
};

/** @return 0; -errno */
NODISCARD int channel_server_open(const struct channel_server_args *args,
				  struct channel_server **ret_server);
/** After the cores stopped; removes the socket file. NULL is accepted. */
void channel_server_close(struct channel_server *server);

#define CHANNEL_SERVER_FDS       3
#define CHANNEL_SERVER_LINKS_MAX 3
struct pollfd;

/** Fill [CHANNEL_SERVER_FDS] descriptors to wait for; unused ones have fd -1. */
void channel_server_fds(const struct channel_server *server, struct pollfd *ret_fds);

/** Accept, greet and drop connections. @param generation  of the snapshot served, for the welcome */
void channel_server_poll(struct channel_server *server, uint64_t generation);
