# SPDX-License-Identifier: Apache-2.0
"""The busy share that a poll core reports, held against known work that is added to it: by how many percent of
its time it rises when so many are added, at the same load."""

import sys

import yard

ADDED, RATE = (20, 50), 20000


def share(args, percent, seconds):
    """Busy share under a fixed load, with so much work added."""
    with yard.Yard(args, kafka=False, dpdk=False, settings={"calibrate.percent": percent}) as rig:
        system = rig.systems["socket"]
        rig.create("calibrate", 4)
        system.load("produce", "calibrate.socket", "--rate", RATE, "--connections", 4, "--seconds", seconds)
        return system.busy_share()


def main():
    args = yard.arguments(__doc__, quick=1)
    seconds = 4 if args.quick else 15
    out = yard.begin("calibrate", args)
    for percent in ADDED:
        out.measure(f"{percent} % added", "% more busy", True, ours="reported")
        out.measure(f"{percent} % added: off by", "points", False, goal=1, floor=3, ours="reported", gated=())
    for number in range(args.repeats):
        print(f"round {number + 1} of {args.repeats}", flush=True)
        before = share(args, 0, seconds)
        for percent in ADDED:
            more = share(args, percent, seconds) - before
            out.add(f"{percent} % added", "reported", more)
            out.add(f"{percent} % added", "added", percent)
            out.add(f"{percent} % added: off by", "reported", abs(more - percent))
    out.note(f"{RATE:,} records/s of 1 KiB over kernel sockets; the busy share is turns that did work by the poll "
             "core's own clock, the work is calibrate.percent of its time.")
    return out.write()


if __name__ == "__main__":
    sys.exit(main())
