# SPDX-License-Identifier: Apache-2.0
"""Time from when a record of 1 KiB was due to its acknowledgement, acks=all, open loop: one connection at a
rate that all can hold, and several at half of what each can take. Beside the raw device's commit."""

import sys

import yard

SHARES = {"p50": "p50", "p99": "p99", "p99.9": "p999"}
CONNECTIONS = 4
# How many times better than the peer: at most 2 and 4 times the device, at least 10 times Kafka.
GOALS = {"p50": {"device": 1 / 2}, "p99": {"device": 1 / 4}, "p99.9": {"kafka-flush": 10}}


def options(connections, seconds, warm, rate=0):
    return ["--record-size", 1024, "--batch-size", 1, "--connections", connections, "--seconds", seconds,
            "--warm", warm, *(["--rate", f"{rate:.3f}"] if rate else [])]


def add(out, how, name, said):
    for share, key in SHARES.items():
        out.add(f"{how}: {share}", name, said[key])


def main():
    args = yard.arguments(__doc__)
    repeats = args.repeats if args.quick else min(args.repeats, 3)
    wanted = 2500 if args.quick else 100000 / repeats + 1
    most_seconds = 10 if args.quick else 3600
    out = yard.begin("ack", args)
    with yard.Yard(args) as rig:
        ours = rig.ours.name
        names = [ours, *(name for name in ("kafka", "kafka-flush") if name in rig.systems)]
        for how in ("one", "half"):
            for share, goal in GOALS.items():
                goal = {peer: value for peer, value in goal.items() if peer in ("device", *names)}
                out.measure(f"{how}: {share}", "us", False, goal=goal or None, ours=ours, gated=("device",),
                            floor={peer: value / 2 for peer, value in goal.items()} or None)
        out.measure("half: rate", "records/s", True, ours=ours)
        rig.create("ack", 4, names)
        alone, most = {}, {}
        print("what each can take, after warming up", flush=True)
        for name in names:
            with rig.turn(rig.systems[name]) as system:
                alone[name] = system.load("produce", f"ack.{name}", *options(1, 2, 3))["records_per_s"]
                most[name] = system.load("produce", f"ack.{name}",
                                         *options(CONNECTIONS, 3, 2))["records_per_s"]
        rate = min(1000, min(alone.values()) / 2)
        print(f"one connection: {rate:,.0f} records/s for all", flush=True)
        for number in range(repeats):
            print(f"round {number + 1} of {repeats}", flush=True)
            for name in names:
                with rig.turn(rig.systems[name]) as system:
                    device = yard.raw_commit(args, 1 if args.quick else 5)
                    add(out, "one", name, system.load(
                        "produce", f"ack.{name}",
                        *options(1, min(most_seconds, wanted / rate), 1, rate))["latency_us"])
                    said = system.load(
                        "produce", f"ack.{name}",
                        *options(CONNECTIONS, min(most_seconds, max(5, 2 * wanted / most[name])), 1,
                                 most[name] / 2))
                    add(out, "half", name, said["latency_us"])
                    out.add("half: rate", name, said["records_per_s"])
                    if name == ours:
                        add(out, "one", "device", device)
                        add(out, "half", "device", device)
    out.note(f"one: one connection, {rate:,.0f} records/s, the same for all: half of what the slowest takes on one. "
             f"half: {CONNECTIONS} connections, each system at half of its own maximum, 5 requests under way on each. "
             "Each record is a batch. Latency counts from when a record was due, so none is left out for waiting "
             "behind a slow one. device: 4 KiB overwritten past the page cache, then fdatasync, in the same round. "
             "kafka does not fsync.")
    return out.write()


if __name__ == "__main__":
    sys.exit(main())
