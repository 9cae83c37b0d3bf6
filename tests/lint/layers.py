#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Layer lint: which folder may include which, and the single home of each outside library.

Follows #include lines transitively, so a header cannot leak a forbidden neighbour.
`layers.py [ROOT]` prints one line for each offence and exits 1 when there is one."""

import os
import re
import sys

# Folder prefix -> prefixes it may include besides itself. The longest match counts.
ALLOWED = {
    "base/": [],
    "storage/": ["base/"],
    "dataplane/wire/": ["base/"],
    "dataplane/net/": ["base/", "dataplane/core/hot.h"],
    "dataplane/tcp/": ["base/", "dataplane/core/hot.h"],
    "dataplane/nic/": ["base/", "dataplane/core/hot.h"],
    "dataplane/sock/": ["base/", "storage/", "dataplane/core/"],
    "dataplane/core/": ["base/", "storage/", "dataplane/"],
    "dataplane/": ["base/", "storage/", "dataplane/"],
    "compute/": ["base/", "storage/"],
    "control/": ["base/", "storage/", "dataplane/wire/", "dataplane/core/command.h",
                 "dataplane/core/upcall.h"],
    "control/cli/": ["base/", "storage/", "control/", "orchestrate/manifest.h", "compute/task.h"],
    "orchestrate/": ["base/", "storage/partitions.h", "compute/task.h", "compute/decode/schema.h",
                     "control/control.h", "control/http/"],
}

# Outside header (regular expression) -> files (prefixes) that may include it.
HOMES = {
    r"rte_.*": ["dataplane/nic/"],
    r"liburing(\.h|/.*)": ["storage/uring.c", "dataplane/sock/"],
    r"duckdb.*\.h": ["compute/duck/"],
    r"sqlite3\.h": ["orchestrate/store"],
    r"yaml\.h": ["orchestrate/yaml"],
    r"curl/curl\.h": ["control/cli/", "orchestrate/webcall.c"],
    r"isa-l.*": ["base/crc32c.c"],
    r"microhttpd\.h": ["control/http/"],
    r"sys/random\.h": ["base/prng.c"],
}
# Calls with one home: clocks are read in base only.
CALL_HOMES = {r"\b(clock_gettime|gettimeofday|time)\s*\(": ["base/"]}

INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', re.M)


def longest(table, path):
    keys = [k for k in table if path.startswith(k)]
    return max(keys, key=len) if keys else None


def strip_comments(text):
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
    return re.sub(r"//[^\n]*", " ", text)


def load(root):
    files = {}
    for folder in sorted({key.split("/")[0] for key in ALLOWED}):
        for where, dirs, names in os.walk(os.path.join(root, folder)):
            for name in names:
                if name.endswith((".c", ".h")):
                    path = os.path.relpath(os.path.join(where, name), root)
                    with open(os.path.join(root, path), encoding="utf-8") as file:
                        files[path] = file.read()
    return files


def own_includes(text):
    return [path for kind, path in INCLUDE.findall(text) if kind == '"']


def reachable(files, path, seen):
    for target in own_includes(files.get(path, "")):
        if target not in seen:
            seen.add(target)
            reachable(files, target, seen)
    return seen


def may(path, target):
    layer = longest(ALLOWED, path)
    if longest(ALLOWED, target) == layer:
        return True
    if os.path.basename(path) == "main.c":  # the composition root of its process
        layer = path.split("/")[0] + "/"
        if target == "orchestrate/orchestrate.h":  # control's process holds the scheduler
            return path == "control/main.c"
    return any(target.startswith(prefix) for prefix in ALLOWED[layer])


def check(root):
    files = load(root)
    for path, text in files.items():
        for target in own_includes(text):
            if target in files and not may(path, target):
                yield f"{path}: includes {target}, which its layer may not use"
        # What a header drags in counts as well, except through a header the layer may use.
        for target in reachable(files, path, set()):
            if path.startswith(("base/", "storage/", "dataplane/")) and \
                    target.startswith(("control/", "orchestrate/", "compute/")):
                yield f"{path}: reaches {target} through its includes"
        for kind, target in INCLUDE.findall(text):
            for pattern, homes in HOMES.items():
                if re.fullmatch(pattern, target) and not path.startswith(tuple(homes)):
                    yield f"{path}: <{target}> has its home in {', '.join(homes)}"
        for pattern, homes in CALL_HOMES.items():
            found = re.search(pattern, strip_comments(text))
            if found and not path.startswith(tuple(homes)):
                yield f"{path}: calls {found.group(0)}...) which has its home in {', '.join(homes)}"
        if path.startswith("control/") and path.endswith(".h") and \
                not re.search(r"#define CONTROL_LAYER", text):
            yield f"{path}: a control header defines CONTROL_LAYER"


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else "."
    offences = list(dict.fromkeys(check(root)))
    for line in offences:
        print(line)
    return 1 if offences else 0


if __name__ == "__main__":
    sys.exit(main())
