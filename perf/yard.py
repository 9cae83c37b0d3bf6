# SPDX-License-Identifier: Apache-2.0
"""What the ingestion benchmarks share: the load driver, librdkafka's own, who is measured, and how."""

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time


import boxes
import kafka_peer
import report
from boxes import box

LOAD = os.path.join(box.BUILD, "perf", "load", "millrace-load")
RDKAFKA = os.path.join(report.ROOT, ".cache", "perf-rdkafka", "rdkafka_performance")
MEMIF_BOX, MEMIF_CLIENT = "10.99.1.2", "10.99.1.1/24"  # seen by nobody but the two
SEGMENT, KEPT = 256 << 20, 2 << 30
# The client has a CPU of its own, the last; the first is our poll core's.
CLIENT_CPU = os.cpu_count() - 1


def arguments(description, quick=2):
    """The options that every ingestion benchmark takes; `quick` rounds with --quick."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and seconds")
    parser.add_argument("--repeats", type=int, help=f"rounds (default: 5, quick {quick})")
    parser.add_argument("--disk", default="/var/tmp", help="folder on the disk to measure (/var/tmp)")
    parser.add_argument("--port", help="kernel-bypass port of the box, as a PCI address (default: af_xdp on a veth)")
    parser.add_argument("--address", help="address of the box on --port, with prefix, as 10.1.0.2/24")
    parser.add_argument("--mtu", type=int, default=3200, help="MTU of the port (3200)")
    parser.add_argument("--via", default="", help="command that runs the client on the other end of --port, "
                                                  "as 'ssh HOST'; millrace-load lies there at the same path")
    parser.add_argument("--client", choices=("librdkafka", "driver"), default="librdkafka",
                        help="who sends, where both can")
    parser.add_argument("--no-peer", action="store_true", help="without Apache Kafka")
    args = parser.parse_args()
    if args.port and not args.address:
        parser.error("--port needs --address")
    # Ended by a signal, it still stops what it started and gives back what it took.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    args.busy_before = quiet()
    args.repeats = args.repeats or (quick if args.quick else 5)
    return args


class Figures(dict):
    """The driver's JSON, with what it means for the machine."""

    @property
    def spent(self):
        """CPU-seconds of the machine but the client's own."""
        return max(self["busy_s"] - self["own_cpu_s"], 1e-3)

    @property
    def records_per_cpu(self):
        return self["records_per_s"] * self["wall_s"] / self.spent

    @property
    def mb_per_cpu(self):
        return self["mb_per_s"] * self["wall_s"] / self.spent


def quiet(seconds=1.0):
    """How busy the machine is with other things, in percent of its CPUs; said aloud when it is."""
    begin, spent = time.monotonic(), busy_seconds()
    time.sleep(seconds)
    share = 100 * (busy_seconds() - spent) / (time.monotonic() - begin) / os.cpu_count()
    if share > 10:
        print(f"the machine is {share:.0f} % busy with other things: these figures are not to be kept", flush=True)
    return share


def begin(name, args):
    """A report that says how quiet the machine was."""
    out = report.Report(name, args.quick)
    if args.busy_before > 10:
        out.note(f"NOT TO BE KEPT: the machine was {args.busy_before:.0f} % busy with other things before.")
    return out


def command(name, *options, prefix=(), cpu=CLIENT_CPU):
    pinned = [] if cpu is None else ["taskset", "-c", str(cpu)]
    return [*prefix, *pinned, name, *(str(option) for option in options)]


def prompt():
    """Options for who must not be late: it runs as soon as it is due, before what else wants its CPU."""
    return ["chrt", "-f", "10"] if os.geteuid() == 0 and shutil.which("chrt") else []


