# SPDX-License-Identifier: Apache-2.0
"""What a poll core does while producers and consumers are served, over both transports: its system
calls are those of io_uring, of the port, of yielding while the disk works and of waiting; and it
neither allocates nor locks. A library that is preloaded counts the latter by thread; strace sees the
former. A box in which such calls are planted shows that both can fail."""

import argparse
import collections
import contextlib
import ctypes
import mmap
import os
import re
import socket
import struct
import subprocess
import sys
import tempfile
import time

from confluent_kafka import Consumer, Producer

from box import BUILD, Box, Checks, Lab, can_lab, need, ok

PRELOAD = os.path.join(BUILD, "tests", "system", "libhotpath_preload.so")
CALLS = ("malloc", "calloc", "realloc", "aligned_alloc", "posix_memalign", "free",
         "pthread_mutex_lock", "pthread_rwlock", "pthread_cond_wait")
TOPIC, PARTITIONS = "t.hot", 4
SYS_PIDFD_GETFD = 438

# sched_yield: while disk operations are in flight. The rest of these are idle waits.
ALWAYS = {"io_uring_enter", "sched_yield", "ppoll", "epoll_wait", "epoll_pwait", "restart_syscall"}
# Of the kernel-bypass port: to wake the kernel's half of an AF_XDP socket. Of kernel sockets: reading.
OF_XDP = {"sendto", "recvfrom", "recvmsg", "poll"}
OF_SOCKETS = {"recvfrom", "recvmsg", "readv", "read"}
AF_XDP = 44


# ---- the load, a process of its own, for it may live in the lab's namespace ----

def load(server, seconds):
    """Produce and consume at once."""
    end = time.monotonic() + float(seconds)
    producer = Producer({"bootstrap.servers": server, "acks": "all", "linger.ms": 1, "log_level": 0})
    consumer = Consumer({"bootstrap.servers": server, "group.id": "g.hot", "log_level": 0,
                         "auto.offset.reset": "earliest", "fetch.wait.max.ms": 20})
    consumer.subscribe([TOPIC])
    sent, got, errors = 0, 0, []
    while time.monotonic() < end:
        for _ in range(50):
            with contextlib.suppress(BufferError):
                producer.produce(TOPIC, os.urandom(16) * 40, partition=sent % PARTITIONS,
                                 on_delivery=lambda error, _: error and errors.append(error))
                sent += 1
        producer.poll(0.002)
        got += sum(message.error() is None for message in consumer.consume(500, 0))
    producer.flush(30)
    consumer.close()
    need(not errors and sent > 100 and got > 100, f"{errors[:3]}, {sent} sent, {got} read")


class Load:
    def __init__(self, box, dpdk, seconds):
        self.process = subprocess.Popen(
            [*box.prefix(dpdk), sys.executable, os.path.abspath(__file__), "load", box.servers(dpdk),
             str(seconds)], env={k: v for k, v in os.environ.items() if k != "LD_PRELOAD"})

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            self.process.kill()
        code = self.process.wait(120)
        need(kind is not None or code == 0, f"the load ended with {code}")


# ---- what is seen ----

class Counts:
    """The file in which the preloaded library counts."""

    def __init__(self):
        self.file = tempfile.NamedTemporaryFile(prefix="millrace-hotpath-")
        self.file.truncate(mmap.PAGESIZE)
        os.chmod(self.file.name, 0o666)
        self.memory = mmap.mmap(self.file.fileno(), mmap.PAGESIZE)

    def read(self):
        numbers = struct.unpack_from(f"<{2 * len(CALLS) + 1}Q", self.memory)
        return dict(zip(CALLS, numbers)), dict(zip(CALLS, numbers[len(CALLS):])), numbers[-1]


def poll_thread(pid):
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/comm", encoding="ascii") as file:
            if file.read().strip() == "core-0":
                return int(tid)
    raise AssertionError("no poll core")


def trace(tid, seconds):
    """System calls of one thread: (name, its first argument, with what a descriptor is)."""
    with tempfile.NamedTemporaryFile("r") as out:
        tracer = subprocess.Popen(["strace", "-yy", "-qq", "-s", "0", "-p", str(tid), "-o", out.name],
                                  stderr=subprocess.PIPE, text=True)
        time.sleep(seconds)
        tracer.terminate()
        said = tracer.communicate(timeout=20)[1]
        lines = out.read().splitlines()
    need(lines, f"strace saw nothing: {said}")
    found = re.compile(r"^(?:<\.\.\. )?([a-z_0-9]+)(?: resumed>|\()(.*)")
    return [match.groups() for match in map(found.match, lines) if match]


