# SPDX-License-Identifier: Apache-2.0
"""What is on disk: readable by Kafka's own tools after a clean stop, complete after a crash with or
without the rings, guarded against a second box, and honest about a full disk."""

import glob
import os
import subprocess
import sys
import tempfile
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from box import MILLRACE, Box, Checks, Lab, java, kcat, need, ok, wait_until  # noqa: F401


def produce(server, topic, count, size=300, partition=0, timeout=60, **settings):
    """Send and return {offset: value} of what was acknowledged."""
    acknowledged = {}
    producer = Producer({"bootstrap.servers": server, "enable.idempotence": True, "acks": "all",
                         "linger.ms": 2, "log_level": 0, **settings})

    def done(error, message):
        if error is None:
            acknowledged[message.offset()] = message.value()

    for number in range(count):
        producer.produce(topic, f"{number} ".encode() + os.urandom(size // 2).hex().encode(),
                         partition=partition, on_delivery=done)
        producer.poll(0)
    producer.flush(timeout)
    return acknowledged


def read(server, topic, partition=0):
    consumer = Consumer({"bootstrap.servers": server, "group.id": "g.read", "log_level": 0,
                         "enable.auto.commit": False})
    where = TopicPartition(topic, partition)
    low, high = consumer.get_watermark_offsets(where, timeout=30)
    where.offset = low
    consumer.assign([where])
    got = {}
    last = time.monotonic()
    while len(got) < high - low:
        batch = consumer.consume(500, 1)
        last = time.monotonic() if batch else last
        need(time.monotonic() - last < 20, f"{len(got)} of {high - low}")
        got.update({m.offset(): m.value() for m in batch if m.error() is None})
    consumer.close()
    return got


class Recovery:
    def __init__(self):
        self.box = None
        self.sent = {}

    def dump_says_valid(self):
        """A clean stop leaves what Kafka's own tool reads without complaint."""
        box = self.box
        for codec in ("none", "gzip", "lz4", "zstd"):
            self.sent[codec] = produce(box.servers(), f"t.{codec}", 5000,
                                       **{"compression.type": codec})
        need(box.stop() == 0, "clean stop")
        for codec in self.sent:
            folder = os.path.join(box.data, "log", f"t.{codec}-0")
            files = sorted(glob.glob(os.path.join(folder, "0*")))
            names = {os.path.splitext(f)[1] for f in files}
            need({".log", ".index", ".timeindex", ".snapshot"} <= names, f"{files}")
            for arguments in (["--deep-iteration"], ["--index-sanity-check"]):
                wanted = [f for f in files if arguments[0] == "--deep-iteration" or "index" in f]
                out = ok(java("org.apache.kafka.tools.DumpLogSegments", *arguments, "--files",
                              ",".join(wanted)))
                for word in ("mismatch", "Mismatch", "corrupt", "invalid", "isvalid: false", "Error",
                             "Exception"):
                    need(word not in out, f"{arguments}: {[l for l in out.splitlines() if word in l][:3]}")
            out = ok(java("org.apache.kafka.tools.DumpLogSegments", "--deep-iteration",
                          "--print-data-log", "--files", files[[".log" in f for f in files].index(True)]))
            need(out.count("payload:") == 5000, f"{out.count('payload:')} records in the dump")

    def clean_restart_serves_the_same(self):
        self.box.start()
        for codec, sent in self.sent.items():
            need(read(self.box.servers(), f"t.{codec}") == sent, codec)

    def crash_with_rings(self):
        """Killed: what the rings still held is there again, acks=1 included."""
        server = self.box.servers()
        sent = produce(server, "t.rings", 3000, acks="1", **{"enable.idempotence": False})
        self.box.kill("millrace-dataplane")
        wait_until(lambda: self.box.child("millrace-dataplane"), 20, "the dataplane is back")
        self.box.wait_ready()
        need(read(server, "t.rings") == sent, "acks=1 records differ after kill -9")

    def crash_without_rings(self):
        """Power loss in small: rings gone, everything acknowledged with acks=all survives."""
        server = self.box.servers()
        sent = produce(server, "t.power", 5000)
        box_pid = self.box.process.pid
        victims = [self.box.child("millrace-dataplane"), self.box.child("millrace-control")]
        os.kill(box_pid, 9)
        for pid in victims:
            os.kill(pid, 9)
        self.box.process.wait()
        wait_until(lambda: not any(os.path.exists(f"/proc/{pid}/exe") for pid in victims), 20,
                   "the processes are gone")
        for folder in ("/dev/hugepages", self.box.run_dir()):
            for path in glob.glob(os.path.join(folder, "*.ring")):
                os.unlink(path)
        self.box.start()
        need(read(server, "t.power") == sent, "acknowledged records differ after loss of the rings")

    def damage_below_the_checkpoint(self):
        """A flipped byte in durable data: that partition goes offline and says so, others serve."""
        box = self.box
        need(box.stop() == 0, "clean stop")
        path = os.path.join(box.data, "log", "t.gzip-0", "0" * 20 + ".log")
        with open(path, "r+b") as file:
            file.seek(5000)
            byte = file.read(1)
            file.seek(5000)
            file.write(bytes([byte[0] ^ 0xff]))
        size = os.path.getsize(path)
        for marker in glob.glob(os.path.join(box.data, "log", ".kafka_cleanshutdown")):
            os.unlink(marker)
        box.start()
        need(os.path.getsize(path) >= size, "the damaged file was cut")
        need(read(box.servers(), "t.lz4") == self.sent["lz4"], "another partition suffered")
        state = box.get("/api/v1/topics/t.gzip")["partitions"][0]["state"]
        need(state != "online", f"state is {state}")

    def second_box_is_refused(self):
        arguments = [MILLRACE, "up", *self.box.arguments(), "--set", f"run.dir={tempfile.mkdtemp()}"]
        second = subprocess.run(arguments, capture_output=True, text=True, timeout=30, check=False)
        need(second.returncode != 0, "a second box started on the same directory")
        need("owns the data directory" in second.stderr and "data.dir" in second.stderr, second.stderr)
        need(self.box.get("/health")["dataplane"], "the first box suffered")


def full_disk():
    """ENOSPC: producers get an error, nothing acknowledged is lost, and it says why."""
    image = tempfile.NamedTemporaryFile(prefix="millrace-disk-", dir="/var/tmp")
    mount = tempfile.mkdtemp(prefix="millrace-mount-")
    subprocess.run(["truncate", "-s", "96M", image.name], check=True)
    subprocess.run(["mkfs.ext4", "-q", "-F", image.name], check=True)
    subprocess.run(["mount", "-o", "loop", image.name, mount], check=True)
    try:
        with Box(data=mount) as box:
            server = box.servers()
            sent = produce(server, "t.full", 60000, 2000, timeout=20, **{"message.timeout.ms": 8000})
            need(len(sent) < 60000, "everything fitted; the test needs a smaller disk")
            got = read(server, "t.full")
            need(all(got.get(o) == v for o, v in sent.items()), "an acknowledged record is gone")
            need(box.get("/health")["dataplane"], "the box is down")
            box.stop()
            box.start()
            got = read(server, "t.full")
            need(all(got.get(o) == v for o, v in sent.items()), "gone after a restart")
    finally:
        # The kernel lets go of a process's io_uring, and of its files, a moment after its end.
        wait_until(lambda: subprocess.run(["umount", mount], check=False, capture_output=True
                                          ).returncode == 0, 10, "the disk can be unmounted")
        os.rmdir(mount)
        image.close()


def retention():
    """Old segments go by size and by time; readers of what is gone get a defined error."""
    with Box(settings={"log.retention.check.interval.ms": 500}) as box:
        server = box.servers()
        need(box.cli("topic", "create", "t.retain", "--partitions", "1", "--topic-config",
                     "segment.bytes=1048576", "--topic-config", "retention.bytes=3000000"
                     ).returncode == 0, "create")
        sent = produce(server, "t.retain", 10000, 1000)
        need(len(sent) == 10000, f"{len(sent)} acknowledged")

        def cut():
            return box.get("/api/v1/topics/t.retain")["partitions"][0]["start_offset"] > 0

        wait_until(cut, 20, "old segments are deleted")
        got = read(server, "t.retain")
        need(got and all(sent[o] == v for o, v in got.items()), "what is left differs")
        consumer = Consumer({"bootstrap.servers": server, "group.id": "g.old",
                             "auto.offset.reset": "error"})
        consumer.assign([TopicPartition("t.retain", 0, 0)])
        end = time.monotonic() + 20
        error = None
        while error is None and time.monotonic() < end:
            message = consumer.poll(1)
            error = message.error() if message is not None else None
        need(error is not None, "no error for an offset that is gone")
        consumer.close()


def main():
    checks = Checks()
    recovery = Recovery()
    with Box() as box:
        recovery.box = box
        for name in ("dump_says_valid", "clean_restart_serves_the_same", "crash_with_rings",
                     "crash_without_rings", "second_box_is_refused", "damage_below_the_checkpoint"):
            checks.run(name, getattr(recovery, name))
    checks.run("retention", retention)
    if os.geteuid() == 0:
        checks.run("full_disk", full_disk)
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
