# SPDX-License-Identifier: Apache-2.0
"""Apache Kafka as the peer of the ingestion benchmarks: one node, KRaft, in a folder and on ports of its
own, on the same disk as ours."""

import glob
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import boxes
import report

VERSION = "4.3.1"
SHARED = "MILLRACE_PERF_KAFKA"  # port and process of one that several benchmarks use
HEAP = "2g"
# What kafka-run-class.sh of the same release gives the JVM.
JVM = ["-server", f"-Xms{HEAP}", f"-Xmx{HEAP}", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20",
       "-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent", "-XX:MaxInlineLevel=15",
       "-Djava.awt.headless=true"]

# Defaults of the release but for buffers that the kernel may size, for what keeps the disk from filling
# up, and for the controller's patience with a broker that is made to stand still.
PROPERTIES = """process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={folder}/data
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
socket.send.buffer.bytes=-1
socket.receive.buffer.bytes=-1
log.retention.check.interval.ms=2000
log.segment.delete.delay.ms=1000
file.delete.delay.ms=1000
broker.session.timeout.ms=3600000
"""

LOGGING = """Configuration:
  Appenders:
    Console:
      name: out
      PatternLayout:
        pattern: "%d %p %m (%c)%n"
  Loggers:
    Root:
      level: warn
      AppenderRef:
        ref: out
"""


class Kafka:
    """A running one; a context manager. Stands still while somebody else is measured."""

    def __init__(self, disk):
        self.folder = tempfile.mkdtemp(prefix="millrace-perf-kafka-", dir=disk)
        self.port = boxes.free_ports(2)
        self.server = f"127.0.0.1:{self.port}"
        self.classes = os.path.join(report.ROOT, ".cache", "perf-kafka", "*")
        self.process = None
        if not glob.glob(self.classes):
            raise RuntimeError("Apache Kafka is not there: perf/run fetches it")

    def java(self, *arguments, **options):
        return ["java", *options.get("jvm", ["-Xmx256m"]),
                f"-Dlog4j2.configurationFile={self.folder}/log4j2.yaml", "-cp", self.classes, *arguments]

    def __enter__(self):
        print(f"starting Apache Kafka {VERSION}", flush=True)
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self):
        properties = os.path.join(self.folder, "server.properties")
        with open(properties, "w", encoding="ascii") as file:
            file.write(PROPERTIES.format(port=self.port, controller=self.port + 1, folder=self.folder))
        with open(os.path.join(self.folder, "log4j2.yaml"), "w", encoding="ascii") as file:
            file.write(LOGGING)
        storage = "kafka.tools.StorageTool"
        identity = subprocess.run(self.java(storage, "random-uuid"), check=True, capture_output=True,
                                  text=True).stdout.split()[-1]
        subprocess.run(self.java(storage, "format", "--standalone", "-t", identity, "-c", properties),
                       check=True, capture_output=True)
        with open(os.path.join(self.folder, "kafka.log"), "w", encoding="utf-8") as log:
            # pylint: disable-next=consider-using-with
            self.process = subprocess.Popen(self.java("kafka.Kafka", properties, jvm=JVM),
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True)
        self.wait_ready()

    def wait_ready(self, seconds=60):
        end = time.monotonic() + seconds
        while True:
            if self.process.poll() is not None or time.monotonic() > end:
                with open(os.path.join(self.folder, "kafka.log"), encoding="utf-8") as file:
                    raise RuntimeError("Kafka did not start:\n" + "".join(file.readlines()[-20:]))
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1):
                    return
            except OSError:
                time.sleep(0.1)

    def __exit__(self, *_):
        if self.process is not None and self.process.poll() is None:
            self.resume()
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    @property
    def pid(self):
        return self.process.pid

    def shared(self):
        """What others need to use it: an environment variable's value."""
        return f"{self.port}:{self.process.pid}"


class Shared:
    """One that `perf/run all` started; it stands still between benchmarks."""

    def __init__(self, text):
        self.port, self.pid = (int(part) for part in text.split(":"))
        self.server = f"127.0.0.1:{self.port}"

    def __enter__(self):
        self.resume()
        return self

    def __exit__(self, *_):
        self.pause()

    def pause(self):
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self):
        os.kill(self.pid, signal.SIGCONT)


def peer(disk):
    """The one there is, or one of our own."""
    return Shared(os.environ[SHARED]) if SHARED in os.environ else Kafka(disk)
