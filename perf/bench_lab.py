# SPDX-License-Identifier: Apache-2.0
"""What a stock client on kernel sockets gets into the box over a veth (af_xdp), beside the least of TCP on the
same port: checksum, one copy, one acknowledgement a burst, and no protocol above."""

import argparse
import sys

import boxes
import yard
from boxes import box

PARTITIONS, BATCH = 4, 65536
MTUS = (1500, 3200)


def bare(args, seconds):
    """MB/s into a bare sink."""
    lab = yard.lab(args)
    server = f"{lab.address}:{boxes.free_port()}"
    options = ["--port", f"af_xdp:{lab.interface}", "--address", f"{lab.address}/24", "--mtu", args.mtu]
    with lab, yard.running("bare", server, *options, cpu=0):
        # It asks for all again behind a hole: one connection may fare better than several.
        return max(yard.load("blast", server, "--connections", connections, "--batch-size", BATCH, "--seconds",
                             seconds / 2, prefix=lab.prefix())["mb_per_s"] for connections in (1, PARTITIONS))


def main():
    args = yard.arguments(__doc__)
    seconds = 4 if args.quick else 15
    out = yard.begin("lab", args)
    for mtu in MTUS:
        out.measure(f"MTU {mtu}", "MB/s", True, goal={"bare": 0.95}, floor={"bare": 0.8}, ours="dpdk",
                    gated=("bare",))
        out.measure(f"MTU {mtu}: poll core at work", "%", False, ours="dpdk")
    if args.port or not box.can_lab():
        print("needs the lab: root, ip and ethtool; and no --port")
        return 1
    for mtu in MTUS:
        here = argparse.Namespace(**{**vars(args), "mtu": mtu})
        for number in range(args.repeats):
            print(f"MTU {mtu}: round {number + 1} of {args.repeats}", flush=True)
            with yard.hugepages():
                out.add(f"MTU {mtu}", "bare", bare(here, seconds))
            with yard.Yard(here, kafka=False) as rig:
                rig.create("lab", PARTITIONS, ["dpdk"])
                said = rig.ours.load("produce", "lab.dpdk", "--batch-size", BATCH, "--connections", PARTITIONS,
                                     "--seconds", seconds, "--warm", 2)
                out.add(f"MTU {mtu}", "dpdk", said["mb_per_s"])
                out.add(f"MTU {mtu}: poll core at work", "dpdk", rig.ours.busy_share())
    out.note(f"dpdk: produce by millrace-load on kernel sockets in a namespace, on CPU {yard.CLIENT_CPU}, {PARTITIONS} "
             "connections, batches of 64 KiB, acks=all, on the disk. bare: bytes from one and from as many of the same "
             "sockets, whichever is faster, to millrace-load bare on the CPU of the poll core.")
    return out.write()


if __name__ == "__main__":
    sys.exit(main())