def xdp_sockets(pid):
    """Descriptors of a process that are AF_XDP sockets: strace has no name for them."""
    libc = ctypes.CDLL(None, use_errno=True)
    of_pid = os.pidfd_open(pid)
    found = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            if not os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:"):
                continue
            copy = libc.syscall(SYS_PIDFD_GETFD, of_pid, int(name), 0)
            if copy < 0:
                continue
            with socket.socket(socket.AF_INET, socket.SOCK_RAW, 0, copy) as sock:  # no look at its name
                if sock.getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN) == AF_XDP:
                    found.add(int(name))
    os.close(of_pid)
    return found


def judge(calls, xdp):
    """What should not be among them, with how often."""
    bad = collections.Counter()
    for name, argument in calls:
        number = re.match(r"\[?\{?(?:fd=)?(\d+)<", argument)
        if name in ALWAYS or (name in OF_XDP and number and int(number.group(1)) in xdp):
            continue
        if name in OF_SOCKETS and "TCP" in argument:
            continue
        # A thread that sleeps is woken, or this one was; but nobody looks whether it was.
        if name in ("read", "write") and "eventfd" in argument and argument.endswith("= 8"):
            continue
        bad[f"{name}({argument}"] += 1
    return bad


class Side:
    def __init__(self, box, dpdk, counts):
        self.box, self.dpdk, self.counts = box, dpdk, counts

    def allocates_and_locks_nothing(self):
        with Load(self.box, self.dpdk, 8):
            time.sleep(3)
            before, _, turns = self.counts.read()
            time.sleep(4)
            after, places, turns_after = self.counts.read()
        need(turns_after > turns + 100, f"the poll core was not seen: {turns_after - turns} turns")
        calls = {name: (after[name] - before[name], hex(places[name])) for name in CALLS
                 if after[name] != before[name]}
        need(not calls, f"in {turns_after - turns} turns, with the last place: {calls}")

    def makes_few_kinds_of_system_calls(self):
        pid = self.box.child("millrace-dataplane")
        tid, xdp = poll_thread(pid), xdp_sockets(pid)
        with Load(self.box, self.dpdk, 7):
            time.sleep(2)
            calls = trace(tid, 3)
        kinds = collections.Counter(name for name, _ in calls)
        print(f"    {dict(kinds)}")
        need(kinds["io_uring_enter"] > 20, f"the core did little: {kinds}")
        bad = judge(calls, xdp)
        need(not bad, f"not expected: {bad.most_common(8)}")

    def run(self, checks):
        name = "dpdk" if self.dpdk else "socket"
        checks.run(f"{name}: allocates and locks nothing", self.allocates_and_locks_nothing)
        checks.run(f"{name}: makes few kinds of system calls", self.makes_few_kinds_of_system_calls)


def control_sees(side):
    """With calls planted, both checks fail and name them."""
    for check, words in ((side.allocates_and_locks_nothing, ("malloc", "free", "pthread_mutex_lock")),
                         (side.makes_few_kinds_of_system_calls, ("getppid",))):
        try:
            check()
        except AssertionError as error:
            need(all(word in str(error) for word in words), f"another error: {error}")
        else:
            raise AssertionError(f"{check.__name__} saw nothing")


def make_box(counts, lab=None, plant=False):
    os.environ["LD_PRELOAD"], os.environ["HOTPATH_COUNTS"] = PRELOAD, counts.file.name
    os.environ.pop("HOTPATH_PLANT", None)
    if plant:
        os.environ["HOTPATH_PLANT"] = "1"
    try:
        box = Box(lab=lab, settings={"worker.enable": "false"})
        box.start()
    finally:
        for name in ("LD_PRELOAD", "HOTPATH_COUNTS", "HOTPATH_PLANT"):
            os.environ.pop(name, None)
    return box


@contextlib.contextmanager
def running(counts, lab=None, plant=False):
    box = make_box(counts, lab, plant)
    try:
        ok(box.cli("topic", "create", TOPIC, "--partitions", str(PARTITIONS)))
        yield box
    except BaseException:
        box.__exit__(*sys.exc_info())
        raise
    box.__exit__(None, None, None)


def main():
    if sys.argv[1:] and sys.argv[1] == "load":
        return load(*sys.argv[2:])
    argparse.ArgumentParser(description=__doc__).parse_args()
    checks, counts = Checks(), Counts()
    if can_lab():
        with Lab() as lab, running(counts, lab) as box:
            Side(box, True, counts).run(checks)
    with running(counts) as box:
        Side(box, False, counts).run(checks)
    with running(counts, plant=True) as box:
        checks.run("planted calls are found", control_sees, Side(box, False, counts))
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
