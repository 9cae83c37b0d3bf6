# SPDX-License-Identifier: Apache-2.0
"""Acknowledgement latency of one 1 KiB record at a time, acks=all."""

import argparse
import json
import os
import sys
import time

from confluent_kafka import Producer

import load


def quantile(ordered, share):
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--report", required=True)
    args = parser.parse_args()
    load.create(args.bootstrap, [load.NewTopic("probe.latency", 1, 1)])
    producer = Producer({"bootstrap.servers": args.bootstrap, "acks": "all", "linger.ms": 0,
                         "enable.idempotence": True, "socket.nagle.disable": True})
    value = os.urandom(1024)
    samples = []
    for number in range(args.count + 100):
        arrived = []
        begin = time.perf_counter_ns()
        producer.produce("probe.latency", value, partition=0,
                         on_delivery=lambda e, m, out=arrived: out.append((e, time.perf_counter_ns())))
        while not arrived:
            producer.poll(0.5)
        error, end = arrived[0]
        if error is not None:
            print(error, file=sys.stderr)
            return 1
        if number >= 100:
            samples.append((end - begin) / 1000)
    samples.sort()
    report = {"samples": len(samples), "p50_us": round(quantile(samples, 0.5)),
              "p99_us": round(quantile(samples, 0.99)), "p999_us": round(quantile(samples, 0.999))}
    with open(args.report, "w", encoding="utf-8") as file:
        json.dump(report, file)
    print(f"    ack p50 {report['p50_us']} us, p99 {report['p99_us']} us, "
          f"p99.9 {report['p999_us']} us over {report['samples']} records, the stock client included")
    return 0


if __name__ == "__main__":
    sys.exit(main())
