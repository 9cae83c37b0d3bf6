# SPDX-License-Identifier: Apache-2.0
"""One member of a consumer group: writes `topic partition offset size crc32` for each record.

Ends when nothing came for --idle seconds, after committing what it read."""

import argparse
import sys
import time
import zlib

from confluent_kafka import Consumer, TopicPartition


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--group", required=True)
    parser.add_argument("--topics", required=True, help="comma separated")
    parser.add_argument("--output", required=True)
    parser.add_argument("--idle", type=float, default=4)
    parser.add_argument("--limit-s", type=float, default=120)
    args = parser.parse_args()
    consumer = Consumer({"bootstrap.servers": args.bootstrap, "group.id": args.group,
                         "auto.offset.reset": "earliest", "enable.auto.commit": False,
                         "session.timeout.ms": 10000,
                         "partition.assignment.strategy": "range,roundrobin"})
    written = {}

    def commit(member, partitions):
        """What was written is committed before the partitions go to somebody else."""
        done = [TopicPartition(p.topic, p.partition, written[(p.topic, p.partition)])
                for p in partitions if (p.topic, p.partition) in written]
        if done:
            member.commit(offsets=done, asynchronous=False)

    consumer.subscribe(args.topics.split(","), on_revoke=commit)
    begin = last = time.monotonic()
    count = 0
    with open(args.output, "w", encoding="ascii") as out:
        while time.monotonic() - last < args.idle or count == 0:
            if time.monotonic() - begin > args.limit_s:
                print("ran out of time", file=sys.stderr)
                break
            for message in consumer.consume(1000, 0.2):
                if message.error():
                    print(message.error(), file=sys.stderr)
                    continue
                value = message.value()
                out.write(f"{message.topic()} {message.partition()} {message.offset()} "
                          f"{len(value)} {zlib.crc32(value)}\n")
                written[(message.topic(), message.partition())] = message.offset() + 1
                count += 1
                last = time.monotonic()
    commit(consumer, consumer.assignment())
    consumer.close()
    print(f"{count} records")
    return 0


if __name__ == "__main__":
    sys.exit(main())
