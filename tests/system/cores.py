# SPDX-License-Identifier: Apache-2.0
"""Three poll cores on two CPUs, over both transports: each core is a broker; every partition is
served through every core, the wrong ones too, and counted; nothing is lost when the dataplane is
killed, nor when the box starts again with another number of cores."""

import json
import os
import random
import struct
import subprocess
import sys
import threading
import time

from confluent_kafka import Consumer, Producer, TopicPartition

from bad_input import batch, connect, error_of, frame, produce_v3, receive
from box import Box, Checks, Lab, can_lab, kcat, need, ok, wait_until

CORES, PARTITIONS = 3, 12
RECORDS = 12000


def varint(value):
    value <<= 1
    out = b""
    while value > 0x7f:
        out += bytes([value & 0x7f | 0x80])
        value >>= 7
    return out + bytes([value])


def record(value):
    body = b"\x00\x00\x00\x01" + varint(len(value)) + value + b"\x00"
    return varint(len(body)) + body


def fetch_v4(topic, partition, offset, wait_ms=0, size=4 << 20):
    body = struct.pack(">iiiib", -1, wait_ms, 1, size, 0)
    body += struct.pack(">ih", 1, len(topic)) + topic
    body += struct.pack(">iiqi", 1, partition, offset, size)
    return frame(1, 4, body)


def records_of(answer):
    """Error code, high watermark and record bytes of the one partition in a Fetch v4 answer."""
    topic_size = struct.unpack(">h", answer[12:14])[0]
    at = 14 + topic_size + 4
    _, error, watermark, _ = struct.unpack(">ihqq", answer[at:at + 22])
    aborted = max(struct.unpack(">i", answer[at + 22:at + 26])[0], 0)
    at += 26 + 16 * aborted
    return error, watermark, answer[at + 4:at + 4 + struct.unpack(">i", answer[at:at + 4])[0]]


def base_offset_of(answer):
    topic_size = struct.unpack(">h", answer[8:10])[0]
    return struct.unpack(">q", answer[10 + topic_size + 10:10 + topic_size + 18])[0]


def ask(server, request):
    with connect(server) as sock:
        sock.sendall(request)
        return receive(sock)


