# SPDX-License-Identifier: Apache-2.0
"""The worker of a real box, talked to over its socket as control does: exactly once through repeats, kills and
fences; cancel, timeout, memory, spill; bad SQL; checks; quarantine; `millrace sql` and `millrace table`.

Control is kept from connecting (orchestrate.enable=false), so that the attempts are the test's own."""

import csv
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time

from confluent_kafka.admin import AdminClient, NewTopic

from box import MILLRACE, Box, Checks, kcat, need, ok, wait_until

TOPIC = "raw.flights"
TOPICS = {TOPIC: {"columns": {"id": "integer", "name": "string"}, "quarantine": "bronze.bad"}}
BRONZE = {"kind": "sql", "dag": "d", "task": "bronze", "run": "r", "try": 1, "topics": TOPICS,
          "reads": {TOPIC: "new"}, "writes": "bronze.flights", "mode": "append",
          "sql": f"SELECT id, name, \"partition\", \"offset\" FROM topic('{TOPIC}')"}
SLOW = "SELECT count(*) FROM range(1000000000) a, range(1000000) b WHERE a.range % 7 = b.range % 5"
numbers = iter(range(1, 1 << 40))


class Worker:
    """A connection to the worker of a box."""

    def __init__(self, box):
        path = os.path.join(box.run_dir(), "worker.sock")
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(120)

        def connect():
            try:
                self.socket.connect(path)
            except OSError:
                return False
            return True
        wait_until(connect, 20, "the worker takes connections")
        self.file = self.socket.makefile("rw", encoding="utf-8")
        self.send(op="hello", version=1)
        self.hello = self.receive("hello")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.file.close()
        self.socket.close()

    def send(self, **message):
        self.file.write(json.dumps(message) + "\n")
        self.file.flush()

    def receive(self, op, attempt=None):
        while True:
            line = self.file.readline()
            need(line, "the worker closed the connection")
            message = json.loads(line)
            if message["op"] == op and attempt in (None, message.get("attempt")):
                return message

    def start(self, spec, **more):
        number = more.pop("attempt", None) or next(numbers)
        self.send(op="start", attempt=number, **{**spec, **more})
        return number

    def run(self, spec, **more):
        number = self.start(spec, **more)
        done = self.receive("done", number)
        self.send(op="forget", attempt=number)
        return done

    def succeed(self, spec, **more):
        done = self.run(spec, **more)
        need(done["outcome"] == "success", f"{done}")
        return done["result"]

    def query(self, sql):
        done = self.run({"kind": "query", "sql": sql}, attempt=-next(numbers))
        need(done["outcome"] == "success", f"{done}")
        return done["result"]["data"]


def records(first, count):
    return "".join(f'{{"id":{i},"name":"flight {i}"}}\n' for i in range(first, first + count))


def kill(box):
    """kill -9. One that is still dying takes connections, only to reset them."""
    pid = box.kill("millrace-worker")
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), 20, "the worker is gone")
    return pid


def produce(box, text, topic=TOPIC):
    ok(kcat(box.servers(), "-P", "-t", topic, stdin=text, timeout=120))


def expect_rows(worker, count, table="bronze.flights"):
    """So many rows, each record once, none missing: ids are 0 to count - 1."""
    rows = worker.query(f"SELECT count(*), count(DISTINCT id), min(id), max(id) FROM {table}")[0]
    need(rows == [str(count), str(count), "0", str(count - 1)], f"{table}: {rows}, wanted {count}")


# ---- exactly once ----

def new_offsets_once(box):
    with Worker(box) as worker:
        produce(box, records(0, 1000))
        result = worker.succeed(BRONZE)
        need(result["rows"] == 1000 and result["read"][TOPIC]["records"] == 1000, f"{result}")
        result = worker.succeed(BRONZE)
        need(result["nothing_new"] and result["rows"] == 0, f"{result}")
        produce(box, records(1000, 500))
        need(worker.succeed(BRONZE)["rows"] == 500, "only the new ones")
        expect_rows(worker, 1500)


