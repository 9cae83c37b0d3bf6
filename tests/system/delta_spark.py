# SPDX-License-Identifier: Apache-2.0
"""Delta tables and Apache Spark with delta-spark: it reads what we write, with rows, schema, versions and statistics; we read
and append to what it writes; what it can do and we cannot is refused by name."""

import datetime
import decimal
import glob
import os
import shutil
import sys
import tempfile

from pyspark.sql import SparkSession

from box import Checks, need
from delta import EVERY_TYPE, PARTS, look, refuse, rows_of, write


def session(folder):
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    return (SparkSession.builder.master("local[2]").appName("delta")
            .config("spark.jars", ",".join(glob.glob(os.path.join(os.environ["DELTA_JARS"], "*.jar"))))
            .config("spark.driver.memory", "1g").config("spark.ui.enabled", "false")
            .config("spark.ui.showConsoleProgress", "false")
            .config("spark.sql.shuffle.partitions", "2").config("spark.sql.session.timeZone", "UTC")
            .config("spark.driver.bindAddress", "127.0.0.1").config("spark.driver.host", "127.0.0.1")
            .config("spark.local.dir", os.path.join(folder, "local"))
            .config("spark.sql.warehouse.dir", os.path.join(folder, "warehouse"))
            .config("spark.driver.extraJavaOptions", f"-Dderby.system.home={folder} -Duser.timezone=UTC")
            .config("spark.databricks.delta.snapshotPartitions", "2")
            .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
            .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
            .getOrCreate())


