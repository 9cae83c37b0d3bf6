# SPDX-License-Identifier: Apache-2.0
"""Consumers: how long after its acknowledgement a record arrives at one that waits for it, and how fast one
reads what is on the disk, also over own TCP on a memif, beside what disk, sockets and memif can."""

import concurrent.futures
import contextlib
import os
import sys

import yard

PARTITIONS, ANSWER = 4, 8 << 20
RING_MB = 256


def fill(system, topic, megabytes):
    """At least so much, in batches of 1 MB."""
    done = 0
    while done < megabytes:
        said = system.load("produce", topic, "--batch-size", 1000000, "--connections", PARTITIONS,
                           "--seconds", 1, "--warm", 0.2)
        done += said["records"] * 1024 / 1e6


def forget(data, topic):
    """Take the files of a topic out of the page cache, and no others."""
    for folder, _, names in os.walk(data):
        if not os.path.basename(folder).startswith(f"{topic}-"):
            continue
        for name in names:
            with contextlib.suppress(OSError):
                file = os.open(os.path.join(folder, name), os.O_RDONLY)
                os.fsync(file)
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(file)


def read(system, topic, seconds):
    """@return (MB/s, percent of it that came from the files)"""
    name = "millrace_seglog_read_cold_bytes_total"
    before = system.box.metric(name)
    said = system.load("fetch", topic, "--connections", PARTITIONS, "--batch-size", ANSWER, "--seconds",
                       seconds, "--warm", 0)
    rate = said["fetched_mb_per_s"]
    return rate, (system.box.metric(name) - before) / (rate * said["wall_s"]) / 1e4


def raw_read(args, megabytes):
    """MB/s of as many readers as there are partitions, each of a file of its own."""
    def one(_):
        return yard.load("device", None, "--folder", args.disk, "--batch-size", ANSWER, "--span",
                         megabytes // PARTITIONS * 1000000, "--seconds", 3, "--read")["mb_per_s"]

    with concurrent.futures.ThreadPoolExecutor(PARTITIONS) as readers:
        return sum(readers.map(one, range(PARTITIONS)))


def cold(args, out, seconds, megabytes):
    """The same box by its sockets and by own TCP, with nothing of the log in memory, and with all of it."""
    with yard.Yard(args, kafka=False, memif=True) as rig:
        for name, unit in (("cold catch-up", "MB/s"), ("cold catch-up: limits", "MB/s"),
                           ("cold catch-up: from the files", "%")):
            goal = {"limit": 0.9} if name == "cold catch-up" else None
            out.measure(name, unit, True, ours=rig.ours.name, goal=goal)
        ways = list(rig.systems.values())
        for topic in ("cold", "other", "hot"):
            ways[0].create(topic, PARTITIONS, f"segment.bytes={yard.SEGMENT}", "retention.bytes=-1")
        fill(ways[0], "cold", megabytes)
        fill(ways[0], "other", 2 * RING_MB)
        ways[0].load("produce", "hot", "--batch-size", 1000000, "--connections", PARTITIONS, "--seconds", 0.1,
                     "--warm", 0)
        for number in range(args.repeats):
            print(f"cold: round {number + 1} of {args.repeats}", flush=True)
            disk = raw_read(args, megabytes)
            out.add("cold catch-up: limits", "disk", disk)
            for system in ways:
                rate, _ = read(system, "hot", seconds / 2)
                out.add("cold catch-up: limits", f"{system.name} from the ring", rate)
                if system is rig.ours:
                    out.add("cold catch-up", "limit", min(rate, disk))
            for system in ways:
                forget(rig.box.data, "cold")
                rate, share = read(system, "cold", seconds)
                out.add("cold catch-up", system.name, rate)
                out.add("cold catch-up: from the files", system.name, share)


def against_peers(args, out, seconds, rate, megabytes):
    """One that waits, and those that read old records, at each system."""
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
            disk = raw_read(args, megabytes)
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


def main():
    args = yard.arguments(__doc__, quick=1)
    seconds, rate, megabytes = (5, 500, 1500) if args.quick else (30, 500, 6000)
    out = yard.begin("fetch", args)
    against_peers(args, out, seconds, rate, megabytes)
    cold(args, out, seconds, megabytes)
    out.note(f"tail: {rate} records/s of 1 KiB, one producer and one consumer. catch-up: {megabytes:,} MB in "
             f"{PARTITIONS} partitions, read from the start again and again by as many connections, answers of up "
             "to 8 MiB. limit: the lower of as many reads past the page cache at once and of what sockets carry from "
             "the same client to a server that only acknowledges. Kafka reads from the page cache, ours past it. "
             "cold catch-up: the same from a box with a memif, whose ring has forgotten these records and the page "
             f"cache their files; MTU {args.mtu}. limit: the lower of the disk and of what the memif carries of "
             "records in the ring.")
    return out.write()


if __name__ == "__main__":
    sys.exit(main())
