/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The box whose instructions are counted: one core with real sessions and logs (corebox.h) in virtual
 * time, its disk an immediate success, and on request its kernel-bypass transport on a port in memory
 * with a client of own TCP at the other end.
 *
 * Counted is what the poll core does in its turns; not counted are the port, the disk, the housekeeper
 * and the clients.
 *
 * Context: one thread, one box at a time. Memory: heap.
 */
#pragma once

#include "../unit/dataplane/corebox.h"

void gate_box_open(void);
/** The same with a port of MTU 1500 and a connection to it. @param offloads  what the port can (nic.h) */
void gate_box_open_wire(uint32_t offloads);
void gate_box_close(void);

/** One turn of the core. */
void gate_box_turn(void);

/**
 * A request straight into a session, in pieces as large as segments, and turns until it is answered.
 *
 * @return bytes of the answer
 */
size_t gate_box_call(const uint8_t *frame, size_t size);

/** The same over the wire. */
size_t gate_box_call_wire(const uint8_t *frame, size_t size);