class Side:
    """One transport's checks; for DPDK they run inside the lab's namespace."""

    def __init__(self, server, mark):
        self.server = server
        self.mark = mark  # in the topics' names: the two sides do not meet
        host, port = server.split(":")
        self.servers = [f"{host}:{int(port) + core}" for core in range(CORES)]
        self.leaders = {}

    def topic(self, name):
        return f"t.{name}.{self.mark}"

    def each_core_is_a_broker(self):
        for server in self.servers:
            found = json.loads(ok(kcat(server, "-L", "-J")))
            need({b["name"] for b in found["brokers"]} == set(self.servers), found["brokers"])
            self.leaders = {p["partition"]: p["leader"] - 1 for t in found["topics"]
                            for p in t["partitions"] if t["topic"] == self.topic("raw")}
            need(set(self.leaders.values()) == set(range(CORES)), f"leaders {self.leaders}")

    def confluent_all_partitions(self):
        topic, errors = self.topic("confluent"), []
        sent = {partition: [] for partition in range(PARTITIONS)}
        producer = Producer({"bootstrap.servers": self.servers[1], "enable.idempotence": True,
                             "acks": "all", "linger.ms": 2, "compression.type": "lz4"})
        for number in range(RECORDS):
            value = f"{number} ".encode() + b"c" * random.randrange(600)
            sent[number % PARTITIONS].append(value)
            producer.produce(topic, value, partition=number % PARTITIONS,
                             on_delivery=lambda e, m: e and errors.append(str(e)))
            producer.poll(0)
        need(producer.flush(60) == 0 and not errors, f"{errors[:3]}")
        need(read_all(self.servers[2], topic) == sent, "other records came back, or in another order")

    def kcat_all_partitions(self):
        topic = self.topic("kcat")
        lines = {p: "".join(f"{p} {i} {'k' * (i % 90)}\n" for i in range(300))
                 for p in range(PARTITIONS)}
        for partition, text in lines.items():
            ok(kcat(self.servers[partition % CORES], "-P", "-t", topic, "-p", str(partition), "-X",
                    "acks=all", stdin=text))
        for partition, text in lines.items():
            out = ok(kcat(self.servers[(partition + 1) % CORES], "-C", "-t", topic, "-p",
                          str(partition), "-e", "-q"))
            need(out == text, f"partition {partition}: other bytes came back")

    def others(self, partition):
        return [s for core, s in enumerate(self.servers) if core != self.leaders[partition]]

    def wrong_core_takes_and_serves(self):
        """Each partition through each core that does not own it; any core serves what any took."""
        topic = self.topic("raw").encode()
        for partition in range(PARTITIONS):
            sent = b""
            for server in self.others(partition) + self.others(partition):
                value = f"{partition} through {server} ".encode() * random.randrange(1, 900)
                data = batch(record(value))
                answer = ask(server, produce_v3(data, topic, partition))
                need(error_of(answer) == 0, f"error {error_of(answer)}")
                # Only base offset and leader epoch are the box's to write.
                data = struct.pack(">q", base_offset_of(answer)) + data[8:]
                sent += data
            for server in self.servers:
                error, watermark, got = records_of(ask(server, fetch_v4(topic, partition, 0)))
                need(error == 0 and watermark == 4, f"error {error}, watermark {watermark}")
                need(without_epochs(got) == without_epochs(sent), f"{len(got)} of {len(sent)} bytes")

    def wrong_core_takes_a_batch_of_the_largest_size(self):
        topic, partition = self.topic("raw").encode(), 1
        data = batch(record(os.urandom(300000) * 3))
        for server in self.others(partition):
            answer = ask(server, produce_v3(data, topic, partition))
            need(error_of(answer) == 0, f"error {error_of(answer)}")
            for reader in self.servers:
                error, _, got = records_of(ask(reader, fetch_v4(topic, partition,
                                                                base_offset_of(answer))))
                need(error == 0 and got[61:] == data[61:], f"error {error}, {len(got)} bytes")

    def wrong_core_gives_the_owners_errors(self):
        topic = self.topic("raw").encode()
        for server in self.others(2):
            answer = ask(server, produce_v3(batch(crc=12345), topic, 2))
            need(error_of(answer) == 2, f"wrong checksum: error {error_of(answer)}")
            error, _, got = records_of(ask(server, fetch_v4(topic, 2, 1 << 40)))
            need(error == 1 and not got, f"offset out of range: error {error}")
            answer = ask(server, produce_v3(batch(), topic, PARTITIONS))
            need(error_of(answer) == 3, f"no such partition: error {error_of(answer)}")

    def wrong_core_keeps_the_order_of_a_pipeline(self):
        """Many requests on one connection, for partitions of every core: answered in order."""
        topic, count = self.topic("pipe").encode(), 240
        wanted = {partition: [] for partition in range(PARTITIONS)}
        with connect(self.servers[0]) as sock:
            def send():
                for number in range(count):
                    data = batch(record(f"{number} ".encode() * 400))
                    wanted[number % PARTITIONS].append(data[61:])
                    sock.sendall(produce_v3(data, topic, number % PARTITIONS))
            sender = threading.Thread(target=send)
            sender.start()
            for number in range(count):
                answer = receive(sock)
                need(error_of(answer) == 0, f"request {number}: error {error_of(answer)}")
                need(base_offset_of(answer) == number // PARTITIONS,
                     f"request {number}: offset {base_offset_of(answer)}")
            sender.join()
        for partition, bodies in wanted.items():
            for server in self.servers:
                _, _, got = records_of(ask(server, fetch_v4(topic, partition, 0)))
                need([b[61:] for b in batches(got)] == bodies, f"partition {partition}: order")

    def long_poll_through_the_wrong_core(self):
        topic, partition = self.topic("raw").encode(), 4
        _, end, _ = records_of(ask(self.server, fetch_v4(topic, partition, 0)))
        for server in self.others(partition):
            with connect(server) as sock:
                begin = time.monotonic()
                sock.sendall(fetch_v4(topic, partition, end, wait_ms=9000))
                time.sleep(0.3)
                ask(self.servers[self.leaders[partition]], produce_v3(batch(record(b"w")), topic,
                                                                      partition))
                error, _, got = records_of(receive(sock))
                need(error == 0 and len(batches(got)) == 1, f"error {error}, {len(got)} bytes")
                need(time.monotonic() - begin < 8, "the wait was not ended by the record")
                end += 1

    def many_flows(self):
        """Connections from many ports to each core: their packets arrive at every queue."""
        topic = self.topic("flows").encode()
        held = [connect(self.servers[number % CORES]) for number in range(60)]
        for _ in range(3):
            for number, sock in enumerate(held):
                sock.sendall(produce_v3(batch(record(b"f" * 3000)), topic, number % PARTITIONS))
            for sock in held:
                need(error_of(receive(sock)) == 0, "an error")
        for sock in held:
            sock.close()


