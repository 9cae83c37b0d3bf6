# SPDX-License-Identifier: Apache-2.0
"""Bad input for pipelines: each gives a state and a message that say what happened and what to do, the
table is as before, and ingestion goes on: a producer and a reader run all the time."""

import contextlib
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time

from confluent_kafka import Consumer, Producer

from api import Api
from box import ROOT, Box, Checks, kcat, need, ok, wait_until

SLOW = "SELECT count(*) AS id FROM range(1000000000) a, range(1000000) b WHERE a.range % 7 = b.range % 5"
HELD = "(SELECT count(*) FROM range(80000000) r WHERE hash(r.range) % 3 = 1)"  # a second or two
WRITER = """
import sys, pyarrow
from deltalake import write_deltalake
print("ready", flush=True)
for line in sys.stdin:
    first, count = map(int, line.split())
    write_deltalake(sys.argv[1], pyarrow.table({"id": pyarrow.array(range(first, first + count), pyarrow.int64())}),
                    mode="append")
    print("written", flush=True)
"""


def manifest(dag, sql, topic=None, writes="bronze.base", columns="id: long", **more):
    """A pipeline of one task."""
    lines = [f"dag: {dag}", "schedule: null"]
    if topic:
        quarantine = more.pop("quarantine", None)
        lines += ["topics:", f"  {topic}:", f"    columns: {{{columns}}}"]
        lines += [f"    quarantine: {quarantine}"] if quarantine else []
    task = {"sql": sql, "writes": writes, **more}
    if topic:
        task["reads"] = {topic: "new"}
    return "\n".join([*lines, "tasks:", f"  load: {json.dumps(task)}"]) + "\n"


def records(first, count, more=""):
    return "".join(f'{{"id":{i}{more}}}\n' for i in range(first, first + count))


class Ingestion(threading.Thread):
    """Sends and reads all the time; remembers what went wrong and the slowest acknowledgement."""

    def __init__(self, box):
        super().__init__(daemon=True)
        settings = {"bootstrap.servers": box.servers(), "log_level": 0}
        self.producer = Producer({**settings, "acks": "all", "enable.idempotence": True, "linger.ms": 0})
        self.consumer = Consumer({**settings, "group.id": "g.bad", "auto.offset.reset": "earliest"})
        self.consumer.subscribe(["t.load"])
        self.errors, self.acknowledged, self.read, self.slowest = [], 0, 0, 0.0
        self.ending = threading.Event()

    def run(self):
        while not self.ending.is_set():
            begin = time.monotonic()

            def delivered(error, _, begin=begin):
                if error is not None:
                    self.errors.append(str(error))
                self.acknowledged += 1
                self.slowest = max(self.slowest, time.monotonic() - begin)
            self.producer.produce("t.load", b"x" * 200, on_delivery=delivered)
            self.producer.poll(0.005)
            message = self.consumer.poll(0.005)
            if message is not None and message.error() is None:
                self.read += 1
        self.producer.flush(10)
        self.consumer.close()

    def goes_on(self):
        before = (self.acknowledged, self.read)
        wait_until(lambda: self.acknowledged > before[0] + 5 and self.read > before[1] + 5, 10,
                   f"records go in and out: {before}")
        need(not self.errors, self.errors[:3])
        need(self.slowest < 5, f"an acknowledgement took {self.slowest:.1f} s")


