#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The instructions that the hot path takes for each packet, record batch and request, counted by
callgrind and held against those kept in instructions.txt. One that grew by more than 5 % fails; one
that fell by more than 10 % asks for a new figure, so that what was won is kept.

usage: gate.py PROGRAM [--update] [CASE...]   --update writes instructions.txt

Exit codes: 0; 1 a figure grew; 2 usage; 77 not comparable here (another compiler, no AVX2)."""

import os
import re
import subprocess
import sys
import tempfile

KEPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "instructions.txt")
GROWN, FALLEN = 1.05, 0.90
SKIP = 77
HEADER = """\
# Instructions per operation, kept by tests/gate/gate.py; new ones: tests/run gate --update
# A packet has 1,448 bytes of payload; a batch comes in such pieces and is answered when durable.
"""
# What counts bytes one by one under valgrind, and only on some processors.
TUNABLES = "glibc.cpu.hwcaps=-ERMS,-FSRM"


def count(program, cases, folder):
    """Run the cases under callgrind. Return the instructions of an operation, and the dumps."""
    out = os.path.join(folder, "callgrind")
    done = subprocess.run(
        ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--collect-atstart=no",
         f"--callgrind-out-file={out}", "--quiet", program, *cases],
        stdout=subprocess.PIPE, text=True, check=False,
        env={**os.environ, "GLIBC_TUNABLES": TUNABLES})
    if done.returncode != 0:
        raise SystemExit(done.returncode)
    sums, files = {}, {}
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            text = file.read()
        trigger = re.search(r"^desc: Trigger: Client Request: (\w+) (\d)$", text, re.M)
        if trigger:
            total = re.search(r"^(?:summary|totals): (\d+)", text, re.M)
            sums[trigger[1], int(trigger[2])] = int(total[1])
            files[trigger[1]] = os.path.join(folder, name)
    figures = {}
    for line in done.stdout.splitlines():
        words = line.split()
        once, twice = int(words[1]), int(words[2])
        spent = sums[words[0], 2] - sums[words[0], 1]
        figures[words[0]] = spent / (twice - once)
    return figures, files


def read_kept():
    compiler, kept = None, {}
    if os.path.exists(KEPT):
        with open(KEPT, encoding="utf-8") as file:
            for line in file:
                words = line.split()
                if words[:1] == ["compiler"]:
                    compiler = " ".join(words[1:])
                elif words and words[0] != "#":
                    kept[words[0]] = float(words[1])
    return compiler, kept


def write_kept(compiler, figures):
    with open(KEPT, "w", encoding="utf-8") as file:
        file.write(HEADER + f"compiler {compiler}\n")
        for name, figure in figures.items():
            file.write(f"{name} {figure:.0f}\n")


def verdict(figure, kept):
    if kept is None:
        return "no figure is kept: run with --update"
    if figure > kept * GROWN:
        return "FAIL: grew"
    if figure < kept * FALLEN:
        return "fell: keep it with --update"
    return "ok"


def where(path):
    """The functions that cost most, for whoever looks for what grew."""
    text = subprocess.run(["callgrind_annotate", "--threshold=75", path], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True, check=False).stdout
    rows = re.findall(r"^\s*[\d,]+ \(\s*[\d.]+%\)\s+\S+:\w+.*$", text, re.M)
    return [re.sub(r" \[[^]]*\]$", "", row) for row in rows[:15]]


def table(figures, kept, files):
    """Print it. Return whether all is well."""
    is_well = True
    print(f"  {'case':24}{'instructions':>13}{'kept':>11}{'change':>9}")
    for name, figure in figures.items():
        before = kept.get(name)
        said = verdict(figure, before)
        change = f"{(figure / before - 1) * 100:+.1f} %" if before else ""
        print(f"  {name:24}{figure:13,.0f}{before or 0:11,.0f}{change:>9}  {said}")
        is_well = is_well and before is not None and figure <= before * GROWN
        for row in where(files[name]) if said.startswith("FAIL") else []:
            print("      " + row)
    return is_well


def main():
    arguments = sys.argv[1:]
    is_update = "--update" in arguments
    arguments = [word for word in arguments if word != "--update"]
    if not arguments or arguments[0].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    kept_compiler, kept = read_kept()
    compiler = subprocess.run([arguments[0], "--compiler"], stdout=subprocess.PIPE, text=True,
                              check=True).stdout.strip()
    if not is_update and compiler != kept_compiler:
        print(f"  built by {compiler}, the kept ones by {kept_compiler}: not comparable")
        return SKIP
    with tempfile.TemporaryDirectory() as folder:
        figures, files = count(arguments[0], arguments[1:], folder)
        if is_update:
            write_kept(compiler, {**kept, **figures} if len(arguments) > 1 else figures)
            _, kept = read_kept()
        return 0 if table(figures, kept, files) else 1


if __name__ == "__main__":
    sys.exit(main())