def limit_takes_parts(box):
    with Worker(box) as worker:
        produce(box, records(1500, 500))
        rows = [worker.succeed(BRONZE, limit=200)["rows"] for _ in range(5)]
        need(rows == [200, 200, 100, 0, 0], f"{rows}")
        expect_rows(worker, 2000)


def killed_in_the_middle(box):
    """kill -9 at moments through an attempt; the next try neither repeats nor leaves out a row."""
    total = 2000
    for delay in (0.005, 0.01, 0.02, 0.03, 0.05):
        produce(box, records(total, 3000))
        total += 3000
        worker = Worker(box)
        worker.start(BRONZE)
        time.sleep(delay)
        kill(box)
        worker.close()
        with Worker(box) as worker:
            need(worker.hello["attempts"] == [], "a new worker knows of no attempt")
            worker.succeed(BRONZE)
            expect_rows(worker, total)


def moved_fence(box):
    """An attempt whose place another has taken commits nothing."""
    fence = os.path.join(box.data, "fence")
    with Worker(box) as worker:
        count = int(worker.query("SELECT count(*) FROM bronze.flights")[0][0])
        produce(box, records(count, 100))
        number = next(numbers)
        with open(fence, "w", encoding="ascii") as file:
            file.write(f"{number + 1000000}\n")
        os.chmod(fence, 0o666)
        done = worker.run(BRONZE, attempt=number, fence=fence)
        need(done["outcome"] == "failed" and done["reason"] == "fenced", f"{done}")
        expect_rows(worker, count)
        number = next(numbers)
        with open(fence, "w", encoding="ascii") as file:
            file.write(f"{number}\n")
        need(worker.run(BRONZE, attempt=number, fence=fence)["outcome"] == "success", "its turn")
        expect_rows(worker, count + 100)


def layers(box):
    """silver takes what bronze added, gold is made anew only when silver moved or the task is another."""
    silver = {**BRONZE, "task": "silver", "reads": {"bronze.flights": "new"}, "writes": "silver.flights",
              "mode": "merge", "key": ["id"], "sql": "SELECT id, name FROM bronze.flights"}
    gold = {**BRONZE, "task": "gold", "reads": {"silver.flights": "changed"}, "writes": "gold.flights",
            "mode": "overwrite", "hash": "a", "sql": "SELECT count(*) AS flights FROM silver.flights"}
    with Worker(box) as worker:
        count = int(worker.query("SELECT count(*) FROM bronze.flights")[0][0])
        need(worker.succeed(silver)["rows"] == count, "all of bronze")
        need(worker.succeed(gold)["rows"] == 1, "gold")
        need(worker.succeed(silver)["nothing_new"] and worker.succeed(gold)["nothing_new"], "nothing moved")
        need(not worker.succeed(gold, hash="b")["nothing_new"], "another task")
        produce(box, records(count, 10))
        worker.succeed(BRONZE)
        result = worker.succeed(silver)
        need(result["rows"] == 10 and result["read"]["bronze.flights"]["rows"] == 10, f"{result}")
        worker.succeed(gold)
        need(worker.query("SELECT flights FROM gold.flights") == [[str(count + 10)]], "gold is new")


