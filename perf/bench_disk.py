# SPDX-License-Identifier: Apache-2.0
"""Durable megabytes a second through one poll core, in batches of 1 MB, beside the device's own group commit."""

import sys

import yard

PARTITIONS = 4
WARM = 4  # retention is reached: from then on segments take the files of deleted ones
NEW_SECONDS = 4


def produce(system, topic, seconds, warm):
    return system.load("produce", topic, "--batch-size", 1000000, "--connections", PARTITIONS, "--in-flight", 4,
                       "--seconds", seconds, "--warm", warm)


def main():
    args = yard.arguments(__doc__)
    seconds = 5 if args.quick else 20
    out = yard.begin("disk", args)
    args.mtu = 9000
    with yard.Yard(args, kafka=False, memif=True) as rig:
        ours = rig.ours.name
        out.measure("durable", "MB/s", True, goal=2000, floor=1200, ours=ours, gated=())
        out.measure("durable, nothing deleted yet", "MB/s", True, ours=ours)
        out.measure("poll core at work", "%", False, ours=ours)
        for number in range(args.repeats + 1):
            print(f"round {number} of {args.repeats}" if number else "warming up: a round that does not count",
                  flush=True)
            device = yard.load("device", None, "--folder", args.disk, "--batch-size", 4 << 20, "--span", 1 << 30,
                               "--seconds", 3)
            system = rig.ours
            rig.create("disk", PARTITIONS, [ours])
            said = produce(system, f"disk.{ours}", seconds, WARM)
            share = system.busy_share()
            rig.delete("disk", [ours])
            system.create("disk.new", PARTITIONS, f"segment.bytes={yard.SEGMENT}", "retention.bytes=-1")
            new = produce(system, "disk.new", NEW_SECONDS, 1)
            system.delete("disk.new")
            if number:
                out.add("durable, nothing deleted yet", ours, new["mb_per_s"])
                out.add("durable", "device", device["mb_per_s"])
                out.add("durable", ours, said["mb_per_s"])
                out.add("poll core at work", ours, share)
    out.note(f"{PARTITIONS} connections and partitions, 4 requests of 1 MB under way on each; the client is "
             f"millrace-load on CPU {yard.CLIENT_CPU}, over {ours}, MTU {args.mtu}. device: 4 MiB overwritten past the page cache, then "
             f"fdatasync. durable: logs that keep {yard.KEPT >> 30} GiB together, from when they are full on, so that a new segment "
             "has the file of a deleted one. nothing deleted yet: new files, whose space the file system makes.")
    return out.write()


if __name__ == "__main__":
    sys.exit(main())
