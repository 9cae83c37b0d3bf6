# SPDX-License-Identifier: Apache-2.0
"""Delta tables: what we write delta-rs reads with the same rows, schema, versions, statistics and txns, and the other way
round; writers at the same time lose nothing; a full disk leaves the table as it was."""

import datetime
import decimal
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

import pyarrow
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from box import BUILD, Checks, need

TOOL = os.environ.get("MILLRACE_DELTA_TOOL", os.path.join(BUILD, "tests", "system", "delta_tool"))
UTC = datetime.timezone.utc

EVERY_TYPE = """
    SELECT CAST(i AS INTEGER) AS a, CAST(i AS BIGINT) * 1000000007 AS big, CAST(i AS SMALLINT) AS sh,
      CAST(i AS TINYINT) AS ti, i / 7 AS d, CAST(i AS FLOAT) AS f, CAST(i * 1.25 AS DECIMAL(10,2)) AS de,
      CASE WHEN i % 10 = 0 THEN NULL ELSE 'text ''' || i || ' ü' END AS s, i % 2 = 0 AS b,
      DATE '2020-02-28' + CAST(i AS INTEGER) AS day, CAST('x' || i AS BLOB) AS bin,
      TIMESTAMP '2020-01-01 00:00:00.123456' + to_seconds(i) AS t,
      {'x': i, 'y': ['a', NULL, 'b' || i]} AS st, [i, NULL] AS l, MAP {'k' || i: i} AS m
    FROM range(100) r(i)"""
# Where each row goes, and the odd ones among them.
PARTS = """
    SELECT i AS id, CASE i % 5 WHEN 0 THEN NULL WHEN 1 THEN 'a b/c%d=[e]*' WHEN 2 THEN 'é:"''' ELSE 'plain' END AS p,
      DATE '2024-02-28' + CAST(i % 3 AS INTEGER) AS day, TIMESTAMPTZ '2024-01-01 10:00:00.5+00' AS t,
      CAST(i % 2 AS INTEGER) AS n, i % 2 = 1 AS b, CAST(i % 2 + 0.25 AS DECIMAL(9,2)) AS de
    FROM range(60) r(i)"""


