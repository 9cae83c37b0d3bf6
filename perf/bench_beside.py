# SPDX-License-Identifier: Apache-2.0
"""Time to acknowledge while SQL runs on the same machine, and while nothing else does, by turns.

A client sends at a fixed rate; its latencies count from when a record was due, so none is left out for
waiting behind a slow one. The client has a better priority than the rest: it stands for a machine that is
not this one."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading

import bench_tables
import boxes
import report

RATE = 500
SHARES = {"0.5": "ack p50", "0.99": "ack p99", "0.999": "ack p99.9"}


class Transform:
    """The pipeline of `perf/run tables`, again and again."""

    def __init__(self, one):
        self.one = one
        self.end = threading.Event()
        self.runs = 0
        self.error = None
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.end.is_set() and self.error is None:
            for name in ("bronze", "silver", "gold"):
                shutil.rmtree(os.path.join(self.one.data, "tables", "bench", name), ignore_errors=True)
            try:
                boxes.run_dag(self.one, "bench_tables")
            except (RuntimeError, OSError) as error:
                self.error = error
            self.runs += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.end.set()
        self.thread.join()
        if self.error:
            raise self.error


def load(one, seconds):
    done = subprocess.run(["nice", "-n", "-10", sys.executable, os.path.join(report.ROOT, "perf", "ack_load.py"),
                           one.servers(), "bench.acks", str(RATE), str(seconds)],
                          check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def add(out, system, said):
    if out:
        for share, name in SHARES.items():
            out.add(name, system, said[share])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="turns of 10 seconds, not of 60")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    seconds, rows = (10, 1_000_000) if args.quick else (60, 4_000_000)
    out = report.Report("beside", args.quick)
    for name in SHARES.values():
        out.measure(name, "ms", False)
    folder = tempfile.mkdtemp(prefix="millrace-perf-", dir="/var/tmp")
    runs = 0
    try:
        with boxes.make() as one:
            path = os.path.join(folder, "orders.json")
            print(f"generating {rows:,} orders", flush=True)
            bench_tables.generate(path, rows)
            bench_tables.produce(one, path, "bench.orders")
            os.unlink(path)
            boxes.apply(one, os.path.join(report.ROOT, "perf", "tables"))
            boxes.call(one, "POST", "/api/v1/topics", {"name": "bench.acks", "partitions": 1})
            print("warming up: a turn that does not count", flush=True)
            load(one, 2)
            for number in range(args.repeats):
                print(f"round {number + 1} of {args.repeats}", flush=True)
                add(out, "alone", load(one, seconds))
                with Transform(one) as transform:
                    add(out, "millrace", load(one, seconds))
                runs += transform.runs
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    out.note(f"millrace: a pipeline of {rows:,} rows, topic to bronze, silver and gold, ran all the time ({runs} "
             f"runs); alone: nothing did. {RATE} records/s of 1 KiB, acks=all durable, kernel sockets, one stock "
             f"client included, open loop, {RATE * seconds:,} samples a turn, by the settings' defaults: the worker "
             "shares every core with the dataplane.")
    return out.write()


if __name__ == "__main__":
    sys.exit(main())
