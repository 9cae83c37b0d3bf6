#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every C file is as clang-format 14 leaves it. Usage: format.sh ROOT
set -euo pipefail
cd "$1"
find base storage dataplane compute control orchestrate perf tests -name '*.[ch]' -print0 |
	xargs -0 clang-format-14 --dry-run --Werror --ferror-limit=1