def tool(*ops):
    done = subprocess.run([TOOL, *[json.dumps(op) for op in ops]], capture_output=True, text=True, timeout=300,
                          check=False)
    need(done.returncode == 0, f"exit {done.returncode}: {done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def write(path, query, **more):
    answer = tool({"op": "write", "path": path, "query": query, **more})[0]
    need(answer["error"] == 0, f"{answer}")
    return answer


def refuse(name, path, query, **more):
    answer = tool({"op": "write", "path": path, "query": query, **more})[0]
    need(answer["error"] != 0 and name in answer["message"] + answer["name"], f"wanted {name}: {answer}")
    return answer


def look(path, sql=None, **more):
    answer = tool({"op": "open", "path": path, **({"sql": sql} if sql else {}), **more})[0]
    need(answer["error"] == 0, f"{answer}")
    need(sql is None or isinstance(answer["data"], list), f"{answer.get('data')}")
    return answer


def rows_of(path, sql, **more):
    return look(path, sql, **more)["data"]


def theirs(path, key="id", version=None):
    table = DeltaTable(path, version=version).to_pyarrow_table()
    return sorted(table.to_pylist(), key=lambda row: (row[key] is None, row[key]))


def ids(path, **more):
    """The column id as we read it and as delta-rs does; equal."""
    ours = [int(row[0]) for row in rows_of(path, "SELECT id FROM t ORDER BY id", **more)]
    if "after" not in more:
        other = [row["id"] for row in theirs(path, version=more.get("version"))]
        need(ours == other, f"we read {len(ours)} rows, delta-rs {len(other)}: {ours[:20]} {other[:20]}")
    return ours


class Tables:
    def __init__(self, folder):
        self.folder = folder

    def path(self, name):
        return os.path.join(self.folder, name)

    def every_type(self):
        path = self.path("types")
        write(path, EVERY_TYPE)
        rows = theirs(path, "a")
        need(len(rows) == 100, f"{len(rows)} rows")
        row = rows[17]
        wanted = {
            "a": 17, "big": 17 * 1000000007, "sh": 17, "ti": 17, "d": 17 / 7, "f": 17.0,
            "de": decimal.Decimal("21.25"), "s": "text '17 ü", "b": False,
            "day": datetime.date(2020, 3, 16), "bin": b"x17",
            "t": datetime.datetime(2020, 1, 1, 0, 0, 17, 123456, tzinfo=UTC),
            "st": {"x": 17, "y": ["a", None, "b17"]}, "l": [17, None], "m": [("k17", 17)]}
        need(row == wanted, f"{row}")
        need(rows[10]["s"] is None, "a null came back as something")
        schema = {field.name: str(field.type) for field in DeltaTable(path).schema().fields}
        need(schema["t"] == 'PrimitiveType("timestamp")' and schema["de"] == 'PrimitiveType("decimal(10,2)")' and
             schema["ti"] == 'PrimitiveType("byte")', f"{schema}")
        need(rows_of(path, "SELECT count(*), sum(a), max(t), max(st.x), max(m['k17']), sum(len(l)) FROM t") ==
             [["100", "4950", "2020-01-01 00:01:39.123456+00", "99", "17", "200"]], "our own reading")

    def statistics(self):
        path = self.path("types")
        adds = pyarrow.table(DeltaTable(path).get_add_actions(flatten=True)).to_pylist()
        need(len(adds) == 1, f"{adds}")
        add = adds[0]
        wanted = {
            "num_records": 100, "null_count.s": 10, "null_count.a": 0, "min.a": 0, "max.a": 99,
            "min.big": 0, "max.big": 99 * 1000000007, "min.de": decimal.Decimal("0.00"),
            "max.de": decimal.Decimal("123.75"), "min.s": "text '1 ü", "max.s": "text '99 ü",
            "min.day": datetime.date(2020, 2, 28), "max.day": datetime.date(2020, 6, 6),
            "min.d": 0.0, "max.d": 99 / 7, "min.st.x": 0, "max.st.x": 99,
            "min.t": datetime.datetime(2020, 1, 1, 0, 0, 0, 123000, tzinfo=UTC),
            "max.t": datetime.datetime(2020, 1, 1, 0, 1, 39, 124000, tzinfo=UTC)}
        for name, value in wanted.items():
            need(add[name] == value, f"{name}: {add[name]}, wanted {value}")

    def odd_statistics(self):
        """NaN, infinity, all null, long text: bounds are left out or wide, so that no reader skips rows."""
        path = self.path("odd")
        write(path, "SELECT i AS id, CASE i WHEN 3 THEN 'nan'::DOUBLE ELSE i END AS nan, CASE i WHEN 3 THEN 'inf'::DOUBLE "
              "ELSE i END AS inf, NULL::VARCHAR AS nil, repeat('ü', 400) || i AS long, repeat('z', 40) || i AS mid, "
              "CASE i WHEN 3 THEN 'infinity'::TIMESTAMPTZ ELSE TIMESTAMPTZ '2020-01-01 00:00:00+00' END AS t, "
              "chr(1) || '\"\\' AS esc FROM range(10) r(i)")
        stats = json.loads(look(path)["files"][0]["stats"])
        need(stats["nullCount"]["nil"] == 10, f"{stats}")
        need("nan" not in stats["minValues"] and "inf" not in stats["maxValues"] and "t" not in stats["maxValues"] and
             "nil" not in stats["minValues"], f"{stats}")
        need(stats["maxValues"]["mid"] > "z" * 40 + "9" and stats["minValues"]["mid"] <= "z" * 40, f"{stats}")
        need(stats["maxValues"]["esc"] == '\x01"\\', f"{stats}")
        need(stats["minValues"]["long"] <= "ü" and stats["maxValues"]["long"] > "ü" * 401, f"{stats}")
        table = DeltaTable(path)
        for name, value in (("mid", "z" * 40 + "5"), ("long", "ü" * 400 + "5")):
            found = table.to_pyarrow_table(filters=[(name, "=", value)])
            need(found.num_rows == 1, f"{name}: {found.num_rows} rows found by value")

    def partitions(self):
        path = self.path("parts")
        write(path, PARTS, partition_by=["p", "day", "t", "n", "b", "de"])
        rows = theirs(path)
        need([row["id"] for row in rows] == list(range(60)), "other ids")
        for row in rows:
            i = row["id"]
            wanted = {"id": i, "p": (None, "a b/c%d=[e]*", "é:\"'", "plain", "plain")[i % 5],
                      "day": datetime.date(2024, 2, 28) + datetime.timedelta(days=i % 3),
                      "t": datetime.datetime(2024, 1, 1, 10, 0, 0, 500000, tzinfo=UTC), "n": i % 2, "b": i % 2 == 1,
                      "de": decimal.Decimal(i % 2) + decimal.Decimal("0.25")}
            need(row == wanted, f"{row}, wanted {wanted}")
        ours = rows_of(path, "SELECT id, p, day, t, n, b, de FROM t ORDER BY id")
        need(ours[6] == ["6", "a b/c%d=[e]*", "2024-02-28", "2024-01-01 10:00:00.5+00", "0", "false", "0.25"],
             f"{ours[6]}")
        need(ours[5][1] is None, f"{ours[5]}")
        need(rows_of(path, "SELECT count(*) FROM t WHERE p IS NULL AND day = DATE '2024-02-28'") == [["4"]], "pruned")
        need(DeltaTable(path).metadata().partition_columns == ["p", "day", "t", "n", "b", "de"], "columns")
        refuse("partition", path, PARTS, partition_by=["p"])
        write(path, PARTS.replace("SELECT i AS", "SELECT i + 100 AS"))
        need(len(ids(path)) == 120, "second append")

    def many_partitions(self):
        path = self.path("many")
        write(path, "SELECT i AS id, i % 300 AS p FROM range(900) r(i)", partition_by=["p"])
        need(ids(path) == list(range(900)), "ids")
        need(rows_of(path, "SELECT id FROM t WHERE p = 299 ORDER BY id") == [["299"], ["599"], ["899"]], "by partition")

    def modes(self):
        path = self.path("modes")
        write(path, "SELECT i AS id, i % 4 AS g, 'a' AS v FROM range(20) r(i)")
        write(path, "SELECT i AS id, i % 4 AS g, 'b' AS v FROM range(20, 30) r(i)")
        answer = write(path, "SELECT i % 40 AS id, 0 AS g, 'm' AS v FROM range(80) r(i)", mode="merge", key=["id"])
        need(answer["rows"] == 10 and ids(path) == list(range(40)), f"{answer}")
        again = write(path, "SELECT i AS id, 0 AS g, 'm' AS v FROM range(40) r(i)", mode="merge", key=["id"])
        need(again["rows"] == 0 and again["version"] == -1, f"{again}")
        answer = write(path, "SELECT 100 AS id, 1 AS g, 'r' AS v", mode="replace_where", predicate="g = 1")
        need(ids(path) == [i for i in range(40) if i >= 30 or i % 4 != 1] + [100] and answer["rows"] == 1,
             f"{answer} {ids(path)}")
        refuse("predicate", path, "SELECT 1 AS id, 2 AS g, 'r' AS v", mode="replace_where", predicate="g = 1")
        need(ids(path, version=1) == list(range(30)), "the version before")
        write(path, "SELECT 7 AS id, 7 AS g, 'o' AS v", mode="overwrite")
        need(ids(path) == [7], "overwritten")
        write(path, "SELECT 7 AS id, 7 AS g, 'o' AS v WHERE false", mode="overwrite")
        need(ids(path) == [], "emptied")
        history = tool({"op": "history", "path": path})[0]
        other = DeltaTable(path).history()
        need([h["version"] for h in history] == [h["version"] for h in other] and
             [h["operation"] for h in history] == [h["operation"] for h in other], f"{history}\n{other}")
        left = glob.glob(os.path.join(path, "*.parquet"))
        named = {a["add"]["path"] for name in glob.glob(os.path.join(path, "_delta_log", "*.json"))
                 for a in map(json.loads, open(name, encoding="utf-8")) if "add" in a}
        need({os.path.basename(name) for name in left} == named, "files that no commit names")

    def schema_grows(self):
        path = self.path("grows")
        write(path, "SELECT i AS id FROM range(5) r(i)")
        refuse("merge_schema", path, "SELECT 9 AS id, 'x' AS extra")
        write(path, "SELECT i AS id, 'x' || i AS extra, {'k': i} AS st FROM range(5, 8) r(i)", merge_schema=True)
        write(path, "SELECT i AS ID FROM range(8, 10) r(i)")
        rows = theirs(path)
        need([row["id"] for row in rows] == list(range(10)), f"{rows}")
        need(rows[2] == {"id": 2, "extra": None, "st": None} and rows[6]["extra"] == "x6", f"{rows}")
        need(rows_of(path, "SELECT count(extra), count(*), max(st.k) FROM t") == [["3", "10", "7"]], "ours")
        refuse("cast it", path, "SELECT 'text' AS id")
        need(ids(path, version=0) == list(range(5)), "version 0")

    def checkpoints(self):
        path = self.path("checkpoint")
        for i in range(25):
            write(path, f"SELECT {i} AS id, {i % 3} AS p, 'x' AS s", partition_by=["p"], txns=[["app", i + 1]],
                  before=[i if i else -1])
        write(path, "SELECT 3 AS id, 0 AS p, 'x' AS s", mode="replace_where", predicate="id = 3 AND p = 0")
        log = os.path.join(path, "_delta_log")
        hint = json.load(open(os.path.join(log, "_last_checkpoint"), encoding="utf-8"))
        need(hint["version"] == 20, f"{hint}")
        before = theirs(path)
        for version in range(20):
            os.unlink(os.path.join(log, f"{version:020}.json"))
        need(theirs(path) == before and ids(path) == list(range(25)), "without the commits below the checkpoint")
        need(DeltaTable(path).transaction_version("app") == 25, "the txn is lost")
        need(look(path, app_id="app")["txn"] == 25, "the txn is lost for us")
        stats = pyarrow.table(DeltaTable(path).get_add_actions(flatten=True)).to_pylist()
        need(sorted(row["min.id"] for row in stats) == list(range(25)), "statistics")
        need(rows_of(path, "SELECT id FROM t ORDER BY id", after=22) == [["23"], ["24"], ["3"]] or
             not look(path, after=22)["append_only"], "the span after 22")
        write(path, "SELECT 25 AS id, 1 AS p, 'x' AS s")
        need(ids(path) == list(range(26)), "append after clean-up")
        refuse("append", path, "SELECT 1 AS id, 1 AS p, 'x' AS s", txns=[["app", 25]])

    def spans(self):
        path = self.path("spans")
        for i in range(4):
            write(path, f"SELECT i AS id FROM range({i * 10}, {i * 10 + 10}) r(i)")
        need(ids(path, after=1) == list(range(20, 40)), "two commits")
        DeltaTable(path).optimize.compact()
        need(look(path, after=1)["append_only"], "compaction adds no rows")
        need(ids(path, after=1) == list(range(20, 40)) and ids(path) == list(range(40)), "after compaction")
        need(ids(path, after=4) == [], "nothing new")
        DeltaTable(path).delete("id = 5")
        need(not look(path, after=1)["append_only"], "a delete went unseen")

    def theirs_read_and_appended(self):
        path = self.path("theirs")
        stamp = datetime.datetime(2021, 5, 6, 7, 8, 9, 123456)
        table = pyarrow.table({
            "id": pyarrow.array(range(30), pyarrow.int64()), "p": ["x y/%s" % "ab"[i % 2] for i in range(30)],
            "t": pyarrow.array([stamp.replace(tzinfo=UTC)] * 30), "ntz": pyarrow.array([stamp] * 30),
            "de": pyarrow.array([decimal.Decimal(i) / 4 for i in range(30)], pyarrow.decimal128(12, 3)),
            "l": [[i] for i in range(30)], "st": [{"a": i, "b": str(i)} for i in range(30)]})
        write_deltalake(path, table, partition_by=["p"],
                        commit_properties=CommitProperties(app_transactions=[Transaction("job", 4)]))
        for i in range(3):
            write_deltalake(path, table.slice(i, 1), mode="append")
        DeltaTable(path).create_checkpoint()
        write_deltalake(path, table.slice(9, 1), mode="append")
        need(rows_of(path, "SELECT count(*), sum(id), max(p), max(t), max(ntz), sum(de), max(l[1]), max(st.b) FROM t") ==
             [["34", str(435 + 3 + 9), "x y/b", "2021-05-06 07:08:09.123456+00", "2021-05-06 07:08:09.123456",
               "111.750", "29", "9"]], f"{rows_of(path, 'SELECT count(*), sum(id), max(p), max(t), max(ntz), sum(de), max(l[1]), max(st.b) FROM t')}")
        need(look(path, app_id="job")["txn"] == 4, "their txn")
        for i in range(100, 112):
            write(path, f"SELECT {i} AS id, 'x y/b' AS p, TIMESTAMP '2022-01-01' AS t, TIMESTAMP '2022-01-01' AS ntz, "
                  "1.5::DECIMAL(5,2) AS de, [1::BIGINT] AS l, {'a': 1::BIGINT, 'b': 'z'} AS st")
        rows = theirs(path)
        need(len(rows) == 46 and rows[-1]["id"] == 111, f"{len(rows)}")
        need(rows[-1]["t"] == datetime.datetime(2022, 1, 1, tzinfo=UTC) and
             rows[-1]["ntz"] == datetime.datetime(2022, 1, 1) and rows[-1]["de"] == decimal.Decimal("1.500"), f"{rows[-1]}")
        write_deltalake(path, table.slice(0, 5), mode="append")
        need(len(ids(path)) == 51, "after all")

    def what_is_not_supported_is_named(self):
        for name, patch in {
                "deletionVectors": {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7,
                                                 "readerFeatures": ["deletionVectors"],
                                                 "writerFeatures": ["deletionVectors"]}},
                "v2Checkpoint": {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7,
                                              "readerFeatures": ["v2Checkpoint"],
                                              "writerFeatures": ["v2Checkpoint"]}},
                "reader version 4": {"protocol": {"minReaderVersion": 4, "minWriterVersion": 7}},
                "deletion vectors": {"add": {"path": "x.parquet", "partitionValues": {}, "size": 1,
                                             "modificationTime": 1, "dataChange": True,
                                             "deletionVector": {"storageType": "u"}}}}.items():
            path = self.path("unsupported " + name)
            write(path, "SELECT 1 AS id")
            with open(os.path.join(path, "_delta_log", f"{1:020}.json"), "w", encoding="utf-8") as file:
                file.write(json.dumps(patch) + "\n")
            answer = tool({"op": "open", "path": path})[0]
            need(answer["error"] == -4099 and name in answer["message"], f"{name}: {answer}")
            refuse(name, path, "SELECT 2 AS id")
        path = self.path("constraint")
        write(path, "SELECT 1 AS id")
        DeltaTable(path).alter.add_constraint({"positive": "id > 0"})
        need(ids(path) == [1], "it can be read")
        refuse("", path, "SELECT -2 AS id")

    def append_only(self):
        path = self.path("appendonly")
        write(path, "SELECT 1 AS id")
        DeltaTable(path).alter.set_table_properties({"delta.appendOnly": "true"})
        write(path, "SELECT 2 AS id")
        refuse("append-only", path, "SELECT 3 AS id", mode="overwrite")
        refuse("append-only", path, "SELECT 3 AS id", mode="replace_where", predicate="true")
        need(ids(path) == [1, 2], "ids")

    def writers_together(self):
        """Four processes of ours and delta-rs append at once; then merges, which must not double a key."""
        path = self.path("together")
        write(path, "SELECT -1::BIGINT AS id")
        each = 15
        running = []
        for w in range(4):
            ops = [json.dumps({"op": "write", "path": path, "query": f"SELECT {w * 1000 + i}::BIGINT AS id",
                               "txns": [[f"writer {w}", i]], "retries": 1000}) for i in range(each)]
            running.append(subprocess.Popen([TOOL, *ops], stdout=subprocess.PIPE, text=True))
        for i in range(each):
            for _ in range(100):
                try:
                    write_deltalake(path, pyarrow.table({"id": [9000 + i]}), mode="append")
                    break
                except Exception:  # pylint: disable=broad-except
                    time.sleep(0.01)
        waits = 0
        for process in running:
            for line in process.communicate(timeout=120)[0].splitlines():
                answer = json.loads(line)
                need(answer["error"] == 0, f"{answer}")
                waits += answer["attempts"] - 1
        need(ids(path) == sorted([-1] + [w * 1000 + i for w in (0, 1, 2, 3, 9) for i in range(each)]), "lost or doubled")
        need(waits > 0, "the writers never met: nothing was shown")
        running = [subprocess.Popen([TOOL, *[json.dumps(
            {"op": "write", "path": path, "query": f"SELECT i + {k * 10} AS id FROM range(20000, 20020) r(i)",
             "mode": "merge", "key": ["id"], "retries": 1000}) for k in range(6)]], stdout=subprocess.PIPE, text=True)
            for _ in range(3)]
        for process in running:
            for line in process.communicate(timeout=120)[0].splitlines():
                need(json.loads(line)["error"] == 0, line)
        need([i for i in ids(path) if i >= 20000] == list(range(20000, 20070)), "a key is there twice")

    def vacuum(self):
        path = self.path("vacuum")
        for i in range(3):
            write(path, f"SELECT {i} AS id, {i} AS p", partition_by=["p"], mode="overwrite")
        stray = os.path.join(path, "p=1", "part-stray.parquet")
        hidden = os.path.join(path, "_other", "x.parquet")
        outside = os.path.join(self.folder, "outside.parquet")
        os.makedirs(os.path.dirname(hidden))
        for name in (stray, hidden, outside):
            open(name, "w", encoding="utf-8").close()
        os.symlink(self.folder, os.path.join(path, "p=link"))
        with open(os.path.join(path, "_delta_log", f"{3:020}.json"), "w", encoding="utf-8") as file:
            file.write(json.dumps({"remove": {"path": "../outside2.parquet", "deletionTimestamp": 1,
                                              "dataChange": True}}) + "\n")
        answer = tool({"op": "vacuum", "path": path, "older_ms": 0})[0]
        need(answer["removed"] < 0, f"a path that leaves the table: {answer}")
        os.unlink(os.path.join(path, "_delta_log", f"{3:020}.json"))
        now = int(time.time() * 1000)
        need(tool({"op": "vacuum", "path": path, "older_ms": now - 3600000})[0]["removed"] == 0, "too young")
        need(ids(path, version=0) == [0], "version 0 is still whole")
        answer = tool({"op": "vacuum", "path": path, "older_ms": now + 1000})[0]
        need(answer["removed"] == 3, f"{answer}")
        need(ids(path) == [2] and os.path.exists(hidden) and os.path.exists(outside) and not os.path.exists(stray),
             "other files")

    def full_disk(self):
        if os.geteuid() != 0:
            print("        needs root for a small file system: left out")
            return
        mount = self.path("small")
        os.makedirs(mount)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", mount], check=True)
        try:
            path = os.path.join(mount, "t")
            write(path, "SELECT i AS id FROM range(10) r(i)")
            before = sorted(os.listdir(path))
            for more in ({}, {"mode": "overwrite"}):
                answer = refuse("No space left", path,
                                "SELECT i AS id, hash(i)::VARCHAR || hash(i + 1)::VARCHAR AS s FROM range(2000000) r(i)",
                                merge_schema=True, **more)
                need(answer["error"] == -28, f"{answer}")
                need(sorted(os.listdir(path)) == before and ids(path) == list(range(10)), "the table changed")
            # Room for the data, none for the commit.
            fill = os.open(os.path.join(mount, "fill"), os.O_WRONLY | os.O_CREAT)
            try:
                while True:
                    os.write(fill, bytes(4096))
            except OSError:
                os.close(fill)
            refuse("No space left", path, "SELECT 1 AS id")
            os.unlink(os.path.join(mount, "fill"))
            need(sorted(os.listdir(path)) == before and ids(path) == list(range(10)), "the table changed")
            write(path, "SELECT 10::BIGINT AS id")
            need(ids(path) == list(range(11)), "it goes on")
        finally:
            subprocess.run(["umount", "-l", mount], check=False)


def main():
    checks = Checks()
    folder = tempfile.mkdtemp(prefix="millrace-delta-")
    tables = Tables(folder)
    try:
        for name in ("every_type", "statistics", "odd_statistics", "partitions", "many_partitions", "modes",
                     "schema_grows", "checkpoints", "spans", "theirs_read_and_appended",
                     "what_is_not_supported_is_named", "append_only", "writers_together", "vacuum", "full_disk"):
            if not sys.argv[1:] or name in sys.argv[1:]:
                checks.run(name.replace("_", " "), getattr(tables, name))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
