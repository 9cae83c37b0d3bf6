# SPDX-License-Identifier: Apache-2.0
"""Own TCP against Linux's, both ways, over a link that is bad on purpose.

Three namespaces of this test's own: a (ours, or Linux for the figures beside), the link (tests/netem,
which impairs by seed and captures at a's side), and l (Linux). Asserted: every byte arrives, in order
and once; both ends end as they should; frames of ours are sound; tshark and linux_judge find nothing
wrong in the captures. Reported, not asserted: goodput beside Linux to Linux over the same link and seed."""

import argparse
import contextlib
import json
import os
import signal
import sys
import tempfile
import time

import linux_judge
from box import BUILD, Checks, can_lab, need
from linux_net import Net, Program

NETEM, OWN, KERNEL = (os.path.join(BUILD, "tests", "netem", name)
                      for name in ("netem", "talk_own", "talk_kernel"))
PORT = 9092
OTHER_PORT = 9093  # nobody connects there
DIRECTIONS = ("a_to_b", "b_to_a")

# Settings of the link, the same both ways.
LINKS = {
    "clean": "",
    "loss-0.1": "loss=0.001",
    "loss-1": "loss=0.01",
    "loss-5": "loss=0.05",
    "reorder": "reorder=0.02,reorder-by=8",
    "duplicate": "duplicate=0.02",
    "corrupt": "corrupt=0.01",
    "delay-20ms": "delay-us=20000",
    "delay-20ms-loss-1": "delay-us=20000,loss=0.01",
    "queue": "rate-mbit=200,queue-kib=128,delay-us=5000",
    "newreno": "loss=0.005,delay-us=2000",
    "ecn": "mark=0.01,delay-us=2000",
    "bursts": "rate-mbit=200,queue-kib=64,delay-us=5000",
}
# What side a is told beside that, as our TCP and as Linux's.
OWN_WORDS = {
    "delay-20ms": ["--window", str(4 << 20)],  # more is under way than our usual window
    "newreno": ["--congestion", "newreno"],
    "ecn": ["--ecn"],
    "bursts": ["--no-pacing"],  # boxes pace unless told not to
}
# Bytes of links that take longer for what the others send: the same of both, however slowly a full
# output queue drains.
SIZES = {"delay-20ms-loss-1": 1_500_000}
CONGESTION = {"newreno": "reno"}  # of Linux, on either side; else CUBIC
COUNTED = {"loss": "lost", "mark": "marked", "reorder": "reordered", "duplicate": "duplicated",
           "corrupt": "corrupted"}


class End:
    """What one side does; see tests/netem/talk.c for the words."""

    def __init__(self, *words, connects=False, port=PORT, is_heard=True, kind=None):
        self.words, self.connects, self.port, self.is_heard = list(words), connects, port, is_heard
        self.kind = kind  # None: own TCP on side a, the kernel on side l


class Run:
    """What both ends and the link said."""

    def __init__(self, capture):
        self.ends = {"a": [], "l": []}
        self.link = self.counters = None
        self.capture = capture
        self.drops = 0
        self.sent = self.mbit = self.timeouts = 0

    def all_ends(self):
        return self.ends["a"] + self.ends["l"]


def ended(ends, wanted="normal"):
    for end in ends:
        need(end["end"] == wanted, f"not {wanted}: {end}")
        need(end["mismatch_at"] == -1, f"bytes differ: {end}")
        need(wanted != "normal" or (end["eof"] and end["shut"]), f"{end}")


