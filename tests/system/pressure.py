# SPDX-License-Identifier: Apache-2.0
"""A box under pressure: 10,000 connections, most of them silent, others that ask for much and read
little or nothing, that stop in the middle of a request, that come and go, and, where packets can be
forged, floods of SYNs, RSTs and stray segments. Four stock producers (acks=all) and a reader work all
the while. None of them is cut, each gets on, every acknowledged record is read back once and none
else, the dataplane stays within the memory it said at its start, and its counters add up."""

import argparse
import json
import os
import select
import struct
import subprocess
import sys
import tempfile
import time
import zlib

from confluent_kafka import Consumer, Producer, TopicPartition

from bad_input import frame
from box import BUILD, Box, Checks, Lab, can_lab, need, ok

TOPIC, PRODUCERS = "t.honest", 4
CONNECTIONS = 10000
STAY = {"slow": 150, "zero": 150, "stall": 40}
SOURCES = 8
RING_SIZE, FILL_BYTES = 64 << 20, 80 << 20
RATE = 500          # records a second of each producer: what is asked is that they get on, not how fast
TOOL = os.path.join(BUILD, "tests", "system", "pressure_tool")


# ---- roles: processes of their own, for they may live in the lab's namespace ----

class Honest:
    """A stock producer of one partition: what was acknowledged, the longest wait, the cuts."""

    def __init__(self, server, partition):
        self.partition = int(partition)
        self.acknowledged, self.errors, self.broken = [], [], []
        self.sent, self.longest, self.last = 0, 0.0, time.monotonic()
        self.disconnects = 0
        self.producer = Producer({
            "bootstrap.servers": server, "enable.idempotence": True, "acks": "all", "linger.ms": 5,
            "compression.type": "none", "delivery.timeout.ms": 300000, "socket.timeout.ms": 300000,
            "log_level": 0, "statistics.interval.ms": 1000, "stats_cb": self.on_stats,
            "error_cb": lambda error: self.broken.append(str(error))})

    def on_stats(self, text):
        self.disconnects = sum(broker["disconnects"] for broker in json.loads(text)["brokers"].values())

    def on_delivery(self, error, message):
        if error is not None:
            self.errors.append(str(error))
            return
        now = time.monotonic()
        self.longest, self.last = max(self.longest, now - self.last), now
        self.acknowledged.append((message.offset(), zlib.crc32(message.value())))

    def run(self):
        begin = time.monotonic()
        while not is_input_over():
            due = int((time.monotonic() - begin) * RATE)
            while self.sent < due:
                value = f"{self.partition} {self.sent} ".encode() + os.urandom(16) * (1 + self.sent % 50)
                try:
                    self.producer.produce(TOPIC, value, partition=self.partition,
                                          on_delivery=self.on_delivery)
                except BufferError:
                    break
                self.sent += 1
            self.producer.poll(0.01)
        left = self.producer.flush(120)
        self.longest = max(self.longest, time.monotonic() - self.last if left else 0)
        self.producer.poll(1.2)
        print(json.dumps({"sent": self.sent, "left": left, "longest": round(self.longest, 2),
                          "errors": self.errors[:5], "broken": self.broken[:5],
                          "disconnects": self.disconnects, "acknowledged": self.acknowledged}))


def is_input_over():
    """Whether the test closed our input: it is time to end."""
    return bool(select.select([sys.stdin], [], [], 0)[0])


def read_back(server, tail):
    """Offset and checksum of every record of each partition; with `tail` those that come, until told."""
    consumer = Consumer({"bootstrap.servers": server, "group.id": f"g.pressure.{tail}",
                         "enable.auto.commit": False, "log_level": 0, "auto.offset.reset": "error"})
    consumer.assign([TopicPartition(TOPIC, i, 0) for i in range(PRODUCERS)])
    ends = [consumer.get_watermark_offsets(TopicPartition(TOPIC, i), timeout=60)[1]
            for i in range(PRODUCERS)]
    found = [[] for _ in ends]
    last = time.monotonic()
    while is_reading(tail, found, ends):
        for message in consumer.consume(1000, 0.5):
            need(message.error() is None, message.error())
            found[message.partition()].append((message.offset(), zlib.crc32(message.value())))
            last = time.monotonic()
        need(time.monotonic() - last < 60, f"nothing to read for a minute: {[len(f) for f in found]} of {ends}")
    consumer.close()
    print(json.dumps(found))


