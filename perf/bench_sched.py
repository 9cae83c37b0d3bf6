# SPDX-License-Identifier: Apache-2.0
"""The scheduler: a chain of ten small tasks beside Apache Airflow's, how late a due task starts, and what
an idle one costs."""

import argparse
import sys
import tempfile
import time

import airflow_peer
import boxes
import report

TASKS = 10
DUE_DAGS = 200
DUE_PERIOD = 10  # seconds between two runs of each
IDLE_DAGS = 1000

CHAIN = "dag: bench_chain\nschedule: null\nmax_active_runs: 1\ntasks:\n" + "".join(
    f"  t{number}: {{{'' if number == 0 else f'after: [t{number - 1}], '}command: \"true\"}}\n"
    for number in range(TASKS))

# The command says when it runs, so that our own figure of it need not be believed.
DUE = """dag: due_{number}
schedule: "* * * * * {second}/{period}"
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
            for _ in range(5):
                out.add("chain of ten", "millrace", 1000 * ours_chain(one))
            out.add("chain of ten", "airflow", 1000 * peer.run())
        out.note(f"chain of ten: run start to run end by each system's own times, {TASKS} tasks `true` one after "
                 f"the other. Airflow {peer.version}, standalone's four processes, SQLite, LocalExecutor, "
                 f"scheduler_idle_sleep_time {airflow_peer.IDLE_SLEEP} s, warm; five of our runs for each of its.")


def bench_due(out, seconds):
    with boxes.make() as one:
        start = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 10))  # when all are applied
        for number in range(DUE_DAGS):
            apply(one, f"due_{number}", DUE.format(number=number, second=number % DUE_PERIOD,
                                                   period=DUE_PERIOD, start=start))
        print(f"{DUE_DAGS} pipelines, each due every {DUE_PERIOD} s, for {seconds} s", flush=True)
        time.sleep(seconds)
        due = boxes.call(one, "GET", "/api/v1/scheduler")["due_to_start_us"]
        late = sorted(seen_by_commands(one))
    if due["count"] < DUE_DAGS * (seconds // DUE_PERIOD - 1) or not late:
        raise RuntimeError(f"only {due['count']} tasks started")
    out.add("due to start p50", "millrace", due["p50"] / 1000)
    out.add("due to start p99", "millrace", due["p99"] / 1000)
    out.note(f"due to start: {due['count']} tasks of {DUE_DAGS} pipelines, {DUE_DAGS // DUE_PERIOD} of them due in "
             f"the same instant each second; max {due['max'] / 1000:.1f} ms. By the clock of {len(late)} of the "
             "commands themselves, a bash each, two processes later: "
             f"p50 {1000 * late[len(late) // 2]:.1f} ms, p99 {1000 * late[len(late) * 99 // 100]:.1f} ms.")


def seen_by_commands(one):
    """Seconds from when a run was due to when its command looked at the clock."""
    for number in range(DUE_DAGS):
        for run in boxes.call(one, "GET", f"/api/v1/dags/due_{number}/runs?limit=100")["dag_runs"]:
            if run["state"] != "success":
                continue
            path = f"/api/v1/dags/due_{number}/runs/{run['dag_run_id']}"
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
    out.measure("chain of ten", "ms", False, goal=20, floor=100)
    out.measure("due to start p50", "ms", False, goal=1, floor=5)
    out.measure("due to start p99", "ms", False, goal=10, floor=50)
    out.measure("idle, 1,000 pipelines", "% of a core", False, goal=0.5, floor=2)
    if args.only in (None, "chain"):
        bench_chain(out, repeats)
    if args.only in (None, "due"):
        bench_due(out, 40 if args.quick else 120)
    if args.only in (None, "idle"):
        bench_idle(out, 30 if args.quick else 60)
    return out.write()


if __name__ == "__main__":
    sys.exit(main())
