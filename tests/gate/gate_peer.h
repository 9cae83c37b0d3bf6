/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The client at the other end of the wire: own TCP with one connection, one request at a time.
 *
 * Context: one thread, one peer at a time. Memory: heap. Limits: answers of GATE_PEER_ANSWER_MAX.
 */
#pragma once

#include "dataplane/nic/nic.h"

#define GATE_BOX_ADDRESS     0x0a4d0002U
#define GATE_PEER_ANSWER_MAX (4U * 1024 * 1024)

/**
 * @param nic  the far port, borrowed until gate_peer_close()
 * @param mac  the box's station
 * @param tso_size  payload that goes as one frame; 0: a segment
 */
void gate_peer_open(struct nic *nic, const uint8_t mac[6], uint16_t tso_size, int64_t now_ns);
void gate_peer_close(void);

/** Receive, run TCP and its timers, send. */
void gate_peer_poll(int64_t now_ns);

bool gate_peer_is_connected(void);

/** Send a request; [size] bytes of `frame` are borrowed until the answer is there. */
void gate_peer_send(const uint8_t *frame, size_t size);

/** @return bytes of the answer, 0 while it is not complete or the request not acknowledged */
size_t gate_peer_answer(void);