def quarantine(box):
    """10,000 bad records in a row are in the quarantine once, also when the first try died before its commit."""
    fence = os.path.join(box.data, "fence")
    with Worker(box) as worker:
        count = int(worker.query("SELECT count(*) FROM bronze.flights")[0][0])
        produce(box, "not json\n" * 9998 + '{"id":"text"}\n{"id":1.5}\n' + records(count, 5))
        number = next(numbers)
        with open(fence, "w", encoding="ascii") as file:
            file.write(f"{number + 1000000}\n")
        # Fenced: nothing at all is written.
        need(worker.run(BRONZE, attempt=number, fence=fence)["reason"] == "fenced", "fenced")
        # The quarantine is committed, then the task's own commit cannot be: its folder is a file.
        result = worker.succeed(BRONZE)
        need(result["rows"] == 5 and result["bad"] == 10000, f"{result}")
        expect_rows(worker, count + 5)
        # Another task reads the same records; its bad ones are its own to report.
        rows = worker.query("SELECT count(*), count(DISTINCT (\"partition\", \"offset\")), min(topic), "
                            "count(reason), min(dag) FROM bronze.bad")[0]
        need(rows == ["10000", "10000", TOPIC, "10000", "d"], f"{rows}")
        found = worker.query("SELECT reason FROM bronze.bad WHERE decode(value) = '{\"id\":\"text\"}'")
        need(len(found) == 1 and "integer" in found[0][0], f"{found}")


def bad_without_quarantine(box):
    topics = {TOPIC: {"columns": TOPICS[TOPIC]["columns"]}}
    with Worker(box) as worker:
        done = worker.run({**BRONZE, "task": "strict"}, topics=topics, writes="bronze.strict")
        need(done["outcome"] == "failed" and done["reason"] == "user", f"{done}")
        need(TOPIC in done["message"], f"{done}")


def overtaken_by_retention(box):
    """What retention took before it was read fails the task, with the remedy; the remedy works."""
    topic = NewTopic("raw.lost", 1, 1, config={"segment.bytes": "1048576", "retention.bytes": "1048576"})
    admin = AdminClient({"bootstrap.servers": box.servers()})
    admin.create_topics([topic])["raw.lost"].result(20)
    spec = {**BRONZE, "task": "lost", "topics": {"raw.lost": {}}, "reads": {"raw.lost": "new"},
            "writes": "bronze.lost", "sql": "SELECT \"offset\" FROM topic('raw.lost')"}
    with Worker(box) as worker:
        produce(box, "x\n" * 100, "raw.lost")
        worker.succeed(spec)
        produce(box, ("y" * 1000 + "\n") * 8000, "raw.lost")
        first = "SELECT min(\"offset\") FROM topic('raw.lost')"
        wait_until(lambda: int(worker.query(first)[0][0]) > 100, 20, "retention takes a segment")
        done = worker.run(spec)
        need(done["outcome"] == "failed" and done["reason"] == "retention", f"{done}")
        need("on_lost" in done["message"] and "offsets 100 to" in done["message"], f"{done}")
        result = worker.succeed(spec, on_lost="skip")
        lost = result["read"]["raw.lost"]["lost"]
        need(lost > 0 and lost + result["rows"] == 8000, f"{result}")
        history = worker.succeed({"kind": "table"}, table="bronze.lost")["history"]
        need(f'"lost": {lost}' in json.dumps(history[0]), f"{history[0]}")


def progress_is_told(box):
    with Worker(box) as worker:
        produce(box, records(0, 300000), "raw.many")
        number = worker.start({"kind": "query", "sql": "SELECT count(*) FROM (SELECT count(*) FROM topic('raw.many')), "
                               "range(1000000000) a, range(1000000) b WHERE a.range % 7 = b.range % 5"})
        told = worker.receive("progress", number)
        need(told["records"] == 300000 and told["total"] == 300000, f"{told}")
        worker.send(op="cancel", attempt=number)
        need(worker.receive("done", number)["outcome"] == "cancelled", "cancelled")
        worker.send(op="forget", attempt=number)


# ---- attempts end ----

def cancelled(box):
    with Worker(box) as worker:
        number = worker.start({**BRONZE, "reads": {}, "sql": SLOW, "writes": "bronze.slow"})
        time.sleep(0.3)
        begin = time.monotonic()
        worker.send(op="cancel", attempt=number)
        done = worker.receive("done", number)
        need(done["outcome"] == "cancelled" and time.monotonic() - begin < 2, f"{done}")
        need(not os.path.exists(os.path.join(box.data, "tables/bronze/slow/_delta_log/0" + "0" * 19 + ".json")),
             "nothing was committed")
        worker.send(op="forget", attempt=number)


