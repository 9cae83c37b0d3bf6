# SPDX-License-Identifier: Apache-2.0
"""Time from when a record of 1 KiB was due to its acknowledgement, acks=all, open loop: one connection at a
rate that all can hold, and several at half of what each can take. Beside the raw device's commit."""

import sys

import yard

SHARES = {"p50": "p50", "p99": "p99", "p99.9": "p999"}
CONNECTIONS = 4
# A client that may have few requests under way queues behind a slow one, and its queue is what is measured then:
# librdkafka has no limit either. What each can take is measured with the five of others.
UNDER_WAY = 64
# How many times better than the peer: at most 2 and 4 times the device, at least 10 times Kafka.
GOALS = {"p50": {"device": 1 / 2}, "p99": {"device": 1 / 4}, "p99.9": {"kafka-flush": 10}}


def options(connections, seconds, warm, rate=0):
    open_loop = ["--rate", f"{rate:.3f}", "--in-flight", UNDER_WAY] if rate else []
    return ["--record-size", 1024, "--batch-size", 1, "--connections", connections, "--seconds", seconds,
            "--warm", warm, *open_loop]


def add(out, how, name, said):
    for share, key in SHARES.items():
        out.add(f"{how}: {share}", name, said[key])


def raw(args, rate, half):
    """The device at the same rates, in as many logs."""
    seconds = 2 if args.quick else 10
    return {"one": yard.raw_group(args, rate, 1, seconds), "half": yard.raw_group(args, half, CONNECTIONS, seconds)}


def least(one, other):
    """What disturbs the device makes it no better as a limit."""
    return {key: min(one[key], other[key]) for key in SHARES.values()}


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
            out.measure(f"{how}: driver late, p99", "us", False, ours=ours)
        out.measure("half: rate", "records/s", True, ours=ours)
        out.measure("commit of the raw device, one after the other: p50", "us", False)
        rig.create("ack", 4, names)
        for name in names:
            rig.systems[name].is_prompt = True
        alone, most = {}, {}
        print("what each can take, after warming up", flush=True)
        for name in names:
            with rig.turn(rig.systems[name]) as system:
                alone[name] = system.load("produce", f"ack.{name}", *options(1, 2, 2))["records_per_s"]
                most[name] = system.load("produce", f"ack.{name}", *options(CONNECTIONS, 3, 1))["records_per_s"]
        rate = min(1000, min(alone.values()) / 2)
        print(f"one connection: {rate:,.0f} records/s for all", flush=True)
        for number in range(repeats):
            print(f"round {number + 1} of {repeats}", flush=True)
            for name in names:
                with rig.turn(rig.systems[name]) as system:
                    device = raw(args, rate, most[name] / 2) if name == ours else {}
                    for how, connections, at, seconds in (
                            ("one", 1, rate, wanted / rate),
                            ("half", CONNECTIONS, most[name] / 2, max(5, 2 * wanted / most[name]))):
                        said = system.load("produce", f"ack.{name}",
                                           *options(connections, min(most_seconds, seconds), 1, at))
                        add(out, how, name, said["latency_us"])
                        out.add(f"{how}: driver late, p99", name, said["slip_us"]["p99"])
                    out.add("half: rate", name, said["records_per_s"])
                    if name == ours:
                        again = raw(args, rate, most[name] / 2)
                        for how, said in device.items():
                            add(out, how, "device", least(said, again[how]))
                        out.add("commit of the raw device, one after the other: p50", "device",
                                yard.raw_commit(args, 1)["p50"])
    out.note(f"one: one connection, {rate:,.0f} records/s, the same for all: half of what the slowest takes on one. "
             f"half: {CONNECTIONS} connections and partitions, each system at half of its own maximum (with 5 requests "
             f"under way on each); {UNDER_WAY} may be under way on each. Each record is a batch. Latency counts from when "
             "a record was due, so none is left out for waiting behind a slow one. device: records of the same size "
             "that fall due at the same rate, in as many files, each file's written together and made durable by one "
             "fdatasync: a group commit with no server around it, before and after ours in each round, the lesser of "
             "both. The driver and it run before all else on their CPU, so that they are not late themselves. kafka "
             "does not fsync.")
    return out.write()


if __name__ == "__main__":
    sys.exit(main())
