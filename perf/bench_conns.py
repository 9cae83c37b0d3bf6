# SPDX-License-Identifier: Apache-2.0
"""Ten thousand connections and a thousand partitions: memory of a connection that does nothing, and the rate
of those that work beside the rate into one partition."""

import re
import sys

import yard

CONNECTIONS, PARTITIONS, WORKERS = 10000, 1000, 16
# Of a thousand partitions that keep little, so that their segments' files serve again within the run.
KEPT_SEGMENT, KEPT_WARM, KEPT_SECONDS = 8 << 20, 22, 10


def memory(pid):
    """Resident bytes of a process, huge pages included."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        sizes = {line.split(":")[0]: line.split()[1] for line in file if line.startswith(("VmRSS", "Hugetlb"))}
    return 1024 * sum(int(size) for size in sizes.values())


def kernel_memory():
    """Bytes in the kernel's slabs and socket buffers."""
    with open("/proc/meminfo", encoding="ascii") as file:
        slab = next(1024 * int(line.split()[1]) for line in file if line.startswith("Slab:"))
    with open("/proc/net/sockstat", encoding="ascii") as file:
        pages = next(int(line.split()[-1]) for line in file if line.startswith("TCP:"))
    return slab + 4096 * pages


def rate(system, topic, seconds, warm=2):
    return system.load("produce", topic, "--batch-size", 65536, "--connections", WORKERS,
                       "--seconds", seconds, "--warm", warm)["mb_per_s"]


def rates(rig, system, seconds):
    """Into many partitions and into one: (new files, files that serve again) of each."""
    new = {"many": (PARTITIONS, 16 << 20), "one": (1, yard.SEGMENT)}
    again = {"one": (1, yard.SEGMENT, yard.KEPT, 4), "many": (PARTITIONS, KEPT_SEGMENT, KEPT_SEGMENT, KEPT_WARM)}
    said = {topic: [] for topic in new}
    for topic, (partitions, segment) in new.items():
        system.create(f"{topic}.new", partitions, f"segment.bytes={segment}", "retention.bytes=-1")
        with rig.turn(system):  # what the other left is on the disk
            said[topic].append(rate(system, f"{topic}.new", seconds, 4))
        system.delete(f"{topic}.new")
    for topic, (partitions, segment, kept, warm) in again.items():
        system.create(f"{topic}.kept", partitions, f"segment.bytes={segment}", f"retention.bytes={kept}")
        with rig.turn(system):
            said[topic].append(rate(system, f"{topic}.kept", max(seconds, KEPT_SECONDS), warm))
        system.delete(f"{topic}.kept")
    return said


def resident(args, connections):
    """Memory of a dataplane that starts with room for so many."""
    with yard.Yard(args, kafka=False, settings={"max.connections": connections}) as rig:
        return memory(rig.box.child("millrace-dataplane"))


def main():
    args = yard.arguments(__doc__, quick=1)
    seconds = 4 if args.quick else 15
    out = yard.begin("conns", args)
    # Both transports' clients may be closing while the next ones come.
    room, few = 2 * CONNECTIONS + 2000, 1000
    smaller = resident(args, few)
    with yard.Yard(args, kafka=False, settings={"max.connections": room}) as rig:
        ours = rig.ours.name
        out.measure("memory of an idle connection", "bytes", False, goal=16384, floor=32768, ours=ours,
                    gated=())
        out.measure("the written sum of a connection", "bytes", False, ours=ours)
        out.measure("kernel memory of both its ends", "bytes", False)
        out.measure("opened and answered", "connections", True, ours=ours)
        for state, gated in (("rate", ("one partition",)), ("rate, files in use again", ())):
            out.measure(state, "MB/s", True, goal={"one partition": 0.9}, floor={"one partition": 0.75},
                        ours="1,000 partitions", gated=gated)
        dataplane = rig.box.child("millrace-dataplane")
        at_start = (memory(dataplane) - smaller) / (room - few)
        told = re.search(r"each connection (\d+) bytes", rig.box.logs())
        if told:
            out.add("the written sum of a connection", ours, int(told.group(1)))
        work = rig.systems["socket"]
        for name, system in reversed(rig.systems.items()):
            before, kernel_before = memory(dataplane), kernel_memory()
            with yard.running("hold", system.server, "--connections", CONNECTIONS,
                              prefix=system.prefix) as (_, said):
                out.add("opened and answered", name, said["opened"])
                if not said["opened"]:
                    continue
                out.add("memory of an idle connection", name,
                        at_start + max(memory(dataplane) - before, 0) / said["opened"])
                out.add("kernel memory of both its ends", name,
                        (kernel_memory() - kernel_before) / said["opened"])
                for number in range(args.repeats if name == ours else 0):
                    print(f"round {number + 1} of {args.repeats}", flush=True)
                    said = rates(rig, work, seconds)
                    for topic, words in (("many", "1,000 partitions"), ("one", "one partition")):
                        out.add("rate", words, said[topic][0])
                        out.add("rate, files in use again", words, said[topic][1])
    out.note(f"memory: what the dataplane takes at start for each of max.connections ({few:,} and {room:,} compared), "
             f"and what its resident memory grows by when {CONNECTIONS:,} connections were answered once. rate: {WORKERS} connections on kernel sockets, batches "
             f"of 64 KiB, into {PARTITIONS:,} partitions and into one, by turns, while {CONNECTIONS:,} others are "
             f"open: into new files, whose space the file system makes; and in use again: logs that keep {PARTITIONS * KEPT_SEGMENT >> 30} and "
             f"{yard.KEPT >> 30} GiB, from when they are full on, so that new segments have the files of deleted ones.")
    return out.write()


if __name__ == "__main__":
    sys.exit(main())
