# SPDX-License-Identifier: Apache-2.0
"""Every ingestion benchmark after the other, and one table of their figures beside goals and floors. What fails
a floor is run once more, and fails when it does so again."""

import argparse
import json
import os
import re
import subprocess
import sys
import time

import report

NAMES = ("driver", "calibrate", "ingest", "ack", "small", "fetch", "conns", "idle", "disk", "wire", "lab", "pressure")


def run(name, rest):
    """@return (exit code, the result's content or None)"""
    print(f"\n==== {name}", flush=True)
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), f"bench_{name}.py")
    process = subprocess.Popen([sys.executable, program, *rest],  # pylint: disable=consider-using-with
                               stdout=subprocess.PIPE, text=True)
    path = None
    for line in process.stdout:
        print(line, end="", flush=True)
        found = re.match(r"written: (\S+\.json)", line)
        path = found.group(1) if found else path
    code = process.wait()
    if path is None:
        return code or 1, None
    with open(os.path.join(report.ROOT, path), encoding="utf-8") as file:
        return code, json.load(file)


def aim(row, word):
    """Goal or floor of a figure, in its own unit where it is a ratio to another."""
    if row[word] is None:
        return ""
    if isinstance(row[word], dict):
        return ", ".join(f"{value:.3g} x {peer}" for peer, value in row[word].items())
    return f"{row[word]:,}"


def reached(row):
    if isinstance(row["floor"], dict):
        return ", ".join(f"{row['ratios'][peer]:.3g} x {peer}" for peer in row["floor"] if peer in row["ratios"])
    return ""


def table(results):
    lines = [f"{'bench':7} {'figure':44} {'system':16} {'median':>12} {'unit':13} {'reached':34} "
             f"{'goal':34} floor"]
    for name, content in results.items():
        for row in content["rows"] if content else []:
            if row["goal"] is None and row["floor"] is None:
                continue
            lines.append(f"{name:7} {row['measure']:44} {row['system']:16} {report.shown(row['median']):>12} "
                         f"{row['unit']:13} {reached(row):34} {aim(row, 'goal'):34} {aim(row, 'floor')}".rstrip())
        if content is None:
            lines.append(f"{name:7} failed")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, epilog="Other options go to each benchmark.")
    parser.add_argument("--only", help="names with commas between them")
    args, rest = parser.parse_known_args()
    names = args.only.split(",") if args.only else NAMES
    begin, results, failed = time.monotonic(), {}, []
    for name in names:
        code, results[name] = run(name, rest)
        if code:
            print(f"\n{name} missed a floor or failed: once more", flush=True)
            code, again = run(name, rest)
            results[name] = again or results[name]
        if code:
            failed.append(name)
    text = (f"{'quick, ' if '--quick' in rest else ''}{report.machine()}, "
            f"{time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC, {(time.monotonic() - begin) / 60:.0f} minutes\n\n"
            f"{table(results)}\n")
    path = os.path.join(report.ROOT, "perf", "results", f"all-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}.txt")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    print("\n" + text)
    if failed:
        print(f"missed a floor twice, or failed: {', '.join(failed)}")
    print(f"written: {os.path.relpath(path, report.ROOT)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
