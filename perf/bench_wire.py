# SPDX-License-Identifier: Apache-2.0
"""Gigabits a second that one poll core takes over own TCP on a memif, copied, checked and in the ring, with
frames of 1500 and of 9000 bytes, acknowledged before they are on the disk. There is no NIC in it."""

import argparse
import sys

import yard

PARTITIONS, BATCH = 4, 1000000
GOALS = {1500: (28, 20), 9000: (45, 30)}


def main():
    args = yard.arguments(__doc__, quick=1)
    seconds = 4 if args.quick else 15
    out = yard.begin("wire", args)
    for mtu, (goal, floor) in GOALS.items():
        out.measure(f"MTU {mtu}", "Gbit/s", True, goal=goal, floor=floor, ours="memif", gated=())
        out.measure(f"MTU {mtu}: poll core at work", "%", False, ours="memif")
        out.measure(f"MTU {mtu}: client's CPU", "%", False, ours="memif")
    for mtu in GOALS:
        for number in range(args.repeats):
            print(f"MTU {mtu}: round {number + 1} of {args.repeats}", flush=True)
            # On the disk: no copy behind the ring, but the disk's own limit. In memory: no disk, but a copy.
            for name, disk in (("memif", args.disk), ("in memory", "/dev/shm")):
                here = argparse.Namespace(**{**vars(args), "mtu": mtu, "port": None, "disk": disk})
                with yard.Yard(here, kafka=False, memif=True) as rig:
                    system = rig.ours
                    system.create("wire", PARTITIONS, f"segment.bytes={yard.SEGMENT}",
                                  f"retention.bytes={yard.SEGMENT}")
                    said = system.load("produce", "wire", "--acks", "1", "--batch-size", BATCH, "--connections",
                                       PARTITIONS, "--in-flight", 8, "--seconds", seconds, "--warm", 2)
                    out.add(f"MTU {mtu}", name, said["mb_per_s"] * 8 / 1000)
                    out.add(f"MTU {mtu}: poll core at work", name, system.busy_share())
                    out.add(f"MTU {mtu}: client's CPU", name, 100 * said["own_cpu_s"] / said["wall_s"])
    out.note(f"no NIC: frames are copied by the memif. {PARTITIONS} connections and partitions, batches of 1 MB, acks=1, "
             f"millrace-load on own TCP on CPU {yard.CLIENT_CPU}, which copies each batch into its output queue and into "
             "frames. memif: the log lies on the disk, which the ring waits for when it is full; in memory: it lies in "
             "/dev/shm, where the kernel copies it on the poll core's time and prepares its space on another's.")
    return out.write()


if __name__ == "__main__":
    sys.exit(main())
