# SPDX-License-Identifier: Apache-2.0
"""The HTTP API of pipelines, tables and SQL as the system tests use it; goes on over restarts of control."""

import contextlib
import http.client
import json
import time
import urllib.error
import urllib.parse
import urllib.request

from box import need, wait_until

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
RUNNING = ("queued", "running")


class Api:
    def __init__(self, box):
        self.box = box

    def call(self, method, path, body=None):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.box.http}/api/v1{path}", method=method,
            data=None if body is None else json.dumps(body).encode())
        try:
            with OPENER.open(request, timeout=90) as reply:
                return reply.status, json.loads(reply.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def patient(self, method, path, body=None, seconds=30):
        """As call(), again while control or the worker is away."""
        end = time.monotonic() + seconds
        while True:
            status, reply = None, "no answer"
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                status, reply = self.call(method, path, body)
            if status is not None and status != 503 and "the worker ended" not in str(reply.get("error")):
                return status, reply
            need(time.monotonic() < end, f"{method} {path}: {status} {reply}")
            time.sleep(0.02)

    def get(self, path):
        status, reply = self.patient("GET", path)
        need(status == 200, f"GET {path}: {status} {reply}")
        return reply

    def apply(self, manifest, folder="/pipelines/test", **more):
        status, reply = self.call("POST", "/dags", {"files": {"pipeline.yaml": manifest, **more},
                                                    "folder": folder})
        need(status == 200, f"{status}: {reply}")
        return reply

    def trigger(self, dag, **body):
        status, reply = self.call("POST", f"/dags/{dag}/runs", body)
        need(status == 200, f"{status}: {reply}")
        return reply["dag_run_id"]

    def path(self, dag, run):
        return f"/dags/{dag}/runs/{urllib.parse.quote(run, safe='')}"

    def task(self, dag, run, task):
        return next(t for t in self.get(self.path(dag, run))["tasks"] if t["task_id"] == task)

    def wait(self, dag, run, seconds=30, states=RUNNING):
        end = time.monotonic() + seconds
        reply = self.get(self.path(dag, run))
        while reply["state"] in states:
            need(time.monotonic() < end, f"still {reply['state']} after {seconds} s: {reply}")
            reply = self.get(f"{self.path(dag, run)}?wait=5&state={reply['state']}")
        reply["by"] = {task["task_id"]: task for task in reply["tasks"]}
        return reply

    def run(self, dag, **body):
        return self.wait(dag, self.trigger(dag, **body))

    def wait_task(self, dag, run, task, *states, seconds=20):
        return wait_until(lambda: self.task(dag, run, task)["state"] in states, seconds, f"{task} is {states}")

    def runs(self, dag):
        return self.get(f"/dags/{dag}/runs?limit=100")["dag_runs"]

    def log(self, dag, run, task, number=1):
        text = self.get(f"{self.path(dag, run)}/tasks/{task}/logs?try={number}")["content"]
        return [json.loads(line) for line in text.splitlines()]

    def events(self, *arguments):
        return [line["event"] for line in self.log(*arguments)]

    def sql(self, sql, limit=100000):
        """Rows of a query, each a list of texts."""
        status, reply = self.patient("POST", "/sql", {"sql": sql, "limit": limit})
        need(status == 200, f"{status}: {reply}")
        return reply["data"]
