# SPDX-License-Identifier: Apache-2.0
"""Consumers: how long after its acknowledgement a record arrives at one that waits for it, and how fast one
reads what is on the disk, beside what disk and sockets can."""

import sys

import yard

PARTITIONS, ANSWER = 4, 8 << 20


def fill(system, topic, megabytes):
    """At least so much, in batches of 1 MB."""
    done = 0
    while done < megabytes:
        said = system.load("produce", topic, "--batch-size", 1000000, "--connections", PARTITIONS,
                           "--seconds", 1, "--warm", 0.2)
        done += said["records"] * 1024 / 1e6


def main():
    args = yard.arguments(__doc__, quick=1)
    seconds, rate, megabytes = (5, 500, 1500) if args.quick else (30, 500, 6000)
    out = yard.begin("fetch", args)
    with yard.Yard(args) as rig, yard.sink(PARTITIONS) as (server, process):
        rig.sink("sink", server, process)
        sink = rig.systems.pop("sink")
        ours = rig.ours.name
        names = [name for name in rig.systems if name != "kafka-flush"]
        for share in ("p50", "p99"):
            absolute = {"goal": 200, "floor": 400} if share == "p99" else {}
            out.measure(f"tail: {share} after the ack", "us", False, ours=ours, gated=(), **absolute)
            out.measure(f"tail: {share} after it was due", "us", False, ours=ours)
        out.measure("catch-up", "MB/s", True, ours="socket", goal={"limit": 0.9}, floor={"limit": 0.45},
                    gated=("limit",))
        out.measure("catch-up: limits", "MB/s", True)
        out.measure("catch-up: per CPU", "MB/CPU-s", True, ours="socket")
        for name in names:
            rig.systems[name].create(f"tail.{name}", 1)
            rig.systems[name].create(f"old.{name}", PARTITIONS, f"segment.bytes={yard.SEGMENT}",
                                     "retention.bytes=-1")
            print(f"filling {name}", flush=True)
            fill(rig.systems[name], f"old.{name}", megabytes)
        for number in range(args.repeats):
            print(f"round {number + 1} of {args.repeats}", flush=True)
            disk = yard.load("device", None, "--folder", args.disk, "--batch-size", ANSWER, "--span",
                             megabytes * 1000000, "--seconds", 3, "--read")["mb_per_s"]
            with rig.turn(sink):
                port = sink.load("produce", "any", "--batch-size", 1000000, "--connections", PARTITIONS,
                                 "--seconds", 3)["mb_per_s"]
            out.add("catch-up: limits", "disk", disk)
            out.add("catch-up: limits", "sockets", port)
            out.add("catch-up", "limit", min(disk, port))
            for name in names:
                with rig.turn(rig.systems[name]) as system:
                    system.is_prompt = True
                    said = system.load("tail", f"tail.{name}", "--batch-size", 1, "--rate", rate,
                                       "--seconds", seconds, "--warm", 2)
                    for share in ("p50", "p99"):
                        out.add(f"tail: {share} after the ack", name, said["after_ack_us"][share])
                        out.add(f"tail: {share} after it was due", name, said["end_to_end_us"][share])
                    system.is_prompt = False
                    said = system.load("fetch", f"old.{name}", "--connections", PARTITIONS,
                                       "--batch-size", ANSWER, "--seconds", seconds, "--warm", 1)
                    out.add("catch-up", name, said["fetched_mb_per_s"])
                    out.add("catch-up: per CPU", name, said["fetched_mb_per_s"] * said["wall_s"] / said.spent)
    out.note(f"tail: {rate} records/s of 1 KiB, one producer and one consumer. catch-up: {megabytes:,} MB in "
             f"{PARTITIONS} partitions, read from the start again and again by as many connections, answers of up "
             "to 8 MiB. limit: the lower of reads past the page cache and of what sockets carry from the same "
             "client to a server that only acknowledges. Kafka reads from the page cache, ours past it.")
    return out.write()


if __name__ == "__main__":
    sys.exit(main())
