# SPDX-License-Identifier: Apache-2.0
"""Print the figures of a quickstart run. usage: summary.py WORK-FOLDER API-URL"""

import json
import os
import sys
import urllib.request


def load(folder, name):
    with open(os.path.join(folder, name), encoding="utf-8") as file:
        return json.load(file)


def main():
    folder, api = sys.argv[1:3]
    one, latency, device = (load(folder, name) for name in
                            ("load.json", "latency.json", "device.json"))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(api + "/api/v1/status", timeout=10) as reply:
        status = json.load(reply)
    flush = status["flush"]
    print(f"    load       {one['acknowledged']} records, {one['bytes'] / 1e6:.1f} MB in "
          f"{one['seconds']} s: {one['records_per_s']} records/s, {one['gbit_per_s']} Gbit/s of values")
    print(f"    ack        p50 {latency['p50_us']} us, p99 {latency['p99_us']}, "
          f"p99.9 {latency['p999_us']}   (raw device p50 {device['p50_us']}, "
          f"p99 {device['p99_us']}, p99.9 {device['p999_us']})")
    print(f"    flush      {flush['rounds']} rounds, {flush['bytes'] / 1e6:.1f} MB since the restart, "
          f"p50 {flush['p50_us']} us, p99 {flush['p99_us']} us")
    return 0


if __name__ == "__main__":
    sys.exit(main())
