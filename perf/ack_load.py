# SPDX-License-Identifier: Apache-2.0
"""Records of 1 KiB at a fixed rate, whatever becomes of those before: time from when each was due to its
acknowledgement, acks=all."""

import json
import os
import sys
import time

from confluent_kafka import Producer


def main():
    bootstrap, topic, rate, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "linger.ms": 0,
                         "enable.idempotence": True, "socket.nagle.disable": True})
    value, samples, failed = os.urandom(1024), [], []

    def send(due):
        def arrived(error, _):
            if error is not None:
                failed.append(str(error))
            else:
                samples.append(1000 * (time.perf_counter() - due))
        producer.produce(topic, value, partition=0, on_delivery=arrived)

    send(time.perf_counter())
    producer.flush(30)
    samples.clear()
    begin, count = time.perf_counter(), round(rate * seconds)
    for number in range(count):
        due = begin + number / rate
        while (left := due - time.perf_counter()) > 0:
            producer.poll(left)
        send(due)
        producer.poll(0)
    producer.flush(60)
    if failed or len(samples) != count:
        print(f"{len(samples)} of {count} acknowledged: {failed[:1]}", file=sys.stderr)
        return 1
    samples.sort()
    print(json.dumps({str(share): samples[min(count - 1, int(count * share))]
                      for share in (0.5, 0.99, 0.999)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