def timed_out(box):
    with Worker(box) as worker:
        done = worker.run({"kind": "query", "sql": SLOW}, timeout_ms=300)
        need(done["outcome"] == "failed" and done["reason"] == "timeout", f"{done}")
        need(done["seconds"] < 3, f"{done}")


def slots_and_queue(box):
    """More attempts than slots wait; one that waits is cancelled at once; queries of people do not wait."""
    with Worker(box) as worker:
        slow = {"kind": "query", "sql": SLOW}
        running = [worker.start(slow) for _ in range(3)]
        worker.send(op="cancel", attempt=running[2])
        need(worker.receive("done", running[2])["outcome"] == "cancelled", "it waited")
        need(worker.query("SELECT 1") == [["1"]], "people are served")
        for number in running[:2]:
            worker.send(op="cancel", attempt=number)
            need(worker.receive("done", number)["outcome"] == "cancelled", "it ran")
        for number in running:
            worker.send(op="forget", attempt=number)


def reattached(box):
    """Attempts outlive the connection: the next hello tells of them."""
    with Worker(box) as worker:
        slow = worker.start({"kind": "query", "sql": SLOW})
        quick = worker.start({"kind": "query", "sql": "SELECT 42"})
        worker.receive("done", quick)
    with Worker(box) as worker:
        states = {entry["attempt"]: entry for entry in worker.hello["attempts"]}
        need(states[slow]["state"] == "running" and states[quick]["state"] == "done", f"{states}")
        need(states[quick]["result"]["data"] == [["42"]], f"{states}")
        worker.send(op="forget", attempt=quick)
        worker.send(op="cancel", attempt=slow)
        need(worker.receive("done", slow)["outcome"] == "cancelled", "cancelled later")
        worker.send(op="forget", attempt=slow)
    with Worker(box) as worker:
        need(worker.hello["attempts"] == [], f"{worker.hello}")


def out_of_memory(box):
    with Worker(box) as worker:
        done = worker.run({"kind": "query", "sql": "SELECT list(range) FROM range(100000000)"},
                          memory=64 << 20)
        need(done["outcome"] == "failed" and done["reason"] == "memory", f"{done}")
        need("worker.memory" in done["message"], f"{done}")
        need(worker.query("SELECT 1") == [["1"]], "the worker lives")


def watched_memory(box):
    """What grows beyond worker.memory.hard in spite of its limit is ended; the worker and others live."""
    with Worker(box) as worker:
        begin = time.monotonic()
        done = worker.run({"kind": "query", "sql":
                           "SELECT length(list(range)) FROM range(1000000000)"},
                          memory=16 << 30)
        need(done["outcome"] == "failed" and done["reason"] == "memory", f"{done}")
        need("worker.memory.hard" in done["message"], f"{done}")
        need(time.monotonic() - begin < 60, "soon")
        need(worker.query("SELECT 1") == [["1"]], "the worker lives")


