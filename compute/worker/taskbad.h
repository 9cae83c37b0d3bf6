/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * Quarantine: bad records that the engine kept aside go into the tables that their topics name.
 *
 * Of what a table has already (its txn says up to where) nothing is written again, so an attempt that
 * died between this commit and the task's own does no harm.
 *
 * Context: the attempt's thread. Memory: SQL text of some records at a time.
 */
#pragma once

#include "compute/worker/taskjob.h"

/** Write those kept aside so far. @return 0; the error of delta_write(), told in the job */
NODISCARD int taskbad_write(struct taskjob *job);
