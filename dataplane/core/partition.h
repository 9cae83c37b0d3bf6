/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Operations on a partition wherever its owner core is: run at once on the own core, else carried
 * there and back by the mesh. Waiting lists of a partition: appends blocked behind an open
 * reservation or short memory, appends waiting for the flush, readers waiting for data.
 *
 * Context: partition_run() on the asking core, the callbacks of storage on the owner.
 * Memory: operations come from a pool of the asking core, fixed at start.
 */
#pragma once

#include "base/defs.h"
#include "base/list.h"
#include "storage/batch.h"

#include "dataplane/core/command.h"
#include "dataplane/core/core.h"
#include "dataplane/core/stage.h"

#define PARTITION_OP_MAGIC 0x504f5031

enum partition_op_kind {
	PARTITION_APPEND,    /* the staged batch */
	PARTITION_READ,      /* `read`, copied into the stage when the owner is another core */
	PARTITION_EPOCH_END, /* KIP-279 */
	PARTITION_WAIT       /* until the high watermark passes `offset` */
};

/** Somebody waiting for the high watermark; linked in partition->waiters. */
struct partition_waiter {
	struct list node;
	void (*wake)(struct core *core, struct partition_waiter *waiter); /* already unlinked */
};

struct partition_op {
	uint32_t magic;
	enum partition_op_kind kind;
	struct partition *partition;
	struct core *asker;
	struct core *runner;     /* the owner's core, once it got there */
	struct mesh_item item;   /* asker > owner > asker */
	struct mesh_item cancel; /* PARTITION_WAIT: asker > owner > asker */
	struct list node;        /* pool; then partition->blocked or partition->pending */
	struct list starved;     /* in sessions->starved while the head of `blocked` lacks memory */
	/** The outcome is there. Runs on the asker, possibly before partition_run() returns. */
	void (*done)(struct core *core, struct partition_op *op);
	void *owner;        /* the asker's object */
	uint32_t in_flight; /* PARTITION_WAIT: mesh items out */
	int error;          /* 0 or enum err */
	/* append */
	struct stage stage; /* taken at the asker, released there */
	struct batch batch;
	bool is_acks_all;  /* done only when durable */
	bool is_duplicate; /* appended earlier */
	int64_t base_offset;
	int64_t append_time;
	int64_t start_offset;
	int64_t wait_offset;  /* durable once the high watermark is here */
	uint64_t cookie;      /* append by command */
	uint64_t connection;  /* append by command: control's, which alone wants the outcome */
	uint32_t response_at; /* produce: where in the response the outcome goes */
	/* read, epoch end, wait */
	struct seglog_read *read;
	struct partition_waiter waiter;
	int64_t offset;     /* epoch end: out */
	int32_t epoch;      /* epoch end: in and out */
	uint32_t read_size; /* bytes in the stage; ERR_TOO_LARGE: bytes the stage must have */
};

/** @return an operation with kind, partition and callbacks to be set; NULL: the pool is empty */
struct partition_op *partition_op_take(struct core *core);
/** Give back, with what its stage holds. */
void partition_op_free(struct core *core, struct partition_op *op);

/** Run it at the partition's owner. */
void partition_run(struct core *core, struct partition_op *op);

/** End a PARTITION_WAIT early; done() still runs, once. */
void partition_wait_cancel(struct core *core, struct partition_op *op);

/**
 * Append bytes of an open reservation's closing: commit, mark dirty, let blocked appends follow.
 * Runs done() at once, or after the flush when op asks for it.
 */
void partition_commit(struct core *core, struct partition_op *op);

/** The reservation of this partition was given up: let blocked appends follow. */
void partition_abandoned(struct core *core, struct partition *partition);

/** @return whether an append must be staged because others wait before it */
static inline bool partition_is_contended(const struct partition *partition)
{
	return !list_is_empty(&partition->blocked) || seglog_is_reserved(partition->log);
}

/** @return whether the calling core owns it and its log is attached */
static inline bool partition_is_here(const struct core *core, const struct partition *partition)
{
	return partition->owner == core->index;
}

/** seglog_core.on_durable; ctx is the core, the log's owner its partition. */
void partition_on_durable(void *ctx, struct seglog *log);

/** The log is about to be detached (topic deleted, shutdown): all that waits on it gets an error. */
void partition_on_detach(struct core *core, struct partition *partition);

/**
 * COMMAND_APPEND; answered by UPCALL_APPENDED after the flush, by every means: control waits for it
 * while it is connected.
 *
 * @return false: it failed, and the upcall ring has no room to say so; run it again later
 */
NODISCARD bool partition_append_command(struct core *core, const struct command_append *command);

/** Outcomes that found the upcall ring full try again. @return outcomes that went */
uint32_t partition_send_outcomes(struct core *core);

/** Blocked appends that lacked memory try again. @return appends that went through */
uint32_t partition_retry_starved(struct core *core);
