# SPDX-License-Identifier: Apache-2.0
"""Follow the flights pipeline over the API, and say what its runs did.

usage: pipeline.py API first|last|figures   (first: wait for the first scheduled run)"""

import datetime
import json
import sys
import time
import urllib.request

DAG = "flights"
LAYERS = ("bronze", "silver", "gold_carriers", "gold_weather", "gold_routes")
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def get(api, path):
    with _opener.open(api + path, timeout=40) as reply:
        return json.load(reply)


def moment(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def newest(api, run_type=None):
    runs = get(api, f"/api/v1/dags/{DAG}/runs?limit=25")["dag_runs"]
    return next((run for run in runs if run_type in (None, run["run_type"])), None)


def follow(api, run):
    """Wait for the end of a run. @return it in full"""
    path = f"/api/v1/dags/{DAG}/runs/{run['dag_run_id']}"
    run = get(api, path)
    while run["state"] not in ("success", "failed"):
        run = get(api, f"{path}?wait=20&state={run['state']}")
    return run


def show(run):
    print(f"    {run['dag_run_id']}: {run['state']}")
    for task in run["tasks"]:
        result = task["result"] or {}
        words = task["message"] or ("nothing new" if result.get("nothing_new") else
                                    f"{result['rows']} rows" if "rows" in result else "")
        print(f"      {task['task_id']:18} {task['state']:10} {task['duration'] or 0:7.3f} s  {words}")


def first(api):
    """The first scheduled run: it comes with the next minute."""
    shown = 0
    for _ in range(180):
        run = newest(api, "scheduled")
        if run:
            break
        due = moment(get(api, f"/api/v1/dags/{DAG}")["next_run"]["run_after"])
        left = (due - datetime.datetime.now(datetime.timezone.utc)).total_seconds()
        if time.monotonic() - shown > 10:
            shown = time.monotonic()
            print(f"    the schedule starts it in {max(left, 0):.0f} s", flush=True)
        time.sleep(min(max(left, 0.1), 1))
    else:
        print("    no scheduled run came within three minutes")
        return 1
    run = follow(api, run)
    show(run)
    return 0 if run["state"] == "success" else 1


def last(api):
    """The newest manual run: did it find anything new?"""
    run = follow(api, newest(api, "manual"))
    show(run)
    tasks = {task["task_id"]: task["result"] or {} for task in run["tasks"]}
    is_idle = all(tasks[name].get("nothing_new") for name in LAYERS)
    return 0 if run["state"] == "success" and is_idle else 1


def figures(api):
    """Rows per second of each layer in its largest run, and how soon tasks started."""
    best = {}
    for run in get(api, f"/api/v1/dags/{DAG}/runs?limit=25")["dag_runs"]:
        for task in get(api, f"/api/v1/dags/{DAG}/runs/{run['dag_run_id']}")["tasks"]:
            result = task["result"] or {}
            read = sum(one.get("records", one.get("rows", 0)) or 0
                       for one in (result.get("read") or {}).values())
            if task["task_id"] in LAYERS and task["duration"] and read > best.get(task["task_id"], (0, 0))[0]:
                best[task["task_id"]] = (read, read / task["duration"])
    for name, (rows, rate) in sorted(best.items(), key=lambda item: LAYERS.index(item[0])):
        print(f"    {name:18} {rows:8} rows in, {rate:12,.0f} rows/s")
    due = get(api, "/api/v1/scheduler")["due_to_start_us"]
    print(f"    due to start       p50 {due['p50'] / 1000:.1f} ms, p99 {due['p99'] / 1000:.1f} ms "
          f"of {due['count']} task starts")
    for table in get(api, "/api/v1/tables")["tables"]:
        print(f"    {table['name']:26} version {table['version']:3} {table['rows']:8} rows "
              f"{table['bytes']:10} bytes")
    return 0


if __name__ == "__main__":
    sys.exit({"first": first, "last": last, "figures": figures}[sys.argv[2]](sys.argv[1]))
