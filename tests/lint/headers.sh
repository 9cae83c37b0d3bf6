#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every header compiles alone and twice. Usage: headers.sh ROOT BUILD
set -euo pipefail
cd "$1"
build=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
flags=(-std=gnu17 -D_GNU_SOURCE -Wall -Wextra -Werror -Wno-unused-function -I. "-I$build")
if pkg-config --exists libdpdk; then
	read -ra dpdk < <(pkg-config --cflags libdpdk)
	flags+=("${dpdk[@]}")
fi
failed=0
while IFS= read -r header; do
	printf '#include "%s"\n#include "%s"\n' "$header" "$header" >"$work/alone.c"
	if ! gcc "${flags[@]}" -fsyntax-only "$work/alone.c"; then
		echo "$header does not compile alone"
		failed=1
	fi
done < <(find base storage dataplane compute control orchestrate -name '*.h')
exit "$failed"
