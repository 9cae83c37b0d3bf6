# SPDX-License-Identifier: Apache-2.0
"""deploy/lab: made and removed as often as one likes, never at the cost of what is not its own, and
gone without a trace."""

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

from box import MILLRACE, ROOT, Box, Checks, can_lab, need

LAB = os.path.join(ROOT, "deploy", "lab")


def ip(*arguments):
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout


def exists(interface):
    return os.path.exists(f"/sys/class/net/{interface}")


class LabTest:
    def __init__(self):
        self.name = f"mrlab-{os.getpid()}"
        self.near = f"mrl{os.getpid() % 100000}"
        self.net = f"10.78.{random.randrange(1, 250)}"

    def call(self, verb, *more, **settings):
        """Run one verb with our own names. @return the finished process"""
        words = {"name": self.name, "near": self.near, "net": self.net, **settings}
        options = [part for key, value in words.items() for part in (f"--{key}", value)]
        return subprocess.run([LAB, verb, *options, *more], capture_output=True, text=True,
                              check=False, timeout=30)

    def wants(self, code, verb, *more, says="", **settings):
        result = self.call(verb, *more, **settings)
        text = result.stdout + result.stderr
        need(result.returncode == code, f"{verb} {more} {settings}: exit {result.returncode}: {text}")
        need(says in text, f"{verb} does not say {says!r}: {text}")
        return text

    def seen(self):
        """What of this machine's network a lab could leave behind. Other labs may come and go."""
        def ours(text):
            return [line for line in text.splitlines()
                    if self.name in line or self.near in line or f"{self.net}." in line]

        return {what: ours(ip(*command.split())) for what, command in
                (("interfaces", "-o link"), ("addresses", "-o address"), ("namespaces", "netns"),
                 ("routes", "route show table all"), ("rules", "rule"), ("neighbours", "neigh"))}

    def up_status_down(self):
        need(not any(self.seen().values()), f"not a fresh start: {self.seen()}")
        self.wants(3, "status", says="not up")
        text = self.wants(0, "up")
        need(self.near in text and f"{self.net}.2" in text and "ip netns exec" in text, text)
        self.wants(0, "status", says=self.near)
        need(exists(self.near) and not exists(f"{self.near}p"), "the far end is on this side")
        inside = ip("-n", self.name, "-o", "-4", "address")
        need(f"{self.net}.1/24" in inside, inside)
        need(f"{self.net}." not in ip("-o", "address"), "the near end has an address")
        route = subprocess.run(["ip", "route", "get", f"{self.net}.2"], capture_output=True, text=True,
                               check=False)
        need(route.returncode != 0 and "unreachable" in (route.stdout + route.stderr).lower()
             or "No route to host" in route.stderr, f"packets would leave: {route}")
        self.wants(0, "down")
        self.wants(3, "status")
        need(not any(self.seen().values()), f"left behind: {self.seen()}")

    def twice_is_as_once(self):
        self.wants(0, "up")
        index = ip("-o", "link", "show", self.near).split(":")[0]
        self.wants(0, "up", says="stands already")
        need(ip("-o", "link", "show", self.near).split(":")[0] == index, "made anew")
        self.wants(0, "down")
        self.wants(0, "down")
        need(not any(self.seen().values()), f"left behind: {self.seen()}")

    def other_settings_make_it_anew(self):
        self.wants(0, "up")
        self.wants(0, "up", mtu="3000", queues="3")
        with open(f"/sys/class/net/{self.near}/mtu", encoding="ascii") as file:
            need(file.read().strip() == "3000", "MTU")
        queues = [q for q in os.listdir(f"/sys/class/net/{self.near}/queues") if q.startswith("rx-")]
        need(len(queues) == 3, queues)
        self.wants(0, "down")
        need(not any(self.seen().values()), f"left behind: {self.seen()}")

    def half_of_one_is_mended(self):
        for damage in (["link", "del", self.near], ["netns", "del", self.name],
                       ["route", "del", "unreachable", f"{self.net}.0/24", "proto", "77"]):
            self.wants(0, "up")
            ip(*damage)
            self.wants(3, "status")
            self.wants(0, "up")
            self.wants(0, "status")
            ip(*damage)
            self.wants(0, "down")
            need(not any(self.seen().values()), f"left behind after {damage}: {self.seen()}")

    def others_interfaces_are_left_alone(self):
        ip("link", "add", self.near, "type", "veth", "peer", "name", f"{self.near}x")
        try:
            self.wants(1, "up", says="--near")
            self.wants(0, "down")
            need(exists(self.near), "somebody else's interface was removed")
            seen = self.seen()
            need(not seen["namespaces"] and not seen["routes"], f"left behind: {seen}")
        finally:
            ip("link", "del", self.near)

    def others_far_ends_are_left_alone(self):
        ip("link", "add", f"{self.near}p", "type", "veth", "peer", "name", f"{self.near}x")
        try:
            self.wants(1, "up", says="--near")
            need(exists(f"{self.near}p"), "somebody else's interface was removed")
            need(not self.seen()["namespaces"], f"left behind: {self.seen()}")
        finally:
            ip("link", "del", f"{self.near}p")

    def others_namespaces_are_left_alone(self):
        ip("netns", "add", self.name)
        try:
            self.wants(1, "up", says="--name")
            self.wants(0, "down")
            need(self.name in ip("netns"), "somebody else's namespace was removed")
            need(not exists(self.near), "left behind")
        finally:
            ip("netns", "del", self.name)

    def others_networks_are_left_alone(self):
        ip("route", "add", "unreachable", f"{self.net}.0/24")
        try:
            self.wants(1, "up", says="--net")
            self.wants(0, "down")
            need(self.seen()["routes"], "somebody else's route was removed")
            need(not exists(self.near) and not self.seen()["namespaces"], f"{self.seen()}")
        finally:
            ip("route", "del", "unreachable", f"{self.net}.0/24")

    def another_labs_things_are_left_alone(self):
        """The same names with another network are another lab."""
        self.wants(0, "up")
        other = f"10.79.{random.randrange(1, 250)}"
        self.wants(1, "up", net=other)
        self.wants(0, "down", net=other)
        self.wants(0, "status")
        self.wants(0, "down")
        need(not any(self.seen().values()), f"left behind: {self.seen()}")

    def wrong_use(self):
        for settings in ({"mtu": "100"}, {"mtu": "9000"}, {"mtu": "x"}, {"mtu": ""}, {"queues": "0"},
                         {"queues": "65"}, {"queues": "-1"}, {"near": "way-too-long-a-name"},
                         {"near": "a/b"}, {"near": ""}, {"near": "x;id"}, {"name": "a b"},
                         {"name": "../x"}, {"name": ""}, {"net": "10.78"}, {"net": "10.78.256"},
                         {"net": "10.78.1.0"}, {"net": "224.0.0"}, {"net": "a.b.c"}):
            self.wants(2, "up", says="usage", **settings)
        self.wants(2, "up", "--mtu", says="needs a value")
        self.wants(2, "up", "--nonsense", "1", says="--nonsense")
        self.wants(2, "sideways", says="sideways")
        bare = subprocess.run([LAB], capture_output=True, text=True, check=False)
        need(bare.returncode == 2 and "usage" in bare.stderr, bare)
        helped = subprocess.run([LAB, "--help"], capture_output=True, text=True, check=False)
        need(helped.returncode == 0 and "usage" in helped.stdout, helped)
        need(not any(self.seen().values()), f"left behind: {self.seen()}")

    def doctor_knows_it(self):
        """What fits and what does not, with the remedy; the box refuses with the same words."""
        def doctor(*settings):
            arguments = [part for one in (f"dpdk.port=af_xdp:{self.near}", *settings) for part in ("--set", one)]
            result = subprocess.run([MILLRACE, "doctor", "--json", *arguments], capture_output=True, text=True,
                                    check=False)
            return result.returncode, {check["check"]: check for check in json.loads(result.stdout)}

        code, found = doctor()
        need(code == 1 and f"no interface {self.near}" in found["port"]["found"], found)
        self.wants(0, "up", mtu="3000")
        code, found = doctor("dpdk.mtu=3000")
        need(code == 0, found)
        for check in ("port queues", "port MTU", "port link", "port XDP", "port offloads"):
            need(found[check]["verdict"] == "ok", found[check])
        need("veth" in found["port XDP"]["found"], found["port XDP"])
        code, found = doctor("dpdk.mtu=1500")
        need(code == 0 and f"ip link set dev {self.near} mtu 1500" in found["port MTU"]["remedy"], found["port MTU"])
        code, found = doctor("dpdk.mtu=3000", "cores=2")
        queues = found["port queues"]
        need(code == 1 and f"ethtool -L {self.near} combined 2" in queues["remedy"], queues)
        with tempfile.TemporaryDirectory(dir="/var/tmp") as data:
            box = Box(data=data, cores=2, settings={"dpdk.port": f"af_xdp:{self.near}", "dpdk.mtu": 3000,
                                                    "dpdk.required": "true", "ring.size": 16 << 20})
            result = subprocess.run([MILLRACE, "up", *box.arguments()], capture_output=True, text=True,
                                    timeout=30, check=False)
            shutil.rmtree(box.run_dir(), ignore_errors=True)
        need(result.returncode != 0 and f"{queues['found']}: {queues['remedy']}" in result.stderr, result.stderr)
        self.wants(0, "down")

    def needs_root(self):
        """Run by nobody, from a copy that nobody can read: the tree may lie below a closed folder."""
        with tempfile.TemporaryDirectory(prefix="millrace-lab-") as folder:
            os.chmod(folder, 0o755)
            copy = shutil.copy(LAB, folder)
            user = subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534",
                                   "--clear-groups", "/bin/bash", copy, "up", "--name", self.name],
                                  capture_output=True, text=True, check=False)
        need(user.returncode == 1 and "root" in user.stderr, user)


def main():
    if not can_lab():
        print("no lab here: it takes root and iproute2")
        return 1
    checks = Checks()
    test = LabTest()
    try:
        for name in ("up_status_down", "twice_is_as_once", "other_settings_make_it_anew",
                     "half_of_one_is_mended", "others_interfaces_are_left_alone",
                     "others_far_ends_are_left_alone", "others_namespaces_are_left_alone",
                     "others_networks_are_left_alone", "another_labs_things_are_left_alone",
                     "wrong_use", "doctor_knows_it", "needs_root"):
            checks.run(name, getattr(test, name))
    finally:
        test.call("down")
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
