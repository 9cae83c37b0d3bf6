# SPDX-License-Identifier: Apache-2.0
"""Hostile and broken clients, on kernel sockets and through the NIC: each gets a defined error or a
closed connection, a counter moves, and an honest producer beside them notices nothing."""

import os
import random
import socket
import struct
import subprocess
import sys
import threading
import time

from confluent_kafka import Producer

from box import Box, Checks, Lab, can_lab, need

SEED = 7


def frame(api_key, version, body=b"", correlation=1, client=b"bad"):
    head = struct.pack(">hhih", api_key, version, correlation, len(client)) + client
    return struct.pack(">i", len(head) + len(body)) + head + body


def connect(server):
    host, port = server.split(":")
    sock = socket.create_connection((host, int(port)), 10)
    sock.settimeout(10)
    return sock


def is_closed(sock):
    """Whether the peer closes without a (further) answer."""
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


def receive(sock):
    head = b""
    while len(head) < 4:
        piece = sock.recv(4 - len(head))
        need(piece, "closed before an answer")
        head += piece
    size = struct.unpack(">i", head)[0]
    body = b""
    while len(body) < size:
        piece = sock.recv(size - len(body))
        need(piece, "closed within an answer")
        body += piece
    return body


def produce_v3(batch, topic=b"t.honest", partition=0):
    body = struct.pack(">hhi", -1, -1, 5000)  # transactional id null, acks all, timeout
    body += struct.pack(">ih", 1, len(topic)) + topic
    body += struct.pack(">iii", 1, partition, len(batch)) + batch
    return frame(0, 3, body)


def batch(records=b"\x10\x00\x00\x00\x01\x02x\x00", crc=None, magic=2, count=1):
    """One uncompressed batch of one record with a right checksum unless told otherwise."""
    now = int(time.time() * 1000)  # what is from 1970 goes to retention at once
    tail = struct.pack(">hiqqqhii", 0, count - 1, now, now, -1, -1, -1, count) + records
    value = crc32c(tail) if crc is None else crc
    return struct.pack(">qiibI", 0, 9 + len(tail), -1, magic, value) + tail


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def error_of(answer):
    """Error code of the one partition in a Produce v3 answer."""
    topic_size = struct.unpack(">h", answer[8:10])[0]
    return struct.unpack(">h", answer[10 + topic_size + 8:10 + topic_size + 10])[0]


class Bad:
    def __init__(self, server):
        self.server = server

    def closes(self, data):
        with connect(self.server) as sock:
            sock.sendall(data)
            need(is_closed(sock), "the connection stayed open")

    def negative_frame_size(self):
        self.closes(struct.pack(">i", -5))

    def huge_frame_size(self):
        self.closes(struct.pack(">i", 0x7fffffff) + b"x" * 100)

    def large_frame_that_is_no_produce(self):
        self.closes(struct.pack(">i", 50 << 20) + frame(3, 1)[4:])

    def http_request(self):
        self.closes(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + b"x" * 2000)

    def unknown_api_key(self):
        self.closes(frame(999, 0))

    def bad_version(self):
        self.closes(frame(3, 99))

    def api_versions_from_the_future(self):
        with connect(self.server) as sock:
            # The flexible header's tags, then a body nobody here can know.
            sock.sendall(frame(18, 77, b"\0" + b"\x04new\x041.0\0"))
            answer = receive(sock)
            need(struct.unpack(">h", answer[4:6])[0] == 35, "error is not UNSUPPORTED_VERSION")
            need(struct.unpack(">i", answer[6:10])[0] > 10, "the list of api keys is missing")

    def truncated_request(self):
        self.closes(frame(3, 1, struct.pack(">i", 1000)))

    def count_larger_than_frame(self):
        self.closes(frame(1, 4, struct.pack(">iiiib", -1, 100, 1, 1 << 20, 0)
                          + struct.pack(">i", 0x7fffffff)))

    def random_frames(self):
        rng = random.Random(SEED)
        for _ in range(150):
            data = frame(rng.randrange(0, 70), rng.randrange(0, 14), rng.randbytes(rng.randrange(200)))
            with connect(self.server) as sock:
                sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)
                sock.settimeout(3)
                try:
                    while sock.recv(65536):
                        pass
                except (TimeoutError, ConnectionResetError):
                    pass

    def answer_error(self, data, wanted):
        with connect(self.server) as sock:
            sock.sendall(data)
            error = error_of(receive(sock))
            need(error == wanted, f"error {error}, {wanted} was expected")

    def good_batch_is_taken(self):
        self.answer_error(produce_v3(batch()), 0)

    def wrong_checksum(self):
        self.answer_error(produce_v3(batch(crc=12345)), 2)

    def wrong_count(self):
        self.answer_error(produce_v3(batch(count=7)[:57] + struct.pack(">i", 3) + batch()[61:]), 87)

    def unknown_partition(self):
        self.answer_error(produce_v3(batch(), partition=999), 3)

    def half_a_batch_then_gone(self):
        data = produce_v3(batch(records=b"x" * 50000))
        for _ in range(20):
            with connect(self.server) as sock:
                sock.sendall(data[:20000])

    def half_open_connections(self):
        held = [connect(self.server) for _ in range(100)]
        for sock in held[:50]:
            sock.sendall(b"\x00\x00")
        self.good_batch_is_taken()
        for sock in held:
            sock.close()

    def reader_that_never_reads(self):
        with connect(self.server) as sock:
            request = frame(18, 0)
            sock.settimeout(1)
            try:
                for _ in range(200000):
                    sock.sendall(request)
            except (TimeoutError, ConnectionResetError, BrokenPipeError):
                pass
            self.good_batch_is_taken()


