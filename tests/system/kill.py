# SPDX-License-Identifier: Apache-2.0
"""kill -9 of dataplane and control at random moments under load.

A producer (idempotent, acks=all) and a reader that follows the tail run all the time. After the
last round everything acknowledged is there exactly once, at its offset; and nothing that the reader
ever saw is missing or different: consumers never read what could be lost. A second topic keeps so little that
its segments take the files of deleted ones all the time."""

import argparse
import random
import sys
import threading
import time
import zlib

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from box import Box, Checks, need, wait_until

TOPIC, PARTITIONS = "t.kill", 3
SHORT = "t.kill.short"
SHORT_CONFIG = ("segment.bytes=1048576", "retention.bytes=2097152")


class Load(threading.Thread):
    """Sends numbered records until told to stop; remembers the acknowledged ones."""

    def __init__(self, server, topic=TOPIC, size=400, fill=lambda count: b"z" * count):
        super().__init__(daemon=True)
        self.topic, self.size, self.fill = topic, size, fill
        self.producer = Producer({"bootstrap.servers": server, "enable.idempotence": True,
                                  "acks": "all", "linger.ms": 2, "compression.type": "lz4",
                                  "delivery.timeout.ms": 120000, "retry.backoff.ms": 50, "log_level": 0,
                                  "reconnect.backoff.max.ms": 500, "socket.timeout.ms": 10000})
        self.acknowledged = {}
        self.errors = []
        self.sent = 0
        self.ending = threading.Event()

    def on_delivery(self, error, message):
        if error is not None:
            self.errors.append(str(error))
            return
        where = (message.partition(), message.offset())
        if where in self.acknowledged:
            self.errors.append(f"{where} acknowledged twice")
        self.acknowledged[where] = message.value()

    def run(self):
        while not self.ending.is_set():
            value = f"{self.sent} ".encode() + self.fill(random.randrange(1, self.size))
            try:
                self.producer.produce(self.topic, value, partition=self.sent % PARTITIONS,
                                      on_delivery=self.on_delivery)
                self.sent += 1
            except BufferError:
                self.producer.poll(0.1)
            self.producer.poll(0)
            if self.sent % 50 == 0:
                time.sleep(0.002)
        if self.producer.flush(120):
            self.errors.append("records were never answered")