def is_reading(tail, found, ends):
    if tail:
        return not is_input_over()
    return any(len(records) < end for records, end in zip(found, ends))


class Role:
    """One of the processes above, by its command line."""

    def __init__(self, prefix, *arguments):
        self.output = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([*prefix, sys.executable, os.path.abspath(__file__), *arguments],
                                        stdin=subprocess.PIPE, stdout=self.output)

    def end(self, seconds=200):
        """Ask it to end. @return what it found"""
        self.process.stdin.close()
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("a client did not end") from None
        self.output.seek(0)
        text = self.output.read()
        self.output.close()
        need(code == 0, f"a client ended with {code}: {text[-300:]}")
        return json.loads(text)


# ---- hostile words ----

def ask_for_much():
    """Fetch all that there is, at once."""
    name = TOPIC.encode()
    body = struct.pack(">iiiib", -1, 500, 1, 8 << 20, 0) + struct.pack(">ih", 1, len(name)) + name
    body += struct.pack(">i", PRODUCERS)
    body += b"".join(struct.pack(">iqi", i, 0, 1 << 20) for i in range(PRODUCERS))
    return frame(1, 4, body)


def half_a_request():
    """A frame of 1 MiB that is no Produce, and one that is, with the head of a batch of 900 kB."""
    name, size = TOPIC.encode(), 900000
    fetch = struct.pack(">i", (1 << 20) - 64) + frame(1, 4, b"\x00" * 60)[4:]
    now = int(time.time() * 1000)
    head = struct.pack(">qiibIhiqqqhii", 0, size - 12, -1, 2, 0, 0, 0, now, now, -1, -1, -1, 1)
    body = struct.pack(">hhi", -1, -1, 5000) + struct.pack(">ih", 1, len(name)) + name
    body += struct.pack(">iii", 1, 0, size) + head + b"\x00" * 200
    whole = frame(0, 3, body)
    return fetch, struct.pack(">i", len(whole) - 4 + size - len(head) - 200) + whole[4:]


