# SPDX-License-Identifier: Apache-2.0
"""The scheduler: a chain of ten small tasks beside Apache Airflow's, how late a due task starts, and what
an idle one costs."""

import argparse
import sys
import tempfile
import time
import urllib.parse

import airflow_peer
import boxes
import report

TASKS = 10
DUE_DAGS = 200
BURST_DAGS = 20
IDLE_DAGS = 1000

CHAIN = "dag: bench_chain\nschedule: null\nmax_active_runs: 1\ntasks:\n" + "".join(
    f"  t{number}: {{{'' if number == 0 else f'after: [t{number - 1}], '}command: \"true\"}}\n"
    for number in range(TASKS))

# The command says when it runs: our own figure need not be believed.
DUE = """dag: due_{number}
schedule: "{schedule}"
start: {start}
tasks:
  t: {{command: [bash, -c, "echo $EPOCHREALTIME"], output: json}}
"""

IDLE = """dag: idle_{number}
schedule: "{minute} {hour} * * *"
start: 2026-01-01
catchup: false
tasks:
  first: {{command: "true"}}
  second: {{after: [first], command: "true"}}
"""


def apply(one, dag, text):
    boxes.call(one, "POST", "/api/v1/dags", {"files": {"pipeline.yaml": text}, "folder": f"/bench/{dag}"})


def ours_chain(one):
    """Seconds from a run's start to its end, by its own times."""
    run = boxes.run_dag(one, "bench_chain")
    return boxes.moment(run["end_date"]) - boxes.moment(run["start_date"])


def bench_chain(out, repeats):
    with tempfile.TemporaryDirectory(prefix="millrace-airflow-", dir="/var/tmp") as folder, \
            boxes.make() as one, airflow_peer.Airflow(folder, TASKS) as peer:
        apply(one, "bench_chain", CHAIN)
        print("warming up", flush=True)
        for _ in range(3):
            ours_chain(one)
        peer.run()
        for number in range(repeats):
            print(f"round {number + 1} of {repeats}", flush=True)
            with peer.paused():
                for _ in range(5):
                    out.add("chain of ten", "millrace", 1000 * ours_chain(one))
            time.sleep(1)
            out.add("chain of ten", "airflow", 1000 * peer.run())
        out.note(f"chain of ten: run start to run end by each system's own times, {TASKS} tasks `true` one after "
                 f"the other. Airflow {peer.version}, standalone's four processes, SQLite, LocalExecutor, "
                 f"scheduler_idle_sleep_time {airflow_peer.IDLE_SLEEP} s, warm, its processes stopped while "
                 "ours ran; five of our runs for each of its.")


def bench_due(out, seconds):
    """As a day has them: each once a minute, spread over its seconds."""
    due, late = run_due(DUE_DAGS, [f"* * * * * {number % 60}" for number in range(DUE_DAGS)], seconds)
    out.add("due to start p50", "millrace", due["p50"] / 1000)
    out.add("due to start p99", "millrace", due["p99"] / 1000)
    out.note(f"due to start: {due['count']} tasks of {DUE_DAGS} pipelines, each due once a minute, three or four in "
             f"the same instant; max {due['max'] / 1000:.1f} ms. {words(late)}")
    due, late = run_due(BURST_DAGS, ["* * * * * */5"] * BURST_DAGS, 20)
    out.add("20 due at once, last", "millrace", due["p99"] / 1000)
    out.note(f"20 due at once, last: p99 of {due['count']} tasks, {BURST_DAGS} in the same instant every 5 s; "
             f"p50 {due['p50'] / 1000:.1f} ms. {words(late)}")


def words(late):
    return (f"By the clock of the {len(late)} commands themselves, a bash each, two processes later: p50 "
            f"{1000 * late[len(late) // 2]:.1f} ms, p99 {1000 * late[len(late) * 99 // 100]:.1f} ms.")


def run_due(dags, schedules, seconds):
    """@return what the scheduler says of itself, what the commands say"""
    with boxes.make() as one:
        start = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 8))  # when all are applied
        for number in range(dags):
            apply(one, f"due_{number}", DUE.format(number=number, schedule=schedules[number], start=start))
        print(f"{dags} pipelines on their schedules for {seconds} s", flush=True)
        time.sleep(8 + seconds)
        due = boxes.call(one, "GET", "/api/v1/scheduler")["due_to_start_us"]
        late = sorted(seen_by_commands(one, dags))
    if due["count"] < dags or len(late) < dags:
        raise RuntimeError(f"only {due['count']} tasks of {dags} pipelines started")
    return due, late


def seen_by_commands(one, dags):
    """Seconds from when a run was due to when its command looked at the clock."""
    for number in range(dags):
        for run in boxes.call(one, "GET", f"/api/v1/dags/due_{number}/runs?limit=100")["dag_runs"]:
            if run["state"] != "success":
                continue
            path = f"/api/v1/dags/due_{number}/runs/{urllib.parse.quote(run['dag_run_id'], safe='')}"
            result = boxes.call(one, "GET", path)["tasks"][0]["result"]
            yield float(result) - boxes.moment(run["data_interval_end"])


def bench_idle(out, seconds):
    with boxes.make() as one:
        for number in range(IDLE_DAGS):
            apply(one, f"idle_{number}", IDLE.format(number=number, minute=number % 60, hour=(
                time.gmtime().tm_hour + 2 + number % 20) % 24))
        time.sleep(5)
        print(f"{IDLE_DAGS} pipelines, idle for {seconds} s", flush=True)
        pid = one.child("millrace-control")
        before, begin = boxes.cpu_seconds(pid), time.monotonic()
        time.sleep(seconds)
        share = (boxes.cpu_seconds(pid) - before) / (time.monotonic() - begin)
    out.add("idle, 1,000 pipelines", "millrace", 100 * share)
    out.note(f"idle: processor time of millrace-control over {seconds} s with {IDLE_DAGS} daily pipelines of two "
             "tasks, none due.")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, shorter waits")
    parser.add_argument("--repeats", type=int)
    parser.add_argument("--only", choices=("chain", "due", "idle"))
    args = parser.parse_args()
    repeats = args.repeats or (3 if args.quick else 10)
    out = report.Report("sched", args.quick)
    if args.only in (None, "chain"):
        out.measure("chain of ten", "ms", False, goal=20, floor=100)
        bench_chain(out, repeats)
    if args.only in (None, "due"):
        out.measure("due to start p50", "ms", False, goal=1, floor=5)
        out.measure("due to start p99", "ms", False, goal=10, floor=50)
        out.measure("20 due at once, last", "ms", False)
        bench_due(out, 62 if args.quick else 300)
    if args.only in (None, "idle"):
        out.measure("idle, 1,000 pipelines", "% of a core", False, goal=0.5, floor=2)
        bench_idle(out, 30 if args.quick else 60)
    return out.write()


if __name__ == "__main__":
    sys.exit(main())
