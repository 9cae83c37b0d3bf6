# SPDX-License-Identifier: Apache-2.0
"""What a stock client on kernel sockets gets into the box's ring over a veth (af_xdp), beside what it gets into
own TCP on the same port that takes bytes and forgets them; and onto the disk."""

import argparse
import sys

import boxes
import yard
from boxes import box

PARTITIONS, BATCH = 4, 65536
CONNECTIONS = (1, PARTITIONS)
MTUS = (1500, 3200)
ATTEMPTS, WARM = 3, 0.5


class Samples(dict):
    """MB/s of each attempt, by connections."""

    def best(self):
        return max(max(each) for each in self.values())


def samples(one):
    """Attempts with each number of connections, by turns: what a connection reaches depends on how the sender's
    congestion control began, so that the best of a few says what is reached."""
    said = Samples({connections: [] for connections in CONNECTIONS})
    for _ in range(ATTEMPTS):
        for connections in CONNECTIONS:
            said[connections].append(one(connections))
    return said


def bare(args, seconds):
    """Into own TCP that forgets what comes: bytes without end, or the requests that the box gets, acknowledged;
    whichever is faster."""
    lab = yard.lab(args)
    server = f"{lab.address}:{boxes.free_port()}"
    options = ["--port", f"af_xdp:{lab.interface}", "--address", f"{lab.address}/24", "--mtu", args.mtu]
    said = []
    with lab, yard.hugepages():
        for sink, client in ((("bare",), ("blast",)), (("sink", "--partitions", PARTITIONS),
                                                       ("produce", "--topic", "lab", "--direct"))):
            with yard.running(sink[0], server, *sink[1:], *options, cpu=0):
                said.append(samples(lambda connections, client=client: yard.load(
                    client[0], server, *client[1:], "--connections", connections, "--batch-size", BATCH,
                    "--seconds", seconds, "--warm", WARM, prefix=lab.prefix())["mb_per_s"]))
    return max(said, key=Samples.best)


def ours(args, seconds, settings):
    """The same of the box, and the busy share of its poll core at the best of them."""
    with yard.Yard(args, kafka=False, settings=settings) as rig:
        rig.create("lab", PARTITIONS, ["dpdk"])
        busy = {}

        def one(connections):
            rate = rig.ours.load("produce", "lab.dpdk", "--batch-size", BATCH, "--connections", connections,
                                 "--seconds", seconds, "--warm", WARM)["mb_per_s"]
            busy[rate] = rig.ours.busy_share()
            return rate

        said = samples(one)
        return said, busy[said.best()]


def main():
    args = yard.arguments(__doc__, quick=1)
    seconds = 1.5 if args.quick else 6
    out = yard.begin("lab", args)
    for mtu in MTUS:
        out.measure(f"MTU {mtu}", "MB/s", True, goal={"bare": 0.95}, floor={"bare": 0.8}, ours="dpdk",
                    gated=("bare",))
        for connections in CONNECTIONS:
            out.measure(f"MTU {mtu}, connections: {connections}", "MB/s", True, ours="dpdk")
        out.measure(f"MTU {mtu}: poll core at work", "%", False, ours="dpdk")
    if args.port or not box.can_lab():
        print("needs the lab: root, ip and ethtool; and no --port")
        return 1
    for mtu in MTUS:
        here = argparse.Namespace(**{**vars(args), "mtu": mtu})
        for number in range(args.repeats):
            print(f"MTU {mtu}: round {number + 1} of {args.repeats}", flush=True)
            rates = {"bare": bare(here, seconds)}
            rates["dpdk"], busy = ours(here, seconds, {"log.discard": "true"})
            rates["dpdk, on the disk"], _ = ours(here, seconds, {})
            for name, said in rates.items():
                out.add(f"MTU {mtu}", name, said.best())
                for connections, each in said.items():
                    for rate in each:
                        out.add(f"MTU {mtu}, connections: {connections}", name, rate)
            out.add(f"MTU {mtu}: poll core at work", "dpdk", busy)
    out.note(f"dpdk: produce by millrace-load on kernel sockets in a namespace, on CPU {yard.CLIENT_CPU}, batches of "
             "64 KiB, 5 requests under way on each connection, acks=all; log.discard, so that records stay in the ring, "
             "as bare forgets its bytes. On the disk: the same with a log, whose commits are waited for. bare: from the "
             "same sockets into own TCP of millrace-load on the CPU of the poll core, which verifies checksums, forgets "
             "the bytes and sleeps as the box does: a stream without end, or the same requests, acknowledged at once, "
             f"whichever is faster. Of all, the best of {ATTEMPTS} attempts with one connection and with {PARTITIONS}.")
    return out.write()


if __name__ == "__main__":
    sys.exit(main())
