# SPDX-License-Identifier: Apache-2.0
"""Apache Airflow as the peer of the scheduler benchmark: `airflow standalone` in a home of its own."""

import contextlib
import json
import os
import signal
import subprocess
import time
import urllib.parse
import urllib.request

import boxes
import report

IDLE_SLEEP = 0.1  # its default is 1: the scheduler's pause when it finds nothing to do

DAG = """
import datetime
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

with DAG("chain", schedule=None, start_date=datetime.datetime(2026, 1, 1), catchup=False):
    last = None
    for number in range({tasks}):
        task = BashOperator(task_id=f"t{{number}}", bash_command="true")
        if last is not None:
            last >> task
        last = task
"""

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Airflow:
    """A running one; a context manager. It ends what it started: its own process group."""

    def __init__(self, home, tasks):
        self.home = home
        self.port = boxes.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.program = os.path.join(report.ROOT, ".cache", "perf-airflow", "bin", "airflow")
        self.process = None
        self.token = None
        self.version = None
        os.mkdir(os.path.join(home, "dags"))
        with open(os.path.join(home, "dags", "chain.py"), "w", encoding="utf-8") as file:
            file.write(DAG.format(tasks=tasks))

    def environment(self):
        settings = {
            "CORE__LOAD_EXAMPLES": "False", "CORE__EXECUTOR": "LocalExecutor", "CORE__UNIT_TEST_MODE": "False",
            "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False", "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "API__HOST": "127.0.0.1", "API__PORT": str(self.port), "API__BASE_URL": self.url,
            "API__WORKERS": "1", "API_AUTH__JWT_ISSUER": "bench",
            "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": str(IDLE_SLEEP), "SCHEDULER__ENABLE_HEALTH_CHECK": "False",
            "LOGGING__LOGGING_LEVEL": "WARNING",
        }
        kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        path = f"{os.path.dirname(self.program)}:{os.environ['PATH']}"
        return {**kept, "PATH": path, "AIRFLOW_HOME": self.home, "NO_PROXY": "*",
                **{f"AIRFLOW__{name}": value for name, value in settings.items()}}

    def __enter__(self):
        print("starting Airflow", flush=True)
        try:
            with open(os.path.join(self.home, "standalone.log"), "w", encoding="utf-8") as log:
                # pylint: disable-next=consider-using-with
                self.process = subprocess.Popen([self.program, "standalone"], env=self.environment(),
                                                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                                start_new_session=True)
            self.wait_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.process is None:
            return
        for number, seconds in ((signal.SIGINT, 20), (signal.SIGTERM, 10), (signal.SIGKILL, 10)):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(seconds)
                break
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)

    @contextlib.contextmanager
    def paused(self):
        """Its processes stand still: even idle they take from whoever is measured meanwhile."""
        os.killpg(self.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self.process.pid, signal.SIGCONT)

    def call(self, method, path, body=None):
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(self.url + path, method=method, headers=headers,
                                         data=None if body is None else json.dumps(body).encode())
        with _opener.open(request, timeout=30) as reply:
            return json.loads(reply.read())

    def is_ready(self):
        try:
            if not self.token:
                self.token = self.call("GET", "/auth/token")["access_token"]
            self.version = self.call("GET", "/api/v2/version")["version"]
            return not self.call("GET", "/api/v2/dags/chain")["is_paused"]
        except OSError:  # an HTTPError is one
            return False

    def wait_ready(self, seconds=180):
        end = time.monotonic() + seconds
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > end:
                with open(os.path.join(self.home, "standalone.log"), encoding="utf-8", errors="replace") as file:
                    raise RuntimeError("Airflow did not start:\n" + "".join(file.readlines()[-30:]))
            time.sleep(1)

    def run(self, seconds=180):
        """One run of the chain. @return seconds from its start to its end, by its own times"""
        run = self.call("POST", "/api/v2/dags/chain/dagRuns", {"logical_date": None})
        path = f"/api/v2/dags/chain/dagRuns/{urllib.parse.quote(run['dag_run_id'], safe='')}"
        end = time.monotonic() + seconds
        while run["state"] not in ("success", "failed"):
            if time.monotonic() > end:
                raise RuntimeError(f"Airflow's run is still {run['state']} after {seconds} s")
            time.sleep(0.5)
            run = self.call("GET", path)
        if run["state"] != "success":
            raise RuntimeError("Airflow's run failed")
        return boxes.moment(run["end_date"]) - boxes.moment(run["start_date"])