class Tables:
    def __init__(self, spark, folder):
        self.spark = spark
        self.folder = folder

    def path(self, name):
        return os.path.join(self.folder, name)

    def load(self, path, **options):
        reader = self.spark.read.format("delta")
        for key, value in options.items():
            reader = reader.option(key, value)
        return reader.load(path)

    def ids(self, path, **options):
        """The column id as Spark reads it and as we do; equal."""
        other = sorted(row.id for row in self.load(path, **options).select("id").collect())
        more = {"version": options["versionAsOf"]} if "versionAsOf" in options else {}
        ours = [int(row[0]) for row in rows_of(path, "SELECT id FROM t ORDER BY id", **more)]
        need(ours == other, f"we read {len(ours)} rows, Spark {len(other)}: {ours[:20]} {other[:20]}")
        return ours

    def every_type(self):
        path = self.path("types")
        write(path, EVERY_TYPE)
        frame = self.load(path)
        rows = frame.orderBy("a").collect()
        row = rows[17].asDict(recursive=True)
        row["bin"] = bytes(row["bin"])
        wanted = {
            "a": 17, "big": 17 * 1000000007, "sh": 17, "ti": 17, "d": 17 / 7, "f": 17.0,
            "de": decimal.Decimal("21.25"), "s": "text '17 ü", "b": False, "day": datetime.date(2020, 3, 16),
            "bin": b"x17", "t": datetime.datetime(2020, 1, 1, 0, 0, 17, 123456),
            "st": {"x": 17, "y": ["a", None, "b17"]}, "l": [17, None], "m": {"k17": 17}}
        need(len(rows) == 100 and row == wanted, f"{row}")
        need(frame.schema.simpleString() ==
             "struct<a:int,big:bigint,sh:smallint,ti:tinyint,d:double,f:float,de:decimal(10,2),s:string,b:boolean,"
             "day:date,bin:binary,t:timestamp,st:struct<x:bigint,y:array<string>>,l:array<bigint>,"
             "m:map<string,bigint>>", frame.schema.simpleString())

    def rows_are_found_by_value(self):
        """Files are skipped by statistics and partition values: what is there must be found."""
        path = self.path("found")
        for i in range(4):
            write(path, f"SELECT i AS id, repeat('ü', 100 * {i}) || i AS s, TIMESTAMPTZ '2024-01-01 00:00:00.0009+00' + "
                  f"to_milliseconds(i * 10) AS t, i / 3 AS d, i % 2 = 0 AS b, (i * 0.5)::DECIMAL(9,2) AS de, "
                  f"CASE WHEN i % 5 = 0 THEN 'nan'::DOUBLE ELSE i END AS nan FROM range({i * 10}, {i * 10 + 10}) r(i)")
        frame = self.load(path)
        for row in frame.where("id % 13 = 3").collect():
            for name in ("s", "t", "d", "de"):
                found = [other.id for other in frame.where(frame[name] == row[name]).collect()]
                need(found == [row.id], f"{name} = {row[name]} of {row.id}: {found}")
        need(frame.where("b").count() == 20 and frame.where("nan > 1e300").count() == 8, "booleans, NaN")
        need(len(frame.where("id = 25").inputFiles()) == 1, "statistics spare Spark no file")

    def partitions(self):
        path = self.path("parts")
        write(path, PARTS, partition_by=["p", "day", "t", "n", "b", "de"])
        rows = self.load(path).orderBy("id").collect()
        need([row.id for row in rows] == list(range(60)), "other ids")
        for row in rows:
            wanted = ((None, "a b/c%d=[e]*", "é:\"'", "plain", "plain")[row.id % 5],
                      datetime.date(2024, 2, 28) + datetime.timedelta(days=row.id % 3),
                      datetime.datetime(2024, 1, 1, 10, 0, 0, 500000), row.id % 2, row.id % 2 == 1)
            need((row.p, row.day, row.t, row.n, row.b) == wanted, f"{row}")
        need(self.load(path).where("p IS NULL AND day = DATE '2024-02-28'").count() == 4, "pruned")
        need(self.load(path).where("t = TIMESTAMP '2024-01-01 10:00:00.5'").count() == 60, "by time")

    def versions_and_checkpoints(self):
        path = self.path("versions")
        for i in range(23):
            write(path, f"SELECT {i} AS id, {i % 3} AS p" + (", 'x' AS extra" if i >= 5 else ""), partition_by=["p"],
                  txns=[["app", i + 1]], merge_schema=True)
        log = os.path.join(path, "_delta_log")
        need(self.ids(path, versionAsOf=7) == list(range(8)), "version 7")
        history = self.spark.sql(f"DESCRIBE HISTORY delta.`{path}`").orderBy("version").collect()
        need([row.version for row in history] == list(range(23)) and history[3].operation == "WRITE" and
             history[3].operationMetrics["numOutputRows"] == "1", f"{history[3]}")
        for version in range(20):
            os.unlink(os.path.join(log, f"{version:020}.json"))
        self.spark.sql("CLEAR CACHE")
        self.spark._jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()  # pylint: disable=protected-access
        need(self.ids(path) == list(range(23)), "without the commits below the checkpoint")
        need(sorted(row.extra or "" for row in self.load(path).collect()) == [""] * 5 + ["x"] * 18, "extra")
        # The txn is in the checkpoint: what Spark would write again under it is skipped.
        frame = self.spark.createDataFrame([(99, 0, "s")], "id int, p int, extra string")
        frame.write.format("delta").mode("append").option("txnAppId", "app").option("txnVersion", 23).save(path)
        need(self.ids(path) == list(range(23)), "a txn of ours was not seen")
        frame.write.format("delta").mode("append").option("txnAppId", "app").option("txnVersion", 24).save(path)
        need(self.ids(path) == list(range(23)) + [99], "Spark's append")
        refuse("append", path, "SELECT 1 AS id, 0 AS p, 'x' AS extra", txns=[["app", 24]])

    def theirs_read_and_appended(self):
        path = self.path("theirs")
        frame = self.spark.sql(
            "SELECT id, concat('v /%=', id % 2) AS p, timestamp'2021-05-06 07:08:09.123456' AS t, "
            "cast(id / 4 AS decimal(12,3)) AS de, array(id) AS l, named_struct('a', id, 'b', string(id)) AS st, "
            "map('k', id) AS m, id % 3 = 0 AS b, cast(id AS byte) AS ti, date'2020-02-29' AS day, "
            "cast(string(id) AS binary) AS bin, float(id) AS f FROM range(30)")
        frame.write.format("delta").partitionBy("p").save(path)
        for i in range(12):
            frame.where(f"id = {i}").write.format("delta").mode("append").save(path)
        need(os.path.exists(os.path.join(path, "_delta_log", f"{10:020}.checkpoint.parquet")), "no checkpoint of Spark's")
        got = rows_of(path, "SELECT count(*), sum(id), max(p), max(t), sum(de), max(l[1]), max(st.b), max(m['k']), "
                      "count(*) FILTER (b), max(day) FROM t")
        need(got == [["42", str(435 + 66), "v /%=1", "2021-05-06 07:08:09.123456+00", "125.250", "29", "9", "29", "14",
                      "2020-02-29"]], f"{got}")
        need(look(path)["rows"] == 42, "rows by their statistics")
        query = ("SELECT {0}::BIGINT AS id, 'v /%=1' AS p, TIMESTAMP '2022-01-01' AS t, 1.5::DECIMAL(5,2) AS de, [1::BIGINT] AS l, "
                 "{{'a': 1::BIGINT, 'b': 'z'}} AS st, MAP {{'k': 5::BIGINT}} AS m, true AS b, 7::TINYINT AS ti, "
                 "DATE '2022-02-02' AS day, 'x'::BLOB AS bin, 1::FLOAT AS f")
        for i in range(100, 110):
            write(path, query.format(i))
        need(len(self.ids(path)) == 52, "after our appends")
        row = self.load(path).where("id = 105").collect()[0]
        need((row.t, row.de, row.st.b, row.m, row.day) ==
             (datetime.datetime(2022, 1, 1), decimal.Decimal("1.500"), "z", {"k": 5}, datetime.date(2022, 2, 2)), f"{row}")
        before = look(path)["version"]
        write(path, query.format(110))
        self.spark.sql(f"OPTIMIZE delta.`{path}`")
        need(look(path, after=before)["append_only"], "OPTIMIZE adds no rows")
        need(rows_of(path, "SELECT id FROM t", after=before) == [["110"]], "the span over an OPTIMIZE")
        self.spark.sql(f"DELETE FROM delta.`{path}` WHERE id = 105")
        need(105 not in self.ids(path), "deleted")
        self.spark.sql(f"MERGE INTO delta.`{path}` t USING (SELECT 0L AS id) s ON t.id = s.id "
                       "WHEN MATCHED THEN UPDATE SET t.ti = 99")
        need(rows_of(path, "SELECT count(*) FROM t WHERE ti = 99") == [["2"]], "updated")
        write(path, query.format(7), mode="replace_where", predicate="id = 7")
        need(self.ids(path).count(7) == 1, "our replaceWhere of theirs")

    def what_is_not_supported_is_named(self):
        for name, setting in {"deletion": "'delta.enableDeletionVectors' = true",
                              "columnMapping": "'delta.columnMapping.mode' = 'name'",
                              "v2Checkpoint": "'delta.checkpointPolicy' = 'v2'"}.items():
            path = self.path(f"unsupported-{name}")
            self.spark.sql(f"CREATE TABLE delta.`{path}` (id BIGINT) USING delta TBLPROPERTIES ({setting})")
            self.spark.sql(f"INSERT INTO delta.`{path}` SELECT id FROM range(10)")
            refuse(name, path, "SELECT 1::BIGINT AS id")
        path = self.path("constraint")
        self.spark.sql(f"CREATE TABLE delta.`{path}` (id BIGINT NOT NULL) USING delta")
        write(path, "SELECT 1::BIGINT AS id")
        refuse("must not be null", path, "SELECT NULL::BIGINT AS id")
        self.spark.sql(f"ALTER TABLE delta.`{path}` ADD CONSTRAINT positive CHECK (id > 0)")
        need(self.ids(path) == [1], "it can be read")
        refuse("", path, "SELECT 2::BIGINT AS id")


def main():
    checks = Checks()
    folder = tempfile.mkdtemp(prefix="millrace-spark-")
    os.chdir(folder)
    spark = session(folder)
    spark.sparkContext.setLogLevel("ERROR")
    tables = Tables(spark, folder)
    try:
        for name in ("every_type", "rows_are_found_by_value", "partitions", "versions_and_checkpoints",
                     "theirs_read_and_appended", "what_is_not_supported_is_named"):
            if not sys.argv[1:] or name in sys.argv[1:]:
                checks.run(name.replace("_", " "), getattr(tables, name))
    finally:
        spark.stop()
        shutil.rmtree(folder, ignore_errors=True)
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