class Rig:
    """Runs connections over the link."""

    def __init__(self, net, options, folder):
        self.net, self.options, self.folder = net, options, folder
        self.runs = 0

    def program(self, side, end, common):
        net = self.net
        words = [*end.words, *common]
        if end.connects:
            peer = net.addresses["l" if side == "a" else "a"]
            words += ["--connect", f"{peer}:{end.port}"]
        else:
            words += ["--listen", str(end.port)]
        if self.kind(side, end) == "own":
            return Program([*net.inside(side), OWN, *words, "--nic",
                            f"af_xdp:{net.interfaces[side]}", "--address", net.addresses[side]])
        return Program([*net.inside(side), KERNEL, *words])

    @staticmethod
    def kind(side, end):
        return end.kind or ("own" if side == "a" else "kernel")

    def netem(self, link, capture):
        return Program([*self.net.inside("link"), NETEM, "--a", f"{self.net.interfaces['a']}p",
                        "--b", f"{self.net.interfaces['l']}p", "--seed", str(self.options.seed),
                        "--both", link, "--pcap", capture,
                        "--pcap-limit", str(self.options.capture)])

    def run(self, link, ends, connections=1, seconds=30, together=False, again=0):
        """`ends`: side -> End. With `together` both connect, at one moment and from the same port.
        `again`: side l connects so many times more, one after the other."""
        self.runs += 1
        run = Run(os.path.join(self.folder, f"{self.runs}.pcap"))
        self.net.give_a_an_address(self.kind("a", ends["a"]) == "kernel")
        before = self.net.drops()
        common = ["--limit-ms", str(seconds * 1000), "--connections", str(connections)]
        if together:
            common += ["--local-port", str(PORT), "--start-at-ms", str(int(time.time() * 1000) + 2500)]
        with contextlib.ExitStack() as stack:
            netem = self.netem(link, run.capture)
            stack.callback(netem.kill)
            programs = {}
            for side in sorted(ends, key=lambda side: ends[side].connects):  # listeners first
                words = [*common, "--connections", "1"] if again and side == "l" else common
                programs[side] = self.program(side, ends[side], words)
                stack.callback(programs[side].kill)
            for _ in range(again):
                run.ends["l"].append(programs["l"].result(seconds + 20))
                programs["l"].stop()
                programs["l"] = self.program("l", ends["l"], words)
                stack.callback(programs["l"].kill)
            for side, end in ends.items():
                for _ in range(connections - len(run.ends[side]) if end.is_heard else 0):
                    run.ends[side].append(programs[side].result(seconds + 20))
            for side, program in programs.items():
                words = program.stop()
                if self.kind(side, ends[side]) == "own":
                    run.counters = words
            run.link = netem.stop()
        run.drops = self.net.drops() - before + (run.counters or {}).get("rx_missed", 0) + sum(
            run.link[way][what] for way in DIRECTIONS for what in ("ring_drops", "send_failed"))
        for way in DIRECTIONS:
            need(run.link[way]["bad_checksums"] == 0, f"checksums are wrong at the link: {run.link}")
            need(run.link[way]["partial_checksums"] == 0, "an interface offloads checksums")
        return run

    def judge(self, run, is_clean=False, is_damaged=False):
        """Is something wrong with the segments of ours?"""
        if not linux_judge.has_tshark():
            return
        rows = linux_judge.read(run.capture)
        need(rows, "nothing was captured")
        # What the kernel or the link lost on its own is rightly sent again.
        found = linux_judge.judge(rows, self.net.addresses["a"],
                                  is_clean=is_clean and run.drops == 0, is_damaged=is_damaged)
        need(not found, f"{run.capture}: " + "; ".join(found[:8]))


