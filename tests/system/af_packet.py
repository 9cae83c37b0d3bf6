# SPDX-License-Identifier: Apache-2.0
"""A box on an af_packet port, the one for tests that any interface can be: stock clients behind the link
write and read back what they wrote, in small and in large batches, and none of it goes by the sockets."""

import subprocess
import sys
import time

from box import MILLRACE, Box, Checks, Lab, can_lab, kcat, need, ok, wait_until

CORES = 2


class AfPacket:
    def __init__(self, box, lab):
        self.box = box
        self.lab = lab
        self.server = f"{lab.address}:{box.port}"

    def ports(self):
        return self.box.get("/api/v1/status")["ports"]

    def is_served(self):
        port = self.ports()
        need([one["port"] for one in port] == [f"af_packet:{self.lab.interface}"] and port[0]["up"] == 1, port)
        told = ok(kcat(self.server, "-L", prefix=self.lab.prefix()))
        need(f"broker 1 at {self.server}" in told and "127.0.0.1" not in told, told)

    def doctor_says_what_it_is_for(self):
        said = subprocess.run([MILLRACE, "doctor", *self.box.arguments()], capture_output=True, text=True,
                              check=False).stdout
        need("for tests" in said and self.lab.interface in said, said)

    def written_is_read(self, topic, count, size, codec):
        """By one client after the other, each record once and in order."""
        ok(self.box.cli("topic", "create", topic, "--partitions", "1"))
        lines = [f"{i:08d}" + "abcdefgh"[i % 8] * (size - 8) for i in range(count)]
        before = self.ports()[0]
        ok(kcat(self.server, "-P", "-t", topic, "-z", codec, "-X", "enable.idempotence=true", "-X",
                "linger.ms=20", stdin="\n".join(lines) + "\n", prefix=self.lab.prefix(), timeout=120))
        read = ok(kcat(self.server, "-C", "-e", "-q", "-o", "beginning", "-t", topic, prefix=self.lab.prefix(),
                       timeout=120)).split("\n")[:-1]
        need(read == lines, f"{len(read)} records of {count}, or others")
        frames = count * size // self.lab.mtu if codec == "none" else 1

        def went_by_it():  # the ports are asked a few times a second
            now = self.ports()[0]
            return all(now[way] >= before[way] + frames for way in ("rx_packets", "tx_packets"))
        wait_until(went_by_it, 5, f"{frames} frames each way by the port")

    def many_connections(self, count):
        """They are spread over the queues, so over the cores."""
        ok(self.box.cli("topic", "create", "t.many", "--partitions", "4"))
        begin = time.monotonic()
        clients = [subprocess.Popen([*self.lab.prefix(), "kcat", "-b", self.server, "-P", "-t", "t.many"],
                                    stdin=subprocess.PIPE, text=True) for _ in range(count)]
        for number, client in enumerate(clients):
            client.stdin.write("".join(f"{number}.{i}\n" for i in range(100)))
            client.stdin.close()
        for client in clients:
            need(client.wait(60) == 0, "a producer failed")
        read = ok(kcat(self.server, "-C", "-e", "-q", "-o", "beginning", "-t", "t.many",
                       prefix=self.lab.prefix())).split()
        need(sorted(read) == sorted(f"{number}.{i}" for number in range(count) for i in range(100)),
             f"{len(read)} records of {100 * count}")
        print(f"        {count} producers in {time.monotonic() - begin:.1f} s")


def main():
    if not can_lab():
        print("skipped: needs root and ip")
        return 0
    checks = Checks()
    with Lab(queues=CORES, mtu=1500) as lab:
        settings = {"dpdk.port": f"af_packet:{lab.interface}", "dpdk.mtu": lab.mtu,
                    "dpdk.address": lab.address, "dpdk.required": "true"}
        with Box(lab=lab, settings=settings, cores=CORES) as box:
            port = AfPacket(box, lab)
            checks.run("it is served", port.is_served)
            checks.run("doctor says what it is for", port.doctor_says_what_it_is_for)
            checks.run("small records", port.written_is_read, "t.small", 20000, 100, "none")
            checks.run("large records", port.written_is_read, "t.large", 300, 60000, "none")
            checks.run("compressed records", port.written_is_read, "t.packed", 20000, 300, "lz4")
            checks.run("many connections", port.many_connections, 12)
            checks.run("it stops", lambda: need(box.stop() == 0, "a clean stop"))
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