class Bad:
    def __init__(self, box):
        self.box = box
        self.api = Api(box)
        ok(box.cli("topic", "create", "t.load"))
        self.ingestion = Ingestion(box)
        self.ingestion.start()

    # ---- helpers ----

    def produce(self, topic, text):
        ok(kcat(self.box.servers(), "-P", "-t", topic, stdin=text, timeout=120))

    def topic(self, name, *config):
        ok(self.box.cli("topic", "create", name, "--partitions", "1", *config))

    def folder(self, table="bronze.base"):
        return os.path.join(self.box.data, "tables", *table.split("."))

    def rows(self, table="bronze.base", order="id"):
        return self.api.sql(f"SELECT * FROM {table} ORDER BY {order}")

    def run(self, dag, text=None, **body):
        """Apply and run. @return the run with its one task as "load" """
        if text is not None:
            self.api.apply(text, folder=f"/pipelines/{dag}")
        run = self.api.run(dag, **body)
        run["load"] = run["by"]["load"]
        return run

    def succeeds(self, dag, text=None, **body):
        run = self.run(dag, text, **body)
        need(run["state"] == "success", run["load"])
        return run["load"]["result"]

    def fails(self, dag, text, *parts, **body):
        """The run fails, says each of the parts and leaves the log to read."""
        run = self.run(dag, text, **body)
        task = run["load"]
        need(run["state"] == "failed" and task["state"] == "failed", run)
        if "--show" in sys.argv:
            print(f"        {task['message']}")
        for part in parts:
            need(part in task["message"], f"no '{part}' in: {task['message']}")
        events = self.api.events(dag, run["dag_run_id"], "load", task["try_number"])
        need(any(parts[0] in event for event in events) or "timed out" in task["message"], events)
        return task

    @contextlib.contextmanager
    def unchanged(self, table="bronze.base", order="id"):
        before = self.rows(table, order)
        yield
        need(self.rows(table, order) == before, f"{table} has changed")
        self.ingestion.goes_on()

    # ---- checks ----

    def base_table(self):
        self.topic("raw.base")
        self.produce("raw.base", records(0, 100))
        text = manifest("base", "SELECT id FROM topic('raw.base')", "raw.base")
        need(self.succeeds("base", text)["rows"] == 100, "the table that must stay as it is")
        self.ingestion.goes_on()

    def sql_that_fails(self):
        with self.unchanged():
            for sql, part in (("SELEC 1", "syntax"), ("SELECT nowhere FROM bronze.base", "nowhere"),
                              ("SELECT * FROM no.table", "no.table"),
                              ("SELECT CASE WHEN id = 57 THEN CAST('fifty' AS BIGINT) ELSE id END AS id FROM bronze.base",
                               "fifty"),
                              ("SELECT error('own words') AS id", "own words")):
                self.fails("fails", manifest("fails", sql), part)
            task = self.fails("fails", manifest("fails", "SELECT error('again')::BIGINT AS id", retries=2,
                                                retry_delay="50ms"), "again")
            need(task["try_number"] == 3, task)

    def sql_that_never_ends(self):
        with self.unchanged():
            begin = time.monotonic()
            self.fails("endless", manifest("endless", SLOW, timeout="1s"), "timed out")
            need(time.monotonic() - begin < 8, "its time was over after 1 s")
            self.api.apply(manifest("endless", SLOW), folder="/pipelines/endless")
            run = self.api.trigger("endless")
            self.api.wait_task("endless", run, "load", "running")
            time.sleep(0.5)
            begin = time.monotonic()
            need(self.api.call("POST", f"{self.api.path('endless', run)}/cancel")[0] == 200, "cancel")
            reply = self.api.wait("endless", run)
            need(reply["state"] == "failed" and time.monotonic() - begin < 5, reply)
            need("cancel" in reply["by"]["load"]["message"], reply["by"]["load"])
            self.succeeds("base")

    def sql_that_eats_memory(self):
        with self.unchanged():
            self.fails("greedy", manifest("greedy", "SELECT len(list(range)) AS id FROM range(200000000)"),
                       "worker.memory")
            need(self.api.sql("SELECT 1") == [["1"]], "the worker lives")

    def commit_truncated(self):
        self.produce("raw.base", records(100, 10))
        newest = sorted(glob.glob(f"{self.folder()}/_delta_log/*.json"))[-1]
        with open(newest, "rb") as file:
            whole = file.read()
        with self.unchanged():
            for size in (len(whole) // 2, 0):
                os.truncate(newest, size)
                try:
                    for sql in ("SELECT id FROM topic('raw.base')", "SELECT id FROM bronze.base"):
                        self.fails("damaged", manifest("damaged", sql, "raw.base"), os.path.basename(newest),
                                   "bronze.base", "its log is damaged", "Put the file back")
                    listed = {table["name"]: table for table in self.api.get("/tables")["tables"]}
                    need("error" in listed["bronze.base"], listed)
                finally:
                    with open(newest, "wb") as file:
                        file.write(whole)
        need(self.succeeds("base")["rows"] == 10, "whole again, it goes on where it was")
        need(len(self.rows()) == 110, "all rows")

    def log_with_holes(self):
        """A checkpoint that is damaged and a commit that is gone are told; a wrong hint costs nothing."""
        table, log = "bronze.often", f"{self.folder('bronze.often')}/_delta_log"
        self.topic("raw.often")
        sql = "SELECT id FROM topic('raw.often')"
        self.api.apply(manifest("often", sql, "raw.often", writes=table), folder="/pipelines/often")
        for number in range(13):
            self.produce("raw.often", records(number, 1))
            self.succeeds("often")
        self.produce("raw.often", records(13, 1))
        with open(f"{log}/_last_checkpoint", "w", encoding="ascii") as file:
            file.write("{nonsense")
        with self.unchanged(table):
            for name in (f"{10:020}.checkpoint.parquet", f"{11:020}.json"):
                os.rename(f"{log}/{name}", f"{log}/{name}.away")
                if "checkpoint" in name:
                    shutil.copy(f"{log}/{name}.away", f"{log}/{name}")
                    os.truncate(f"{log}/{name}", 1000)
                    os.chmod(f"{log}/{name}", 0o644)
                try:
                    self.fails("often", None, name, "its log is damaged")
                finally:
                    os.rename(f"{log}/{name}.away", f"{log}/{name}")
        need(self.succeeds("often")["rows"] == 1 and len(self.rows(table)) == 14, "whole again")

    def replaced(self):
        """Another topic of the same name is read from its start; a table that was taken away is made anew."""
        self.fails("nothing", manifest("nothing", "SELECT id FROM topic('raw.nothing')", "raw.nothing",
                                       writes="bronze.nothing"), "there is no topic raw.nothing")
        text = manifest("other", "SELECT id FROM bronze.often", writes="silver.often", reads={"bronze.often": "new"})
        need(self.succeeds("other", text)["rows"] == 14, "silver")
        ok(self.box.cli("topic", "delete", "raw.often"))
        self.topic("raw.often")
        self.produce("raw.often", records(500, 3))
        need(self.succeeds("often")["rows"] == 3 and len(self.rows("bronze.often")) == 17, "of the new topic")
        os.rename(self.folder("bronze.often"), f"{self.folder('bronze.often')}_away")
        need(self.succeeds("often")["rows"] == 3 and len(self.rows("bronze.often")) == 3, "what the topic holds")
        self.succeeds("over", manifest("over", "SELECT 7::BIGINT AS id", writes="bronze.often", mode="overwrite"))
        self.succeeds("other")
        self.succeeds("over", manifest("over", "SELECT 8::BIGINT AS id", writes="bronze.often", mode="overwrite"))
        with self.unchanged("silver.often"):
            self.fails("other", None, "bronze.often was not only added to", "changed")

    def data_file_missing(self):
        path = glob.glob(f"{self.folder()}/*.parquet")[0]
        with self.unchanged():
            os.rename(path, path + ".away")
            try:
                self.fails("missing", manifest("missing", "SELECT id FROM bronze.base", writes="bronze.copy"),
                           os.path.basename(path), "Put it back")
                need(not os.path.exists(f"{self.folder('bronze.copy')}/_delta_log/{0:020}.json"), "nothing is written")
            finally:
                os.rename(path + ".away", path)
        need(self.succeeds("missing")["rows"] == 110, "it is back")

    def meanwhile(self, table, text, first):
        """Run the pipeline of the text, append ten rows with delta-rs while it runs. @return its result"""
        python = ok(subprocess.run([os.path.join(ROOT, "tests/system/delta-python")], capture_output=True,
                                   text=True, check=False)).strip()
        with subprocess.Popen([python, "-c", WRITER, self.folder(table)], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True) as writer:
            need(writer.stdout.readline() == "ready\n", "deltalake")
            self.api.apply(text, folder="/pipelines/other")
            run = self.api.trigger("other")
            self.api.wait_task("other", run, "load", "running")
            time.sleep(0.2)
            writer.stdin.write(f"{first} 10\n")
            writer.stdin.flush()
            need(writer.stdout.readline() == "written\n", "the other one wrote")
            need(self.api.task("other", run, "load")["state"] == "running", "at the same time")
            writer.stdin.close()
        reply = self.api.wait("other", run, 60)
        need(reply["state"] == "success", reply["by"]["load"])
        return reply["by"]["load"]["result"]

    def another_writer(self):
        """Both writers' rows are there; a merge and an overwrite begin anew from what the other left."""
        count = len(self.rows())
        self.meanwhile("bronze.base", manifest("other", f"SELECT 1000 + range AS id FROM range(10) WHERE {HELD} > 0"),
                       2000)
        need(len(self.rows()) == count + 20, "of both")
        merge = manifest("other", f"SELECT 3000 + range AS id FROM range(20) WHERE {HELD} > 1", mode="merge", key=["id"])
        result = self.meanwhile("bronze.base", merge, 3005)
        need(result["rows"] == 10, f"those that the other did not bring: {result}")
        found = self.api.sql("SELECT count(*), count(DISTINCT id) FROM bronze.base WHERE id >= 3000")
        need(found == [["20", "20"]], f"{found}")
        copy = manifest("other", f"SELECT id FROM bronze.base WHERE {HELD} > 2", mode="overwrite",
                        writes="bronze.copy", reads={"bronze.base": "all"})
        self.meanwhile("bronze.copy", copy, 9000)
        need(self.rows("bronze.copy") == self.rows(), "an overwrite is the last one's")
        self.ingestion.goes_on()

    def schema_changed(self):
        self.topic("raw.wide")
        wide = {"columns": "id: long, extra: string", "writes": "bronze.wide"}
        self.produce("raw.wide", records(0, 5))
        self.succeeds("wide", manifest("wide", "SELECT id FROM topic('raw.wide')", "raw.wide", writes="bronze.wide"))
        self.produce("raw.wide", records(5, 5, ',"extra":"e"'))
        sql = "SELECT id, extra FROM topic('raw.wide')"
        with self.unchanged("bronze.wide"):
            task = self.fails("wide", manifest("wide", sql, "raw.wide", **wide, retries=3), "extra", "merge_schema")
            need(task["try_number"] == 1, "another try cannot help")
            self.fails("wide", manifest("wide", "SELECT 'five' AS id FROM topic('raw.wide')", "raw.wide",
                                        writes="bronze.wide"), "id")
        need(self.succeeds("wide", manifest("wide", sql, "raw.wide", **wide, merge_schema=True))["rows"] == 5, "now")
        need(self.rows("bronze.wide") == [[str(i), None] for i in range(5)] + [[str(i), "e"] for i in range(5, 10)],
             self.rows("bronze.wide"))

    def retention_overtook(self):
        self.topic("raw.short", "--topic-config", "retention.bytes=1048576")
        text = manifest("short", "SELECT id, \"offset\" AS o FROM topic('raw.short')", "raw.short",
                        writes="bronze.short")
        self.produce("raw.short", records(0, 100))
        self.succeeds("short", text)

        def first():
            return int(kcat(self.box.servers(), "-Q", "-t", "raw.short:0:-2").stdout.split("offset ")[1])
        padding = ',"x":"' + os.urandom(1000).hex() + '"'
        self.produce("raw.short", records(100, 3000, padding))
        wait_until(lambda: first() > 100, 20, "retention took records")
        with self.unchanged("bronze.short"):
            task = self.fails("short", None, "removed by retention", "offsets 100 to", "on_lost", "retention.bytes")
            need(task["try_number"] == 1, task)
        begin = first()
        result = self.succeeds("short", conf={"on_lost": "skip"})
        need(result["rows"] == 3100 - begin and result["read"]["raw.short"]["lost"] == begin - 100, f"{result}")
        self.produce("raw.short", records(3100, 7))
        need(self.succeeds("short")["rows"] == 7, "from then on as before")

    def disk_full(self):
        if os.geteuid() != 0:
            print("        skipped: only root can mount a small disk")
            return
        place = os.path.join(self.box.data, "tables", "small")
        os.makedirs(place, exist_ok=True)
        mount = ["mount", "-t", "tmpfs", "-o"]
        if subprocess.run([*mount, "size=2m,mode=0777", "none", place], capture_output=True, check=False).returncode:
            print("        skipped: no file system can be mounted here")
            return
        try:
            self.topic("raw.big")
            self.produce("raw.big", records(0, 10))
            sql = "SELECT id, md5(id::VARCHAR) AS m FROM topic('raw.big')"
            text = manifest("small", sql, "raw.big", writes="small.big")
            self.succeeds("small", text)
            self.produce("raw.big", records(10, 200000))
            with self.unchanged("small.big"):
                self.fails("small", None, "disk is full", "small")
                left = glob.glob(f"{place}/big/*.parquet")
                need(len(left) == 1, f"files of the failed write are left: {left}")
            subprocess.run([*mount, "remount,size=64m", "none", place], check=True)
            need(self.succeeds("small")["rows"] == 200000, "the same rows, once there is room")
            need(self.api.sql("SELECT count(*), count(DISTINCT id) FROM small.big") == [["200010"] * 2], "once")
        finally:
            subprocess.run(["umount", "-l", place], check=False)

    def bad_records(self):
        self.topic("raw.dirty")
        self.produce("raw.dirty", records(0, 5))
        more = {"columns": "id: {type: long, required: true}", "writes": "bronze.dirty"}
        sql = "SELECT id FROM topic('raw.dirty')"
        self.succeeds("dirty", manifest("dirty", sql, "raw.dirty", **more))
        self.produce("raw.dirty", "not json\n" * 5000 + '{"id":"text"}\n' * 5000 + records(5, 5))
        with self.unchanged("bronze.dirty"):
            self.fails("dirty", None, "raw.dirty", "quarantine")
        text = manifest("dirty", sql, "raw.dirty", **more, quarantine="bronze.bad")
        result = self.succeeds("dirty", text)
        need(result["rows"] == 5 and result["bad"] == 10000, f"{result}")
        need(self.succeeds("dirty")["nothing_new"], "nothing is left")
        found = self.api.sql("SELECT count(*), count(DISTINCT \"offset\"), count(DISTINCT reason) > 1, min(\"offset\"), "
                             "max(\"offset\") FROM bronze.bad")
        need(found == [["10000", "10000", "true", "5", "10004"]], f"{found}")
        self.ingestion.goes_on()

    def two_manifests_one_name(self):
        folders = [tempfile.mkdtemp(prefix="millrace-twice-") for _ in range(2)]
        try:
            for number, folder in enumerate(folders):
                with open(os.path.join(folder, "pipeline.yaml"), "w", encoding="utf-8") as file:
                    file.write(manifest("twice", f"SELECT {number} AS id"))
            ok(self.box.cli("dag", "apply", folders[0]))
            refused = self.box.cli("dag", "apply", folders[1])
            need(refused.returncode == 1 and folders[0] in refused.stderr and "twice" in refused.stderr, refused)
            need("replace" in refused.stderr or "another name" in refused.stderr, refused)
            need("SELECT 0" in self.api.get("/dags/twice")["files"]["pipeline.yaml"], "the first one's")
        finally:
            for folder in folders:
                shutil.rmtree(folder)

    def worker_that_cannot_stay(self):
        """An attempt that takes its worker along each time ends as failed and says so."""
        with self.unchanged():
            self.api.apply(manifest("deadly", SLOW), folder="/pipelines/deadly")
            run = self.api.trigger("deadly")
            attempts = set()
            for _ in range(4):
                def started():
                    task = self.api.task("deadly", run, "load")
                    return task["state"] == "running" and task["attempt"] not in attempts and task["attempt"]
                attempts.add(wait_until(started, 20, "an attempt runs"))
                self.box.kill("millrace-worker")
            reply = self.api.wait("deadly", run)
            need(reply["state"] == "failed" and "the worker ended" in reply["by"]["load"]["message"], reply["by"]["load"])

    def end(self):
        self.ingestion.ending.set()
        self.ingestion.join(20)
        need(not self.ingestion.errors, self.ingestion.errors[:3])
        print(f"        {self.ingestion.acknowledged} records went in, {self.ingestion.read} out; the slowest was "
              f"acknowledged after {self.ingestion.slowest * 1000:.0f} ms")


def main():
    checks = Checks()
    settings = {"worker.memory": 128 << 20, "worker.memory.hard": 1 << 30, "log.segment.bytes": 1 << 20,
                "log.retention.check.interval.ms": 200}
    begin = time.monotonic()
    with Box(settings=settings) as box:
        bad = Bad(box)
        for check in (bad.base_table, bad.sql_that_fails, bad.sql_that_never_ends, bad.sql_that_eats_memory,
                      bad.commit_truncated, bad.log_with_holes, bad.replaced, bad.data_file_missing,
                      bad.another_writer, bad.schema_changed,
                      bad.retention_overtook, bad.disk_full, bad.bad_records, bad.two_manifests_one_name,
                      bad.worker_that_cannot_stay, bad.end):
            checks.run(check.__name__, check)
    print(f"  {time.monotonic() - begin:.0f} s")
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