class Matrix:
    """Bulk transfers, ours beside Linux to Linux."""

    def __init__(self, rig):
        self.rig = rig
        self.report = []

    def transfer(self, name, sender, kind):
        options, link = self.rig.options, LINKS[name]
        size = options.size if options.long else SIZES.get(name, options.size)
        limit_ms = options.send_ms if size == options.size else options.limit * 1000
        source = End("--send", str(size), "--send-ms", str(limit_ms), connects=True)
        sink = End("--shut-after-eof")
        ends = {"a": source, "l": sink} if sender == "a" else {"a": sink, "l": source}
        ends["a"].kind = kind
        for side, end in ends.items():
            if self.rig.kind(side, end) == "own":
                end.words += OWN_WORDS.get(name, [])
            else:
                end.words += ["--congestion", CONGESTION.get(name, "cubic")]
        self.rig.net.set_ecn(name == "ecn")
        before = self.rig.net.timeouts(sender)
        run = self.rig.run(link, ends, seconds=options.limit)
        run.timeouts = self.rig.net.timeouts(sender) - before
        ended(run.all_ends())
        near, far = run.ends[sender][0], run.ends["l" if sender == "a" else "a"][0]
        need(near["sent"] > 0 and near["sent"] == far["received"], f"{near} {far}")
        need(near["received"] == 0 and far["sent"] == 0, f"{near} {far}")
        self.check_link(link, run)
        run.sent = near["sent"]
        run.mbit = far["received"] * 8 / 1e6 / max(far["eof_s"], 1e-6)
        return run

    @staticmethod
    def check_link(link, run):
        """The link did what it was told, and nothing else."""
        packets = sum(run.link[way]["ip"] for way in DIRECTIONS)
        for word, count in COUNTED.items():
            chance = sum(float(part.split("=")[1]) for part in link.split(",")
                         if part.startswith(word + "="))
            did = sum(run.link[way][count] for way in DIRECTIONS)
            need(did > 0 if packets * chance > 30 else chance > 0 or did == 0,
                 f"{word} {chance}: {run.link}")

    def compare(self, name, sender):
        rig = self.rig
        beside = self.transfer(name, sender, "kernel")
        ours = self.transfer(name, sender, "own")
        counters = ours.counters
        again, timeouts = ours.ends["l"][0]["retransmits"], ours.timeouts
        if sender == "a":
            again, timeouts = counters.get("tcp_retransmits", 0), counters.get("tcp_rto", 0)
        self.report.append({
            "link": name, "sender": "ours" if sender == "a" else "linux",
            "mbit": round(ours.mbit, 1), "linux_mbit": round(beside.mbit, 1),
            "ratio": round(ours.mbit / beside.mbit, 2), "bytes": ours.sent,
            "linux_bytes": beside.sent, "drops": ours.drops, "linux_drops": beside.drops,
            "retransmits": again,
            "linux_retransmits": beside.ends[sender][0]["retransmits"],
            "timeouts": timeouts, "linux_timeouts": beside.timeouts, "seed": rig.options.seed,
            "counters": counters, "counts": ours.link})
        print(f"    {ours.mbit:8.1f} Mbit/s, Linux to Linux {beside.mbit:8.1f}", flush=True)
        damaged = sum(counters.get(f"wireport_drop_{what}", 0)
                      for what in ("tcp_checksum", "ip_checksum", "ip"))
        if name != "corrupt":
            need(damaged == 0, f"damage on a link that does none: {counters}")
        elif ours.link["b_to_a"]["corrupted"] > 10:
            need(damaged > 0, f"damage was not seen: {counters} {ours.link}")
        if name == "ecn":
            self.check_marks(ours, sender)
        rig.judge(ours, is_clean=name in ("clean", "delay-20ms", "ecn"),
                  is_damaged=name == "corrupt")

    @staticmethod
    def check_marks(ours, sender):
        """Who sends slows down for marks; nothing is lost, so nothing is sent again."""
        counters, marked = ours.counters, sum(ours.link[way]["marked"] for way in DIRECTIONS)
        need(counters.get("tcp_ecn_agreed", 0) == 1, f"no ECN: {counters}")
        need(marked > 0, f"nothing was marked: {ours.link}")
        need(counters.get("tcp_ecn_reductions" if sender == "a" else "tcp_ecn_marked", 0) > 0,
             f"marks are not seen: {counters}")
        need(sender == "a" or counters["tcp_ecn_marked"] == ours.link["b_to_a"]["marked"],
             f"marks are not counted: {counters} {ours.link}")

    def print_table(self):
        """Of each pair the second is Linux to Linux."""
        print(f"\n{'link':<18}{'sender':<7}{'Mbit/s':>8}{'Linux':>8}{'ratio':>7}{'sent again':>14}"
              f"{'timeouts':>10}{'the machine dropped':>21}")
        for row in self.report:
            print(f"{row['link']:<18}{row['sender']:<7}{row['mbit']:>8.1f}{row['linux_mbit']:>8.1f}"
                  f"{row['ratio']:>7.2f}{row['retransmits']:>7}{row['linux_retransmits']:>7}"
                  f"{row['timeouts']:>5}{row['linux_timeouts']:>5}{row['drops']:>13}"
                  f"{row['linux_drops']:>8}")


