# SPDX-License-Identifier: Apache-2.0
"""A box of the benchmarks' own, and what they ask of it."""

import datetime
import json
import os
import subprocess
import sys
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "system"))
import box  # noqa: E402  pylint: disable=C0413

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def make(lab=None, data=None, **settings):
    """A running box with ports of its own, on kernel sockets, and on a lab's veth; a context manager."""
    return box.Box(lab=lab, data=data, settings={"ring.size": 256 << 20, **settings})


def free_port():
    return box.free_ports(1)


def free_ports(count):
    """A run of them."""
    return box.free_ports(count)


def call(one, method, path, body=None):
    request = urllib.request.Request(
        f"http://127.0.0.1:{one.http}{path}", method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"})
    with _opener.open(request, timeout=60) as reply:
        return json.loads(reply.read() or b"null")


def apply(one, folder):
    """Deploy a pipeline's folder."""
    subprocess.run([box.MILLRACE, "dag", "apply", folder, *one.arguments()], check=True,
                   stdout=subprocess.DEVNULL)


def run_dag(one, dag, seconds=900):
    """Trigger a run and wait for its end. @return the run, successful"""
    run = call(one, "POST", f"/api/v1/dags/{dag}/runs", {})
    path = f"/api/v1/dags/{dag}/runs/{run['dag_run_id']}"
    end = time.monotonic() + seconds
    while run["state"] not in ("success", "failed"):
        if time.monotonic() > end:
            raise RuntimeError(f"{dag} did not end within {seconds} s")
        run = call(one, "GET", f"{path}?wait=5&state={run['state']}")
    if run["state"] != "success":
        raise RuntimeError(f"{dag} failed: {[(t['task_id'], t['message']) for t in run['tasks']]}")
    return run


def moment(text):
    """RFC 3339 to seconds since 1970."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def cpu_seconds_exact(pid):
    """Time that a process's threads ran so far, to the nanosecond; of threads that ended, none."""
    spent = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as file:
            spent += int(file.read().split()[0])
    return spent / 1e9


def cpu_seconds(pid):
    """User and system time of a process so far."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
