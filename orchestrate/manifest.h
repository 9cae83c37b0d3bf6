/* SPDX-License-Identifier: Apache-2.0 */
/**
 * @file
 * From a folder (pipeline.yaml and .sql files) to a struct dag, strictly: every slip is an error
 * with file, line, column and a hint, and all of them are told at once (up to 20).
 *
 * Context: control's loop, and the command line (`millrace dag check`). Memory: heap.
 * Limits: 1 MiB for pipeline.yaml and each file, 200 files.
 */
#pragma once

#include "orchestrate/dag.h"

/**
 * The folder's files as one JSON object {"pipeline.yaml": text, "sql/bronze.sql": text}: what
 * `millrace dag apply` sends and the store keeps.
 *
 * @return 0; -ENOENT no pipeline.yaml; ERR_TOO_LARGE; -errno
 */
NODISCARD int manifest_read_folder(const char *path, json_t **ret_files, char *reterr,
				   size_t reterr_size);

/**
 * @param files       as above; borrowed
 * @param[out] ret_errors  array of {"file","line","column","message","hint"}; caller frees; NULL when
 *                         there are none
 * @return 0; ERR_CONFIG; -ENOMEM
 */
NODISCARD int manifest_parse(const json_t *files, struct dag **ret_dag, json_t **ret_errors);
