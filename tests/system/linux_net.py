# SPDX-License-Identifier: Apache-2.0
"""What linux.py stands on: child programs that speak JSON, and a network of three namespaces."""

import contextlib
import json
import os
import queue
import random
import signal
import subprocess
import sys
import threading
import time

from box import need


class Program:
    """A child that says "ready" and then JSON objects, one a line."""

    def __init__(self, argv):
        self.argv = argv
        self.lines = queue.Queue()
        self.noise = []
        self.child = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                      text=True)
        threading.Thread(target=self._read, daemon=True).start()
        try:
            self._wait(lambda line: line == "ready", 20)
        except BaseException:
            self.kill()
            raise

    def _read(self):
        for line in self.child.stdout:
            self.lines.put(line.strip())
        self.lines.put(None)

    def _wait(self, is_it, seconds):
        end = time.monotonic() + seconds
        while True:
            try:
                line = self.lines.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"{self}: nothing within {seconds} s") from None
            if line is None:
                raise AssertionError(f"{self}: ended with {self.child.wait()}")
            if is_it(line):
                return line
            self.noise.append(line)

    def __str__(self):
        return f"{' '.join(self.argv)} (said {self.noise[-20:]})"

    def result(self, seconds):
        return json.loads(self._wait(lambda line: line.startswith("{"), seconds))

    def stop(self):
        """SIGTERM. @return its last words; None: it ended before"""
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
        code = self.child.wait(20)
        words = None
        while (line := self.lines.get(timeout=5)) is not None:
            if line.startswith("{"):
                words = json.loads(line)
            else:
                self.noise.append(line)
        need(code in (0, -signal.SIGTERM), f"{self}: exit code {code}")
        return words

    @staticmethod
    def output(argv):
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout

    def kill(self):
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()


class Net:
    """a <-> link <-> l, in namespaces that nobody else has."""

    def __init__(self):
        pid = os.getpid()
        self.spaces = {side: f"mrlinux-{pid}-{side}" for side in ("a", "link", "l")}
        # The port's lock goes by the interface's name, whatever its namespace.
        self.interfaces = {side: f"mx{pid % 1000000}{side}" for side in ("a", "l")}
        self.net = f"10.91.{random.randrange(1, 250)}"
        self.addresses = {"a": f"{self.net}.2", "l": f"{self.net}.1"}
        self.has_address = False

    def inside(self, side):
        return ["ip", "netns", "exec", self.spaces[side]]

    def run(self, side, *argv, check=True):
        subprocess.run([*self.inside(side), *argv], check=check, stdout=subprocess.DEVNULL,
                       stderr=None if check else subprocess.DEVNULL)

    def __enter__(self):
        try:
            for space in self.spaces.values():
                subprocess.run(["ip", "netns", "add", space], check=True)
            for side in self.spaces:
                for name in ("all", "default"):
                    self.run(side, "sysctl", "-qw", f"net.ipv6.conf.{name}.disable_ipv6=1",
                             check=False)
            for side, name in self.interfaces.items():
                subprocess.run(["ip", "link", "add", name, "netns", self.spaces[side], "type", "veth",
                                "peer", "name", f"{name}p", "netns", self.spaces["link"]], check=True)
                for where, end in ((side, name), ("link", f"{name}p")):
                    # Frames as they are on a wire: whole checksums, nothing merged.
                    self.run(where, "ethtool", "-K", end, "tx", "off", "tso", "off", "gso", "off",
                             "gro", "off")
                    self.run(where, "ip", "link", "set", "dev", end, "up")
                self.run(side, "ip", "link", "set", "dev", "lo", "up")
                # What one connection learnt about the path must not help the next.
                self.run(side, "sysctl", "-qw", "net.ipv4.tcp_no_metrics_save=1")
            self.run("l", "ip", "address", "add", f"{self.addresses['l']}/24", "dev",
                     self.interfaces["l"])
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, *_):
        for space in self.spaces.values():
            subprocess.run(["ip", "netns", "del", space], check=False, stderr=subprocess.DEVNULL)
        with contextlib.suppress(OSError):
            os.unlink(f"/dev/shm/millrace-port-{self.interfaces['a']}.lock")

    def give_a_an_address(self, wanted):
        """For Linux on side a; own TCP wants the kernel to keep out."""
        if wanted != self.has_address:
            self.run("a", "ip", "address", "add" if wanted else "del",
                     f"{self.addresses['a']}/24", "dev", self.interfaces["a"])
            self.has_address = wanted

    def set_ecn(self, wanted):
        """Whether the kernels ask for explicit congestion notification, or only accept it."""
        for side in ("a", "l"):
            self.run(side, "sysctl", "-qw", f"net.ipv4.tcp_ecn={1 if wanted else 2}")

    def timeouts(self, side):
        """Retransmission timeouts of the kernel's TCP there."""
        out = subprocess.run([*self.inside(side), "cat", "/proc/net/netstat"], check=True,
                             capture_output=True, text=True).stdout
        names, values = [line.split() for line in out.splitlines() if line.startswith("TcpExt:")]
        return int(dict(zip(names, values))["TCPTimeouts"])

    def drops(self):
        """Frames that the kernel threw away between the programs."""
        total = 0
        for side, name in self.interfaces.items():
            for where, end in ((side, name), ("link", f"{name}p")):
                out = subprocess.run([*self.inside(where), "ip", "-s", "-j", "link", "show", "dev",
                                      end], check=True, capture_output=True, text=True).stdout
                stats = json.loads(out)[0]["stats64"]
                total += stats["rx"]["dropped"] + stats["tx"]["dropped"]
        return total