def load(verb, server, *options, prefix=(), cpu=CLIENT_CPU, on_begin=None, on_end=None):
    """Run the driver to its end. @return its figures"""
    where = [] if server is None else ["--server", server]
    # pylint: disable-next=consider-using-with
    process = subprocess.Popen(command(LOAD, verb, *where, *options, prefix=prefix, cpu=cpu),
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True)
    last = "{}"
    for line in process.stdout:
        line = line.strip()
        if line == "begin" and on_begin:
            on_begin()
        elif line == "end" and on_end:
            on_end()
        elif line.startswith("{"):
            last = line
    said = process.stderr.read()
    if process.wait() != 0:
        why = {key: value for key, value in json.loads(last).items() if "error" in key and value}
        raise RuntimeError(f"millrace-load {verb} {server}: {said.strip()} {why}")
    return Figures(json.loads(last))


@contextlib.contextmanager
def running(verb, server, *options, prefix=(), cpu=CLIENT_CPU):
    """A driver that goes on until its input ends; yields (process, what it said before 'begin', and after)."""
    where = [] if server is None else ["--server", server]
    # pylint: disable-next=consider-using-with
    process = subprocess.Popen(command(LOAD, verb, *where, *options, prefix=prefix, cpu=cpu),
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    said = {}
    try:
        for line in process.stdout:
            if line.startswith("{"):
                said = json.loads(line)
            if line.strip() == "begin":
                break
        if process.poll() is not None:
            raise RuntimeError(f"millrace-load {verb} {server} ended")
        yield process, said
    finally:
        process.stdin.close()
        said.update(json.loads(next((line for line in process.stdout if line.startswith("{")), "{}")))
        process.wait(30)


def busy_seconds():
    """Of all CPUs, idle, waiting and stolen time left out; idle time is exact, the rest is what is left."""
    with open("/proc/stat", encoding="ascii") as file:
        fields = [int(value) for value in file.readline().split()[1:9]]
    tick = os.sysconf("SC_CLK_TCK")
    return time.monotonic() * os.cpu_count() - (fields[3] + fields[4] + fields[7]) / tick


def librdkafka(server, topic, record_size, batch_size, seconds, warm, rate=0, latency=False, prefix=(),
               cpu=CLIENT_CPU):
    """librdkafka's own load generator for some seconds. @return figures as the driver's; latency_us: the mean"""
    options = ["-P", "-t", topic, "-b", server, "-s", record_size, "-a", -1, "-u", "-q", "-i", 250,
               "-X", f"batch.size={batch_size}", "-X", "batch.num.messages=1000000", "-X", "linger.ms=5",
               "-X", "queue.buffering.max.messages=1000000", "-X", "queue.buffering.max.kbytes=262144",
               "-X", "socket.nagle.disable=true"]
    if rate:
        options += ["-r", round(rate)]
    if latency:
        options += ["-l", "-X", "linger.ms=0"]
    # pylint: disable-next=consider-using-with
    process = subprocess.Popen(command("stdbuf", "-oL", RDKAFKA, *options, prefix=prefix, cpu=cpu),
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                               text=True)
    stop = threading.Timer(seconds + warm + 10, process.kill)
    stop.start()
    first = last = None
    failed, mean = 0, None
    try:
        for line in process.stdout:
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if len(cells) < 10 or not cells[0].isdigit():
                continue
            now = (time.monotonic(), busy_seconds(), boxes.cpu_seconds(process.pid), int(cells[4]))
            failed = int(cells[7])
            mean = 1000 * float(cells[12]) if latency else None
            if first is None and int(cells[0]) >= 1000 * warm:
                first = now
            elif first is not None:
                last = now
                if now[0] - first[0] >= seconds:
                    break
    finally:
        stop.cancel()
        process.kill()
        process.wait()
        process.stdout.close()
    if first is None or last is None or failed:
        raise RuntimeError(f"rdkafka_performance {server} {topic}: {failed} records failed, or it stood still")
    wall, busy, own, records = (last[index] - first[index] for index in range(4))
    return Figures(wall_s=wall, busy_s=busy, own_cpu_s=own, records=records, records_per_s=records / wall,
                   mb_per_s=records * record_size / wall / 1e6, latency_us=mean)


@contextlib.contextmanager
def hugepages(pages=256):
    """The rings lie on them, as on a machine that is set up for the box; given back at the end."""
    reserved = "/proc/sys/vm/nr_hugepages"
    free = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages"

    def read(path):
        with open(path, encoding="ascii") as file:
            return int(file.read())

    def add(count):
        with open(reserved, "w", encoding="ascii") as file:
            file.write(str(max(read(reserved) + count, 0)))

    added, mounted = 0, False
    if os.geteuid() == 0:
        with contextlib.suppress(OSError):
            before = read(reserved)
            if read(free) < pages:
                add(pages - read(free))
            added = read(reserved) - before
            with open("/proc/mounts", encoding="utf-8") as file:
                is_there = any(line.split()[2] == "hugetlbfs" for line in file)
            if not is_there:
                os.makedirs("/dev/hugepages", exist_ok=True)
                mounted = subprocess.run(["mount", "-t", "hugetlbfs", "-o", "mode=0755", "none",
                                          "/dev/hugepages"], check=False).returncode == 0
    try:
        yield
    finally:
        if mounted:
            subprocess.run(["umount", "/dev/hugepages"], check=False)
        if added:
            with contextlib.suppress(OSError):
                add(-added)


def lab(args, suffix=""):
    """A veth with the wanted MTU, and a namespace for clients; a context manager. A second one of the same
    process has a suffix of one letter."""
    veth = box.Lab()
    veth.mtu = args.mtu
    veth.up[veth.up.index("--mtu") + 1] = str(args.mtu)
    veth.namespace += suffix
    veth.interface += suffix
    for words in (veth.up, veth.arguments):
        words[words.index("--name") + 1] = veth.namespace
        words[words.index("--near") + 1] = veth.interface
    return veth


class System:
    """One that is measured: where its clients go, and how its topics are made."""

    def __init__(self, name, server, prefix=(), admin=None, peer=None, one=None, configs=(), port=()):
        self.name = name
        self.port = list(port)  # the driver's options for own TCP over a port
        self.server = server
        self.prefix = list(prefix)
        self.admin = admin or server
        self.peer = peer  # stands still while others are measured
        self.box = one
        self.configs = list(configs)
        self.is_remote = False
        self.is_prompt = False  # its clients are those of prompt()
        self.made = set()
        self.counted = {}

    def create(self, topic, partitions, *configs):
        options = [part for config in (*self.configs, *configs) for part in ("--config", config)]
        load("create", self.admin, "--topic", topic, "--partitions", partitions, *options, cpu=None)
        self.made.add(topic)

    def delete(self, topic):
        load("delete", self.admin, "--topic", topic, cpu=None)
        self.made.discard(topic)

    def count(self, which):
        """Counters of our poll cores, or the peer's processor time, before and after."""
        if isinstance(self.peer, (kafka_peer.Kafka, kafka_peer.Shared)):
            self.counted[which] = {"cpu": boxes.cpu_seconds(self.peer.pid), "wall": time.monotonic()}
        if self.box is not None:
            self.counted[which] = {name: self.box.metric(f"millrace_core_{name}_ns_total")
                                   for name in ("busy", "idle", "yield", "sleep")}

    def busy_share(self):
        """Of the poll core's time, what was work, in percent; None: it has none."""
        if self.box is None:
            return None
        spent = {name: self.counted["end"][name] - self.counted["begin"][name]
                 for name in self.counted["end"]}
        return 100 * spent["busy"] / max(sum(spent.values()), 1)

    def busy_cores(self):
        """Cores at work on average: of ours the share that the poll core calls work, of a peer its process's
        time. None: nobody counted."""
        if self.box is not None:
            return self.busy_share() / 100
        if not self.counted:
            return None
        spent = {name: self.counted["end"][name] - self.counted["begin"][name] for name in ("cpu", "wall")}
        return spent["cpu"] / spent["wall"]

    def load(self, verb, topic, *options):
        busy = {}

        def mark(which):
            busy[which] = busy_seconds()
            self.count(which)

        said = load(verb, self.server, "--topic", topic, *self.port, *options,
                    prefix=[*(prompt() if self.is_prompt and not self.is_remote else []), *self.prefix],
                    on_begin=lambda: mark("begin"), on_end=lambda: mark("end"))
        if self.is_remote:  # the driver looked at its own machine
            said.update(busy_s=busy["end"] - busy["begin"], own_cpu_s=0)
        return said


class Process:
    """One that can stand still."""

    def __init__(self, process):
        self.process = process

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)


