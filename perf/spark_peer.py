# SPDX-License-Identifier: Apache-2.0
"""Apache Spark as the peer of the table benchmarks: one warm session, driven by lines of JSON.

A request {"do": "bronze" | "silver_gold" | "stop", ...} on stdin, an answer {"seconds": s, ...} on stdout."""

import glob
import json
import os
import sys
import time

from pyspark.sql import SparkSession, functions as F

SCHEMA = ("order_id string, customer_id bigint, region string, amount double, status string, "
          "created_at timestamp")


def session(jars, cores, folder):
    names = ("delta-spark", "delta-storage", "kafka-clients", "commons-pool2", "spark-sql-kafka",
             "spark-token-provider-kafka", "antlr4-runtime")
    paths = [path for path in glob.glob(os.path.join(jars, "*.jar"))
             if os.path.basename(path).startswith(names)]
    return (SparkSession.builder.master(f"local[{cores}]").appName("peer")
            .config("spark.jars", ",".join(paths))
            .config("spark.driver.memory", "6g")
            .config("spark.ui.enabled", "false")
            .config("spark.sql.shuffle.partitions", str(2 * cores))
            .config("spark.sql.session.timeZone", "UTC")
            .config("spark.local.dir", os.path.join(folder, "spark-local"))
            .config("spark.sql.warehouse.dir", os.path.join(folder, "warehouse"))
            .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
            .config("spark.sql.catalog.spark_catalog",
                    "org.apache.spark.sql.delta.catalog.DeltaCatalog")
            .getOrCreate())


def bronze(spark, bootstrap, topic, table, checkpoint):
    """A JSON topic into a Delta table: all that is there, then stop."""
    raw = (spark.readStream.format("kafka").option("kafka.bootstrap.servers", bootstrap)
           .option("subscribe", topic).option("startingOffsets", "earliest").load())
    row = raw.select(F.from_json(F.col("value").cast("string"), SCHEMA).alias("r"), "topic",
                     "partition", "offset", "timestamp").select("r.*", "topic", "partition", "offset",
                                                                "timestamp")
    query = (row.writeStream.format("delta").option("checkpointLocation", checkpoint)
             .trigger(availableNow=True).start(table))
    query.awaitTermination()
    return {"rows": sum(p["numInputRows"] for p in query.recentProgress)}


def silver_gold(spark, table, silver, gold):
    """Orders once, positive, with their hour; then the hourly sums."""
    orders = (spark.read.format("delta").load(table).where("amount > 0")
              .dropDuplicates(["order_id"]).withColumn("hour", F.date_trunc("hour", "created_at")))
    orders.write.format("delta").mode("overwrite").save(silver)
    (spark.read.format("delta").load(silver).groupBy("hour", "region")
     .agg(F.count("*").alias("orders"), F.sum("amount").alias("revenue"),
          F.countDistinct("customer_id").alias("customers"))
     .write.format("delta").mode("overwrite").save(gold))
    return {"rows": spark.read.format("delta").load(gold).count()}


def main():
    jars, cores, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what Spark prints must not mix with the answers
    spark = session(jars, cores, folder)
    spark.sparkContext.setLogLevel("ERROR")
    print(json.dumps({"version": spark.version}), file=answers, flush=True)
    doing = {"bronze": bronze, "silver_gold": silver_gold}
    for line in sys.stdin:
        request = json.loads(line)
        what = request.pop("do")
        if what == "stop":
            break
        begin = time.monotonic()
        result = doing[what](spark, **request)
        result["seconds"] = time.monotonic() - begin
        print(json.dumps(result), file=answers, flush=True)
    spark.stop()


if __name__ == "__main__":
    main()
