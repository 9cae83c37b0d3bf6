# SPDX-License-Identifier: Apache-2.0
"""Send the flights with a stock producer and write down what was acknowledged.

Each line of the manifest is `topic partition offset size crc32`, in order of acknowledgement."""

import argparse
import json
import sys
import time
import zlib

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

import flights


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--manifest", required=True, help="file to write")
    parser.add_argument("--topic", default="raw.flights")
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--references", action="store_true", help="send the reference tables too")
    parser.add_argument("--limit", type=int, default=0, help="flights to send; 0: all")
    parser.add_argument("--later", type=int, default=0,
                        help="send so many flights of the next year instead")
    parser.add_argument("--report", help="file for the figures, as JSON")
    parser.add_argument("--progress", action="store_true")
    return parser.parse_args()


def create(bootstrap, topics):
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for future in admin.create_topics(topics, operation_timeout=30).values():
        try:
            future.result()
        except Exception as error:  # pylint: disable=broad-except
            if "TOPIC_ALREADY_EXISTS" not in str(error):
                raise


class Load:
    def __init__(self, args):
        self.args = args
        self.failed = 0
        self.acknowledged = 0
        self.size = 0
        self.manifest = open(args.manifest, "w", encoding="ascii")  # pylint: disable=R1732
        self.producer = Producer({
            "bootstrap.servers": args.bootstrap,
            "enable.idempotence": True,
            "acks": "all",
            "compression.type": "lz4",
            "linger.ms": 5,
            "queue.buffering.max.messages": 200000,
            "delivery.timeout.ms": 120000,
        })

    def on_delivery(self, error, message):
        if error is not None:
            self.failed += 1
            print(f"not delivered: {error}", file=sys.stderr)
            return
        value = message.value()
        self.acknowledged += 1
        self.size += len(value)
        self.manifest.write(f"{message.topic()} {message.partition()} {message.offset()} "
                            f"{len(value)} {zlib.crc32(value)}\n")

    def send(self, topic, key, value):
        while True:
            try:
                self.producer.produce(topic, value, key, on_delivery=self.on_delivery)
                break
            except BufferError:
                self.producer.poll(0.05)
        self.producer.poll(0)

    def run(self):
        begin = time.monotonic()
        sent = shown = 0
        if self.args.references:
            for topic, value in flights.references():
                self.send(topic, None, value)
                sent += 1
        source = flights.later(self.args.later) if self.args.later else flights.flights()
        for index, (key, value) in enumerate(source):
            if self.args.limit and index >= self.args.limit:
                break
            self.send(self.args.topic, key, value)
            sent += 1
            if self.args.progress and time.monotonic() - shown > 1:
                shown = time.monotonic()
                print(f"    {self.acknowledged} acknowledged of {sent} sent", file=sys.stderr)
        left = self.producer.flush(120)
        self.manifest.close()
        return sent, left, time.monotonic() - begin


def main():
    args = arguments()
    flights.fetch()
    topics = [NewTopic(args.topic, args.partitions, 1)]
    if args.references:
        topics += [NewTopic(f"ref.{name}", 1, 1) for name in flights.REFERENCES]
    create(args.bootstrap, topics)
    load = Load(args)
    sent, left, seconds = load.run()
    report = {"sent": sent, "acknowledged": load.acknowledged, "failed": load.failed + left,
              "bytes": load.size, "seconds": round(seconds, 3),
              "records_per_s": round(load.acknowledged / seconds),
              "gbit_per_s": round(load.size * 8 / seconds / 1e9, 3)}
    if args.report:
        with open(args.report, "w", encoding="utf-8") as file:
            json.dump(report, file)
    print(json.dumps(report))
    return 1 if report["failed"] or sent != load.acknowledged else 0


if __name__ == "__main__":
    sys.exit(main())
