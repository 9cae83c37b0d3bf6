# SPDX-License-Identifier: Apache-2.0
"""Megabytes taken in for a second of processor time, acks=all and on the disk, beside Apache Kafka with and
without fsync. Processor time is all the machine was not idle, less the client's own."""

import sys

import yard

PARTITIONS, RECORD = 16, 1024
BATCHES = {"64 KiB": 65536, "1 MB": 1000000}
GOAL = {"kafka-flush": 10, "kafka": 3, "socket": 2}


def main():
    args = yard.arguments(__doc__)
    seconds, warm = (4, 1) if args.quick else (15, 5)
    out = yard.begin("ingest", args)
    with yard.Yard(args) as rig:
        ours = rig.ours.name
        goal = {name: value for name, value in GOAL.items() if name in rig.systems and name != ours}
        for batch in BATCHES:
            out.measure(f"{batch}: per CPU", "MB/CPU-s", True, goal=goal, ours=ours, gated=(),
                        floor={name: value / 2 for name, value in goal.items()})
            out.measure(f"{batch}: rate", "MB/s", True, ours=ours)
            out.measure(f"{batch}: poll core at work", "%", False, ours=ours)
        for number in range(args.repeats + 1):
            print(f"round {number} of {args.repeats}" if number else "warming up: a round that does not count",
                  flush=True)
            for batch, size in BATCHES.items():
                rig.create("ingest", PARTITIONS)
                for name, system in rig.systems.items():
                    with rig.turn(system):
                        said = yard.produce(args, system, f"ingest.{name}", record_size=RECORD,
                                            batch_size=size, seconds=seconds if number else 2, warm=warm)
                    if not number:
                        continue
                    out.add(f"{batch}: per CPU", name, said.mb_per_cpu)
                    out.add(f"{batch}: rate", name, said["mb_per_s"])
                    if system.box is not None:
                        out.add(f"{batch}: poll core at work", name, system.busy_share())
                rig.delete("ingest")
    out.note(f"{PARTITIONS} partitions, records of 1 KiB, acks=all, client {args.client} on CPU {yard.CLIENT_CPU}; "
             "dpdk: af_xdp on a veth, MTU " f"{args.mtu}, unless --port says otherwise, adaptive idling; ours "
             "always on the disk, kafka-flush with flush.messages=1, kafka without fsync. What the kernel does "
             "inside the client's system calls counts as the client's own, for all alike.")
    return out.write()


if __name__ == "__main__":
    sys.exit(main())
