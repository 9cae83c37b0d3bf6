# SPDX-License-Identifier: Apache-2.0
"""Control may come and go: produce, fetch and metadata go on without it, groups resume when it is
back; and the command line and the API say what is there."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from confluent_kafka import Consumer, Producer, TopicPartition

from box import MILLRACE, Box, Checks, kcat, need, ok, wait_until
from recovery import produce, read


class Control:
    def __init__(self, box):
        self.box = box
        self.server = box.servers()

    def data_path_goes_on_without_control(self):
        sent = produce(self.server, "t.alone", 100)
        pid = self.box.child("millrace-control")
        os.kill(pid, signal.SIGSTOP)  # away, and not restarted
        try:
            sent.update(produce(self.server, "t.alone", 2000))
            need(len(sent) == 2100, f"{len(sent)} of 2100 acknowledged without control")
            need(read(self.server, "t.alone") == sent, "fetch without control differs")
            out = ok(kcat(self.server, "-L", "-J"))
            need(any(t["topic"] == "t.alone" for t in json.loads(out)["topics"]), "metadata")
        finally:
            os.kill(pid, signal.SIGCONT)

    def group_resumes_after_control_died(self):
        sent = produce(self.server, "t.group", 3000)
        consumer = Consumer({"bootstrap.servers": self.server, "group.id": "g.resume",
                             "auto.offset.reset": "earliest", "enable.auto.commit": False,
                             "session.timeout.ms": 6000, "heartbeat.interval.ms": 500})
        consumer.subscribe(["t.group"])
        got = []
        while len(got) < 1000:
            got += [m for m in consumer.consume(100, 10) if m.error() is None]
        consumer.commit(asynchronous=False)
        self.box.kill("millrace-control")
        end = time.monotonic() + 60
        while len(got) < len(sent) and time.monotonic() < end:
            got += [m for m in consumer.consume(500, 1) if m.error() is None]
        need({m.offset() for m in got if m.partition() == 0} == set(sent), f"{len(got)} read")

        def commit():
            try:
                consumer.commit(asynchronous=False)
                return True
            except Exception:  # pylint: disable=broad-except
                consumer.poll(0.2)
                return False

        wait_until(commit, 30, "a commit goes through again")
        consumer.close()
        offsets = self.box.get("/api/v1/groups/g.resume")["offsets"]
        need(sum(o["lag"] for o in offsets) == 0, offsets)

    def offsets_survive_a_restart_of_everything(self):
        need(self.box.stop() == 0, "clean stop")
        self.box.start()
        consumer = Consumer({"bootstrap.servers": self.server, "group.id": "g.resume"})
        where = consumer.committed([TopicPartition("t.group", 0)], timeout=20)[0]
        need(where.offset == 3000, where)
        consumer.close()

    def topic_created_without_asking(self):
        out = ok(kcat(self.server, "-P", "-t", "t.automatic", stdin="hello\n"))
        need(out == "", out)
        partitions = self.box.get("/api/v1/topics/t.automatic")["partitions"]
        need(len(partitions) == 4, partitions)

    def command_line(self):
        box = self.box
        need(box.cli("topic", "create", "t.cli", "--partitions", "2").returncode == 0, "create")
        need(box.cli("topic", "create", "t.cli").returncode == 1, "created twice")
        need("t.cli" in box.cli("topic", "list").stdout, "list")
        described = json.loads(box.cli("topic", "describe", "t.cli", "--json").stdout)
        need(len(described["partitions"]) == 2, described)
        need(box.cli("topic", "describe", "t.nowhere").returncode == 4, "exit code 4")
        need(box.cli("topic", "delete", "t.cli").returncode == 0, "delete")
        need(box.cli("topic", "describe", "t.cli").returncode == 4, "deleted topic is there")
        need("g.resume" in box.cli("group", "list").stdout, "group list")
        need(json.loads(box.cli("group", "describe", "g.resume", "--json").stdout)["lag"] == 0, "lag")
        need("core 0" in box.cli("status").stdout, "status")
        need(box.cli("nonsense").returncode == 2, "exit code 2")
        away = subprocess.run([MILLRACE, "status", "--set", "http.port=1"], capture_output=True,
                              text=True, check=False)
        need(away.returncode == 3 and "millrace up" in away.stderr, away.stderr)
        for command in ("up", "topic", "group", "status", "doctor"):
            need(box.cli(command, "--help").returncode == 0, f"{command} --help")
        doctor = json.loads(box.cli("doctor", "--json", "--data", box.data).stdout)
        need({"io_uring", "hugepages", "AF_XDP"} <= {c["check"] for c in doctor}, doctor)

    def a_taken_port_ends_the_start(self):
        """What keeps the first start from serving is said once: no restarts without end."""
        with tempfile.TemporaryDirectory(dir="/var/tmp") as data:
            other = Box(data=data, settings={"port": self.box.port, "ring.size": 16 << 20})
            result = subprocess.run([MILLRACE, "up", *other.arguments()], capture_output=True, text=True,
                                    timeout=30, check=False)
            need(result.returncode == 1, result)
            need("Address already in use" in result.stderr and "`port`" in result.stderr, result.stderr)
            shutil.rmtree(other.run_dir(), ignore_errors=True)
        need(self.box.get("/health")["dataplane"], "the first box suffered")

    def metrics_are_prometheus_text(self):
        from box import _opener
        with _opener.open(f"http://127.0.0.1:{self.box.http}/metrics", timeout=10) as reply:
            text = reply.read().decode()
        names = set()
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                names.add(line.split()[2])
            elif line and not line.startswith("#"):
                float(line.rsplit(" ", 1)[1])
                name = line.split("{")[0].split(" ")[0]
                family = name.removesuffix("_count").removesuffix("_sum").removesuffix("_bucket")
                need(name in names or family in names, f"no TYPE before {line}")
        need("millrace_produce_batches_total" in names, sorted(names)[:10])

    def page_in_a_browser(self):
        out = ok(subprocess.run(
            ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
             "--no-first-run", "--disable-background-networking", "--disable-component-update",
             "--disable-sync", f"--user-data-dir={self.box.data}/chromium", "--no-proxy-server",
             "--virtual-time-budget=6000", "--dump-dom", f"http://127.0.0.1:{self.box.http}/"],
            capture_output=True, text=True, timeout=60, check=False))
        for word in ("t.group", "g.resume", "core 0", "flush"):
            need(word in out, f"{word!r} is not on the page: {out[:2000]}")


def main():
    checks = Checks()
    with Box() as box:
        control = Control(box)
        for name in ("topic_created_without_asking", "data_path_goes_on_without_control",
                     "group_resumes_after_control_died", "offsets_survive_a_restart_of_everything",
                     "command_line", "a_taken_port_ends_the_start", "metrics_are_prometheus_text",
                     "page_in_a_browser"):
            checks.run(name, getattr(control, name))
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