def batches(data):
    out = []
    while len(data) >= 61:
        size = 12 + struct.unpack(">i", data[8:12])[0]
        out.append(data[:size])
        data = data[size:]
    return out


def without_epochs(data):
    return [piece[:12] + piece[16:] for piece in batches(data)]


def read_all(server, topic):
    """{partition: [value, ...]} of a whole topic; offsets must be dense from 0."""
    consumer = Consumer({"bootstrap.servers": server, "group.id": "g.cores", "log_level": 0,
                         "enable.auto.commit": False})
    ends = {p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=30)[1]
            for p in range(PARTITIONS)}
    consumer.assign([TopicPartition(topic, p, 0) for p in range(PARTITIONS)])
    got = {p: [] for p in range(PARTITIONS)}
    last = time.monotonic()
    while any(len(got[p]) < ends[p] for p in got):
        for message in consumer.consume(1000, 0.5):
            need(message.error() is None, message.error())
            values = got[message.partition()]
            need(message.offset() == len(values), f"offset {message.offset()} after {len(values)}")
            values.append(message.value())
            last = time.monotonic()
        need(time.monotonic() - last < 20, f"{sum(map(len, got.values()))} of {sum(ends.values())}")
    consumer.close()
    return got


def load(server, topic):
    """Produce until standard input ends; print {partition: {offset: value}} of what was acknowledged."""
    acknowledged = {p: {} for p in range(PARTITIONS)}
    errors, ending = [], threading.Event()
    producer = Producer({"bootstrap.servers": server, "enable.idempotence": True, "acks": "all",
                         "linger.ms": 2, "delivery.timeout.ms": 60000, "retry.backoff.ms": 50,
                         "reconnect.backoff.max.ms": 500, "socket.timeout.ms": 10000, "log_level": 0})

    def done(error, message):
        if error is not None:
            errors.append(str(error))
        else:
            acknowledged[message.partition()][message.offset()] = message.value().decode()

    def wait_end():
        sys.stdin.read()
        ending.set()

    threading.Thread(target=wait_end, daemon=True).start()
    number = 0
    while not ending.is_set():
        try:
            producer.produce(topic, f"{number} {server} ".encode() + b"l" * (number % 300),
                             partition=number % PARTITIONS, on_delivery=done)
            number += 1
        except BufferError:
            producer.poll(0.1)
        producer.poll(0.001 if number % 30 == 0 else 0)
    unanswered = producer.flush(60)
    json.dump({"sent": number, "errors": errors, "unanswered": unanswered,
               "acknowledged": acknowledged}, sys.stdout)


def start_load(box, dpdk):
    topic = "t.kill.dpdk" if dpdk else "t.kill.socket"
    return topic, subprocess.Popen([*box.prefix(dpdk), sys.executable, __file__, "--load",
                                    box.servers(dpdk), topic], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True)


def kill_under_load(box, sides):
    """Dataplane killed three times while every side produces: all acknowledged is there, once."""
    loads = [start_load(box, dpdk) for dpdk in sides]
    for _ in range(3):
        time.sleep(random.uniform(1, 2))
        victim = box.kill("millrace-dataplane")
        wait_until(lambda pid=victim: box.child("millrace-dataplane") not in (None, pid), 20,
                   "the dataplane is back")
    time.sleep(1)
    for topic, process in loads:
        found = json.loads(process.communicate("", timeout=150)[0])
        need(not found["errors"] and not found["unanswered"], f"{topic}: {found['errors'][:3]}")
        got = read_all(box.servers(), topic)
        count = 0
        for partition, records in found["acknowledged"].items():
            for offset, value in records.items():
                need(got[int(partition)][int(offset)].decode() == value, f"{topic}-{partition} {offset}")
                count += 1
        values = [value for values in got.values() for value in values]
        need(len(set(values)) == len(values), "a record is there twice")
        need(count == found["sent"] > 1000, f"{count} of {found['sent']} acknowledged")
        print(f"  {topic}: {count} acknowledged, all there once", flush=True)


def set_cores(box, cores):
    box.settings["cores"] = cores
    if box.lab:
        box.lab.set_queues(cores)


