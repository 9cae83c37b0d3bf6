# SPDX-License-Identifier: Apache-2.0
"""The rate of honest producers while 10,000 others are connected, some of which read slowly or nothing, stop in
the middle of a request, come and go, and forge SYNs, RSTs and stray segments; beside the same producers while
the same peers do all that to a discard port, and while nobody does."""

import contextlib
import json
import os
import struct
import subprocess
import sys

import boxes
import yard
from boxes import box

TOOL = os.path.join(box.BUILD, "tests", "system", "pressure_tool")
TOPIC, PARTITIONS, CONNECTIONS, SOURCES = "t.honest", 4, 10000, 8
STAY = {"slow": 150, "zero": 150, "stall": 40}
FLOODS = {"churn": 300, "syn": 3000, "rst": 2000, "ack": 1000}


def frame(api_key, version, body=b""):
    head = struct.pack(">hhih", api_key, version, 1, 5) + b"crowd"
    return struct.pack(">i", len(head) + len(body)) + head + body


def ask_for_much():
    body = struct.pack(">iiiib", -1, 500, 1, 8 << 20, 0) + struct.pack(">ih", 1, len(TOPIC)) + TOPIC.encode()
    return frame(1, 4, body + struct.pack(">i", PARTITIONS) + b"".join(
        struct.pack(">iqi", number, 0, 1 << 20) for number in range(PARTITIONS)))


@contextlib.contextmanager
def crowd(server, net, prefix):
    """The hostile peers, while the block runs."""
    hello = frame(18, 0)
    options = {**FLOODS, **STAY, "idle": CONNECTIONS - sum(STAY.values()), "seed": 1,
               "hello": hello.hex(), "ask": ask_for_much().hex(), "chat": (hello * 60).hex()}
    arguments = ["--server", server, "--sources", f"{net}.10:{SOURCES}", "--far", "198.18.0.0:16",
                 "--near", f"{net}.128:6", "--part", (struct.pack(">i", (1 << 20) - 64) + hello[4:]).hex()]
    for name, value in options.items():
        arguments += [f"--{name}", str(value)]
    # pylint: disable-next=consider-using-with
    process = subprocess.Popen([*prefix, TOOL, *arguments, "--part", (struct.pack(">i", 1 << 20) + hello[4:]).hex()],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        if process.stdout.readline() != "ready\n":
            raise RuntimeError("the hostile peers did not get ready")
        yield
    finally:
        process.stdin.close()
        said = process.stdout.read()
        process.wait(60)
    print(f"    peers: {json.loads(said)['opened']}", flush=True)


def honest(system, seconds):
    return system.load("produce", TOPIC, "--batch-size", 65536, "--connections", PARTITIONS, "--seconds", seconds,
                       "--warm", 2)["mb_per_s"]


def main():
    args = yard.arguments(__doc__, quick=1)
    seconds = 5 if args.quick else 20
    out = yard.begin("pressure", args)
    if args.port or not box.can_lab() or not os.path.exists(TOOL):
        print("needs the lab (root, ip, ethtool) without --port, and a build with -Dtests=true")
        return 1
    with yard.Yard(args, kafka=False, settings={"max.connections": CONNECTIONS + 2000,
                                                "ring.size": 256 << 20}) as rig:
        system, lab = rig.systems["dpdk"], rig.box.lab
        for number in range(SOURCES):
            subprocess.run([*lab.prefix(), "ip", "address", "add", f"{lab.net}.{10 + number}/24", "dev",
                            f"{lab.interface}p"], check=True)
        out.measure("honest producers", "MB/s", True, ours="pressed")
        system.create(TOPIC, PARTITIONS, f"segment.bytes={yard.SEGMENT}", f"retention.bytes={yard.SEGMENT}")
        honest(system, 2)
        for number in range(args.repeats):
            print(f"round {number + 1} of {args.repeats}", flush=True)
            out.add("honest producers", "alone", honest(system, seconds))
            discard = f"{lab.net}.1:{boxes.free_port()}"
            with yard.running("sink", discard, "--partitions", PARTITIONS, prefix=lab.prefix()), \
                    crowd(discard, lab.net, lab.prefix()):
                out.add("honest producers", "discard", honest(system, seconds))
            with crowd(system.server, lab.net, lab.prefix()):
                out.add("honest producers", "pressed", honest(system, seconds))
    out.note(f"{CONNECTIONS:,} connections, {STAY} of them, and each second {FLOODS}, from a namespace on the same machine, "
             f"whose CPUs they share with all; {PARTITIONS} producers, batches of 64 KiB, acks=all. discard: the same peers "
             "do it to millrace-load sink in the namespace, which ignores what it does not know.")
    return out.write()


if __name__ == "__main__":
    sys.exit(main())
