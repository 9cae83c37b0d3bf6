# SPDX-License-Identifier: Apache-2.0
"""Stock clients against one box over one transport: what they send is what they read back."""

import json
import os
import random
import subprocess
import sys
import zlib

from box import BUILD, ROOT, Box, Checks, Lab, can_lab, java, kcat, need, ok, wait_until  # noqa: F401

TOOLS = "org.apache.kafka.tools."


class Clients:
    def __init__(self, box, dpdk):
        self.box = box
        self.server = box.servers(dpdk)
        self.prefix = box.prefix(dpdk)

    def python(self, code, *arguments):
        """Run a confluent-kafka script on the side of the transport."""
        return subprocess.run([*self.prefix, os.path.join(ROOT, ".venv", "bin", "python"), "-c", code,
                               self.server, *arguments], capture_output=True, text=True,
                              timeout=90, check=False)

    def kcat_round_trip(self):
        lines = "".join(f"key{i}:value {i}\n" for i in range(1000))
        ok(kcat(self.server, "-P", "-t", "t.kcat", "-K:", "-X", "acks=all", prefix=self.prefix,
                stdin=lines))
        out = ok(kcat(self.server, "-C", "-t", "t.kcat", "-e", "-q", "-K:", prefix=self.prefix))
        need(sorted(out.splitlines()) == sorted(lines.splitlines()), f"{len(out)} bytes came back")

    def kcat_every_codec(self):
        for codec in ("gzip", "snappy", "lz4", "zstd"):
            topic = f"t.codec.{codec}"
            lines = "".join(f"{codec} {i} {'x' * 100}\n" for i in range(2000))
            ok(kcat(self.server, "-P", "-t", topic, "-z", codec, "-p", "0", prefix=self.prefix,
                    stdin=lines))
            out = ok(kcat(self.server, "-C", "-t", topic, "-e", "-q", "-p", "0",
                          prefix=self.prefix))
            need(out == lines, f"{codec}: other bytes came back")
        # The bytes on disk are the producer's: still compressed.
        sizes = self.box.get("/api/v1/topics/t.codec.gzip")["partitions"][0]["size"]
        need(sizes < 100000, f"gzip topic takes {sizes} bytes: not stored as sent")

    def kcat_metadata_names_this_listener(self):
        out = ok(kcat(self.server, "-L", "-J", prefix=self.prefix))
        brokers = json.loads(out)["brokers"]
        need(brokers[0]["name"] == self.server, f"{brokers}")

    def confluent_idempotent(self):
        code = """
import sys, zlib
from confluent_kafka import Producer, Consumer, TopicPartition
server, seed = sys.argv[1], int(sys.argv[2])
acked = {}
p = Producer({'bootstrap.servers': server, 'enable.idempotence': True, 'acks': 'all',
              'compression.type': 'lz4', 'linger.ms': 5})
def done(error, message):
    assert error is None, error
    acked[(message.partition(), message.offset())] = zlib.crc32(message.value())
for i in range(20000):
    p.produce('t.confluent', (f'{seed} {i} ' + 'y' * (i % 700)).encode(), key=str(i),
              headers={'n': str(i)}, on_delivery=done)
    p.poll(0)
assert p.flush(60) == 0
c = Consumer({'bootstrap.servers': server, 'group.id': 'g.confluent', 'auto.offset.reset': 'earliest',
              'enable.auto.commit': False})
c.subscribe(['t.confluent'])
got, last = {}, {}
while len(got) < len(acked):
    batch = c.consume(5000, 20)
    assert batch, f'{len(got)} of {len(acked)}'
    for m in batch:
        assert m.error() is None, m.error()
        assert m.offset() > last.get(m.partition(), -1)
        last[m.partition()] = m.offset()
        assert m.headers()[0][0] == 'n'
        got[(m.partition(), m.offset())] = zlib.crc32(m.value())
assert got == acked
c.commit(asynchronous=False)
partitions = [TopicPartition('t.confluent', i) for i in range(4)]
for tp in c.committed(partitions, timeout=10):
    low, high = c.get_watermark_offsets(tp)
    assert tp.offset in (high, -1001), (tp, high)
c.close()
"""
        ok(self.python(code, str(random.randrange(1 << 30))))

    def confluent_large_messages(self):
        code = """
import sys, os
from confluent_kafka import Producer, Consumer
server = sys.argv[1]
values = [os.urandom(n) for n in (1, 900000, 1000000, 3, 65536, 999000)]
offsets = []
p = Producer({'bootstrap.servers': server, 'acks': 'all', 'message.max.bytes': 2000000})
for v in values:
    p.produce('t.large', v, partition=0, on_delivery=lambda e, m: offsets.append((e, m.offset())))
assert p.flush(60) == 0
assert all(e is None for e, _ in offsets), offsets
p.produce('t.large', os.urandom(1500000), partition=0, on_delivery=lambda e, m: offsets.append((e, 0)))
p.flush(60)
assert offsets[-1][0] is not None and offsets[-1][0].name() == 'MSG_SIZE_TOO_LARGE', offsets[-1]
c = Consumer({'bootstrap.servers': server, 'group.id': 'g.large', 'auto.offset.reset': 'earliest'})
c.subscribe(['t.large'])
got = []
while len(got) < len(values):
    m = c.poll(20)
    assert m is not None and m.error() is None, m
    got.append(m.value())
assert got == values
c.close()
"""
        ok(self.python(code))

    def java_topics(self):
        out = ok(java(TOOLS + "TopicCommand", "--bootstrap-server", self.server, "--create",
                      "--topic", "t.java", "--partitions", "3", "--config", "retention.ms=3600000",
                      prefix=self.prefix))
        need("Created topic t.java" in out, out)
        out = ok(java(TOOLS + "TopicCommand", "--bootstrap-server", self.server, "--describe",
                      "--topic", "t.java", prefix=self.prefix))
        need("PartitionCount: 3" in out and "retention.ms=3600000" in out, out)
        out = ok(java(TOOLS + "TopicCommand", "--bootstrap-server", self.server, "--list",
                      prefix=self.prefix))
        need("t.java" in out.split(), out)
        again = java(TOOLS + "TopicCommand", "--bootstrap-server", self.server, "--create",
                     "--topic", "t.java", prefix=self.prefix)
        need(again.returncode != 0 and "already exists" in again.stdout + again.stderr,
             again.stdout + again.stderr)

    def java_console(self):
        lines = "".join(f"line {i}\n" for i in range(500))
        ok(java(TOOLS + "ConsoleProducer", "--bootstrap-server", self.server, "--topic", "t.console",
                prefix=self.prefix, stdin=lines))
        out = ok(java(TOOLS + "consumer.ConsoleConsumer", "--bootstrap-server", self.server, "--topic",
                      "t.console", "--from-beginning", "--max-messages", "500", "--timeout-ms",
                      "30000", "--group", "g.console", prefix=self.prefix))
        need(sorted(out.splitlines()) == sorted(lines.splitlines()), f"{len(out)} bytes came back")

    def java_groups(self):
        out = ok(java(TOOLS + "consumer.group.ConsumerGroupCommand", "--bootstrap-server",
                      self.server, "--describe", "--group", "g.console", prefix=self.prefix))
        rows = [line.split() for line in out.splitlines() if "t.console" in line]
        need(rows and all(row[5] == "0" for row in rows), out)
        need(sum(int(row[3]) for row in rows) == 500, out)
        out = ok(java(TOOLS + "consumer.group.ConsumerGroupCommand", "--bootstrap-server",
                      self.server, "--list", prefix=self.prefix))
        need("g.console" in out, out)

    def java_delete(self):
        ok(java(TOOLS + "TopicCommand", "--bootstrap-server", self.server, "--delete", "--topic",
                "t.java", prefix=self.prefix))
        out = ok(java(TOOLS + "TopicCommand", "--bootstrap-server", self.server, "--list",
                      prefix=self.prefix))
        need("t.java" not in out.split(), out)

    def java_api_versions(self):
        out = ok(java(TOOLS + "BrokerApiVersionsCommand", "--bootstrap-server", self.server,
                      prefix=self.prefix))
        need("Produce(0)" in out and "Fetch(1)" in out, out)

    def kafkajs(self):
        folder = os.path.join(ROOT, ".cache", "kafkajs")
        if not os.path.exists(os.path.join(folder, "node_modules", "kafkajs")):
            os.makedirs(folder, exist_ok=True)
            subprocess.run(["npm", "install", "--silent", "--no-fund", "--no-audit", "--prefix", folder,
                            "kafkajs@2.2.4"], check=True, capture_output=True)
        script = os.path.join(ROOT, "tests", "system", "kafkajs.js")
        out = ok(subprocess.run([*self.prefix, "node", script, self.server],
                                env={**os.environ, "NODE_PATH": os.path.join(folder, "node_modules"),
                                     "KAFKAJS_NO_PARTITIONER_WARNING": "1"},
                                capture_output=True, text=True, timeout=90, check=False))
        need("300 of 300" in out, out)


def main(dpdk):
    if dpdk and not can_lab():
        print("no lab here: it takes root and iproute2")
        return 1
    checks = Checks()
    lab = Lab() if dpdk else None
    with lab or open(os.devnull, encoding="utf-8"), Box(lab=lab) as box:
        clients = Clients(box, dpdk)
        for name in ("kcat_round_trip", "kcat_every_codec", "kcat_metadata_names_this_listener",
                     "confluent_idempotent", "confluent_large_messages", "java_api_versions",
                     "java_topics", "java_console", "java_groups", "java_delete", "kafkajs"):
            checks.run(name, getattr(clients, name))
        if dpdk:
            checks.run("records came through the DPDK port", lambda: need(
                box.metric("millrace_wireport_rx_packets_total") > 1000 and
                box.metric("millrace_sock_rx_bytes_total") == 0, "packets took another way"))
        checks.run("clean stop", lambda: need(box.stop() == 0, "exit code"))
    return checks.end()


if __name__ == "__main__":
    sys.exit(main("--dpdk" in sys.argv))
