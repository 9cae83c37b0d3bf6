# SPDX-License-Identifier: Apache-2.0
"""Records of 100 bytes, acks=all: the rate beside what the same client reaches against a server that only
acknowledges, and records for a second of processor time beside Apache Kafka."""

import sys

import yard

PARTITIONS, RECORD, BATCH = 16, 100, 65536


def main():
    args = yard.arguments(__doc__)
    seconds, warm = (4, 1) if args.quick else (15, 5)
    out = yard.begin("small", args)
    with yard.Yard(args) as rig, yard.sink(PARTITIONS) as sink:
        rig.systems["sink"] = sink
        peer = "kafka" in rig.systems
        out.measure("rate", "records/s", True, goal={"sink": 0.9}, floor={"sink": 0.75}, ours="socket",
                    gated=("sink",))
        out.measure("per CPU", "records/CPU-s", True, goal={"kafka": 10} if peer else None,
                    floor={"kafka": 5} if peer else None, ours="socket", gated=())
        out.measure("poll core at work", "%", False, ours="socket")
        for number in range(args.repeats + 1):
            print(f"round {number} of {args.repeats}" if number else "warming up: a round that does not count",
                  flush=True)
            real = [name for name in rig.systems if name != "sink"]
            rig.create("small", PARTITIONS, real)
            for name, system in rig.systems.items():
                with rig.turn(system):
                    said = yard.produce(args, system, f"small.{name}", record_size=RECORD, batch_size=BATCH,
                                        seconds=seconds if number else 2, warm=warm)
                if not number:
                    continue
                out.add("rate", name, said["records_per_s"])
                if name != "sink":
                    out.add("per CPU", name, said.records_per_cpu)
                if system.box is not None:
                    out.add("poll core at work", name, system.busy_share())
            rig.delete("small", real)
    out.note(f"{PARTITIONS} partitions, batches of 64 KiB, client {args.client} on CPU {yard.CLIENT_CPU}. sink: "
             "millrace-load sink on kernel sockets, on the CPU of our poll core; it looks at no record. socket is "
             "held against it, since it is reached the same way.")
    return out.write()


if __name__ == "__main__":
    sys.exit(main())
