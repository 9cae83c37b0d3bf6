# SPDX-License-Identifier: Apache-2.0
"""The load driver held against librdkafka's own load generator: the same rates, on the same box, by turns."""

import sys

import report
import yard

RECORD, BATCH, PARTITIONS = 1024, 65536, 4
RATES = (20000, 60000)


def main():
    args = yard.arguments(__doc__)
    seconds = 4 if args.quick else 15
    out = report.Report("driver", args.quick)
    with yard.Yard(args, kafka=False, dpdk=False) as rig:
        system = rig.systems["socket"]
        for rate in RATES:
            out.measure(f"asked for {rate:,}", "records/s", True, ours="driver", goal={"librdkafka": 0.98},
                        floor={"librdkafka": 0.95})
        out.measure("as fast as answers come", "MB/s", True, ours="driver")
        out.measure("as fast as answers come: per CPU of the box", "MB/CPU-s", True, ours="driver")
        rig.create("driver", PARTITIONS)
        for number in range(args.repeats):
            print(f"round {number + 1} of {args.repeats}", flush=True)
            for rate in RATES:
                name = f"asked for {rate:,}"
                out.add(name, "librdkafka", yard.librdkafka(
                    system.server, "driver.socket", RECORD, BATCH, seconds, 1, rate)["records_per_s"])
                out.add(name, "driver", system.load(
                    "produce", "driver.socket", "--rate", rate, "--batch-size", BATCH, "--seconds", seconds,
                    "--connections", PARTITIONS)["records_per_s"])
            for name in ("librdkafka", "driver"):
                said = yard.produce(args, system, "driver.socket", record_size=RECORD, batch_size=BATCH,
                                    seconds=seconds, warm=2, client=name)
                out.add("as fast as answers come", name, said["mb_per_s"])
                out.add("as fast as answers come: per CPU of the box", name, said.mb_per_cpu)
    out.note("librdkafka: its examples/rdkafka_performance. Its record costs it an allocation and a callback; the "
             "driver sends one batch again and again, so it is faster where nothing else limits.")
    return out.write()


if __name__ == "__main__":
    sys.exit(main())