class Yard:
    """The box, and the peer where it is wanted; a context manager. Systems by name: dpdk (a NIC, or af_xdp on
    a veth) or memif and socket are the same box, kafka and kafka-flush the same Kafka."""

    def __init__(self, args, kafka=True, dpdk=True, memif=False, settings=None):
        self.args = args
        self.wants_memif = memif and not args.port
        self.stack = contextlib.ExitStack()
        self.settings = {"log.retention.check.interval.ms": 2000, **(settings or {})}
        self.wants_kafka = kafka and not args.no_peer
        self.wants_dpdk = dpdk
        self.systems = {}
        self.standing = []  # who stands still while others are measured
        self.box = self.kafka = None

    def __enter__(self):
        with self.stack:
            self.start()
            self.stack = self.stack.pop_all()
        return self

    def __exit__(self, *_):
        self.stack.close()

    def start(self):
        veth = None
        self.stack.enter_context(hugepages(512 if self.wants_memif else 256))  # memif: of both ends
        if self.args.port:
            address, prefix = self.args.address.split("/")
            self.settings.update({"dpdk.port": self.args.port, "dpdk.address": address, "dpdk.prefix": prefix,
                                  "dpdk.mtu": self.args.mtu, "dpdk.required": "true"})
        elif self.wants_memif:
            memif = os.path.join(self.stack.enter_context(tempfile.TemporaryDirectory(
                prefix="millrace-perf-", dir="/run" if os.geteuid() == 0 else None)), "port")
            self.settings.update({"dpdk.port": f"memif:{memif}", "dpdk.address": MEMIF_BOX,
                                  "dpdk.mtu": self.args.mtu, "dpdk.required": "true"})
        elif self.wants_dpdk and box.can_lab():
            veth = self.stack.enter_context(lab(self.args))
        data = tempfile.mkdtemp(prefix="millrace-perf-", dir=self.args.disk)
        self.stack.callback(shutil.rmtree, data, ignore_errors=True)  # last of all
        self.box = boxes.make(lab=veth, data=data, **self.settings)
        self.stack.callback(shutil.rmtree, self.box.run_dir(), ignore_errors=True)
        self.stack.callback(self.box.remove_rings)
        self.stack.enter_context(self.box)
        admin = self.box.servers()
        if self.args.port:
            self.systems["dpdk"] = System("dpdk", f"{address}:{self.box.port}", self.args.via.split(), admin,
                                          one=self.box)
            self.systems["dpdk"].is_remote = bool(self.args.via)
        elif self.wants_memif:
            self.systems["memif"] = System(
                "memif", f"{MEMIF_BOX}:{self.box.port}", (), admin, one=self.box,
                port=["--port", f"memif:{memif}", "--address", MEMIF_CLIENT, "--mtu", self.args.mtu])
        elif veth:
            self.systems["dpdk"] = System("dpdk", self.box.servers(True), self.box.prefix(True), admin,
                                          one=self.box)
        self.systems["socket"] = System("socket", admin, one=self.box)
        if self.wants_kafka:
            self.kafka = self.stack.enter_context(kafka_peer.peer(self.args.disk))
            self.standing.append(self.kafka)
            self.stack.callback(self.forget)
            self.systems["kafka"] = System("kafka", self.kafka.server, peer=self.kafka)
            self.systems["kafka-flush"] = System("kafka-flush", self.kafka.server, peer=self.kafka,
                                                 configs=["flush.messages=1"])

    @property
    def ours(self):
        """The best way into the box."""
        return self.systems.get("dpdk") or self.systems.get("memif") or self.systems["socket"]

    def forget(self):
        """Kafka's topics go where others use it after us; it deletes their files a moment later."""
        topics = [(system, topic) for system in self.systems.values() if system.peer is self.kafka
                  for topic in system.made]
        if not isinstance(self.kafka, kafka_peer.Shared) or not topics:
            return
        for system, topic in topics:
            with contextlib.suppress(RuntimeError):
                system.delete(topic)
        time.sleep(2)

    def sink(self, name, server, process, prefix=()):
        """A server that is one more system of this yard, named so."""
        self.systems[name] = System(name, server, prefix, peer=Process(process))
        self.standing.append(self.systems[name].peer)

    @contextlib.contextmanager
    def turn(self, system):
        """The others stand still, and what one left to be written is on the disk before the next begins."""
        others = [one for one in self.standing if one is not system.peer]
        for one in others:
            one.pause()
        try:
            yield system
        finally:
            for one in others:
                one.resume()
            subprocess.run(["sync", "-f", self.args.disk], check=False)

    def create(self, topic, partitions, names=None):
        """The same topic everywhere; one for each system, so that none reads another's."""
        for name, system in self.systems.items():
            if names is None or name in names:
                system.create(f"{topic}.{name}", partitions, f"segment.bytes={SEGMENT}",
                              f"retention.bytes={max(KEPT // partitions, SEGMENT)}")

    def delete(self, topic, names=None):
        for name, system in self.systems.items():
            if names is None or name in names:
                system.delete(f"{topic}.{name}")


