#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Style lint with a ratchet: lengths, banned names with their replacement, leftovers.

What exceeds an aim today stands in tidy.list with its size and reason; a new excess or a grown one
fails, and the list only shrinks. `tidy.py [ROOT]` prints the offences and exits 1 when there are."""

import os
import re
import sys

FUNCTION_LINES, FILE_LINES, HEADER_LINES, PARAMETERS = 70, 800, 300, 7
COLUMNS, COMMENT_COLUMNS = 100, 120  # strings are left whole
FOLDERS = ("base", "storage", "dataplane", "compute", "control", "orchestrate", "perf", "tests")

BANNED = [
    (r"\b(strcpy|strcat|sprintf|vsprintf|gets)\s*\(", "snprintf() with the size"),
    (r"\bstrtok\s*\(", "strtok_r() or a cursor"),
    (r"\b(atoi|atol|atof)\s*\(", "strtoll() and a check"),
    (r"\balloca\s*\(", "memory sized at start"),
    (r"\bassert\s*\(", "CHECK()"),
    (r"\b(rand|srand|random)\s*\(", "base/prng.h"),
    (r"\bsystem\s*\(", "posix_spawn() with arguments"),
    (r"\busleep\s*\(", "a wait on a descriptor"),
    (r"\bsignal\s*\(", "sigaction()"),
]
LEFTOVERS = [(r"\b(FIXME|XXX|HACK|TODO)\b", "leftover"), (r"#if 0", "dead code"),
             (r"/(home|root)/\w", "a path of one machine")]
FUNCTION = re.compile(r"^(?!static inline\s*$)[A-Za-z_][^;{}#]*?\b([a-z_0-9]+)\s*\(([^;{}]*)\)\s*\n\{",
                      re.M)


def blank_comments(text):
    """Comments and string contents become spaces, so that lines and columns stay."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group(0))
    text = re.sub(r"/\*.*?\*/", blank, text, flags=re.S)
    text = re.sub(r"//[^\n]*", blank, text)
    return re.sub(r'"(?:\\.|[^"\\\n])*"', blank, text)


def functions(code):
    """Yield (name, first line, lines from the name to the closing brace, parameters)."""
    for match in FUNCTION.finditer(code):
        begin = code.count("\n", 0, match.start()) + 1
        end = code.find("\n}", match.end() - 1)
        if end < 0:
            continue
        lines = code.count("\n", match.start(), end) + 2
        arguments = match.group(2).strip()
        count = 0 if arguments in ("", "void") else arguments.count(",") + 1
        yield match.group(1), begin, lines, count


def sources(root):
    for folder in FOLDERS:
        for where, dirs, names in os.walk(os.path.join(root, folder)):
            for name in sorted(names):
                if name.endswith((".c", ".h")):
                    yield os.path.relpath(os.path.join(where, name), root)


def measure(root):
    """Yield (key, size, aim, text) for every excess and (None, 0, 0, text) for plain offences."""
    for path in sources(root):
        with open(os.path.join(root, path), encoding="utf-8") as file:
            text = file.read()
        code = blank_comments(text)
        lines = text.count("\n")
        aim = HEADER_LINES if path.endswith(".h") else FILE_LINES
        if lines > aim:
            yield path, lines, aim, f"{path}: {lines} lines"
        if not text.startswith("/* SPDX-License-Identifier: Apache-2.0 */\n"):
            yield None, 0, 0, f"{path}:1: the licence line is missing"
        if path.endswith(".h") and "#pragma once" not in text:
            yield None, 0, 0, f"{path}: #pragma once is missing"
        for number, (line, bare) in enumerate(zip(text.split("\n"), code.split("\n")), 1):
            if len(line.expandtabs(8)) > COMMENT_COLUMNS or \
                    (len(bare.rstrip().expandtabs(8)) > COLUMNS and '"' not in line):
                yield None, 0, 0, f"{path}:{number}: over {COLUMNS} columns"
        for pattern, instead in BANNED:
            for match in re.finditer(pattern, code):
                number = code.count("\n", 0, match.start()) + 1
                yield None, 0, 0, f"{path}:{number}: {match.group(0)}...): use {instead}"
        for pattern, what in LEFTOVERS:
            for match in re.finditer(pattern, text):
                number = text.count("\n", 0, match.start()) + 1
                yield None, 0, 0, f"{path}:{number}: {what}: {match.group(0)}"
        for name, begin, size, parameters in functions(code):
            if size > FUNCTION_LINES:
                yield (f"{path}:{name}", size, FUNCTION_LINES,
                       f"{path}:{begin}: {name}() has {size} lines")
            if parameters > PARAMETERS:
                yield (f"{path}:{name}()", parameters, PARAMETERS,
                       f"{path}:{begin}: {name}() has {parameters} parameters")


def ratchet(root):
    """Read tidy.list: `KEY SIZE reason`."""
    allowed = {}
    path = os.path.join(root, "tests/lint/tidy.list")
    if not os.path.exists(path):
        return allowed
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.strip() and not line.startswith("#"):
                key, size, _reason = line.split(None, 2)
                allowed[key] = int(size)
    return allowed


def missing_tests(root):
    """Every .c with a header of its own has a test named after its stem, or tests.list says where."""
    known = {}
    listed = os.path.join(root, "tests/lint/tests.list")
    if os.path.exists(listed):
        with open(listed, encoding="utf-8") as file:
            known = dict(line.split(None, 1) for line in file
                         if line.strip() and not line.startswith("#"))
    tests = {name for _, _, names in os.walk(os.path.join(root, "tests")) for name in names}
    for path in sources(root):
        stem = os.path.splitext(os.path.basename(path))[0]
        if path.startswith(("tests/", "perf/")) or not path.endswith(".c") or stem == "main":
            continue
        if f"test_{stem}.c" not in tests and path not in known:
            yield f"{path}: no tests/unit/**/test_{stem}.c, and tests.list does not say what tests it"


def check(root):
    allowed = ratchet(root)
    seen = {}
    for key, size, aim, text in measure(root):
        if key is None:
            yield text
            continue
        seen[key] = size
        if size > allowed.get(key, aim):
            yield f"{text}; the aim is {aim}" + (
                f", the ratchet {allowed[key]}" if key in allowed else "")
    for key, size in allowed.items():
        if seen.get(key, 0) < size:
            yield f"tests/lint/tidy.list: {key} is {seen.get(key, 'within the aim')} now: tighten it"
    yield from missing_tests(root)


def main():
    offences = list(check(sys.argv[1] if len(sys.argv) > 1 else "."))
    for line in offences:
        print(line)
    return 1 if offences else 0


if __name__ == "__main__":
    sys.exit(main())
