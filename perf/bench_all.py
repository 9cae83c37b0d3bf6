# SPDX-License-Identifier: Apache-2.0
"""Every ingestion benchmark after the other, and one table of their figures beside goals and floors. What misses
a floor that is held against a limit of the same run is measured once more, without Apache Kafka; a figure that
misses it twice fails the run."""

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import time

import kafka_peer
import report

# With how long each takes with --quick, in seconds: for the time left.
NAMES = {"driver": 40, "calibrate": 20, "ingest": 110, "ack": 100, "small": 90, "fetch": 95, "conns": 30, "idle": 75,
         "disk": 45, "wire": 40, "lab": 100, "pressure": 35}
PEERED = ("ingest", "ack", "small", "fetch")
BEGIN, END = "<!-- perf/run all: begin -->", "<!-- perf/run all: end -->"  # in RESULTS.md
MOST_QUICK = 19 * 60  # seconds; what would end later is not measured once more


class Clock:
    """How long it took, and what is left by what each was expected to take."""

    def __init__(self, names, is_quick):
        self.begin = time.monotonic()
        self.left = list(names)
        self.is_quick = is_quick
        self.slower = 1.0

    def minutes(self):
        return (time.monotonic() - self.begin) / 60

    def has_time_for(self, name):
        return not self.is_quick or 60 * self.minutes() + self.slower * NAMES[name] < MOST_QUICK

    def say(self, name):
        left = self.slower * sum(NAMES[one] for one in self.left) / 60
        print(f"\n==== {name}: {self.minutes():.0f} minutes so far, about {left:.0f} left", flush=True)

    def took(self, name, seconds):
        if name in self.left:
            self.left.remove(name)
        self.slower = max(self.slower, min(seconds / NAMES[name], 20)) if not self.is_quick else self.slower


def run(name, rest):
    """@return the result's content; None: it failed"""
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), f"bench_{name}.py")
    process = subprocess.Popen([sys.executable, program, *rest],  # pylint: disable=consider-using-with
                               stdout=subprocess.PIPE, text=True)
    path = None
    for line in process.stdout:
        print(line, end="", flush=True)
        found = re.match(r"written: (\S+\.json)", line)
        path = found.group(1) if found else path
    process.wait()
    if path is None:
        return None
    with open(os.path.join(report.ROOT, path), encoding="utf-8") as file:
        return json.load(file)


def aim(row, word):
    """Goal or floor of a figure, in its own unit where it is no ratio to another."""
    if row[word] is None:
        return ""
    if isinstance(row[word], dict):
        return ", ".join(f"{value:.3g} x {peer}" for peer, value in row[word].items())
    return f"{row[word]:,}"


def reached(row):
    if isinstance(row["floor"], dict):
        return ", ".join(f"{row['ratios'][peer]:.2f} x {peer}" for peer in row["floor"] if peer in row["ratios"])
    return ""


def holds(row, word, is_higher):
    if isinstance(row[word], dict):
        return all(row["ratios"].get(peer, 0) >= value for peer, value in row[word].items())
    return row[word] is None or (row["median"] >= row[word] if is_higher else row["median"] <= row[word])


def verdict(content, row):
    is_higher = content["measures"][row["measure"]]["higher_is_better"]
    if holds(row, "goal", is_higher):
        return "goal"
    return "floor" if holds(row, "floor", is_higher) else "missed"


def lines(name, content, only=None):
    """Rows of the table: what has a goal."""
    if content is None:
        return [[name, "failed", "", "", "", "", "", ""]]
    return [[name, row["measure"], row["system"], f"{report.shown(row['median'])} {row['unit']}", reached(row),
             aim(row, "goal"), aim(row, "floor"), verdict(content, row)]
            for row in content["rows"]
            if (row["goal"] is not None or row["floor"] is not None) and (only is None or row["measure"] in only)]


HEAD = ["bench", "figure", "ours", "median", "reached", "goal", "floor", "holds"]


