# SPDX-License-Identifier: Apache-2.0
"""What the system tests share: a box of their own, a lab of their own, checks and stock tools.

Each test program makes one Box (a fresh data directory, ports of its own, optionally a lab), runs
its checks and ends with "N passed, N failed" and exit code 0 or 1."""

import contextlib
import glob
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.error
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("MILLRACE_BUILD", os.path.join(ROOT, "build"))
MILLRACE = os.path.join(BUILD, "control", "cli", "millrace")
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def free_ports(count):
    """A run of free TCP ports on loopback, away from the ephemeral range."""
    for _ in range(200):
        first = random.randrange(20000, 30000)
        held = []
        try:
            for port in range(first, first + count):
                held.append(socket.create_server(("127.0.0.1", port)))
            return first
        except OSError:
            continue
        finally:
            for sock in held:
                sock.close()
    raise RuntimeError("no free ports")


def wait_until(condition, seconds, what):
    """Poll until the condition holds; its value. Raises when the time is over."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.05)


def can_lab():
    return os.geteuid() == 0 and shutil.which("ip") is not None


class Lab:
    """A namespace and a veth pair with names and addresses of its own."""

    def __init__(self, queues=1, mark="", mtu=3200):
        number = random.randrange(20, 250)
        self.namespace = f"mrtest-{os.getpid()}{mark}"
        self.interface = f"mrt{os.getpid() % 100000}{mark}"
        self.net = f"10.77.{number}"
        self.address = f"{self.net}.2"
        self.mtu = mtu
        self.arguments = ["--name", self.namespace, "--near", self.interface, "--net", self.net]
        self.up = [os.path.join(ROOT, "deploy", "lab"), "up", *self.arguments,
                   "--mtu", str(self.mtu), "--queues", str(queues)]

    def __enter__(self):
        subprocess.run(self.up, check=True, stdout=subprocess.DEVNULL)
        return self

    def __exit__(self, *_):
        subprocess.run([self.up[0], "down", *self.arguments], check=False, stdout=subprocess.DEVNULL)
        with contextlib.suppress(OSError):
            os.unlink(f"/dev/shm/millrace-port-{self.interface}.lock")

    def set_queues(self, queues):
        """Make it anew with so many queues: each core has one, and packets of others are nobody's."""
        self.up[-1] = str(queues)
        subprocess.run(self.up, check=True, stdout=subprocess.DEVNULL)

    def prefix(self):
        return ["ip", "netns", "exec", self.namespace]


