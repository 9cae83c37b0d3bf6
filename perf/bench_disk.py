# SPDX-License-Identifier: Apache-2.0
"""Durable megabytes a second through one poll core, in batches of 1 MB, beside the device's own group commit."""

import sys

import yard

PARTITIONS = 4


def main():
    args = yard.arguments(__doc__)
    seconds = 5 if args.quick else 20
    out = yard.begin("disk", args)
    args.mtu = 9000
    with yard.Yard(args, kafka=False, memif=True) as rig:
        ours = rig.ours.name
        out.measure("durable", "MB/s", True, goal=2000, floor=1200, ours=ours, gated=())
        out.measure("poll core at work", "%", False, ours=ours)
        for number in range(args.repeats + 1):
            print(f"round {number} of {args.repeats}" if number else "warming up: a round that does not count",
                  flush=True)
            device = yard.load("device", None, "--folder", args.disk, "--batch-size", 4 << 20, "--span", 1 << 30,
                               "--seconds", 3)
            rig.create("disk", PARTITIONS, [ours])
            system = rig.ours
            said = system.load("produce", f"disk.{ours}", "--batch-size", 1000000, "--connections", PARTITIONS,
                               "--in-flight", 4, "--seconds", seconds, "--warm", 3)
            rig.delete("disk", [ours])
            if number:
                out.add("durable", "device", device["mb_per_s"])
                out.add("durable", ours, said["mb_per_s"])
                out.add("poll core at work", ours, system.busy_share())
    out.note(f"{PARTITIONS} connections and partitions, 4 requests of 1 MB under way on each; the client is "
             f"millrace-load on CPU {yard.CLIENT_CPU}, over {ours}, MTU {args.mtu}. device: 4 MiB overwritten past the page cache, then "
             "fdatasync.")
    return out.write()


if __name__ == "__main__":
    sys.exit(main())
