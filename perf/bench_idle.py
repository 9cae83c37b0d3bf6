# SPDX-License-Identifier: Apache-2.0
"""A box with nothing to do, in adaptive mode: processor time of its dataplane, and how soon a request that
comes now and then is answered."""

import sys
import time

import boxes
import yard


def share(pids, seconds):
    """Processor time of processes, in percent of a core."""
    begin, spent = time.monotonic(), sum(boxes.cpu_seconds_exact(pid) for pid in pids)
    time.sleep(seconds)
    return 100 * (sum(boxes.cpu_seconds_exact(pid) for pid in pids) - spent) / (time.monotonic() - begin)


def ask(out, name, server, seconds, prefix=()):
    said = yard.load("ping", server, "--seconds", seconds, "--pause", 0.05,
                     prefix=[*yard.prompt(), *prefix])["latency_us"]
    for quantile in ("p50", "p99"):
        out.add(f"first answer: {quantile}", name, said[quantile])


def measure(args, out, name, dpdk):
    seconds = 10 if args.quick else 60
    with yard.Yard(args, kafka=False, dpdk=dpdk) as rig:
        if name not in rig.systems:
            out.note(f"{name}: not measured, this machine has no such port")
            return
        dataplane, control = (rig.box.child(f"millrace-{part}") for part in ("dataplane", "control"))
        time.sleep(3)
        out.add("dataplane", name, share([dataplane], seconds))
        out.add("control", name, share([control], seconds))
        system = rig.systems[name]
        ask(out, name, system.server, seconds, system.prefix)


def main():
    args = yard.arguments(__doc__)
    args.repeats = 1 if args.quick else args.repeats
    out = yard.begin("idle", args)
    out.measure("dataplane", "% of a core", False, goal=2, floor=5, ours="dpdk", gated=())
    out.measure("control", "% of a core", False, ours="dpdk")
    out.measure("first answer: p50", "us", False, ours="dpdk")
    out.measure("first answer: p99", "us", False, goal=200, floor=1000, ours="dpdk", gated=())
    for number in range(args.repeats):
        print(f"round {number + 1} of {args.repeats}", flush=True)
        measure(args, out, "socket", False)
        measure(args, out, "dpdk", True)
        with yard.sink(1) as (server, _):
            ask(out, "sink", server, 5 if args.quick else 30)
    out.note("First answer: ApiVersions on an open connection, asked every 50 ms, when the poll core sleeps; the "
             "client's own wake-up is in it, and the driver runs before all else on its CPU. dpdk: the box with its port "
             "open. sink: millrace-load sink over loopback, on the CPU of our poll core: what two wake-ups take here.")
    return out.write()


if __name__ == "__main__":
    sys.exit(main())