class Box:
    """A running `millrace up`."""

    def __init__(self, lab=None, settings=None, data=None, cores=1, command=(MILLRACE,)):
        self.command = command
        self.own_data = data is None
        self.data = data or tempfile.mkdtemp(prefix="millrace-test-", dir="/var/tmp")
        os.chmod(self.data, 0o755)
        self.lab = lab
        self.port = free_ports(cores + 1)
        self.http = self.port + cores
        self.log = os.path.join(tempfile.gettempdir(), f"millrace-box-{os.getpid()}-{self.port}.log")
        self.settings = {"data.dir": self.data, "port": self.port, "http.port": self.http,
                         "cores": cores, "ring.size": 64 << 20,
                         "group.initial.rebalance.delay.ms": 0, "dpdk.port": "none"}
        if lab:
            self.settings.update({"dpdk.port": f"af_xdp:{lab.interface}", "dpdk.mtu": lab.mtu,
                                  "dpdk.address": lab.address})
        self.settings.update(settings or {})
        self.process = None

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, kind, *_):
        self.stop()
        if kind is not None or Checks.any_failed:
            with open(self.log, encoding="utf-8", errors="replace") as file:
                print("---- end of the box's log\n" + "".join(file.readlines()[-40:]))
        os.unlink(self.log)
        if self.own_data:
            self.remove_rings()
            shutil.rmtree(self.run_dir(), ignore_errors=True)
            shutil.rmtree(self.data, ignore_errors=True)

    def run_dir(self):
        out = subprocess.run([MILLRACE, "config", *self.arguments()], capture_output=True,
                             text=True, check=True).stdout
        return next(line[8:] for line in out.splitlines() if line.startswith("run.dir="))

    def remove_rings(self):
        """What a box that did not stop cleanly leaves; its pages are the next test's."""
        with contextlib.suppress(OSError, StopIteration):
            with open(os.path.join(self.data, "log", "meta.properties"), encoding="utf-8") as file:
                identity = next(line.split("=")[1].strip() for line in file
                                if line.startswith("directory.id="))
            for path in glob.glob(f"/dev/hugepages/millrace-{identity}-core-*.ring"):
                os.unlink(path)

    def arguments(self):
        pairs = [f"{key}={value}" for key, value in self.settings.items()]
        return [part for pair in pairs for part in ("--set", pair)]

    def start(self, wait=True):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([*self.command, "up", *self.arguments()], stdout=log,
                                            stderr=log)
        if wait:
            self.wait_ready()

    def wait_ready(self, seconds=30):
        def ready():
            if self.process.poll() is not None:
                raise AssertionError(f"the box ended with {self.process.returncode}")
            with contextlib.suppress(OSError, ValueError):
                return self.get("/health").get("dataplane")
            return False
        wait_until(ready, seconds, "the box is healthy")

    def stop(self):
        """Clean stop. @return exit code"""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(90)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self.process = None
        return code

    def child(self, name):
        """Pid of a child process by program name; None while there is none."""
        found = subprocess.run(["pgrep", "-P", str(self.process.pid), "-f", name],
                               capture_output=True, text=True, check=False).stdout.split()
        return int(found[0]) if found else None

    def kill(self, name):
        pid = wait_until(lambda: self.child(name), 20, f"{name} runs")
        os.kill(pid, signal.SIGKILL)
        return pid

    def servers(self, dpdk=False):
        return f"{self.lab.address if dpdk else '127.0.0.1'}:{self.port}"

    def prefix(self, dpdk=False):
        return self.lab.prefix() if dpdk else []

    def get(self, path):
        with _opener.open(f"http://127.0.0.1:{self.http}{path}", timeout=10) as reply:
            return json.loads(reply.read())

    def metrics_text(self):
        with _opener.open(f"http://127.0.0.1:{self.http}/metrics", timeout=10) as reply:
            return reply.read().decode()

    def metric(self, name):
        """Sum of one metric over its labels; 0 when absent."""
        return sum(float(line.split()[-1]) for line in self.metrics_text().splitlines()
                   if line.split("{")[0].split(" ")[0] == name)

    def cli(self, *arguments):
        return subprocess.run([MILLRACE, *arguments, "--set", f"http.port={self.http}"],
                              capture_output=True, text=True, check=False, timeout=60)

    def logs(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()


class Checks:
    """Named checks, run one after the other; a failed one does not hide the next."""

    any_failed = False

    def __init__(self):
        self.passed = 0
        self.failed = 0

    def run(self, name, function, *arguments):
        begin = time.monotonic()
        try:
            function(*arguments)
            self.passed += 1
            print(f"  ok    {name} ({time.monotonic() - begin:.1f} s)", flush=True)
        except Exception:  # pylint: disable=broad-except
            self.failed += 1
            Checks.any_failed = True
            print(f"  FAIL  {name} ({time.monotonic() - begin:.1f} s)", flush=True)
            traceback.print_exc(file=sys.stdout)

    def end(self):
        print(f"{self.passed} passed, {self.failed} failed")
        return 1 if self.failed or not self.passed else 0


def kafka_tools():
    """Class path of Apache Kafka's tools."""
    folder = subprocess.run([os.path.join(ROOT, "tests", "system", "fetch-kafka-tools")],
                            check=True, capture_output=True, text=True).stdout.strip()
    return f"{folder}/*"


def java(class_name, *arguments, prefix=(), stdin=None, timeout=120):
    return subprocess.run([*prefix, "java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp",
                           kafka_tools(), class_name, *arguments],
                          input=stdin, capture_output=True, text=True, timeout=timeout,
                          check=False)


def kcat(server, *arguments, prefix=(), stdin=None, timeout=60):
    return subprocess.run([*prefix, "kcat", "-b", server, *arguments], input=stdin,
                          capture_output=True, text=True, timeout=timeout, check=False)


def need(condition, text):
    if not condition:
        raise AssertionError(text)


def ok(result):
    """A finished process that must have succeeded; its standard output."""
    need(result.returncode == 0, f"exit {result.returncode}: {result.stdout}\n{result.stderr}")
    return result.stdout