class Honest(threading.Thread):
    """Produces all the while; every record must be acknowledged at the first try."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.producer = Producer({"bootstrap.servers": server, "acks": "all", "linger.ms": 1,
                                  "retries": 0, "message.timeout.ms": 20000})
        self.ending = threading.Event()
        self.errors = []
        self.count = 0

    def done(self, error, _message):
        self.count += error is None
        if error is not None:
            self.errors.append(str(error))

    def run(self):
        while not self.ending.is_set():
            self.producer.produce("t.honest", b"honest" * 20, on_delivery=self.done)
            self.producer.poll(0.005)
        self.producer.flush(30)


def garbage_packets(lab):
    """Raw frames of noise, and mangled TCP, from the lab's side of the wire."""
    code = f"""
import random, socket, struct
rng = random.Random({SEED})
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
name = [n for _, n in socket.if_nameindex() if n != 'lo'][0]
sock.bind((name, 0))
mac = bytes.fromhex('ffffffffffff') + rng.randbytes(6)
for i in range(3000):
    kind = rng.choice([0x0800, 0x0806, 0x86dd, rng.randrange(65536)])
    body = rng.randbytes(rng.randrange(1, 1400))
    if kind == 0x0800 and i % 2:
        body = bytes([0x45, 0]) + struct.pack('>H', len(body) + 20) + rng.randbytes(5) + bytes([6]) \\
            + b'\\0\\0' + socket.inet_aton('{lab.net}.1') + socket.inet_aton('{lab.address}') + body
    sock.send(mac + struct.pack('>H', kind) + body)
"""
    subprocess.run([*lab.prefix(), sys.executable, "-c", code], check=True, timeout=60)


def run_side(server, names_only=None):
    """All bad clients against one server; runs inside the lab's namespace for DPDK."""
    checks = Checks()
    bad = Bad(server)
    for name in [n for n in vars(Bad) if not n.startswith("_") and n not in ("closes", "answer_error")]:
        if names_only is None or name in names_only:
            checks.run(name, getattr(bad, name))
    return checks


def main():
    if sys.argv[1:2] == ["--side"]:
        return run_side(sys.argv[2]).end()
    checks = Checks()
    lab = Lab() if can_lab() else None
    with lab or open(os.devnull, encoding="utf-8"), Box(lab=lab) as box:
        need(box.cli("topic", "create", "t.honest", "--partitions", "4").returncode == 0, "create")
        honest = Honest(box.servers())
        honest.start()
        time.sleep(1)
        for dpdk in (False, True) if lab else (False,):
            side = subprocess.run([*box.prefix(dpdk), sys.executable, __file__, "--side",
                                   box.servers(dpdk)], check=False, timeout=300)
            checks.run(f"bad clients over {'dpdk' if dpdk else 'socket'}",
                       lambda code=side.returncode: need(code == 0, "see above"))
        if lab:
            checks.run("garbage packets", garbage_packets, lab)
        honest.ending.set()
        honest.join(40)
        checks.run("an honest producer beside them noticed nothing",
                   lambda: need(not honest.errors and honest.count > 50,
                                f"{honest.count} acknowledged, errors {honest.errors[:3]}"))
        checks.run("the reasons are counted", lambda: need(
            box.metric("millrace_session_close_frame_size_total") > 0 and
            box.metric("millrace_session_close_api_key_total") > 0 and
            box.metric("millrace_produce_corrupt_total") > 0, "a counter stayed at 0"))
        checks.run("nothing died", lambda: need("signal" not in box.logs(), "a process was restarted"))
        checks.run("clean stop", lambda: need(box.stop() == 0, "exit code"))
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
