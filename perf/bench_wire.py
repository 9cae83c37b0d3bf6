# SPDX-License-Identifier: Apache-2.0
"""Gigabits a second that one poll core takes over own TCP on a memif, copied, checked and in the ring, with
frames of 1500 and of 9000 bytes, beside what the memif carries when nobody looks at its frames. There is no NIC
in it."""

import argparse
import sys
import tempfile

import yard

PARTITIONS, BATCH, IN_FLIGHT = 4, 1000000, 8
GOALS = {1500: (28, 20), 9000: (45, 30)}
# Records that stay in the ring, and records that go to the disk when it has time: acks=1 waits for neither.
RING, DISK = "ring only", "on the disk"


def frames(mtu, seconds):
    """What the memif carries, and what it would carry if only taking frames out of it took time."""
    with tempfile.TemporaryDirectory(prefix="millrace-perf-", dir="/run") as folder, yard.hugepages(512):
        options = ["--port", f"memif:{folder}/port", "--mtu", mtu]
        with yard.running("drain", None, *options, cpu=0) as (_, drain):
            flood = yard.load("flood", None, *options, "--seconds", seconds, "--warm", 0.5)
    return flood["gbit_per_s"], drain["gbit_per_busy_s"]


def measure(args, mtu, settings, seconds):
    """@return (the driver's figures, busy share of the poll core)"""
    here = argparse.Namespace(**{**vars(args), "mtu": mtu, "port": None})
    with yard.Yard(here, kafka=False, memif=True, settings=settings) as rig:
        system = rig.ours
        system.create("wire", PARTITIONS, f"segment.bytes={yard.SEGMENT}", f"retention.bytes={yard.SEGMENT}")
        said = system.load("produce", "wire", "--acks", "1", "--batch-size", BATCH, "--connections", PARTITIONS,
                           "--in-flight", IN_FLIGHT, "--seconds", seconds, "--warm", 1)
        return said, system.busy_share()


def main():
    args = yard.arguments(__doc__, quick=1)
    seconds = 4 if args.quick else 15
    out = yard.begin("wire", args)
    for mtu, (goal, floor) in GOALS.items():
        out.measure(f"MTU {mtu}", "Gbit/s", True, goal=goal, floor=floor, ours=RING, gated=())
        out.measure(f"MTU {mtu}: poll core at work", "%", False, ours=RING)
        out.measure(f"MTU {mtu}: driver at work", "%", False, ours=RING)
    for mtu in GOALS:
        for number in range(args.repeats):
            print(f"MTU {mtu}: round {number + 1} of {args.repeats}", flush=True)
            both, taking = frames(mtu, seconds / 4)
            out.add(f"MTU {mtu}", "memif, frames", both)
            out.add(f"MTU {mtu}", "memif, taking", taking)
            for name, settings in ((RING, {"log.discard": "true"}), (DISK, {})):
                said, busy = measure(args, mtu, settings, seconds)
                out.add(f"MTU {mtu}", name, said["mb_per_s"] * 8 / 1000)
                out.add(f"MTU {mtu}: poll core at work", name, busy)
                out.add(f"MTU {mtu}: driver at work", name, 100 * (1 - said["idle_s"] / said["wall_s"]))
    out.note(f"no NIC: frames are copied by the memif. {PARTITIONS} connections and partitions, batches of 1 MB, acks=1, "
             f"{IN_FLIGHT} under way on each, millrace-load on own TCP on CPU {yard.CLIENT_CPU}, which copies each batch once, "
             "into frames; both ends say what share of their time had work, so that the reader sees who waits for whom. "
             f"{RING}: log.discard, nothing is written. {DISK}: the ring waits for the disk when it is full. memif, frames: "
             "one end sends frames with nothing in them, the other forgets them. memif, taking: the same bytes over the "
             "time that taking them out of the memif took.")
    return out.write()


if __name__ == "__main__":
    sys.exit(main())
