# SPDX-License-Identifier: Apache-2.0
"""A link that goes down and comes up again, at either end of the wire, under load: what was
acknowledged is there exactly once, the producer never hears an error."""

import argparse
import random
import subprocess
import sys
import time

from box import Box, Checks, Lab, can_lab, need, ok, wait_until

TOPIC = "t.flap"
# Runs inside the lab's namespace: sends numbered records for so many seconds, prints what became of them.
PRODUCER = """
import sys, time
from confluent_kafka import Producer
server, topic, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
acknowledged, failed, sent = 0, 0, 0
def on_delivery(error, message):
    global acknowledged, failed
    if error is None:
        acknowledged += 1
    else:
        failed += 1
producer = Producer({"bootstrap.servers": server, "enable.idempotence": True, "acks": "all",
                     "linger.ms": 2, "delivery.timeout.ms": 120000, "log_level": 0,
                     "reconnect.backoff.max.ms": 500, "socket.timeout.ms": 20000})
end = time.monotonic() + seconds
while time.monotonic() < end:
    try:
        producer.produce(topic, str(sent).encode() + b" " + b"x" * 500, on_delivery=on_delivery)
        sent += 1
    except BufferError:
        producer.poll(0.1)
    producer.poll(0)
    if sent % 100 == 0:
        time.sleep(0.002)
left = producer.flush(120)
print(sent, acknowledged, failed, left)
"""


def set_link(lab, is_far, is_up):
    """One end of the veth pair: ours in the root namespace, the clients' in the lab's."""
    where = ["-n", lab.namespace] if is_far else []
    name = lab.interface + "p" if is_far else lab.interface
    subprocess.run(["ip", *where, "link", "set", name, "up" if is_up else "down"], check=True)


class Flap:
    def __init__(self, box, lab):
        self.box = box
        self.lab = lab

    def produce(self, seconds):
        return subprocess.Popen([*self.lab.prefix(), sys.executable, "-c", PRODUCER,
                                 self.box.servers(True), TOPIC, str(seconds)],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def received(self):
        return self.box.metric("millrace_wireport_rx_packets_total")

    def flaps(self, is_far, count):
        producer = self.produce(4 + 3 * count)
        try:
            time.sleep(2)
            for _ in range(count):
                set_link(self.lab, is_far, False)
                time.sleep(random.uniform(0.05, 1.5))
                set_link(self.lab, is_far, True)
                time.sleep(random.uniform(0.5, 1.5))
            before = self.received()
            wait_until(lambda: self.received() > before + 20, 60, "frames come in again")
            out, err = producer.communicate(timeout=180)
        finally:
            producer.kill()
        need(producer.returncode == 0, err)
        sent, acknowledged, failed, left = (int(word) for word in out.split())
        print(f"  {sent} sent, {acknowledged} acknowledged")
        need(failed == 0 and left == 0 and sent == acknowledged, out)
        self.total = getattr(self, "total", 0) + sent
        self.stands()

    def stands(self):
        """Every record once: idempotent offsets are dense, so the end offset counts them."""
        def end():
            return int(self.box.get(f"/api/v1/topics/{TOPIC}")["partitions"][0]["high_watermark"])
        wait_until(lambda: end() >= self.total, 10, "all acknowledged records stand")
        need(end() == self.total, f"{end()} records stand, {self.total} were acknowledged")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flaps", type=int, default=3)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    args = parser.parse_args()
    if not can_lab():
        print("skipped: needs root and ip")
        return 0
    random.seed(args.seed)
    print(f"seed {args.seed}")
    checks = Checks()
    with Lab() as lab, Box(lab=lab) as box:
        flap = Flap(box, lab)
        checks.run("topic", lambda: ok(box.cli("topic", "create", TOPIC, "--partitions", "1")))
        checks.run("the clients' end goes down and up", flap.flaps, True, args.flaps)
        checks.run("the box's end goes down and up", flap.flaps, False, args.flaps)
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