class Races:
    """Beginnings, ends and peers that are not nice. `order`: who connects, who listens."""

    def __init__(self, rig):
        self.rig = rig

    def play(self, order, connector, listener, link="", **more):
        """@return the run, and the results of the one that connected and of the one that listened"""
        connector.connects = True
        run = self.rig.run(link, {order[0]: connector, order[1]: listener}, **more)
        return run, run.ends[order[0]], run.ends[order[1]]

    def half_close(self, order):
        """One ends first and still hears everything."""
        run, first, second = self.play(order, End("--send", "100000"),
                                       End("--send", "300000", "--send-after-eof"))
        ended(first + second)
        need(second[0]["received"] == 100000 and first[0]["received"] == 300000, f"{first} {second}")
        self.rig.judge(run, is_clean=True)

    def simultaneous_close(self, order):
        # The one that listens is open 50 ms later.
        run, first, second = self.play(order, End("--send", "10", "--shut-ms", "250"),
                                       End("--send", "10", "--shut-ms", "200"),
                                       link="delay-us=50000")
        ended(first + second)
        need(first[0]["received"] == 10 and second[0]["received"] == 10, f"{first} {second}")
        self.rig.judge(run, is_clean=True)
        if linux_judge.has_tshark():
            need(linux_judge.crossed(linux_judge.read(run.capture), "fin"), "the FINs did not cross")

    def simultaneous_open(self):
        """Both connect; the SYNs cross, and one connection comes of it."""
        ends = {side: End("--send", "50000", connects=True) for side in ("a", "l")}
        run = self.rig.run("delay-us=100000", ends, together=True)
        ended(run.all_ends())
        need(all(end["received"] == 50000 for end in run.all_ends()), f"{run.ends}")
        self.rig.judge(run)
        if linux_judge.has_tshark():
            need(linux_judge.crossed(linux_judge.read(run.capture), "syn"), "the SYNs did not cross")

    def echo(self, order):
        """Both ways at once, many connections, on a bad link."""
        run, first, second = self.play(order, End("--send", "300000", "--from-echo"), End("--echo"),
                                       link="loss=0.01,reorder=0.01,duplicate=0.01", connections=8)
        ended(first + second)
        for end in first + second:
            need(end["received"] == end["sent"] == 300000, f"{end}")
        self.rig.judge(run)

    def reset_with_data(self, order):
        """Who listens resets in the midst of what it is sent and sends itself."""
        run, first, second = self.play(order, End("--send", "500000000"),
                                       End("--send", "500000000", "--reset-after", "500000"))
        ended(second, "abort")
        ended(first, "reset")
        need(500000 <= second[0]["received"] < 500000000, f"{second}")
        self.rig.judge(run)

    def closed_port(self, order):
        run, first, _ = self.play(order, End("--send", "10"), End(port=OTHER_PORT, is_heard=False))
        ended(first, "refused")
        need(not first[0]["is_open"], f"{first}")
        self.rig.judge(run)

    def zero_window(self, order):
        """Who listens reads 200 kB, then nothing for longer than the first probes take."""
        run, first, second = self.play(
            order, End("--send", "8000000"),
            End("--stall-at", "200000", "--stall-ms", "1500"))
        ended(first + second)
        need(second[0]["received"] == 8000000, f"{second}")
        need(second[0]["eof_s"] >= 1.4, f"nobody waited: {second}")
        self.rig.judge(run)

    def zero_window_lossy(self, order):
        """The same when probes and updates of the window get lost."""
        run, first, second = self.play(
            order, End("--send", "6000000"),
            End("--stall-at", "200000", "--stall-ms", "1500"), link="loss=0.05", seconds=60)
        ended(first + second)
        need(second[0]["received"] == 6000000, f"{second}")
        self.rig.judge(run)

    def single_bytes(self, order):
        run, first, second = self.play(order, End("--send", "3000", "--write", "1", "--read", "1"),
                                       End("--send", "3000", "--write", "1", "--read", "1"))
        ended(first + second)
        need(first[0]["received"] == second[0]["received"] == 3000, f"{first} {second}")
        self.rig.judge(run)

    def nothing(self, order):
        """Opened, and closed at once without a byte."""
        run, first, second = self.play(order, End(), End(), link="loss=0.1", connections=8, seconds=60)
        ended(first + second)
        self.rig.judge(run)


    def reuse(self):
        """The same ports again, at once, where we wait for what may still be under way."""
        ends = {"a": End(), "l": End("--send", "1000", "--local-port", "40001", "--shut-after-eof",
                                     connects=True)}
        run = self.rig.run("", ends, connections=3, again=2)
        ended(run.all_ends())
        need([end["received"] for end in run.ends["a"]] == [1000] * 3, f"{run.ends}")
        need(all(end["open_s"] < 0.5 for end in run.ends["l"]), f"it had to wait: {run.ends}")
        self.rig.judge(run, is_clean=True)


