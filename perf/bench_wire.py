# SPDX-License-Identifier: Apache-2.0
"""Gigabits a second that one poll core takes over own TCP on a memif, copied, checked and in the ring, with
frames of 1500 and of 9000 bytes. There is no NIC in it."""

import argparse
import sys

import yard

PARTITIONS, BATCH = 4, 1000000
GOALS = {1500: (28, 20), 9000: (45, 30)}


def main():
    args = yard.arguments(__doc__)
    seconds = 4 if args.quick else 15
    out = yard.begin("wire", args)
    for mtu, (goal, floor) in GOALS.items():
        out.measure(f"MTU {mtu}", "Gbit/s", True, goal=goal, floor=floor, ours="memif", gated=())
        out.measure(f"MTU {mtu}: poll core at work", "%", False, ours="memif")
        out.measure(f"MTU {mtu}: client's CPU", "%", False, ours="memif")
    for mtu in GOALS:
        for number in range(args.repeats + 1):
            here = argparse.Namespace(**{**vars(args), "mtu": mtu, "port": None})
            # The log lies in memory: what is measured is the way to the ring, and the disk is `disk`.
            here.disk = "/dev/shm"
            with yard.Yard(here, kafka=False, memif=True) as rig:
                system = rig.ours
                system.create("wire", PARTITIONS, f"segment.bytes={64 << 20}", f"retention.bytes={64 << 20}")
                said = system.load("produce", "wire", "--acks", "1", "--batch-size", BATCH, "--connections",
                                   PARTITIONS, "--in-flight", 8, "--seconds", seconds if number else 2)
                if number:
                    out.add(f"MTU {mtu}", "memif", said["mb_per_s"] * 8 / 1000)
                    out.add(f"MTU {mtu}: poll core at work", "memif", system.busy_share())
                    out.add(f"MTU {mtu}: client's CPU", "memif", 100 * said["own_cpu_s"] / said["wall_s"])
    out.note(f"no NIC: frames are copied by the memif. {PARTITIONS} connections and partitions, batches of 1 MB, acks=1, "
             f"millrace-load on own TCP on CPU {yard.CLIENT_CPU}, which copies each batch into its output queue and into "
             "frames. The log lies in /dev/shm: its writes are copies by the same core, and are in the figure.")
    return out.write()


if __name__ == "__main__":
    sys.exit(main())
