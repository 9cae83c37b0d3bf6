# SPDX-License-Identifier: Apache-2.0
"""The load driver held against librdkafka's own load generator: the same rates, on the same box, by turns."""

import sys
import time

import yard

RECORD, BATCH, PARTITIONS = 1024, 65536, 4
RATE = 60000


def checked(system, *options):
    """The driver; what it says was acknowledged must be what the box took."""
    name = "millrace_seglog_appends_total"
    time.sleep(1.5)  # the box publishes its counters once a second
    before = system.box.metric(name)
    said = system.load("produce", "driver.socket", *options)
    time.sleep(1.5)
    took = system.box.metric(name) - before
    if took != said["acked"]:
        raise RuntimeError(f"the driver says {said['acked']} batches, the box {took:.0f}")
    return said


def main():
    args = yard.arguments(__doc__, quick=1)
    seconds = 4 if args.quick else 15
    out = yard.begin("driver", args)
    with yard.Yard(args, kafka=False, dpdk=False) as rig:
        system = rig.systems["socket"]
        out.measure("rate, the same asked", "records/s", True, ours="driver", goal={"librdkafka": 0.98},
                    floor={"librdkafka": 0.95}, gated=("librdkafka",))
        # Either's mean holds the same box's answers: what is off is who measures.
        out.measure("mean time to acknowledge", "us", False, ours="driver", goal={"librdkafka": 0.9},
                    floor={"librdkafka": 0.75}, gated=())
        out.measure("as fast as answers come", "MB/s", True, ours="driver")
        out.measure("as fast as answers come: per CPU of the box", "MB/CPU-s", True, ours="driver")
        rig.create("driver", PARTITIONS)
        for number in range(args.repeats):
            print(f"round {number + 1} of {args.repeats}", flush=True)
            # What it reaches is below what it is asked for: it sleeps between records.
            theirs = yard.librdkafka(system.server, "driver.socket", RECORD, BATCH, seconds, 1, RATE)
            out.add("rate, the same asked", "librdkafka", theirs["records_per_s"])
            out.add("rate, the same asked", "driver", checked(
                system, "--rate", round(theirs["records_per_s"]), "--batch-size", BATCH, "--seconds", seconds,
                "--connections", PARTITIONS)["records_per_s"])
            theirs = yard.librdkafka(system.server, "driver.socket", RECORD, 1, seconds, 1, 500, latency=True)
            out.add("mean time to acknowledge", "librdkafka", theirs["latency_us"])
            out.add("mean time to acknowledge", "driver", checked(
                system, "--rate", round(theirs["records_per_s"]), "--batch-size", 1, "--seconds", seconds,
                "--connections", 1)["latency_us"]["mean"])
            for name in ("librdkafka", "driver"):
                said = yard.produce(args, system, "driver.socket", record_size=RECORD, batch_size=BATCH,
                                    seconds=seconds, warm=2, client=name)
                out.add("as fast as answers come", name, said["mb_per_s"])
                out.add("as fast as answers come: per CPU of the box", name, said.mb_per_cpu)
    out.note("librdkafka: its examples/rdkafka_performance, -r and -l. Batches that the driver says were "
             "acknowledged were each time the number that the box counted. As fast as answers come they differ: a "
             "record costs librdkafka an allocation and a callback, the driver sends one batch again and again. The "
             "mean times may differ by a tenth: either thread is woken late now and then.")
    return out.write()


if __name__ == "__main__":
    sys.exit(main())
