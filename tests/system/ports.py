# SPDX-License-Identifier: Apache-2.0
"""A box with two ports: clients behind each reach it by their own link, are told that link's address
and no other, produce and fetch at the same time, and one goes on while the other's link is down."""

import re
import shutil
import subprocess
import sys
import tempfile
import time

from box import MILLRACE, Box, Checks, Lab, can_lab, kcat, need, ok, wait_until

# Runs inside a lab's namespace: sends records until its input ends, prints what became of them.
PRODUCER = """
import sys, threading, time
from confluent_kafka import Producer
server, topic, mark = sys.argv[1:4]
acknowledged = failed = sent = 0
def on_delivery(error, message):
    global acknowledged, failed
    if error is None:
        acknowledged += 1
    else:
        failed += 1
producer = Producer({"bootstrap.servers": server, "enable.idempotence": True, "acks": "all",
                     "linger.ms": 2, "delivery.timeout.ms": 120000, "log_level": 0,
                     "reconnect.backoff.max.ms": 500, "socket.timeout.ms": 20000})
over = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
told = time.monotonic()
while not over.is_set():
    try:
        producer.produce(topic, f"{mark}{sent}".encode() + b" " + b"x" * 300, on_delivery=on_delivery)
        sent += 1
    except BufferError:
        producer.poll(0.05)
    producer.poll(0)
    if sent % 50 == 0:
        time.sleep(0.002)
    if time.monotonic() - told > 0.1:
        told = time.monotonic()
        print("so far", acknowledged, flush=True)
left = producer.flush(120)
print("end", sent, acknowledged, failed, left, flush=True)
"""


