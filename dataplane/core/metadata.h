/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Answers about the cluster: Metadata, DescribeCluster, FindCoordinator. Every core appears as a
 * broker of its own, with the address that the connection came in by.
 *
 * Context: owning core. Memory: the core's scratch. Source: Kafka protocol; DESIGN section 3.
 */
#pragma once

#include "dataplane/core/session.h"

/** Answer Metadata; unknown topics may be created first, which parks the request. */
void metadata_answer(struct request *request);
void metadata_describe_cluster(struct request *request);
void metadata_find_coordinator(struct request *request);

/** @return whether Kafka allows the topic name */
bool metadata_name_is_valid(const char *name, int32_t size);

/** Java's String.hashCode() of UTF-8 text, made positive as Kafka does, modulo `partitions`. */
uint32_t metadata_group_partition(struct wire_string group, int32_t partitions);