def other_core_counts(box, sides, topics):
    """A clean stop, then one core, then two: the same records, and new ones are taken."""
    wanted = {topic: read_all(box.servers(), topic) for topic in topics}
    for cores in (1, 2):
        need(box.stop() == 0, "clean stop")
        set_cores(box, cores)
        box.start()
        for dpdk in sides:
            found = json.loads(ok(kcat(box.servers(dpdk), "-L", "-J", prefix=box.prefix(dpdk))))
            need(len(found["brokers"]) == cores, f"{found['brokers']}")
        for topic in topics:
            need(read_all(box.servers(), topic) == wanted[topic], f"{cores} cores: {topic} differs")
            ok(kcat(box.servers(), "-P", "-t", topic, "-p", "5", stdin=f"with {cores}\n"))
            wanted[topic][5].append(f"with {cores}".encode())
    box.kill("millrace-dataplane")
    wait_until(lambda: box.child("millrace-dataplane"), 20, "the dataplane is back")
    box.wait_ready()
    for topic in topics:
        need(read_all(box.servers(), topic) == wanted[topic], f"{topic} differs after kill -9")


def crash_then_fewer_cores(box, topics):
    """Rings of three cores are emptied by a dataplane of one."""
    need(box.stop() == 0, "clean stop")
    set_cores(box, CORES)
    box.start()
    wanted = {topic: read_all(box.servers(), topic) for topic in topics}
    for topic in topics:
        for partition in range(PARTITIONS):
            answer = ask(box.servers(), produce_v3(batch(record(b"acks all")), topic.encode(),
                                                   partition))
            need(error_of(answer) == 0, f"error {error_of(answer)}")
            wanted[topic][partition].append(b"acks all")
    pids = [box.process.pid, box.child("millrace-dataplane"), box.child("millrace-control")]
    for pid in pids:
        os.kill(pid, 9)
    box.process.wait()
    set_cores(box, 1)
    box.start()
    for topic in topics:
        need(read_all(box.servers(), topic) == wanted[topic], f"{topic} differs")


def run_side(server, mark):
    checks = Checks()
    side = Side(server, mark)
    for name in ("each_core_is_a_broker", "confluent_all_partitions", "kcat_all_partitions",
                 "wrong_core_takes_and_serves", "wrong_core_takes_a_batch_of_the_largest_size",
                 "wrong_core_gives_the_owners_errors", "wrong_core_keeps_the_order_of_a_pipeline",
                 "long_poll_through_the_wrong_core", "many_flows"):
        checks.run(name, getattr(side, name))
    return checks.end()


def one_side(checks, box, dpdk):
    mark = "dpdk" if dpdk else "socket"
    for name in ("raw", "confluent", "kcat", "pipe", "flows"):
        result = box.cli("topic", "create", f"t.{name}.{mark}", "--partitions", str(PARTITIONS))
        need(result.returncode == 0, result.stderr)
    before = {name: box.metric(f"millrace_{name}_total") for name in
              ("produce_foreign_batches", "fetch_foreign_reads", "wireport_handed_over",
               "wireport_taken_over")}
    result = subprocess.run([*box.prefix(dpdk), sys.executable, __file__, "--side",
                             box.servers(dpdk), mark], check=False, timeout=200)
    moved = {name: box.metric(f"millrace_{name}_total") - value for name, value in before.items()}
    print(f"  {mark}: {moved}", flush=True)
    checks.run(f"every partition through every core over {mark}",
               lambda: need(result.returncode == 0, "see above"))
    # 12 partitions, 2 wrong cores: 2 batches through each, and at least one read through each.
    checks.run(f"hand-over between cores is counted over {mark}", lambda: need(
        moved["produce_foreign_batches"] >= 48 and moved["fetch_foreign_reads"] >= 24, moved))
    if dpdk:
        # Counters of two cores, read one after the other while packets move.
        checks.run("packets were handed to the core of their connection", lambda: need(
            moved["wireport_handed_over"] > 100 and moved["wireport_taken_over"] > 100, moved))


def main():
    if sys.argv[1:2] == ["--side"]:
        return run_side(*sys.argv[2:4])
    if sys.argv[1:2] == ["--load"]:
        return load(*sys.argv[2:4])
    checks = Checks()
    lab = Lab(queues=CORES) if can_lab() else None
    sides = (False, True) if lab else (False,)
    with lab or open(os.devnull, encoding="utf-8"), \
            Box(lab=lab, cores=CORES, settings={"ring.size": 32 << 20, "core.cpus": "0,1,0",
                                                "num.partitions": PARTITIONS}) as box:
        for dpdk in sides:
            one_side(checks, box, dpdk)
        checks.run("kill -9 under load", kill_under_load, box, sides)
        topics = ["t.confluent.socket", "t.kill.socket", *(["t.confluent.dpdk"] if lab else [])]
        checks.run("one core, then two: the same data", other_core_counts, box, sides, topics)
        checks.run("a crash with three cores, then one", crash_then_fewer_cores, box, topics)
        checks.run("clean stop", lambda: need(box.stop() == 0, "exit code"))
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
