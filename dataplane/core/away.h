/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * What clients hear while control is away: for each api that control answers, the response that
 * makes them try again.
 *
 * Context: owning core. Memory: the core's scratch.
 */
#pragma once

#include "dataplane/core/session.h"

/** Answer `request`; where the api has no error to say it, the connection is closed, counted. */
void away_answer(struct request *request);
