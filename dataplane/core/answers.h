/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * The short answers: ApiVersions, InitProducerId, ListOffsets, OffsetForLeaderEpoch.
 *
 * Context: owning core. Memory: the core's scratch. Source: Kafka protocol; KIP-511, KIP-98, KIP-320.
 */
#pragma once

#include "dataplane/core/session.h"

void answers_api_versions(struct request *request);
void answers_init_producer_id(struct request *request);
/** Ends of the log here; what needs records (timestamps) goes to control. */
void answers_list_offsets(struct request *request);
/** May ask other cores first, which parks the request and runs it again. */
void answers_epoch_end(struct request *request);