def produce(args, system, topic, *, record_size, batch_size, seconds, warm, client=None, connections=4):
    """As fast as answers come, by either client."""
    if (client or args.client) == "librdkafka":
        system.count("begin")
        said = librdkafka(system.server, topic, record_size, batch_size, seconds, warm, prefix=system.prefix)
        if system.is_remote:
            said["own_cpu_s"] = 0
        system.count("end")
        return said
    return system.load("produce", topic, "--record-size", record_size, "--batch-size", batch_size,
                       "--connections", connections, "--seconds", seconds, "--warm", warm)


def raw_commit(args, seconds):
    """What the device takes to make 4 KiB durable: the limit of an acknowledgement."""
    return load("device", None, "--folder", args.disk, "--batch-size", 4096, "--span", 4 << 20,
                "--seconds", seconds)["commit_us"]


def raw_group(args, rate, files, seconds):
    """What the device takes to make records of 1 KiB durable that fall due at a rate, in as many logs: a group
    commit with no server around it."""
    return load("device", None, "--folder", args.disk, "--record-size", 1100, "--rate", f"{rate:.3f}", "--files",
                files, "--seconds", seconds, prefix=prompt())["latency_us"]


@contextlib.contextmanager
def sink(partitions):
    """A server that accepts and acknowledges on kernel sockets, on the CPU of our poll core; yields (address,
    process)."""
    server = f"127.0.0.1:{boxes.free_port()}"
    with running("sink", server, "--partitions", partitions, cpu=0) as (process, _):
        yield server, process


@contextlib.contextmanager
def port_sink(args, partitions):
    """The same over own TCP on a veth of its own, as the box is reached; yields (address, process, prefix)."""
    veth = lab(args, "s")
    server = f"{veth.address}:{boxes.free_port()}"
    with veth, running("sink", server, "--partitions", partitions, "--port", f"af_xdp:{veth.interface}", "--address",
                       f"{veth.address}/24", "--mtu", args.mtu, cpu=0) as (process, _):
        yield server, process, veth.prefix()
