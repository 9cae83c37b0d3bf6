/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Secrets made unreadable in text, whole or in pieces.
 *
 * Every byte of every occurrence of a secret is hidden, also where occurrences overlap; those that do
 * are one ***, those side by side are one each. A secret that begins like another leaves nothing of
 * the longer one. A text that was cut ends in what may be the beginning of a secret, which is hidden
 * as well, from REDACT_SIZE_MIN bytes on.
 *
 * Context: one thread while secrets are added, any afterwards; one thread a stream. Memory: copies of
 * the secrets; a stream holds the longest of them and REDACT_PIECE.
 * Limits: secrets shorter than REDACT_SIZE_MIN are everywhere and stay.
 */
#pragma once

#include "base/defs.h"

#define REDACT_MASK     "***"
#define REDACT_SIZE_MIN 3 /* so that text never grows */
#define REDACT_PIECE    4096U

struct redact;
struct redact_stream;

/** @return 0; -ENOMEM */
NODISCARD int redact_new(struct redact **ret_redact);
/** NULL is accepted. */
void redact_free(struct redact *redact);
DEFINE_CLEANUP(struct redact, redact_free);

/** One more secret, any bytes; it is copied. @return 0; -ENOMEM: it would stay readable */
NODISCARD int redact_add(struct redact *redact, const char *secret, size_t size);

/**
 * Hide the secrets of a text, in place.
 *
 * @param is_cut  it went on once
 * @return its size now, never more
 */
size_t redact_text(const struct redact *redact, char *text, size_t size, bool is_cut);

/** Takes clean text. */
typedef void (*redact_sink)(void *context, const char *text, size_t size);

/**
 * A text that comes in pieces. Only what may be the beginning of a secret is held back.
 *
 * @param redact  borrowed; nothing is added to it any more
 * @return 0; -ENOMEM
 */
NODISCARD int redact_stream_new(const struct redact *redact, redact_sink sink, void *context,
				struct redact_stream **ret_stream);
/** NULL is accepted; what is held back is lost. */
void redact_stream_free(struct redact_stream *stream);

void redact_stream_put(struct redact_stream *stream, const char *text, size_t size);
/** What was held back comes, too. The next piece begins another text. @param is_cut  as above */
void redact_stream_end(struct redact_stream *stream, bool is_cut);
