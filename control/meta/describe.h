/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * DescribeConfigs: the settings of topics and of the box, with their sources and synonyms.
 *
 * Context: the event loop's thread. Memory: the call's.
 */
#pragma once

#define CONTROL_LAYER

#include "control/meta/admin.h"

enum call_result describe_configs(const struct admin *admin, struct call *call);
