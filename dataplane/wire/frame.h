/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * What stands around a message: the size and the header of a request or response, and the frame of
 * a metadata log record.
 *
 * Context: any thread; no allocation. Memory: borrowed buffers. Source: Kafka 4.3.1, KIP-482.
 */
#pragma once

#include "dataplane/wire/api.h"

/** Bytes of the int32 in front of every request and response. */
#define WIRE_FRAME_PREFIX_SIZE 4

/** Kafka's frame version of metadata records. */
#define WIRE_RECORD_FRAME_VERSION 1

struct wire_request_header {
	int16_t api_key;
	int16_t api_version;
	int32_t correlation_id;
	struct wire_string client_id; /* null allowed; borrowed from the input */
	uint32_t size;                /* bytes the header took; the message follows */
};

struct wire_record_frame {
	int16_t key;     /* enum wire_record_key */
	int16_t version; /* of the message that follows */
};

/**
 * Read a request's header, v1 or v2 by api and version. An api this box does not serve is read as v1,
 * which yields the correlation id for the answer; the caller then refuses by wire_api_is_served().
 *
 * @param reader  at the first byte behind the frame size; left at the message
 * @return 0; ERR_TRUNCATED, ERR_MALFORMED
 */
NODISCARD int wire_decode_request_header(struct reader *reader,
					 struct wire_request_header *ret_header);

void wire_encode_request_header(struct writer *writer, const struct wire_request_header *header);

/**
 * Write a response's header: v1 (with empty tagged fields) for flexible versions except ApiVersions,
 * which a client must be able to read before it knows the broker, else v0.
 */
void wire_encode_response_header(struct writer *writer, int16_t api_key, int16_t api_version,
				 int32_t correlation_id);

/** The client's side: @return 0; ERR_TRUNCATED, ERR_MALFORMED */
NODISCARD int wire_decode_response_header(struct reader *reader, int16_t api_key,
					  int16_t api_version, int32_t *ret_correlation_id);

/** Leave room for the frame size; @return mark for wire_frame_close() */
size_t wire_frame_open(struct writer *writer);

/** Patch the frame size; the writer's error stays as it is. */
void wire_frame_close(struct writer *writer, size_t mark);

/** Write what stands in front of a metadata log record's message: frame version, key, version. */
void wire_record_frame_encode(struct writer *writer, int16_t key, int16_t version);

/**
 * @param reader  at the record's value; left at the message, whose trailing bytes are an error for
 *                the caller to find
 * @return 0; ERR_TRUNCATED, ERR_MALFORMED; ERR_UNSUPPORTED another frame version
 */
NODISCARD int wire_record_frame_decode(struct reader *reader, struct wire_record_frame *ret_frame);
