/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Between the two halves of Produce: produce_parse.c reads fields, produce.c acts on them.
 *
 * Context: owning core. Memory: see produce.h.
 */
#pragma once

#include "dataplane/core/session.h"

/** Whether the response has room for what one more field adds; else the session is blocked or closing. */
bool produce_response_room(struct session *session, uint32_t size);
void produce_response_count(struct session *session, uint32_t count);
void produce_response_tags(struct session *session);

/** Name, or id from version 13. */
void produce_topic_named(struct session *session, const uint8_t *name, uint32_t size);
void produce_partition_named(struct session *session, int32_t index);
/** Size of the records; -1: null. Sets the state. */
void produce_records_sized(struct session *session, int32_t size);
/** The batch header, or all of shorter records. Sets the state. */
void produce_header_read(struct session *session, const uint8_t *header, uint32_t size);
/** Find a place for the batch. @return false: the session is blocked */
bool produce_place(struct session *session);
/** Bytes of the batch. Sets the state when they were the last. */
void produce_receive(struct session *session, const uint8_t *bytes, uint32_t size);