class Tail(threading.Thread):
    """Reads the tail of every partition and remembers each record it was ever given."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.consumer = Consumer({"bootstrap.servers": server, "group.id": "g.kill.tail",
                                  "enable.auto.commit": False, "auto.offset.reset": "error",
                                  "fetch.wait.max.ms": 50, "log_level": 0, "reconnect.backoff.max.ms": 500})
        self.seen = {}
        self.errors = []
        self.ending = threading.Event()

    def run(self):
        self.consumer.assign([TopicPartition(TOPIC, i, 0) for i in range(PARTITIONS)])
        while not self.ending.is_set():
            message = self.consumer.poll(0.2)
            if message is None:
                continue
            if message.error():
                if message.error().code() in (KafkaError._AUTO_OFFSET_RESET,
                                              KafkaError.OFFSET_OUT_OF_RANGE):
                    self.errors.append(str(message.error()))
                continue
            where = (message.partition(), message.offset())
            crc = zlib.crc32(message.value())
            if self.seen.get(where, crc) != crc:
                self.errors.append(f"{where} read with two contents")
            self.seen[where] = crc
        self.consumer.close()


def read_all(server, topic=TOPIC):
    """All records there are; of TOPIC none was deleted."""
    consumer = Consumer({"bootstrap.servers": server, "group.id": "g.kill.all", "log_level": 0,
                         "enable.auto.commit": False})
    final = {}
    for partition in range(PARTITIONS):
        where = TopicPartition(topic, partition)
        low, high = consumer.get_watermark_offsets(where, timeout=30)
        need((low == 0) == (topic == TOPIC), f"{topic}-{partition} starts at {low}")
        where.offset = at = low
        consumer.assign([where])
        last = time.monotonic()
        while at < high:
            batch = consumer.consume(500, 1)
            last = time.monotonic() if batch else last
            need(time.monotonic() - last < 20, f"partition {partition} ends at {at} of {high}")
            for message in batch:
                need(message.error() is None, message.error())
                need(message.offset() == at, f"offset {message.offset()} where {at} was expected")
                final[(partition, at)] = message.value()
                at += 1
    consumer.close()
    return final


def rounds(box, count, victims):
    for number in range(count):
        time.sleep(random.uniform(0.2, 1.5))
        victim = victims[number % len(victims)]
        box.kill(victim)
        wait_until(lambda name=victim: box.child(name), 30, f"{victim} is back")
    box.wait_ready(60)


def verify_short(load, final):
    """What is left is a run of what was acknowledged, up to the last of it."""
    need(not load.errors, load.errors[:5])
    need(len(load.acknowledged) == load.sent, f"{len(load.acknowledged)} of {load.sent}")
    for partition in range(PARTITIONS):
        kept = [offset for which, offset in final if which == partition]
        first, last = min(kept), max(kept)
        lost = [offset for (which, offset), value in load.acknowledged.items()
                if which == partition and offset >= first and final.get((which, offset)) != value]
        need(not lost, f"{len(lost)} acknowledged records are missing or different: {lost[:5]}")
        need(last == max(offset for which, offset in load.acknowledged if which == partition), f"it ends at {last}")
        need(len(kept) == last - first + 1, "no holes")


def verify(load, tail, final):
    need(not load.errors, load.errors[:5])
    need(not tail.errors, tail.errors[:5])
    need(len(load.acknowledged) == load.sent, f"{len(load.acknowledged)} of {load.sent}")
    lost = [w for w, v in load.acknowledged.items() if final.get(w) != v]
    need(not lost, f"{len(lost)} acknowledged records are missing or different: {lost[:5]}")
    values = {}
    for where, value in final.items():
        need(value not in values, f"{value[:20]} stands at {values.get(value)} and {where}")
        values[value] = where
    gone = [w for w, crc in tail.seen.items() if w not in final or zlib.crc32(final[w]) != crc]
    need(not gone, f"{len(gone)} records were read and are gone: {gone[:5]}")
    need(len(tail.seen) > 0, "the reader saw nothing")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    args = parser.parse_args()
    random.seed(args.seed)
    print(f"seed {args.seed}")
    checks = Checks()
    with Box() as box:
        server = box.servers()
        checks.run("topic", lambda: need(box.cli("topic", "create", TOPIC, "--partitions",
                                                 str(PARTITIONS)).returncode == 0, "create"))
        checks.run("topic that keeps little", lambda: need(
            box.cli("topic", "create", SHORT, "--partitions", str(PARTITIONS),
                    *(part for config in SHORT_CONFIG for part in ("--topic-config", config))).returncode == 0, "create"))
        load, tail, short = Load(server), Tail(server), Load(server, SHORT, 4000, random.randbytes)
        load.start()
        short.start()
        tail.start()
        checks.run(f"{args.rounds} rounds of kill -9", rounds, box, args.rounds,
                   ["millrace-dataplane", "millrace-dataplane", "millrace-control"])
        checks.run("files of deleted segments serve again", wait_until,
                   lambda: box.metric("millrace_seglog_recycled_total") > 3, 20, "three of them did")
        load.ending.set()
        short.ending.set()
        load.join(150)
        short.join(150)
        time.sleep(1)
        tail.ending.set()
        tail.join(30)
        print(f"  {load.sent} sent, {len(load.acknowledged)} acknowledged, {len(tail.seen)} read at the tail")
        checks.run("nothing lost, doubled or unread", lambda: verify(load, tail, read_all(server)))
        checks.run("nothing lost of what is kept", lambda: verify_short(short, read_all(server, SHORT)))
        checks.run("clean stop", lambda: need(box.stop() == 0, "exit code"))
        box.start()
        checks.run("all the same after a clean restart", lambda: verify(load, tail, read_all(server)))
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
