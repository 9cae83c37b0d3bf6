# SPDX-License-Identifier: Apache-2.0
"""Records of 100 bytes, acks=all: the rate beside what the same client reaches, the same way, against a server
that only acknowledges; and records for a second of processor time beside Apache Kafka."""

import contextlib
import sys

import yard
from boxes import box

PARTITIONS, RECORD, BATCH = 16, 100, 65536
SINKS = ("sink", "sink, own TCP")


def main():
    args = yard.arguments(__doc__)
    seconds, warm = (4, 1) if args.quick else (15, 5)
    out = yard.begin("small", args)
    with contextlib.ExitStack() as stack:
        rig = stack.enter_context(yard.Yard(args))
        rig.sink("sink", *stack.enter_context(yard.sink(PARTITIONS)))
        if "dpdk" in rig.systems and not args.port and box.can_lab():
            rig.sink("sink, own TCP", *stack.enter_context(yard.port_sink(args, PARTITIONS)))
        peer = "kafka" in rig.systems
        out.measure("rate, sockets", "records/s", True, goal={"sink": 0.9}, floor={"sink": 0.75}, ours="socket",
                    gated=("sink",))
        if "sink, own TCP" in rig.systems:
            out.measure("rate, port", "records/s", True, goal={"sink, own TCP": 0.9}, floor={"sink, own TCP": 0.75},
                        ours="dpdk", gated=("sink, own TCP",))
        for ours in ("socket", "dpdk"):
            wanted = peer and ours in rig.systems
            out.measure(f"per busy core, {ours}", "records/s", True, goal={"kafka": 10} if wanted else None,
                        floor={"kafka": 5} if wanted else None, ours=ours, gated=())
            out.measure(f"per CPU, {ours}", "records/CPU-s", True, ours=ours)
        out.measure("poll core at work", "%", False, ours="socket")
        for number in range(args.repeats + 1):
            print(f"round {number} of {args.repeats}" if number else "warming up: a round that does not count",
                  flush=True)
            real = [name for name in rig.systems if name not in SINKS]
            rig.create("small", PARTITIONS, real)
            for name, system in rig.systems.items():
                with rig.turn(system):
                    said = yard.produce(args, system, f"small.{name}".replace(", own TCP", ""), record_size=RECORD,
                                        batch_size=BATCH, seconds=seconds if number else 2, warm=warm)
                if number:
                    add(out, name, system, said)
            rig.delete("small", real)
    out.note(f"{PARTITIONS} partitions, batches of 64 KiB, client {args.client} on CPU {yard.CLIENT_CPU}, whose own CPU is "
             "the limit of every rate here. sink: millrace-load sink on the CPU of our poll core; it looks at no "
             "record. On kernel sockets over loopback it is the limit of socket, on own TCP over a veth (af_xdp) of "
             "dpdk. Per busy core: of ours the share of time that the poll core calls work, of Kafka its process's "
             "processor time. Per CPU: all processor time of the machine but the client's own, the kernel's included.")
    return out.write()


def add(out, name, system, said):
    port = name in ("dpdk", "sink, own TCP") and "rate, port" in out.measures
    out.add("rate, port" if port else "rate, sockets", name, said["records_per_s"])
    if name in SINKS:
        return
    for ours in ("socket", "dpdk"):
        if name not in ("socket", "dpdk") or name == ours:
            out.add(f"per CPU, {ours}", name, said.records_per_cpu)
            out.add(f"per busy core, {ours}", name, said["records_per_s"] / system.busy_cores())
    if system.box is not None:
        out.add("poll core at work", name, system.busy_share())


if __name__ == "__main__":
    sys.exit(main())
