/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Metadata in a temporary data directory, and requests made and answered as bytes, for tests of
 * control's request handlers.
 */
#pragma once

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/meta/admin.h"

#define METABOX_SCRATCH (4U * 1024 * 1024)
#define METABOX_BYTES   (1024U * 1024)

struct metabox {
	char dir[64];
	struct config config;
	struct meta *meta;
	struct admin admin;
	uint8_t *scratch;
	uint8_t *request;
	uint8_t *reply;
	uint8_t *decoded; /* scratch of the test's own decoding */
};

static inline void metabox_reopen(struct metabox *box)
{
	meta_close(box->meta);
	box->meta = NULL;
	assert_int_equal(meta_open(&box->config, 1000, &box->meta), 0);
	box->admin = (struct admin){ .meta = box->meta, .config = &box->config };
}

static inline void metabox_init(struct metabox *box)
{
	memset(box, 0, sizeof(*box));
	(void)snprintf(box->dir, sizeof(box->dir), "/tmp/test_metabox.XXXXXX");
	assert_non_null(mkdtemp(box->dir));
	config_init(&box->config);
	(void)snprintf(box->config.data_dir, sizeof(box->config.data_dir), "%s", box->dir);
	box->config.offsets_partitions = 2;
	box->scratch = malloc(METABOX_SCRATCH);
	box->request = malloc(METABOX_BYTES);
	box->reply = malloc(METABOX_BYTES);
	box->decoded = malloc(METABOX_SCRATCH);
	assert_true(box->scratch != NULL && box->request != NULL && box->reply != NULL &&
		    box->decoded != NULL);
	metabox_reopen(box);
}

static inline int metabox_remove(const char *path, const struct stat *stat, int kind,
				 struct FTW *where)
{
	(void)stat;
	(void)kind;
	(void)where;
	return remove(path);
}

static inline void metabox_fini(struct metabox *box)
{
	meta_close(box->meta);
	(void)nftw(box->dir, metabox_remove, 8, FTW_DEPTH | FTW_PHYS);
	free(box->scratch);
	free(box->request);
	free(box->reply);
	free(box->decoded);
}

/** A writer for the request's bytes; metabox_call() takes what was written. */
static inline struct writer metabox_writer(struct metabox *box)
{
	struct writer writer;

	writer_init(&writer, box->request, METABOX_BYTES);
	return writer;
}

static inline struct call metabox_call(struct metabox *box, const struct writer *request,
				       int16_t api_key, int16_t version)
{
	struct call call = { .api_key = api_key,
			     .version = version,
			     .token = 1,
			     .client_id = WIRE_STRING("client"),
			     .client_host = WIRE_STRING("10.0.0.1"),
			     .now_ns = NS_PER_S,
			     .wall_ms = 1000 };

	assert_int_equal(request->error, 0);
	reader_init(&call.body, request->begin, writer_size(request));
	wire_scratch_init(&call.scratch, box->scratch, METABOX_SCRATCH);
	writer_init(&call.reply, box->reply, METABOX_BYTES);
	return call;
}