def spilled(box):
    """A sort of far more than the limit goes through the spill folder, which is empty afterwards."""
    rows = 50_000_000 if "--spill" in sys.argv else 5_000_000
    memory = 512 << 20 if "--spill" in sys.argv else 80 << 20
    spill = os.path.join(box.data, "spill")
    with Worker(box) as worker:
        number = worker.start({**BRONZE, "reads": {}, "mode": "overwrite", "writes": "bronze.sorted", "sql":
                               f"SELECT hash(range) AS h, range AS id, 'row ' || range AS name FROM range({rows}) "
                               "ORDER BY h"}, memory=memory)
        most = 0
        worker.socket.settimeout(0.2)
        end = time.monotonic() + 240
        text = b""
        while b"\n" not in text and time.monotonic() < end:
            try:
                text += worker.socket.recv(65536)
            except TimeoutError:
                most = max(most, sum(os.path.getsize(os.path.join(where, name))
                                     for where, _, names in os.walk(spill) for name in names
                                     if os.path.exists(os.path.join(where, name))))
        worker.socket.settimeout(120)
        done = json.loads(text)
        need(done["outcome"] == "success" and done["result"]["rows"] == rows, f"{done}")
        need(most > 10 << 20, f"only {most} bytes were spilled")
        print(f"        {rows} rows through {memory >> 20} MiB: {done['seconds']:.1f} s, spilled {most >> 20} MiB")
        worker.send(op="forget", attempt=number)
        wait_until(lambda: sum(len(names) for _, _, names in os.walk(spill)) == 0, 10, "the spill is removed")


# ---- what is wrong is said ----

def bad_sql(box):
    with Worker(box) as worker:
        for sql, part in (("SELEC 1", "syntax"), ("SELECT * FROM nowhere.atall", "nowhere"),
                          ("SELECT 1/", "syntax"), (");", "syntax"), ("", "empty"),
                          ("SELECT error('own text')", "own text")):
            done = worker.run({**BRONZE, "reads": {}, "sql": sql, "writes": "bronze.never"})
            need(done["outcome"] == "failed" and done["reason"] == "user", f"{sql}: {done}")
            need(part in done["message"], f"{sql}: {done}")
        done = worker.run(BRONZE, reads={"no.such.topic": "new"})
        need(done["outcome"] == "failed" and "no.such.topic" in done["message"], f"{done}")
        done = worker.run(BRONZE, writes="../../etc")
        need(done["outcome"] == "failed" and "schema.table" in done["message"], f"{done}")
        key = os.path.join(box.data, "key")
        with open(key, "w", encoding="ascii") as file:
            file.write("secret")
        os.chmod(key, 0o644)
        done = worker.run({"kind": "query", "sql": f"SELECT * FROM read_text('{key}')"})
        need(done["outcome"] == "failed", "SQL reads tables and topics only")


def bad_lines(box):
    """Lines that break the format are answered; the connection and the worker live on."""
    with Worker(box) as worker:
        for line in ("", "{", "[]", '{"op":"dance"}', '{"op":7}', "\x00", '{"op":"start"}'):
            worker.file.write(line + "\n")
            worker.file.flush()
            answer = json.loads(worker.file.readline())
            need(answer["op"] in ("error", "done"), f"{line}: {answer}")
        need(worker.query("SELECT 1") == [["1"]], "it lives")
        try:
            worker.file.write("x" * (9 << 20))
            worker.file.flush()
            need(json.loads(worker.file.readline())["op"] == "error", "too long a line")
        except OSError:
            pass
    with Worker(box) as worker:
        need(worker.query("SELECT 1") == [["1"]], "it lives")


