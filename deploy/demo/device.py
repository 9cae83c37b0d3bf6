# SPDX-License-Identifier: Apache-2.0
"""Commit time of the raw device: overwrite 4 KiB of a written file with O_DIRECT, then fdatasync."""

import argparse
import json
import mmap
import os
import sys
import time

SIZE, SPAN = 4096, 4 << 20


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--report", required=True)
    args = parser.parse_args()
    path = os.path.join(args.folder, ".device-probe")
    fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_DIRECT, 0o600)
    samples = []
    try:
        big = mmap.mmap(-1, SPAN)
        os.pwrite(fd, big, 0)
        os.fdatasync(fd)
        block = mmap.mmap(-1, SIZE)
        for number in range(args.count):
            begin = time.perf_counter_ns()
            os.pwrite(fd, block, number * SIZE % SPAN)
            os.fdatasync(fd)
            samples.append((time.perf_counter_ns() - begin) / 1000)
    finally:
        os.close(fd)
        os.unlink(path)
    samples.sort()
    pick = lambda share: round(samples[min(len(samples) - 1, int(len(samples) * share))])  # noqa: E731
    report = {"p50_us": pick(0.5), "p99_us": pick(0.99), "p999_us": pick(0.999)}
    with open(args.report, "w", encoding="utf-8") as file:
        json.dump(report, file)
    print(f"    raw device commit p50 {report['p50_us']} us, p99 {report['p99_us']} us, "
          f"p99.9 {report['p999_us']} us over {len(samples)} overwrites of 4 KiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
