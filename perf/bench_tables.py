# SPDX-License-Identifier: Apache-2.0
"""Topic to Delta bronze, and silver and gold SQL: ours, Apache Spark and plain DuckDB, interleaved.

Ours and Spark read the same topic of the same box over the same two cores; DuckDB runs silver and gold on
the Parquet files that our bronze wrote."""

import argparse
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

import duckdb

import boxes
import report

CORES = os.cpu_count()
ROWS_QUICK, ROWS = 1_000_000, 10_000_000


def generate(path, rows):
    """Orders as lines of JSON, the same each time; 2 % of them come twice."""
    duckdb.sql("SET preserve_insertion_order = false")
    duckdb.sql(f"""COPY (SELECT 'order-' || i AS order_id,
        (hash(i) % 100000)::BIGINT AS customer_id,
        ['north', 'south', 'east', 'west'][1 + (hash(i + 7) % 4)::INT] AS region,
        round(((hash(i + 1) % 1000000)::INT - 10000) / 100.0, 2) AS amount,
        ['new', 'paid', 'sent', 'back'][1 + (hash(i + 3) % 4)::INT] AS status,
        strftime(TIMESTAMP '2026-01-01' + to_milliseconds((hash(i + 5) % 86400000)::BIGINT),
            '%Y-%m-%dT%H:%M:%S.%gZ') AS created_at
        FROM (SELECT CASE WHEN n % 50 = 0 THEN n + 25 ELSE n END AS i FROM range({rows}) AS r(n)))
        TO '{path}' (FORMAT json)""")


def sums(files):
    """What a gold table says: it must be the same by all three."""
    return duckdb.sql(f"""SELECT count(*), sum(orders)::BIGINT, round(sum(revenue), 0), sum(customers)::BIGINT
        FROM read_parquet({glob.glob(files)!r})""").fetchone()


