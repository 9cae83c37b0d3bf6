# SPDX-License-Identifier: Apache-2.0
"""kill -9 of dataplane and control at random moments under load.

A producer (idempotent, acks=all) and a reader that follows the tail run all the time. After the
last round everything acknowledged is there exactly once, at its offset; and nothing that the reader
ever saw is missing or different: consumers never read what could be lost."""

import argparse
import random
import sys
import threading
import time
import zlib

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from box import Box, Checks, need, wait_until

TOPIC, PARTITIONS = "t.kill", 3


class Load(threading.Thread):
    """Sends numbered records until told to stop; remembers the acknowledged ones."""

    def __init__(self, server):
        super().__init__(daemon=True)
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
            value = f"{self.sent} ".encode() + b"z" * random.randrange(1, 400)
            try:
                self.producer.produce(TOPIC, value, partition=self.sent % PARTITIONS,
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


def read_all(server):
    consumer = Consumer({"bootstrap.servers": server, "group.id": "g.kill.all", "log_level": 0,
                         "enable.auto.commit": False})
    final = {}
    for partition in range(PARTITIONS):
        where = TopicPartition(TOPIC, partition)
        low, high = consumer.get_watermark_offsets(where, timeout=30)
        need(low == 0, f"log starts at {low}")
        where.offset = 0
        consumer.assign([where])
        at = 0
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
        load, tail = Load(server), Tail(server)
        load.start()
        tail.start()
        checks.run(f"{args.rounds} rounds of kill -9", rounds, box, args.rounds,
                   ["millrace-dataplane", "millrace-dataplane", "millrace-control"])
        load.ending.set()
        load.join(150)
        time.sleep(1)
        tail.ending.set()
        tail.join(30)
        print(f"  {load.sent} sent, {len(load.acknowledged)} acknowledged, {len(tail.seen)} read at the tail")
        checks.run("nothing lost, doubled or unread", lambda: verify(load, tail, read_all(server)))
        checks.run("clean stop", lambda: need(box.stop() == 0, "exit code"))
        box.start()
        checks.run("all the same after a clean restart", lambda: verify(load, tail, read_all(server)))
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
