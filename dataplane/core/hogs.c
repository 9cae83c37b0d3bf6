/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/core/hogs.h"

#include "dataplane/core/buffer.h"
#include "dataplane/core/outq.h"
#include "dataplane/core/request.h"
#include "dataplane/core/session.h"

#include "dataplane/core/hot.h"

#define SHARE_DIVISOR 8    /* one connection may have an eighth of what is free */
#define RESERVE       2304 /* blocks: an answer of 8 MiB, and some */

/* Input that has a place of its own in the ring, and is not waiting for us. */
static bool holds_input(const struct session *session)
{
	if (session->block == SESSION_BLOCK_MEMORY || session->block == SESSION_BLOCK_REQUEST ||
	    session->request == NULL)
		return false;
	return session->parser.op != NULL ||
	       (session->request->frame != NULL && session->request->frame->chunk != NULL);
}

/* A client that was refused for a while sends again when its retransmission timer says so. */
int64_t hogs_stall_ns(const struct session *session)
{
	return session->moved < HOGS_MOVE_SIZE ? HOGS_STRANGER_NS : HOGS_FRIEND_NS;
}

static bool is_hog(struct session *session, int64_t now_ns)
{
	uint64_t moved = session->moved + session->link->out.popped;
	int64_t patience_ns;

	if (session->state == SESSION_CLOSING)
		return false;
	if (session->link->out.size <= OUTQ_BLOCK_SIZE && !holds_input(session)) {
		session->hog_since_ns = 0;
		return false;
	}
	if (session->hog_since_ns == 0 || moved - session->hog_moved >= HOGS_MOVE_SIZE) {
		session->hog_since_ns = now_ns;
		session->hog_moved = moved;
		return false;
	}
	patience_ns = HOGS_PATIENCE_NS;
	if (session->link->out.size <= OUTQ_BLOCK_SIZE)
		patience_ns = hogs_stall_ns(session);
	return now_ns - session->hog_since_ns >= patience_ns;
}

uint32_t hogs_visit(struct core *core, int64_t now_ns)
{
	struct sessions *sessions = core->sessions;
	uint32_t count = MIN(sessions->open_count, HOGS_VISIT_MAX), closed = 0;

	for (uint32_t i = 0; i < count; i++) {
		struct list *node = sessions->sessions_open.next;
		struct session *session = LIST_ENTRY(node, struct session, node);

		list_remove(node);
		list_push_back(&sessions->sessions_open, node);
		if (!is_hog(session, now_ns))
			continue;
		session_fail(session, COUNTER_SESSION_CLOSE_HOG, true);
		closed++;
	}
	return closed;
}

uint64_t hogs_output_max(const struct session *session)
{
	uint64_t share = (uint64_t)outq_pool_free_count(session->core->outq_pool) *
			 OUTQ_BLOCK_SIZE / SHARE_DIVISOR;

	return MIN(share, (uint64_t)SESSION_OUTPUT_SOFT);
}

bool hogs_has_room(const struct core *core)
{
	return outq_pool_free_count(core->outq_pool) > RESERVE;
}