def plain(rows):
    widths = [max(len(row[index]) for row in [HEAD, *rows]) for index in range(len(HEAD))]
    return "\n".join("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths)).rstrip() for row in [HEAD, *rows])


def markdown(head, rows):
    return "\n".join(["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows]])


def details(name, content):
    rows = [[row["measure"], row["system"], report.shown(row["median"]),
             f"{report.shown(row['min'])} to {report.shown(row['max'])}" if row["n"] > 1 else "", str(row["n"]),
             row["unit"], ", ".join(f"{value:.2f} x {peer}" for peer, value in row["ratios"].items())]
            for row in content["rows"]]
    notes = "\n\n".join(content["notes"])
    return (f"### {name}\n\n" + markdown(["measure", "system", "median", "from, to", "n", "unit", "ratios"], rows) +
            (f"\n\n{notes}" if notes else ""))


def once_more(results, rest, clock):
    """@return (results of second runs, words for what fails the run)"""
    again, failed = {}, []
    for name, content in results.items():
        if content is not None and not content["missed"]:
            continue
        if not clock.has_time_for(name):
            failed.append(f"{name}: missed a floor or failed, and no time was left to try it again")
            continue
        clock.say(f"{name} once more: {'; '.join(content['misses']) if content else 'it failed'}")
        again[name] = run(name, [*rest, "--no-peer"])
        if again[name] is None:
            failed.append(f"{name}: failed")
            continue
        missed = content["missed"] if content else again[name]["missed"]
        failed += [f"{name}: {measure}" for measure in missed if measure in again[name]["missed"]]
        if content is None:
            results[name] = again.pop(name)
    return again, failed


def keep(text):
    """Put it into RESULTS.md, instead of the last that was kept."""
    path = os.path.join(report.ROOT, "perf", "RESULTS.md")
    with open(path, encoding="utf-8") as file:
        before, _, rest = file.read().partition(BEGIN)
    _, _, after = rest.partition(END)
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{before}{BEGIN}\n\n{text}\n{END}{after}")
    print("kept in perf/RESULTS.md")


def write(results, again, rest, clock, is_kept):
    rows = []
    for name, content in results.items():
        rows += lines(name, content)
        if name in again and again[name] is not None:
            rows += [[f"{name} again", *row[1:]] for row in lines(name, again[name], results[name]["missed"])]
    title = (f"{'quick, ' if '--quick' in rest else ''}{report.machine()}, "
             f"{time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC, {clock.minutes():.0f} minutes")
    path = os.path.join(report.ROOT, "perf", "results", f"all-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}.md")
    text = "\n\n".join([title, markdown(HEAD, rows)] +
                       [details(name, content) for name, content in results.items() if content]) + "\n"
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    print(f"\n{title}\n\n{plain(rows)}")
    print(f"\nwritten: {os.path.relpath(path, report.ROOT)}, as Markdown, with all figures")
    if is_kept:
        keep(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, epilog="Other options go to each benchmark.")
    parser.add_argument("--only", help="names with commas between them")
    parser.add_argument("--disk", default="/var/tmp", help="folder on the disk to measure (/var/tmp)")
    parser.add_argument("--keep", action="store_true", help="put the tables into perf/RESULTS.md")
    args, rest = parser.parse_known_args()
    names = args.only.split(",") if args.only else list(NAMES)
    rest += ["--disk", args.disk]
    clock, results = Clock(names, "--quick" in rest), {}
    with contextlib.ExitStack() as stack:
        if "--no-peer" not in rest and any(name in PEERED for name in names):
            kafka = stack.enter_context(kafka_peer.Kafka(args.disk))  # one for all of them, and warm
            kafka.pause()
            os.environ[kafka_peer.SHARED] = kafka.shared()
        for name in names:
            clock.say(name)
            begin = time.monotonic()
            results[name] = run(name, rest)
            clock.took(name, time.monotonic() - begin)
    os.environ.pop(kafka_peer.SHARED, None)
    again, failed = once_more(results, rest, clock)
    write(results, again, rest, clock, args.keep)
    for words in failed:
        print(f"missed twice, or failed: {words}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