class Client:
    """A producer behind one link."""

    def __init__(self, box, lab, topic):
        self.child = subprocess.Popen([*lab.prefix(), sys.executable, "-c", PRODUCER,
                                       f"{lab.address}:{box.port}", topic, lab.namespace[-1]],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def so_far(self):
        line = self.child.stdout.readline().split()
        need(line[:2] == ["so", "far"], line)
        return int(line[2])

    def acknowledges(self, seconds, least):
        """At least so many more records within the time."""
        begin, end = self.so_far(), time.monotonic() + seconds
        while (now := self.so_far()) < begin + least:
            need(time.monotonic() < end, f"{now - begin} of {least} records in {seconds} s")

    def is_silent(self, seconds):
        """For so long nothing is acknowledged."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            last = self.so_far()
        for _ in range(5):
            now = self.so_far()
            need(now == last, f"{now - last} records by a link that is down")

    def end(self):
        self.child.stdin.close()
        line = []
        while line[:1] != ["end"]:
            line = self.child.stdout.readline().split()
            need(line, "the producer died")
        self.child.wait(30)
        sent, acknowledged, failed, left = map(int, line[1:])
        need(sent == acknowledged and failed == 0 and left == 0, line)
        return sent

    def kill(self):
        self.child.kill()
        self.child.wait()


def set_link(lab, is_up):
    """The clients' end: the box's loses its carrier."""
    subprocess.run(["ip", "-n", lab.namespace, "link", "set", f"{lab.interface}p",
                    "up" if is_up else "down"], check=True)


class Ports:
    def __init__(self, box, labs):
        self.box = box
        self.labs = labs

    def server(self, lab):
        return f"{lab.address}:{self.box.port}"

    def each_is_served(self):
        said = self.box.get("/api/v1/status")
        for lab in self.labs:
            need(any(lab.interface in line and f"at {lab.address}:" in line and f"MTU {lab.mtu}" in line
                     for line in said["transports"]), said["transports"])
        need([port["port"] for port in said["ports"]] == [f"af_xdp:{lab.interface}" for lab in self.labs],
             said["ports"])
        shown = ok(self.box.cli("status"))
        for lab in self.labs:
            need(re.search(rf"port +af_xdp:{lab.interface} +up", shown), shown)

    def each_is_told_its_own_address(self):
        for lab, other in (self.labs, self.labs[::-1]):
            told = ok(kcat(self.server(lab), "-L", prefix=lab.prefix()))
            need(f"broker 1 at {lab.address}:{self.box.port}" in told, told)
            need(other.address not in told and "127.0.0.1" not in told, told)
            ping = subprocess.run([*lab.prefix(), *PING, other.address], capture_output=True, text=True,
                                  check=False)
            need(ping.returncode != 0, f"{other.address} answers by the link of {lab.address}")
        told = ok(kcat(f"127.0.0.1:{self.box.port}", "-L"))
        need(f"broker 1 at 127.0.0.1:{self.box.port}" in told, told)

    def both_at_once(self):
        """What came in by one link goes out by the other."""
        topics = ["t.both.a", "t.both.b"]
        for topic in topics:
            ok(self.box.cli("topic", "create", topic, "--partitions", "1"))
        clients = [Client(self.box, lab, topic) for lab, topic in zip(self.labs, topics)]
        try:
            before = self.ports()
            for client in clients:
                client.acknowledges(30, 2000)
            counts = [client.end() for client in clients]
        finally:
            for client in clients:
                client.kill()
        readers = [subprocess.Popen([*lab.prefix(), "kcat", "-b", self.server(lab), "-C", "-e", "-q",
                                     "-t", topic], stdout=subprocess.PIPE, text=True)
                   for lab, topic in zip(self.labs, topics[::-1])]
        for reader, count, lab in zip(readers, counts[::-1], self.labs[::-1]):
            lines = reader.communicate(timeout=60)[0].split("\n")[:-1]
            need([line.split(" ")[0] for line in lines] ==
                 [f"{lab.namespace[-1]}{i}" for i in range(count)], f"{len(lines)} of {count}")
        time.sleep(0.5)  # the ports are asked a few times a second
        for lab, was, now in zip(self.labs, before, self.ports()):
            need(now["rx_packets"] > was["rx_packets"] + 100 and now["tx_packets"] > was["tx_packets"] + 100,
                 f"{lab.interface}: {was} {now}")

    def ports(self):
        return self.box.get("/api/v1/status")["ports"]

    def one_goes_down(self, down, other):
        topics = [f"t.down.{lab.namespace[-1]}.{down.namespace[-1]}" for lab in (down, other)]
        for topic in topics:
            ok(self.box.cli("topic", "create", topic, "--partitions", "1"))
        clients = [Client(self.box, lab, topic) for lab, topic in zip((down, other), topics)]
        try:
            for client in clients:
                client.acknowledges(30, 500)
            set_link(down, False)
            wait_until(lambda: [port["up"] for port in self.ports()] ==
                       [int(lab is not down) for lab in self.labs], 10, "the port is said to be down")
            clients[0].is_silent(1)
            clients[1].acknowledges(20, 2000)
            set_link(down, True)
            clients[0].acknowledges(60, 500)
            clients[1].acknowledges(30, 500)
            counts = [client.end() for client in clients]
        finally:
            set_link(down, True)
            for client in clients:
                client.kill()
        for topic, count in zip(topics, counts):
            def high_watermark(topic=topic):
                return self.box.get(f"/api/v1/topics/{topic}")["partitions"][0]["high_watermark"]
            wait_until(lambda count=count: high_watermark() >= count, 10, "all acknowledged records stand")
            need(high_watermark() == count, f"{high_watermark()} stand, {count} were acknowledged")


def doctor_names_each(labs):
    def doctor(*settings):
        arguments = [part for one in settings for part in ("--set", one)]
        result = subprocess.run([MILLRACE, "doctor", *arguments], capture_output=True, text=True, check=False)
        return result.returncode, result.stdout

    ports = "dpdk.port=" + ",".join(f"af_xdp:{lab.interface}" for lab in labs)
    addresses = "dpdk.address=" + ",".join(lab.address for lab in labs)
    mtus = "dpdk.mtu=" + ",".join(str(lab.mtu) for lab in labs)
    code, said = doctor(ports, addresses, mtus)
    need(code == 0, said)
    for lab in labs:
        need(f"af_xdp:{lab.interface}: interface {lab.interface} has MTU {lab.mtu}" in said, said)
    code, said = doctor(ports, addresses.split(",")[0], mtus)
    need(code != 0 and "dpdk.address has 1 value for 2 ports" in said, said)


def one_that_is_missing(labs):
    """The others serve, unless every port is required; and lists that do not fit are refused."""
    settings = settings_of(labs)
    settings["dpdk.port"] = settings["dpdk.port"].replace(labs[0].interface, "none0")
    with Box(settings=settings) as box:
        said = box.get("/api/v1/status")["transports"]
        need(any("no kernel bypass on af_xdp:none0" in line and "no interface none0" in line for line in said),
             said)
        told = ok(kcat(f"{labs[1].address}:{box.port}", "-L", prefix=labs[1].prefix()))
        need(f"at {labs[1].address}:{box.port}" in told, told)
    for more, says in (({"dpdk.required": "true"}, "no interface none0"),
                       ({"dpdk.mtu": "1500,1500,1500"}, "dpdk.mtu has 3 values for 2 ports")):
        with tempfile.TemporaryDirectory(dir="/var/tmp") as data:
            box = Box(data=data, settings={**settings, **more})
            result = subprocess.run([MILLRACE, "up", *box.arguments()], capture_output=True, text=True,
                                    timeout=60, check=False)
            shutil.rmtree(box.run_dir(), ignore_errors=True)
        need(result.returncode != 0 and says in result.stderr, result.stderr)


def settings_of(labs):
    return {"dpdk.port": ",".join(f"af_xdp:{lab.interface}" for lab in labs),
            "dpdk.address": ",".join(lab.address for lab in labs),
            "dpdk.mtu": ",".join(str(lab.mtu) for lab in labs)}


# One connection attempt to a port where nothing listens: whoever owns the address refuses it.
PING = [sys.executable, "-c", """
import socket, sys
try:
    socket.create_connection((sys.argv[1], 9), 1)
except ConnectionRefusedError:
    pass
"""]


def main():
    if not can_lab():
        print("skipped: needs root and ip")
        return 0
    checks = Checks()
    first, second = Lab(mark="a"), Lab(mark="b", mtu=1500)
    while second.net == first.net:
        second = Lab(mark="b", mtu=1500)
    labs = [first, second]
    with first, second:
        checks.run("doctor names each port", doctor_names_each, labs)
        with Box(settings=settings_of(labs)) as box:
            ports = Ports(box, labs)
            checks.run("each port is served and shown", ports.each_is_served)
            checks.run("each client is told the address it came by", ports.each_is_told_its_own_address)
            checks.run("both at once", ports.both_at_once)
            checks.run("the second goes on while the first is down", ports.one_goes_down, first, second)
            checks.run("the first goes on while the second is down", ports.one_goes_down, second, first)
            checks.run("clean stop", lambda: need(box.stop() == 0, "exit code"))
        checks.run("one that is missing", one_that_is_missing, labs)
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