def fates_are_the_seed_s():
    """The link's fates: the same for a seed, other ones for another."""
    def fates(seed, link):
        return Program.output([NETEM, "--seed", str(seed), "--both", link, "--fates", "5000"])

    link = "loss=0.05,duplicate=0.05,corrupt=0.05,reorder=0.05,jitter-us=1000"
    need(fates(7, link) == fates(7, link), "not repeated")
    need(fates(7, link) != fates(8, link), "the seed does not matter")
    rows = [line.split() for line in fates(7, link).splitlines()]
    for column, what in enumerate(("loss", "duplication", "corruption", "reordering")):
        count = sum(row[column] != "0" for row in rows)
        need(180 <= count <= 330, f"{what}: {count} of 5000 at 5 %")
    lost = [row[0] for row in rows]
    need([line.split()[0] for line in fates(7, "loss=0.05").splitlines()] == lost,
         "one setting moves the fates of another")


def read_options():
    parser = argparse.ArgumentParser(prog="test_linux", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--long", action="store_true",
                        help="1 GB or 60 s of each transfer; else a few MB or seconds")
    parser.add_argument("--only", default="", metavar="TEXT", help="what has TEXT in its name")
    parser.add_argument("--seed", type=int, default=1, help="of the link (%(default)s)")
    parser.add_argument("--json", metavar="FILE", help="figures and counters (build/linux.json)")
    parser.add_argument("--keep", metavar="FOLDER", help="keep the captures there")
    options = parser.parse_args()
    options.size = 1_000_000_000 if options.long else 16_000_000
    options.send_ms = 60_000 if options.long else 1000
    options.limit = 200 if options.long else 40
    options.capture = 40_000_000 if options.long else 1_000_000
    options.json = options.json or os.path.join(BUILD, "linux.json")
    return options


def run_all(checks, rig, only):
    def check(name, function, *arguments):
        if only in name:
            checks.run(name, function, *arguments)

    matrix, races = Matrix(rig), Races(rig)
    check("fates", fates_are_the_seed_s)
    check("judge", linux_judge.control)
    for link in LINKS:
        check(f"{link} ours sends", matrix.compare, link, "a")
        check(f"{link} linux sends", matrix.compare, link, "l")
    for name in ("half_close", "simultaneous_close", "echo", "reset_with_data", "closed_port",
                 "zero_window", "zero_window_lossy", "single_bytes", "nothing"):
        check(f"{name} ours connects", getattr(races, name), ("a", "l"))
        check(f"{name} linux connects", getattr(races, name), ("l", "a"))
    check("simultaneous_open", races.simultaneous_open)
    check("reuse", races.reuse)
    matrix.print_table()
    with open(rig.options.json, "w", encoding="utf-8") as file:
        json.dump(matrix.report, file, indent=1)


def main():
    options = read_options()
    if not can_lab():
        print("no namespaces here: it takes root and iproute2")
        return 1
    if not linux_judge.has_tshark():
        print("tshark is not installed: captures are not judged")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # namespaces go on the way out
    checks = Checks()
    with contextlib.ExitStack() as stack:
        folder = options.keep or stack.enter_context(tempfile.TemporaryDirectory(prefix="mrlinux-"))
        os.makedirs(folder, exist_ok=True)
        run_all(checks, Rig(stack.enter_context(Net()), options, folder), options.only)
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
