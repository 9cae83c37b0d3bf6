# SPDX-License-Identifier: Apache-2.0
"""Pipelines of a real box through its HTTP API: what runs, in which order, how often, what it says, and
that an attempt runs once whatever happens to control."""

import http.server
import json
import os
import shutil
import sqlite3
import tempfile
import threading
import time

from api import Api
from box import BUILD, ROOT, Box, Checks, kcat, need, ok, wait_until

PASSWORD = "correct-horse-battery"


class Server(http.server.BaseHTTPRequestHandler):
    """What http tasks and webhooks call; remembers what it was sent."""

    seen = []
    failures_left = 0

    def answer(self):
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(size).decode()
        Server.seen.append((self.command, self.path, dict(self.headers), body))
        status = 200
        if self.path == "/flaky" and Server.failures_left > 0:
            Server.failures_left -= 1
            status = 503
        if self.path == "/slow":
            time.sleep(30)
            return  # nobody listens any more
        reply = json.dumps({"path": self.path, "count": len(Server.seen)}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    do_GET = do_POST = answer  # noqa: N815

    def log_message(self, *_):
        pass


class Pipelines(Api):
    def __init__(self, box):
        super().__init__(box)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.files = tempfile.mkdtemp(prefix="millrace-pipelines-")
        os.chmod(self.files, 0o777)

    def close(self):
        self.server.shutdown()
        shutil.rmtree(self.files, ignore_errors=True)

    # ---- checks ----

    def applies_and_shows(self):
        manifest = """
dag: shown
description: what is shown
schedule: {cron: "0 4 * * *", timezone: Europe/Amsterdam}
tags: [a, b]
tasks:
  first: {command: "true"}
  second: {after: [first], command: "true", trigger_rule: all_done, retries: 3}
"""
        first = self.apply(manifest)
        need(first["changed"] and first["dag_id"] == "shown", first)
        need(not self.apply(manifest)["changed"], "the same version again is no change")
        changed = self.apply(manifest.replace("tags: [a, b]", "tags: [c]"))
        need(changed["changed"] and changed["version"] != first["version"], changed)
        listed = next(d for d in self.get("/dags")["dags"] if d["dag_id"] == "shown")
        need(listed["timezone"] == "Europe/Amsterdam" and listed["tags"] == ["c"] and
             listed["task_count"] == 2 and listed["next_run"]["run_after"] > "2026", listed)
        one = self.get("/dags/shown")
        need([t["upstream"] for t in one["tasks"]] == [[], ["first"]], one["tasks"])
        need(one["tasks"][1]["retries"] == 3 and one["tasks"][1]["kind"] == "command", one["tasks"])
        need("pipeline.yaml" in one["files"] and len(one["versions"]) == 2, one)
        status, reply = self.call("PATCH", "/dags/shown", {"is_paused": True})
        need(status == 200 and reply["is_paused"] and reply["next_run"] is None, reply)
        need(self.call("DELETE", "/dags/shown")[0] == 200, "deleted")
        wait_until(lambda: self.call("GET", "/dags/shown")[0] == 404, 5, "it is gone")

    def refuses_what_is_wrong(self):
        status, reply = self.call("POST", "/dags", {"files": {
            "pipeline.yaml": "dag: wrong\ntasks:\n  a: {comand: x}\n  b: {command: y, after: [c]}\n"}})
        need(status == 400 and reply["error"].startswith("pipeline.yaml:3"), reply)
        need(len(reply["errors"]) >= 2 and all(e["line"] and e["message"] for e in reply["errors"]),
             reply)
        manifest = "dag: taken\nschedule: null\ntasks: {a: {command: \"true\"}}\n"
        self.apply(manifest, folder="/pipelines/one")
        body = {"files": {"pipeline.yaml": manifest}, "folder": "/pipelines/two"}
        status, reply = self.call("POST", "/dags", body)
        need(status == 409 and "/pipelines/one" in reply["error"], reply)
        need(self.call("POST", "/dags", {**body, "replace": True})[0] == 200, "replaced")
        need(self.call("GET", "/dags/nothing")[0] == 404, "unknown pipeline")
        need(self.call("POST", "/dags/nothing/runs", {})[0] == 404, "unknown pipeline")
        need(self.call("POST", "/dags/taken/runs", {"dag_run_id": "../x"})[0] == 400, "id")
        need(self.call("POST", "/dags/taken/runs", {"logical_date": "soon"})[0] == 400, "date")
        self.trigger("taken", dag_run_id="once")
        need(self.call("POST", "/dags/taken/runs", {"dag_run_id": "once"})[0] == 409, "twice")

    def chain_is_fast(self):
        tasks = ['  t0: {command: "true"}'] + [
            f'  t{i}: {{after: [t{i - 1}], command: "true"}}' for i in range(1, 10)]
        self.apply("dag: chain\nschedule: null\ntasks:\n" + "\n".join(tasks) + "\n")
        seconds = []
        for _ in range(7):
            begin = time.monotonic()
            need(self.run("chain")["state"] == "success", "chain")
            seconds.append(time.monotonic() - begin)
        print(f"        ten tasks in a row: {sorted(seconds)[3] * 1000:.1f} ms (median of 7)")
        need(min(seconds) < 0.5, f"a chain took {min(seconds):.3f} s")
        order = [t["start_date"] for t in self.run("chain")["tasks"]]
        need(order == sorted(order), "in order")

    def commands_and_xcom(self):
        self.apply("""
dag: commands
schedule: null
params: {who: nobody}
tasks:
  say:
    command: |
      echo "hello {{ params.who }} $GREETING on {{ ds }}"
      echo warned >&2
      echo "$MILLRACE_DAG_ID $AIRFLOW_CTX_DAG_RUN_ID $MILLRACE_TRY"
      echo '{"n": 3, "list": [1, 2]}'
    env: {GREETING: "from {{ task.id }}"}
    output: json
  words: {command: [printf, "%s|", "a b", "{{ dag.id }}"], output: text}
  use: {after: [say, words], command: "test '{{ xcom.say.n }}{{ xcom.words }}' = '3a b|commands|'"}
  skip: {command: "exit 99"}
  after_skip: {after: [skip], command: "true"}
  bad_json: {command: "echo no", output: json}
  undefined: {command: "echo {{ xcom.nothing.here }}"}
  missing: {command: [/no/such/program]}
""")
        run = self.run("commands", dag_run_id="r1", logical_date="2026-03-04T05:06:07Z",
                       conf={"who": "world"})
        states = {name: task["state"] for name, task in run["by"].items()}
        need(states == {"say": "success", "words": "success", "use": "success", "skip": "skipped",
                        "after_skip": "skipped", "bad_json": "failed", "undefined": "failed",
                        "missing": "failed"}, states)
        need(run["state"] == "failed", "a leaf failed")
        need(run["by"]["say"]["result"] == {"n": 3, "list": [1, 2]}, run["by"]["say"])
        lines = self.log("commands", "r1", "say")
        events = [line["event"] for line in lines]
        need("hello world from say on 2026-03-04" in events and "commands r1 1" in events, events)
        need(next(line for line in lines if line["event"] == "warned")["level"] == "error", lines)
        need("no JSON" in run["by"]["bad_json"]["message"], run["by"]["bad_json"])
        need("nothing" in run["by"]["undefined"]["message"], run["by"]["undefined"])
        need("No such file" in run["by"]["missing"]["message"], run["by"]["missing"])
        need(self.get(f"{self.path('commands', 'r1')}/tasks/bad_json/why")["why"], "why")

    def retries_and_rules(self):
        count = os.path.join(self.files, "count")
        self.apply(f"""
dag: rules
schedule: null
tasks:
  flaky: {{command: "echo x >> {count}; test $(wc -l < {count}) -ge 3", retries: 3, retry_delay: 50ms}}
  fails: {{command: "echo the reason >&2; exit 7"}}
  never: {{after: [flaky, fails], command: "true"}}
  cleanup: {{after: [never], command: "true", trigger_rule: all_done}}
  alarm: {{after: [fails], command: "true", trigger_rule: one_failed}}
""")
        run = self.run("rules")
        states = {name: task["state"] for name, task in run["by"].items()}
        need(states == {"flaky": "success", "fails": "failed", "never": "upstream_failed",
                        "cleanup": "success", "alarm": "success"}, states)
        need(run["by"]["flaky"]["try_number"] == 3, run["by"]["flaky"])
        need("exit code 7" in run["by"]["fails"]["message"] and
             "the reason" in run["by"]["fails"]["message"], run["by"]["fails"])
        os.unlink(count)
        status, reply = self.call("POST", f"{self.path('rules', run['dag_run_id'])}/clear",
                                  {"task_id": "flaky", "downstream": False})
        need(status == 200 and reply["cleared"] == 1, reply)
        again = self.wait("rules", run["dag_run_id"])
        need(again["by"]["flaky"]["try_number"] == 6, again["by"]["flaky"])

    def cancels(self):
        pids = os.path.join(self.files, "pids")
        self.apply(f"""
dag: long
schedule: null
tasks:
  sleep: {{command: "sleep 300 & echo $! $$ > {pids}; wait"}}
  stubborn: {{command: "trap '' TERM; while true; do sleep 1; done"}}
  slow: {{http: {{url: "{self.url}/slow"}}}}
  later: {{after: [sleep], command: "true"}}
""")
        run = self.trigger("long")
        for task in ("sleep", "stubborn", "slow"):
            self.wait_task("long", run, task, "running")
        wait_until(lambda: os.path.exists(pids), 5, "it sleeps")
        begin = time.monotonic()
        need(self.call("POST", f"{self.path('long', run)}/cancel")[0] == 200, "cancel")
        reply = self.wait("long", run)
        took = time.monotonic() - begin
        need(reply["state"] == "failed" and took < 9, f"{took} s: {reply}")
        need({t["state"] for t in reply["tasks"]} <= {"failed", "upstream_failed"}, reply["tasks"])
        with open(pids, encoding="ascii") as file:
            for pid in file.read().split():
                need(not os.path.exists(f"/proc/{pid}"), f"process {pid} of the group lives")

    def times_out(self):
        self.apply("""
dag: late
schedule: null
tasks:
  slow: {command: "sleep 60", timeout: 500ms}
""")
        begin = time.monotonic()
        run = self.run("late")
        need(run["state"] == "failed" and time.monotonic() - begin < 5, run)
        need("timed out" in run["by"]["slow"]["message"], run["by"]["slow"])

    def calls_and_notifies(self):
        Server.failures_left = 1
        status, reply = self.call("PUT", "/connections/ops", {
            "conn_type": "http", "host": "127.0.0.1", "port": self.server.server_port,
            "login": "me", "password": PASSWORD, "extra": {"api_token": "tok-12345", "x": "y"}})
        need(status == 200, reply)
        self.apply(f"""
dag: calls
schedule: null
tasks:
  get: {{http: {{url: "{self.url}/flaky"}}, retries: 1, retry_delay: 50ms}}
  post: {{after: [get], http: {{conn: ops, path: "in/{{{{ xcom.get.status }}}}", json: {{a: [1, "{{{{ ds }}}}"]}}}}}}
  wrong: {{http: {{url: "{self.url}/x", expect_status: [204]}}}}
  closed: {{http: {{url: "http://127.0.0.1:9/"}}}}
  nobody: {{http: {{conn: nowhere}}}}
  note: {{after: [post], notify: {{message: "done: {{{{ run.state }}}}", conn: ops}}}}
""")
        run = self.run("calls", dag_run_id="c1", logical_date="2026-03-04T00:00:00Z")
        states = {name: task["state"] for name, task in run["by"].items()}
        need(states == {"get": "success", "post": "success", "wrong": "failed", "closed": "failed",
                        "nobody": "failed", "note": "success"}, run["tasks"])
        need(run["by"]["get"]["try_number"] == 2, run["by"]["get"])
        need(run["by"]["get"]["result"]["json"]["path"] == "/flaky", run["by"]["get"])
        post = next(s for s in Server.seen if s[1] == "/in/200")
        need(json.loads(post[3]) == {"a": [1, "2026-03-04"]}, post)
        need(post[2]["Authorization"].startswith("Basic "), post)
        hook = next(s for s in Server.seen if s[0] == "POST" and s[1] in ("/", ""))
        need(json.loads(hook[3])["text"].startswith("done: "), hook)
        need("status 200" in run["by"]["wrong"]["message"], run["by"]["wrong"])
        need("no connection nowhere" in run["by"]["nobody"]["message"], run["by"]["nobody"])
        need(any("done: " in event for event in self.events("calls", "c1", "note")), "log line")

    def masks_secrets(self):
        for name, value in (("plain", "visible"), ("api_key", "k-987654"), ("nested", {"a": 5})):
            need(self.call("PUT", f"/variables/{name}", {"value": value})[0] == 200, name)
        listed = {v["key"]: v["value"] for v in self.get("/variables")["variables"]}
        need(listed["plain"] == "visible" and listed["api_key"] == "***", listed)
        connection = next(c for c in self.get("/connections")["connections"]
                          if c["connection_id"] == "ops")
        need(connection["password"] == "***" and connection["extra"]["api_token"] == "***" and
             connection["extra"]["x"] == "y", connection)
        self.apply("""
dag: secrets
schedule: null
tasks:
  tell:
    command: "echo {{ var.value.plain }} {{ var.value.api_key }} {{ var.json.nested.a }} {{ conn.ops.password }}; exit 1"
""")
        run = self.run("secrets", dag_run_id="s1")
        need(self.events("secrets", "s1", "tell") == ["visible *** 5 ***"],
             self.events("secrets", "s1", "tell"))
        need(PASSWORD not in json.dumps(run) and "***" in run["by"]["tell"]["message"], run)
        state = os.path.join(self.box.data, "orchestrate")
        for name in ("state.db", "state.db-wal"):
            with open(os.path.join(state, name), "rb") as file:
                content = file.read()
            need(PASSWORD.encode() not in content and b"k-987654" not in content,
                 f"a secret in {name}")
        need(os.stat(os.path.join(state, "key")).st_mode & 0o777 == 0o600, "mode of the key")
        self.masks_what_is_cut()
        need(self.call("DELETE", "/variables/plain")[0] == 200, "delete")
        need(self.call("DELETE", "/variables/plain")[0] == 404, "delete twice")

    def masks_what_is_cut(self):
        """One secret begins like another, one has lines, and where a long line is split is one."""
        for name, value in (("long_api_key", "k-987654-and-more"),
                            ("cert_secret", "first-of-two\nsecond-of-two\n")):
            need(self.call("PUT", f"/variables/{name}", {"value": value})[0] == 200, name)
        self.apply(r"""
dag: cut_secrets
schedule: null
tasks:
  tell:
    command: |
      printf 'a k-987654-and-more b k-987654\nfirst-of-two\nsecond-of-two\nc\n'
      head -c 262140 /dev/zero | tr '\0' x
      printf 'k-987654-and-more\nbye k-987654-and-'
      kill -9 $$
""")
        run = self.run("cut_secrets", dag_run_id="s2")
        log, offset = "", 0
        while True:
            part = self.get(f"{self.path('cut_secrets', 's2')}/tasks/tell/logs?try=1&offset={offset}")
            log, offset = log + part["content"], part["next_offset"]
            if part["ended"]:
                break
        events = [json.loads(line)["event"].lstrip("x") for line in log.splitlines()]
        need([event for event in events if event] == ["a *** b ***", "***c", "***", "bye ***"],
             [event[-40:] for event in events])
        need(len(log) > 262140, "the long line is there")
        need(run["by"]["tell"]["state"] == "failed", run)

    def sensors_wait(self):
        flag = os.path.join(self.files, "flag")
        self.apply(f"""
dag: sensors
schedule: null
tasks:
  records: {{sensor: {{topic: sensed, records: 20}}, poke_interval: 50ms, timeout: 20s}}
  file: {{sensor: {{file: {flag}}}, poke_interval: 50ms, timeout: 20s}}
  time: {{sensor: {{time: "{{{{ data_interval_start }}}}"}}, poke_interval: 50ms}}
  gone: {{sensor: {{file: /no/such/file}}, poke_interval: 50ms, timeout: 300ms, soft_fail: true}}
  after: {{after: [records, file, time], command: "true"}}
""")
        run = self.trigger("sensors")
        self.wait_task("sensors", run, "gone", "skipped")
        wait_until(lambda: "sensed" in self.get(  # but for the moment of a poke
            f"{self.path('sensors', run)}/tasks/records/why")["why"], 5, "why tells the topic")
        ok(kcat(self.box.servers(), "-P", "-t", "sensed", stdin="x\n" * 19))
        with open(flag, "w", encoding="ascii"):
            pass
        self.wait_task("sensors", run, "file", "success")

        def record_sensor():
            return {t["task_id"]: t for t in self.get(self.path("sensors", run))["tasks"]}["records"]
        # There is no message in the moment of a poke.
        wait_until(lambda: "19 records" in (record_sensor()["message"] or ""), 10, "it says how many")
        need(record_sensor()["state"] in ("up_for_reschedule", "scheduled", "queued", "running"), "waits")
        ok(kcat(self.box.servers(), "-P", "-t", "sensed", stdin="x\n"))
        need(self.wait("sensors", run)["state"] == "success", "all there")

    def pools_hold_back(self):
        need(self.call("PUT", "/pools/narrow", {"slots": 1})[0] == 200, "pool")
        self.apply("""
dag: pooled
schedule: null
defaults: {pool: narrow}
tasks: {a: {command: "sleep 0.2"}, b: {command: "sleep 0.2"}, c: {command: "sleep 0.2"}}
""")
        run = self.run("pooled")
        spans = sorted((t["start_date"], t["end_date"]) for t in run["tasks"])
        need(all(one[1] <= two[0] for one, two in zip(spans, spans[1:])), spans)
        need({"name": "narrow", "slots": 1, "occupied_slots": 0} in self.get("/pools")["pools"],
             self.get("/pools"))

    def paused_waits_and_schedule_runs(self):
        self.apply("dag: often\nschedule: every 1s\nstart: 2026-01-01\n"
                   "tasks: {a: {command: \"true\"}}\n")
        wait_until(lambda: len(self.get("/dags/often/runs")["dag_runs"]) >= 3, 10, "three runs")
        need(self.call("PATCH", "/dags/often", {"is_paused": True})[0] == 200, "pause")
        time.sleep(0.2)
        before = len(self.get("/dags/often/runs")["dag_runs"])
        time.sleep(2.2)
        runs = self.get("/dags/often/runs")["dag_runs"]
        need(len(runs) == before, "a paused pipeline makes no runs")
        dates = [run["logical_date"] for run in runs]
        need(len(set(dates)) == len(dates) and {r["run_type"] for r in runs} == {"scheduled"}, runs)
        figures = self.get("/scheduler")["due_to_start_us"]
        print(f"        due to start: p50 {figures['p50']} us, p99 {figures['p99']} us, "
              f"max {figures['max']} us of {figures['count']}")

    def logs_are_followed_and_bounded(self):
        self.apply("""
dag: talk
schedule: null
tasks:
  slowly: {command: "for i in 1 2 3 4; do echo line $i; sleep 0.3; done"}
  much: {command: "seq 1 200000"}
""")
        run = self.trigger("talk", dag_run_id="t1")
        offset, text, calls, ended = 0, "", 0, False
        while not ended:
            reply = self.get(f"{self.path('talk', run)}/tasks/slowly/logs?offset={offset}&wait=5")
            text += reply["content"]
            offset, ended, calls = reply["next_offset"], reply["ended"], calls + 1
        events = [json.loads(line)["event"] for line in text.splitlines()]
        need(events == [f"line {i}" for i in range(1, 5)], events)
        need(calls >= 4, f"the log came in {calls} pieces")
        self.wait("talk", run)
        path = os.path.join(self.box.data, "orchestrate/logs/talk/t1/much/1.log")
        with open(path, encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
        need(os.path.getsize(path) < 1.1 * (1 << 20), f"{os.path.getsize(path)} bytes")
        need(lines[0]["event"] == "1" and lines[-1]["event"] == "200000", "both ends are there")
        need(any("left out" in line["event"] for line in lines), "and told what is missing")

    def sql_runs_in_the_worker(self):
        def is_connected():
            return self.get("/scheduler")["worker"]["connected"]
        wait_until(is_connected, 30, "the worker is connected")
        self.apply("""
dag: tables
schedule: null
topics:
  sql.in:
    columns: {id: {type: integer, required: true}, name: string}
    quarantine: bronze.bad
tasks:
  wait: {sensor: {topic: sql.in, records: 100}, poke_interval: 50ms}
  bronze: {after: [wait], sql: "SELECT id, name FROM topic('sql.in')", reads: {sql.in: new}, writes: bronze.f}
  silver: {after: [bronze], sql: "SELECT * FROM bronze.f", reads: {bronze.f: new}, writes: silver.f, mode: merge, key: [id]}
  checks: {after: [silver], checks: [{name: enough, sql: SELECT count(*) FROM silver.f, expect: "= 50"}]}
  fails: {after: [silver], checks: [{name: too_much, sql: SELECT count(*) FROM silver.f, expect: "> 50"}]}
""")
        run = self.trigger("tables")
        ok(kcat(self.box.servers(), "-P", "-t", "sql.in", stdin="".join(
            f'{{"id": {i % 50}, "name": "n{i}"}}\n' for i in range(120)) + "broken\n"))
        reply = self.wait("tables", run)
        states = {name: task["state"] for name, task in reply["by"].items()}
        need(states == {"wait": "success", "bronze": "success", "silver": "success",
                        "checks": "success", "fails": "failed"}, reply["tasks"])
        need(reply["by"]["bronze"]["result"]["rows"] == 120 and
             reply["by"]["bronze"]["result"]["bad"] == 1, reply["by"]["bronze"])
        need("too_much" in reply["by"]["fails"]["message"], reply["by"]["fails"])
        again = self.run("tables")
        need(again["by"]["bronze"]["result"]["nothing_new"], again["by"]["bronze"])
        names = {table["name"]: table["rows"] for table in self.get("/tables")["tables"]}
        need(names == {"bronze.bad": 1, "bronze.f": 120, "silver.f": 50}, names)
        need(self.get("/tables/silver.f")["schema"][0]["name"] == "id", "schema")
        status, reply = self.call("POST", "/sql", {"sql": "SELECT count(*) AS n FROM bronze.f"})
        need(status == 200 and reply["data"] == [["120"]], reply)
        for sql in ("COPY (SELECT 1) TO 'x.csv'", "EXPLAIN ANALYZE COPY (SELECT 1) TO 'x.csv'",
                    "SELECT 1; COPY (SELECT 1) TO 'x.csv'"):
            status, reply = self.call("POST", "/sql", {"sql": sql})
            need(status == 400 and "only reads" in reply["error"], f"{sql}: {status} {reply}")
        status, reply = self.call("POST", "/sql", {"sql": "SELECT nothing"})
        need(status == 400 and "nothing" in reply["error"], reply)
        self.worker_is_killed()

    def worker_is_killed(self):
        self.apply("""
dag: endless
schedule: null
tasks: {count: {sql: "SELECT count(*) FROM range(200000) a, range(2000000) b WHERE a.range + b.range = 7"}}
""")
        run = self.trigger("endless")
        self.wait_task("endless", run, "count", "running")
        self.box.kill("millrace-worker")

        def is_retried():
            task = self.get(self.path("endless", run))["tasks"][0]
            return task["state"] == "running" and task["attempt"] > first
        first = self.get(self.path("endless", run))["tasks"][0]["attempt"]
        wait_until(is_retried, 30, "the attempt is lost and made again")
        need(self.call("POST", f"{self.path('endless', run)}/cancel")[0] == 200, "cancel")
        need(self.wait("endless", run, 15)["state"] == "failed", "cancelled")

    def attempt_outlives_control(self):
        trace = os.path.join(self.files, "trace")
        self.apply(f"""
dag: outlive
schedule: null
tasks:
  long: {{command: "echo begin >> {trace}; sleep 3; echo end >> {trace}; echo '{{\\"v\\": 1}}'", output: json}}
  next: {{after: [long], command: "echo next {{{{ xcom.long.v }}}} >> {trace}"}}
  quick: {{command: "sleep 1; echo quick >> {trace}"}}
""")
        run = self.trigger("outlive")
        for task in ("long", "quick"):
            self.wait_task("outlive", run, task, "running")
        wait_until(lambda: os.path.exists(trace), 5, "it began")
        self.box.kill("millrace-control")
        time.sleep(1.5)  # `quick` ends without control
        wait_until(lambda: self.alive(), 20, "control is back")
        reply = self.wait("outlive", run)
        need(reply["state"] == "success", reply)
        need([t["try_number"] for t in reply["tasks"]] == [1, 1, 1], reply["tasks"])
        with open(trace, encoding="ascii") as file:
            need(sorted(file.read().split("\n")) == ["", "begin", "end", "next 1", "quick"],
                 "each ran once")

    def alive(self):
        try:
            return self.call("GET", "/dags")[0] == 200
        except OSError:
            return False

    def kills_lose_and_repeat_nothing(self):
        trace = os.path.join(self.files, "kills")
        tasks = [f'  t0: {{command: "echo t0 >> {trace}; sleep 0.1"}}'] + [
            f'  t{i}: {{after: [t{i - 1}], command: "echo t{i} >> {trace}; sleep 0.1"}}'
            for i in range(1, 25)]
        self.apply("dag: kills\nschedule: null\ntasks:\n" + "\n".join(tasks) + "\n")
        run = self.trigger("kills")
        for delay in (0.05, 0.33, 0.21, 0.4):
            time.sleep(delay)
            self.box.kill("millrace-control")
            wait_until(self.alive, 20, "control is back")
        need(self.wait("kills", run, 60)["state"] == "success", "it ends")
        with open(trace, encoding="ascii") as file:
            need(file.read().split() == [f"t{i}" for i in range(25)], "each once, in order")

    def damaged_state_is_told(self):
        control = self.box.child("millrace-control")
        need(control, "control runs")
        self.box.stop()
        path = os.path.join(self.box.data, "orchestrate", "state.db")
        with sqlite3.connect(path) as db:
            need(db.execute("PRAGMA integrity_check").fetchone() == ("ok",), "a sound database")
        db.close()
        os.rename(path, path + ".good")
        with open(path, "wb") as file:
            file.write(b"this is no database" * 1000)
        self.box.start()
        status, reply = self.call("GET", "/dags")
        need(status == 503 and "state.db" in reply["error"], reply)
        ok(kcat(self.box.servers(), "-P", "-t", "sensed", stdin="x\n"))
        need(self.box.get("/api/v1/topics")["topics"], "topics are served")
        self.box.stop()
        os.rename(path + ".good", path)
        key = os.path.join(self.box.data, "orchestrate", "key")
        os.rename(key, key + ".away")
        self.box.start()
        status, reply = self.call("GET", "/connections")
        need(status == 503 and "lost" in reply["error"], reply)
        need(self.call("GET", "/dags")[0] == 200, "pipelines go on without the key")
        self.box.stop()
        os.rename(key + ".away", key)
        self.box.start()
        need(self.get("/connections")["connections"], "and all is back with it")

    def idle_costs_little(self):
        today = time.strftime("%Y-%m-%d", time.gmtime())  # so that nothing is due before tomorrow
        for i in range(1000):
            self.apply(f"dag: idle_{i:04}\nschedule: \"{i % 60} {i % 24} * * *\"\nstart: {today}\n"
                       "tasks: {a: {command: \"true\"}}\n")
        for i in range(0, 1000, 2):
            self.call("PATCH", f"/dags/idle_{i:04}", {"is_paused": True})
        time.sleep(1)
        pid = self.box.child("millrace-control")

        def cpu():
            with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                fields = file.read().rsplit(")", 1)[1].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        before = cpu()
        time.sleep(4)
        share = (cpu() - before) / 4
        print(f"        idle control with 1,000 pipelines: {share * 100:.2f} % of a core")
        need(share < 0.05, f"{share * 100:.1f} % of a core")
        begin = time.monotonic()
        self.box.kill("millrace-control")
        wait_until(self.alive, 20, "control is back")
        print(f"        control back with them after {time.monotonic() - begin:.1f} s")


def programs_in_a_folder_that_only_root_enters():
    """A tree below /root: control and worker are another user by the time that they need a program."""
    with tempfile.TemporaryDirectory(prefix="millrace-private-", dir="/var/tmp") as folder:
        for program in ("control/cli/millrace", "millrace-control", "dataplane/millrace-dataplane",
                        "compute/worker/millrace-worker", "orchestrate/millrace-attempt"):
            shutil.copy(os.path.join(BUILD, program), folder)
        os.makedirs(os.path.join(folder, "lib", "millrace"))
        os.symlink(os.path.join(ROOT, ".cache", "duckdb", "libduckdb.so"),
                   os.path.join(folder, "lib", "millrace", "libduckdb.so"))
        need(os.stat(folder).st_mode & 0o777 == 0o700, "private")
        with Box(command=(os.path.join(folder, "millrace"),)) as box:
            api = Api(box)
            wait_until(lambda: api.call("GET", "/dags")[0] == 200, 10, "pipelines are served")
            api.apply("dag: private\nschedule: null\ntasks: {a: {command: id -un}, "
                      "b: {after: [a], checks: [{name: one, sql: SELECT 1, expect: \"= 1\"}]}}\n")
            run = api.run("private")
            need(run["state"] == "success", f"{[(t['task_id'], t['message']) for t in run['tasks']]}")


def main():
    checks = Checks()
    if os.geteuid() == 0:
        checks.run("programs_in_a_folder_that_only_root_enters",
                   programs_in_a_folder_that_only_root_enters)
    # SQL in the background would wait for whatever else this machine does.
    with Box(settings={"orchestrate.log.max.bytes": 1 << 20, "worker.background": "false"}) as box:
        pipelines = Pipelines(box)
        for check in (pipelines.applies_and_shows, pipelines.refuses_what_is_wrong,
                      pipelines.chain_is_fast, pipelines.commands_and_xcom,
                      pipelines.retries_and_rules, pipelines.cancels, pipelines.times_out,
                      pipelines.calls_and_notifies, pipelines.masks_secrets,
                      pipelines.sensors_wait, pipelines.pools_hold_back,
                      pipelines.paused_waits_and_schedule_runs,
                      pipelines.logs_are_followed_and_bounded,
                      pipelines.sql_runs_in_the_worker, pipelines.attempt_outlives_control, pipelines.kills_lose_and_repeat_nothing,
                      pipelines.damaged_state_is_told, pipelines.idle_costs_little):
            checks.run(check.__name__, check)
        pipelines.close()
    return checks.end()


if __name__ == "__main__":
    raise SystemExit(main())