class Spark:
    """A warm session in a process of its own."""

    def __init__(self, folder):
        python = os.path.join(report.ROOT, ".cache", "perf", "bin", "python")
        self.process = subprocess.Popen(
            [python, os.path.join(report.ROOT, "perf", "spark_peer.py"),
             os.path.join(report.ROOT, ".cache", "perf-jars"), str(CORES), folder],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            stderr=open(os.path.join(folder, "spark.log"), "w", encoding="utf-8"))
        self.version = json.loads(self.process.stdout.readline())["version"]

    def do(self, what, **fields):
        self.process.stdin.write(json.dumps({"do": what, **fields}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def stop(self):
        self.process.stdin.close()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()


def ours(one, rows, out):
    for name in ("bronze", "silver", "gold"):
        shutil.rmtree(os.path.join(one.data, "tables", "bench", name), ignore_errors=True)
    run = boxes.run_dag(one, "bench_tables")
    bronze = next(task for task in run["tasks"] if task["task_id"] == "bronze")
    if bronze["result"]["rows"] != rows:
        raise RuntimeError(f"bronze took {bronze['result']['rows']} of {rows} rows")
    if out:
        begin, middle, end = (boxes.moment(text) for text in (
            run["start_date"], bronze["end_date"], run["end_date"]))
        out.add("bronze", "millrace", rows / (middle - begin) / CORES)
        out.add("silver and gold", "millrace", rows / (end - middle) / CORES)
    return sums(os.path.join(one.data, "tables", "bench", "gold", "*.parquet"))


def spark_run(spark, one, rows, folder, out):
    base = os.path.join(folder, "spark")
    done = spark.do("bronze", bootstrap=one.servers(), topic="bench.orders", table=base + "/bronze",
                    checkpoint=base + "/checkpoint")
    if done["rows"] != rows:
        raise RuntimeError(f"Spark took {done['rows']} of {rows} rows")
    after = spark.do("silver_gold", table=base + "/bronze", silver=base + "/silver",
                     gold=base + "/gold")
    if out:
        out.add("bronze", "spark", rows / done["seconds"] / CORES)
        out.add("silver and gold", "spark", rows / after["seconds"] / CORES)
    said = sums(base + "/gold/*.parquet")
    shutil.rmtree(base)
    return said


def duck_run(one, rows, folder, out):
    """The same SQL by DuckDB alone, from and to Parquet."""
    files = glob.glob(os.path.join(one.data, "tables", "bench", "bronze", "*.parquet"))
    base = os.path.join(folder, "duck")
    os.makedirs(base, exist_ok=True)
    con = duckdb.connect()
    con.execute(f"SET threads = {CORES}; SET preserve_insertion_order = false; SET TimeZone = 'UTC'")
    con.execute("CREATE SCHEMA bench")
    con.execute(f"CREATE VIEW bench.bronze AS SELECT * FROM read_parquet({files!r})")
    begin = time.monotonic()
    for name in ("silver", "gold"):
        with open(os.path.join(report.ROOT, "perf", "tables", "sql", f"{name}.sql"),
                  encoding="utf-8") as file:
            con.execute(f"COPY ({file.read()}) TO '{base}/{name}.parquet' "
                        "(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)")
        con.execute(f"CREATE VIEW bench.{name} AS SELECT * FROM read_parquet('{base}/{name}.parquet')")
    if out:
        out.add("silver and gold", "duckdb", rows / (time.monotonic() - begin) / CORES)
    con.close()
    said = sums(base + "/gold.parquet")
    shutil.rmtree(base)
    return said


def one_round(one, spark, rows, folder, out):
    said = {"millrace": ours(one, rows, out), "spark": spark_run(spark, one, rows, folder, out),
            "duckdb": duck_run(one, rows, folder, out)}
    if len(set(said.values())) != 1:
        raise RuntimeError(f"the gold tables differ: {said}")


def produce(one, path, topic, partitions=4):
    boxes.call(one, "POST", "/api/v1/topics", {"name": topic, "partitions": partitions})
    subprocess.run(["kcat", "-P", "-b", one.servers(), "-t", topic, "-l", "-z", "lz4",
                    "-X", "linger.ms=50", "-X", "batch.size=1000000",
                    "-X", "queue.buffering.max.messages=1000000", path], check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"{ROWS_QUICK:,} rows, not {ROWS:,}")
    parser.add_argument("--rows", type=int)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    rows = args.rows or (ROWS_QUICK if args.quick else ROWS)
    out = report.Report("tables", args.quick)
    out.measure("bronze", "rows/s/core", True, goal={"spark": 20}, floor={"spark": 8})
    out.measure("silver and gold", "rows/s/core", True, goal={"spark": 15, "duckdb": 0.95},
                floor={"spark": 8})
    folder = tempfile.mkdtemp(prefix="millrace-perf-", dir="/var/tmp")
    spark = None
    try:
        with boxes.make(**{"worker.threads": CORES, "worker.memory": 4 << 30}) as one:
            print(f"generating {rows:,} orders", flush=True)
            path = os.path.join(folder, "orders.json")
            generate(path, rows)
            produce(one, path, "bench.orders")
            os.unlink(path)
            boxes.apply(one, os.path.join(report.ROOT, "perf", "tables"))
            spark = Spark(folder)
            print("warming up: a round that does not count", flush=True)
            one_round(one, spark, rows, folder, None)
            for number in range(args.repeats):
                print(f"round {number + 1} of {args.repeats}", flush=True)
                one_round(one, spark, rows, folder, out)
        out.note(f"{rows:,} JSON orders of about 150 bytes in 4 partitions, lz4; {CORES} cores for each, one at a "
                 "time; rows/s/core is rows by wall time by cores, of ours from the run's start to its end. "
                 f"Spark {spark.version} with delta-spark 4.0.0: warm session, availableNow, from the same box, its "
                 f"own defaults for files. DuckDB {duckdb.__version__}: the same SQL on the Parquet of our bronze, "
                 "zstd level 1 as ours. All three say the same gold.")
    finally:
        if spark:
            spark.stop()
        shutil.rmtree(folder, ignore_errors=True)
    return out.write()


if __name__ == "__main__":
    sys.exit(main())