class Crowd:
    """The hostile peers of one side."""

    def __init__(self, box, dpdk, counts):
        host, port = box.servers(dpdk).split(":")
        sources = f"{box.lab.net}.10:{SOURCES}" if dpdk else f"127.0.1.1:{SOURCES}"
        words = {"hello": frame(18, 0), "ask": ask_for_much(), "chat": frame(18, 0) * 60}
        arguments = ["--server", f"{host}:{port}", "--sources", sources]
        for name, value in [*counts.items(), *((k, v.hex()) for k, v in words.items())]:
            arguments += [f"--{name}", str(value)]
        for part in half_a_request():
            arguments += ["--part", part.hex()]
        if dpdk:
            arguments += ["--far", "198.18.0.0:16", "--near", f"{box.lab.net}.128:6"]
        self.process = subprocess.Popen([*box.prefix(dpdk), TOOL, *arguments], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def wait_ready(self):
        need(self.process.stdout.readline() == "ready\n", "the hostile peers did not get ready")

    def end(self):
        self.process.stdin.close()
        text = self.process.stdout.read()
        need(self.process.wait(60) == 0, f"pressure_tool ended with {self.process.returncode}")
        return json.loads(text)


# ---- what is asked of the box ----

def memory_of(pid):
    """Resident bytes of a process, huge pages included."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        fields = dict(line.split(":", 1) for line in file)
    return sum(int(fields[name].split()[0]) << 10 for name in ("VmRSS", "HugetlbPages"))


def counters(box):
    """Every counter, summed over the cores."""
    found = {}
    for line in box.metrics_text().splitlines():
        if line.startswith("millrace_") and "_total{core=" in line:
            name = line[len("millrace_"):line.index("_total{")]
            found[name] = found.get(name, 0) + int(float(line.split()[-1]))
    return found


class Side:
    """One transport under pressure."""

    def __init__(self, box, dpdk, args):
        self.box, self.dpdk, self.args = box, dpdk, args
        self.server = box.servers(dpdk)
        self.before = counters(box)
        self.honest, self.tail, self.crowd = [], None, None
        self.memory = []
        self.pid = box.child("millrace-dataplane")
        self.results, self.peers, self.seen = [], None, None

    def counts(self):
        counts = {"idle": self.args.connections - sum(STAY.values()), **STAY, "churn": 300,
                  "seed": self.args.seed}
        if self.dpdk:
            counts |= {"syn": 3000, "rst": 2000, "ack": 1000}
        return counts

    def sample(self):
        self.memory.append(memory_of(self.pid))

    def begin(self):
        prefix = self.box.prefix(self.dpdk)
        self.sample()
        self.honest = [Role(prefix, "produce", self.server, str(i)) for i in range(PRODUCERS)]
        self.tail = Role(prefix, "tail", self.server)
        time.sleep(2)
        self.sample()
        self.crowd = Crowd(self.box, self.dpdk, self.counts())
        self.crowd.wait_ready()
        self.sample()

    def press(self):
        end = time.monotonic() + self.args.seconds
        while time.monotonic() < end:
            time.sleep(1)
            self.sample()
            need(self.box.child("millrace-dataplane") == self.pid, "the dataplane ended")

    def finish(self):
        """The honest ones end first: the pressure lasts until their last record is answered."""
        self.results = [one.end() for one in self.honest]
        self.seen = self.tail.end()
        self.peers = self.crowd.end()
        print(f"    peers {json.dumps(self.peers)}")
        now = counters(self.box)
        print("    counted", {name: now[name] - self.before[name] for name in sorted(now)
                              if now[name] != self.before[name] and
                              name.startswith(("session_", "tcp_", "wireport_drop", "core_stalls", "seglog_no"))})
        for result in self.results:
            print(f"    honest: {len(result['acknowledged'])} of {result['sent']} acknowledged, longest wait "
                  f"{result['longest']} s, {result['disconnects']} cuts")

    def connections_stayed(self):
        wanted = self.counts()
        opened, cut = self.peers["opened"], self.peers["cut"]
        for kind in ("idle", "slow", "zero", "stall"):
            need(opened[kind] == wanted[kind], f"{opened[kind]} of {wanted[kind]} {kind} were opened")
        need(self.peers["answered"]["idle"] == wanted["idle"], f"answered {self.peers['answered']}")
        need(cut["idle"] == 0, f"{cut['idle']} silent connections were cut")
        need(self.peers["answered"]["churn"] > 0, "no short connection was answered")

    def none_was_cut(self):
        for number, result in enumerate(self.results):
            need(not result["errors"] and not result["broken"] and not result["disconnects"],
                 f"producer {number}: {result['errors']} {result['broken']} {result['disconnects']}")

    def each_got_on(self):
        """All that was sent is acknowledged, the last of it while the pressure went on."""
        for number, result in enumerate(self.results):
            need(result["left"] == 0 and len(result["acknowledged"]) == result["sent"] > 0,
                 f"producer {number}: {len(result['acknowledged'])} of {result['sent']}")

    def all_is_read_back_once(self):
        found = Role(self.box.prefix(self.dpdk), "read", self.server).end()
        for number, result in enumerate(self.results):
            sent = sorted(map(tuple, result["acknowledged"]))
            got = list(map(tuple, found[number]))
            need([offset for offset, _ in got] == list(range(len(got))), f"partition {number}: offsets")
            need(got[len(got) - len(sent):] == sent,
                 f"partition {number}: {len(got)} records there, {len(sent)} acknowledged")
            tail = list(map(tuple, self.seen[number]))
            need(tail and tail == got[:len(tail)], f"partition {number}: the reader saw others")

    def memory_is_within_its_sum(self):
        planned = self.box.metric("millrace_dataplane_memory_planned_bytes")
        at_rest, loaded = self.memory[1], max(self.memory[2:])
        print(f"    memory: {self.memory[0] >> 20} MiB at start, {loaded >> 20} MiB under pressure, "
              f"{planned / (1 << 20):.0f} MiB planned; "
              f"{(self.memory[2] - at_rest) // self.args.connections} bytes a connection")
        need(0 < loaded <= planned, f"{loaded} bytes, planned {planned:.0f}")

    def counters_add_up(self):
        def of(*names):
            return sum(now[name] - self.before[name] for name in names)

        # A reset that lies outside a shut window does not count (RFC 5961): those who were blocked when
        # their peers went are found out by the next probe, within a minute.
        late = sum(STAY.values())
        end = time.monotonic() + 75
        now = counters(self.box)
        while now["session_opened"] - now["session_closed"] > late and time.monotonic() < end:
            time.sleep(0.2)
            now = counters(self.box)
        need(now["session_opened"] - now["session_closed"] <= late,
             f"{now['session_opened'] - now['session_closed']} sessions are open after their clients are gone")
        need(of("session_opened") == of("sock_accepted", "wireport_accepted"), "sessions and connections")
        need(of("session_opened") >= self.args.connections, f"{of('session_opened')} sessions")
        if not self.dpdk:
            return
        drops = [name for name in now if name.startswith("wireport_drop_") and name not in
                 ("wireport_drop_unresolved", "wireport_drop_hand_over", "wireport_drop_tcp_checksum_sent")]
        taken = of("tcp_segments_in", "wireport_arp_received", "wireport_echo_answered", *drops)
        got = of("wireport_rx_packets", "wireport_taken_over") - of("wireport_handed_over")
        need(abs(got - taken) <= 64, f"{got} packets received, {taken} accounted for")
        need(of("tcp_accepted") - of("tcp_refused") == of("wireport_accepted"), "connections accepted")
        sent = self.peers["syn"] + self.peers["rst"] + self.peers["ack"]
        need(got > sent // 2, f"{got} packets received of a flood of {sent}")

    def run(self, checks):
        name = "dpdk" if self.dpdk else "socket"
        checks.run(f"{name}: {self.args.connections} connections", self.begin)
        if self.crowd is None:
            return
        checks.run(f"{name}: pressure for {self.args.seconds} s", self.press)
        checks.run(f"{name}: the end", self.finish)
        if self.peers is None:
            return
        for check in (self.connections_stayed, self.none_was_cut, self.each_got_on,
                      self.all_is_read_back_once, self.memory_is_within_its_sum, self.counters_add_up):
            checks.run(f"{name}: {check.__name__.replace('_', ' ')}", check)


def fill(server):
    """More than the ring holds, so that whoever reads from the start reads the files."""
    value, errors = os.urandom(100000), []
    producer = Producer({"bootstrap.servers": server, "acks": "all", "batch.size": 900000, "linger.ms": 5})
    for number in range(FILL_BYTES // len(value)):
        producer.produce(TOPIC, value, partition=number % PRODUCERS,
                         on_delivery=lambda error, _: error and errors.append(str(error)))
        producer.poll(0)
    need(producer.flush(60) == 0 and not errors, errors[:3])


def settings_of(args, lab):
    settings = {"max.connections": args.connections + 4000, "ring.size": RING_SIZE}
    if lab is not None:
        settings["dpdk.gateway"] = f"{lab.net}.1"
        for number in range(SOURCES):
            ok(subprocess.run([*lab.prefix(), "ip", "address", "add", f"{lab.net}.{10 + number}/24", "dev",
                               f"{lab.interface}p"], capture_output=True, text=True, check=False))
    return settings


def press_one(checks, args, lab):
    with Box(lab=lab, settings=settings_of(args, lab)) as box:
        ok(box.cli("topic", "create", TOPIC, "--partitions", str(PRODUCERS)))
        fill(box.servers())
        Side(box, lab is not None, args).run(checks)
        checks.run("clean stop", lambda: need(box.stop() == 0, "exit code"))


def main():
    roles = {"produce": lambda server, partition: Honest(server, partition).run(),
             "tail": lambda server: read_back(server, True), "read": lambda server: read_back(server, False)}
    if sys.argv[1:] and sys.argv[1] in roles:
        return roles[sys.argv[1]](*sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=15, help="of pressure on each transport")
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--only", choices=("dpdk", "socket"))
    args = parser.parse_args()
    print(f"seed {args.seed}")
    checks = Checks()
    if args.only != "socket" and can_lab():
        with Lab() as lab:
            press_one(checks, args, lab)
    if args.only != "dpdk":
        press_one(checks, args, None)
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