def masked_log(box):
    log = os.path.join(box.data, "attempt.log")
    with open(log, "w", encoding="ascii"):
        pass
    os.chmod(log, 0o666)
    with Worker(box) as worker:
        done = worker.run({**BRONZE, "reads": {}, "sql": "SELECT error('password hunter2!')"}, log=log,
                          mask=["hunt", "hunter2"])
        need("hunter2" not in done["message"] and "***" in done["message"], f"{done}")
    with open(log, encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    need(lines and all({"timestamp", "level", "event"} == set(line) for line in lines), f"{lines}")
    need(lines[-1]["level"] == "error" and "***" in lines[-1]["event"], f"{lines}")
    need("hunt" not in json.dumps(lines) and "er2" not in json.dumps(lines), f"{lines}")


def checks(box):
    spec = {"kind": "check", "dag": "d", "task": "checks", "run": "r"}
    with Worker(box) as worker:
        result = worker.succeed(spec, checks=[
            {"name": "some", "sql": "SELECT count(*) FROM bronze.flights", "expect": "> 0"},
            {"name": "range", "sql": "SELECT 5", "expect": "between 1 and 9"},
            {"name": "none", "sql": "SELECT * FROM bronze.flights WHERE id IS NULL", "expect": "none"},
            {"name": "hint", "sql": "SELECT 1", "expect": "= 2", "severity": "warn"}])
        need([check["passed"] for check in result["checks"]] == [True, True, True, False], f"{result}")
        done = worker.run(spec, checks=[
            {"name": "odd_ids", "sql": "SELECT id, name FROM bronze.flights WHERE id < 100", "expect": "none"}])
        need(done["outcome"] == "failed" and done["reason"] == "check", f"{done}")
        # Any ten of them: threads bring them in any order.
        rows = done["result"]["checks"][0]["rows"]
        need(len(rows) == 10 and all(int(number) < 100 and name == f"flight {number}" for number, name in rows),
             f"{done}")
        need("odd_ids" in done["message"] and all(name in done["message"] for _, name in rows), f"{done}")
        for expect in ("more", "> x", "", "between 1", "> 1 2"):
            done = worker.run(spec, checks=[{"name": "c", "sql": "SELECT 1", "expect": expect}])
            need(done["outcome"] == "failed" and done["reason"] == "user", f"{expect}: {done}")
        done = worker.run(spec, checks=[{"name": "c", "sql": "SELECT NULL", "expect": "= 0"}])
        need(done["reason"] == "check" and "null" in done["message"], f"{done}")


def tables(box):
    with Worker(box) as worker:
        names = [table["name"] for table in worker.succeed({"kind": "tables"})["tables"]]
        need("bronze.flights" in names and "bronze.bad" in names, f"{names}")
        table = worker.succeed({"kind": "table"}, table="bronze.flights")
        need([column["name"] for column in table["schema"]] == ["id", "name", "partition", "offset"], f"{table}")
        need(table["history"][0]["version"] == table["version"], f"{table}")


# ---- the command line ----

def millrace(box, *arguments, **options):
    return subprocess.run([MILLRACE, *arguments, *box.arguments()], capture_output=True, text=True,
                          timeout=120, check=False, **options)


def sql_one_shot(box):
    sql = "SELECT id, name FROM bronze.flights WHERE id < 3 ORDER BY id"
    out = ok(millrace(box, "sql", sql))
    need(out.splitlines() == ["id | name", "---+---------", " 0 | flight 0", " 1 | flight 1", " 2 | flight 2",
                              "(3 rows)"], out)
    rows = list(csv.reader(io.StringIO(ok(millrace(box, "sql", sql, "--format", "csv")))))
    need(rows == [["id", "name"], ["0", "flight 0"], ["1", "flight 1"], ["2", "flight 2"]], f"{rows}")
    rows = json.loads(ok(millrace(box, "sql", sql, "--format", "json")))
    need(rows == [{"id": i, "name": f"flight {i}"} for i in range(3)], f"{rows}")
    out = ok(millrace(box, "sql", f"SELECT count(*) > 0 AS some FROM topic('{TOPIC}')", "--format", "csv"))
    need(out.split() == ["some", "true"], out)
    out = ok(millrace(box, "sql", "EXPLAIN SELECT * FROM bronze.flights"))
    need("PARQUET" in out, out)
    out = ok(millrace(box, "sql", "SELECT range FROM range(300000)", "--format", "csv"))
    need(len(out.splitlines()) == 300001, "no limit on rows")
    file = os.path.join(box.data, "q.sql")
    with open(file, "w", encoding="ascii") as out:
        out.write("CREATE TEMP TABLE t AS SELECT 7 AS seven; -- a comment; with a semicolon\nSELECT ';' || seven AS s FROM t\n")
    need(ok(millrace(box, "sql", "-f", file, "--format", "csv")).split() == ["s", ";7"], "a file of statements")
    need(ok(millrace(box, "sql", "--format", "csv", input="SELECT 1 AS a")).split() == ["a", "1"], "standard input")
    failed = millrace(box, "sql", "SELEC")
    need(failed.returncode == 1 and "syntax" in failed.stderr, f"{failed}")


def sql_interrupted(box):
    process = subprocess.Popen([MILLRACE, "sql", SLOW, *box.arguments()], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=10)
    need(process.returncode == 130 and "interrupted" in errors, f"{process.returncode} {errors}")


def table_command(box):
    need("bronze.flights" in ok(millrace(box, "table", "list")), "list")
    history = json.loads(ok(millrace(box, "table", "history", "bronze.flights", "--json")))
    need(history[-1]["version"] == 0 and history[0]["operation"] == "WRITE", f"{history}")
    need("name" in ok(millrace(box, "table", "schema", "bronze.flights")), "schema")
    need(millrace(box, "table", "schema", "no.table").returncode == 4, "no such table")


# ---- the box ----

def dataplane_restarted(box):
    """After a restart of the dataplane topics are read from the new table of partitions."""
    with Worker(box) as worker:
        count = int(worker.query("SELECT count(*) FROM bronze.flights")[0][0])
        box.kill("millrace-dataplane")
        wait_until(lambda: box.child("millrace-dataplane"), 20, "the dataplane is back")
        box.wait_ready()
        produce(box, records(count, 20))
        need(worker.succeed(BRONZE)["rows"] == 20, "the new ones")
        expect_rows(worker, count + 20)


def stopped_box(box):
    """Attempts end with the box, and tables are read without it."""
    worker = Worker(box)
    worker.start({"kind": "query", "sql": SLOW})
    pid = box.child("millrace-worker")
    need(box.stop() == 0, "a clean stop")
    worker.close()
    need(not os.path.exists(f"/proc/{pid}"), "the worker has ended")
    need("did not end cleanly" not in box.logs(), "all processes end cleanly")
    need(int(ok(millrace(box, "sql", "SELECT count(*) AS n FROM bronze.flights", "--format", "csv")).split()[1]) > 0,
         "tables without a box")
    failed = millrace(box, "sql", f"SELECT count(*) FROM topic('{TOPIC}')")
    need(failed.returncode == 1 and failed.stderr, f"{failed}")


def supervised(box):
    """A box whose worker dies goes on and has another; when millrace up is killed all end too."""
    box.start()
    pid = box.kill("millrace-worker")
    wait_until(lambda: box.child("millrace-worker") not in (None, pid), 20, "a new worker")
    children = [wait_until(lambda n=name: box.child(n), 20, name) for name in
                ("millrace-worker", "millrace-control", "millrace-dataplane")]
    with Worker(box) as worker:
        need(worker.query("SELECT 1") == [["1"]], "it serves")
    box.process.kill()
    box.process.wait()
    box.process = None
    wait_until(lambda: not any(os.path.exists(f"/proc/{child}") for child in children), 20,
               "they end with millrace up")


def main():
    checks_ = Checks()
    settings = {"orchestrate.enable": "false", "worker.memory": 256 << 20, "worker.memory.hard": 2 << 30,
                "log.retention.check.interval.ms": 200}
    with Box(settings=settings) as box:
        for check in (new_offsets_once, limit_takes_parts, killed_in_the_middle, moved_fence, layers, quarantine,
                      bad_without_quarantine, overtaken_by_retention, progress_is_told, cancelled, timed_out, slots_and_queue, reattached, out_of_memory,
                      watched_memory, spilled, bad_sql, bad_lines, masked_log, checks, tables, sql_one_shot,
                      sql_interrupted, table_command, dataplane_restarted, stopped_box, supervised):
            checks_.run(check.__name__, check, box)
    return checks_.end()


if __name__ == "__main__":
    sys.exit(main())
