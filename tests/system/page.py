# SPDX-License-Identifier: Apache-2.0
"""The page of a real box in headless Chromium: what a reader sees of pipelines, tables and SQL, and that clicks do what
they say. The box asks for a token; names and texts with markup in them must arrive as text. Any error that the browser
reports fails the check it happened in."""

import json
import os
import sys
import urllib.parse
import urllib.request

from box import Box, Checks, need, wait_until
from browser import Browser

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
TOKEN = "let-me-in"
MARKUP = "<img src=x onerror=\"document.title='owned'\">"

FLOW = """
dag: flow
description: "numbers to a table @MARKUP@"
schedule: null
tags: [demo]
tasks:
  table: {sql: sql/table.sql, writes: bronze.numbers, mode: overwrite}
  fails: {after: [table], command: "echo about to fail; exit 3", retries: 1, retry_delay: 100ms}
  behind: {after: [fails], command: "true"}
  waits: {sensor: {file: /no/such/file}, poke_interval: 100ms, timeout: 10m}
  talks: {command: "echo 'said <b>first</b>'; while ! [ -e @GO@ ]; do sleep 0.05; done; echo and that was it"}
  last: {after: [talks, waits], command: "true"}
""".replace("@MARKUP@", MARKUP.replace('"', '\\"'))
SQL = "SELECT i AS number, 'n' || i AS name FROM range(3) t(i)"
OTHER = "dag: other\nschedule: \"0 6 * * *\"\nstart: 2026-01-01\ntasks: {a: {command: \"true\"}}\n"


class Page:
    def __init__(self, box, browser):
        self.box = box
        self.browser = browser
        self.run_id = None
        self.go = os.path.join(box.data, "go")

    # ---- helpers ----

    def call(self, method, path, body=None):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.box.http}/api/v1{path}", method=method, headers={"Authorization": f"Bearer {TOKEN}"},
            data=None if body is None else json.dumps(body).encode())
        with OPENER.open(request, timeout=30) as reply:
            return json.loads(reply.read())

    def runs(self, dag="flow"):
        return self.call("GET", f"/dags/{dag}/runs")["dag_runs"]

    def task(self, name):
        run = self.call("GET", f"/dags/flow/runs/{urllib.parse.quote(self.run_id, safe='')}")
        return next(t for t in run["tasks"] if t["task_id"] == name)

    def hash(self):
        return urllib.parse.unquote_plus(self.browser.run("location.hash"))

    def cell(self, task):
        return f"#grid a[aria-label^='{task}, {self.run_id}:']"

    def sure(self, selector):
        """A button that asks back."""
        self.browser.click(selector)
        self.browser.wait_text(selector, "sure?")
        self.browser.click(selector)

    def checked(self, check, expected=""):
        """The check, and no error of the browser but those that name what is expected."""
        check()
        self.browser.run("0")  # what was reported meanwhile is read
        errors = [e for e in self.browser.errors if not expected or expected not in e]
        self.browser.errors.clear()
        need(not errors, f"the browser reports: {errors}")
        need("owned" not in self.browser.run("document.title"), "markup in data was run")

    def prepare(self):
        wait_until(lambda: self.call("GET", "/scheduler")["worker"]["connected"], 30, "the worker is there")
        for files in ({"pipeline.yaml": FLOW.replace("@GO@", self.go), "sql/table.sql": SQL}, {"pipeline.yaml": OTHER}):
            self.call("POST", "/dags", {"files": files, "folder": "/pipelines/test"})

    # ---- checks ----

    def asks_for_the_token(self):
        self.browser.open(f"http://127.0.0.1:{self.box.http}/")
        self.browser.wait_text("#banner", "http.token")
        need("__consumer_offsets" not in self.browser.text(), "nothing without the token")
        self.browser.click("#token")
        self.browser.type("#token", TOKEN)
        self.browser.click("#token-form input[type=submit]")
        self.browser.wait_text("#view-box", "__consumer_offsets")
        self.browser.wait("document.querySelector('#banner').hidden", "the banner is gone")

    def lists_pipelines(self):
        self.browser.click("#nav a[data-view=pipelines]")
        self.browser.wait_text("#dags", "flow")
        row = self.browser.text("#dags tr:has(a[href='#/pipelines/flow'])")
        need(f"numbers to a table {MARKUP}" in row and "by hand" in row and "demo" in row, row)
        row = self.browser.text("#dags tr:has(a[href='#/pipelines/other'])")
        need("0 6 * * *" in row and "in " in row, row)
        need("slots busy" in self.browser.text("#scheduler"), self.browser.text("#scheduler"))
        self.browser.click("#dag-filter")
        self.browser.type("#dag-filter", "oth")
        self.browser.wait("document.querySelectorAll('#dags tr').length === 1", "the filter leaves one")
        self.browser.type("#dag-filter", " ")

    def trigger_makes_a_run(self):
        need(not self.runs(), "no run yet")
        self.browser.click("#dags tr:has(a[href='#/pipelines/flow']) button.main")
        self.browser.wait_text("#notice", "flow: run manual__")
        runs = wait_until(self.runs, 5, "a run")
        need(len(runs) == 1, runs)
        self.run_id = runs[0]["dag_run_id"]
        self.browser.wait("document.querySelectorAll('#dags .run-bar[href^=\"#/pipelines/flow?\"]').length === 1", "its bar")

    def pauses(self):
        button = "#dags tr:has(a[href='#/pipelines/other']) td:last-child button:first-child"
        self.browser.click(button)
        self.browser.wait_text(button, "unpause")
        need(self.call("GET", "/dags/other")["is_paused"], "paused")
        self.browser.wait_text("#dags tr:has(a[href='#/pipelines/other'])", "paused")
        self.browser.click(button)
        self.browser.wait(f"document.querySelector(\"{button}\").innerText === 'pause'", "unpaused")
        need(not self.call("GET", "/dags/other")["is_paused"], "unpaused")

    def log_is_followed(self):
        """Of the task that still talks: what comes later appears without a reload."""
        self.browser.open(f"http://127.0.0.1:{self.box.http}/#/pipelines/flow?task=talks")
        self.browser.wait_text("#log", "said <b>first</b>")
        need("and that was it" not in self.browser.text("#log"), "it still talks")
        with open(self.go, "w", encoding="ascii"):
            pass
        self.browser.wait_text("#log", "and that was it")
        need(self.browser.run("document.querySelectorAll('#log .log-line').length") == 2, self.browser.text("#log"))
        need(not self.browser.run("document.querySelectorAll('#log b').length"), "text, not markup")

    def grid_shows_states(self):
        self.browser.click(".crumb")
        self.browser.click("#dags a[href='#/pipelines/flow']")
        for task, glyph, state in (("table", "\u2713", "success"), ("fails", "\u2715", "failed"),
                                   ("behind", "\u2298", "upstream_failed"), ("waits", "", None), ("last", "", "none")):
            self.browser.wait_text(self.cell(task), glyph)
            if state:
                self.browser.wait(f"document.querySelector(\"{self.cell(task)}\").classList.contains('st-{state}')",
                                  f"{task} is {state}")
        self.browser.click(self.cell("fails"))
        self.browser.wait_text("#attempt-words", "exit code 3")
        need(f"run={self.run_id}" in self.hash() and "task=fails" in self.hash(), self.hash())
        self.browser.wait_text("#log", "about to fail")
        for text in ("wrote 3 rows", "try 2 of 2", "waits for waits", "/no/such/file is not there yet"):
            self.browser.wait_text("#run-tasks", text)
        self.browser.click("#tries a:first-child")
        self.browser.wait("document.querySelector('#tries a')?.getAttribute('aria-current') === 'true'", "try 1 is shown")
        need("try=1" in self.hash(), self.hash())
        self.browser.wait_text("#log", "about to fail")

    def graph_shows_states(self):
        self.browser.click("#dag-tabs a[data-tab=graph]")
        self.browser.wait("document.querySelectorAll('#graph .node').length === 6", "six nodes")
        need(self.browser.run("document.querySelectorAll('#graph .edge').length") == 4, "four edges")
        states = self.browser.run("""Object.fromEntries([...document.querySelectorAll('#graph .node')].map(node =>
            [node.querySelector('.node-name').textContent, node.querySelector('.glyph').textContent]))""")
        need(states["table"] == "\u2713" and states["fails"] == "\u2715" and states["behind"] == "\u2298", states)
        places = self.browser.run("""Object.fromEntries([...document.querySelectorAll('#graph .node')].map(node =>
            [node.querySelector('.node-name').textContent, node.getBoundingClientRect().x]))""")
        need(places["table"] < places["fails"] < places["behind"], places)
        self.browser.run("document.querySelectorAll('#graph .node').forEach((node, i) => { node.id = 'node' + i; })")
        index = list(states).index("behind")
        self.browser.click(f"#node{index}")
        self.browser.wait_text("#attempt-task", "behind")

    def files_are_shown(self):
        self.browser.click("#dag-tabs a[data-tab=files]")
        self.browser.wait_text("#files", SQL)
        need("trigger_rule" not in self.browser.text("#files") and "retry_delay: 100ms" in self.browser.text("#files"), "")

    def clears_and_cancels(self):
        self.browser.click("#dag-tabs a[data-tab=grid]")
        self.browser.click(self.cell("fails"))
        self.browser.wait_text("#attempt-task", "fails")
        self.sure("#task-clear")
        self.browser.wait_text("#notice", "2 tasks are to run again")
        wait_until(lambda: self.task("fails")["try_number"] > 2 and self.task("fails")["state"] == "failed", 8, "it ran again")
        self.browser.wait("document.querySelectorAll('#tries a').length > 2", "and its tries are shown")
        self.sure("#run-cancel")
        wait_until(lambda: self.runs()[0]["state"] == "failed", 8, "the run ends")
        self.browser.wait_text("#run-state", "failed")
        self.browser.wait("document.querySelector('#run-cancel').hidden", "nothing to cancel")

    def triggers_with_conf(self):
        self.browser.click("#view-pipeline summary")
        self.browser.click("#trigger-conf")
        self.browser.type("#trigger-conf", "{")
        self.browser.click("#dag-trigger-button")
        self.browser.wait_text("#notice", "conf is to be a JSON object")
        self.browser.type("#trigger-conf", '{"who": "me"}')
        self.browser.click("#dag-trigger-button")
        self.browser.wait_text("#run-facts", '{"who":"me"}')
        need(len(self.runs()) == 2, self.runs())
        need(self.runs()[0]["dag_run_id"] in self.hash(), self.hash())

    def tables_and_history(self):
        self.browser.click("#nav a[data-view=tables]")
        self.browser.wait_text("#tables", "bronze.numbers")
        self.browser.click("#tables a[href='#/tables/bronze.numbers']")
        self.browser.wait_text("#table-facts", "3 rows")
        need(self.browser.text("#schema").split()[:6] == ["column", "type", "null", "number", "long", "may"],
             self.browser.text("#schema"))
        history = self.browser.text("#history")
        need("WRITE" in history and "numOutputRows 3" in history, history)
        self.browser.click("#table-query")
        self.browser.wait("document.querySelector('#sql-text').value === 'SELECT * FROM bronze.numbers LIMIT 100'", "a query")
        need(not self.browser.text("#sql-result"), "a text that came with the address is not run")

    def sql_answers(self):
        self.browser.click("#sql-run")
        self.browser.wait_text("#sql-note", "3 rows in ")
        rows = self.browser.text("#sql-result tbody").split()
        need(rows == ["0", "n0", "1", "n1", "2", "n2"], rows)
        self.browser.type("#sql-text", f"SELECT 1 AS a, NULL AS b, '{MARKUP}' AS c".replace("owned'", "owned''")
                          .replace("title='", "title=''"))
        self.browser.click("#sql-run")
        self.browser.wait_text("#sql-result", MARKUP)
        need("NULL" in self.browser.text("#sql-result"), self.browser.text("#sql-result"))

    def sql_error_in_words(self):
        self.browser.type("#sql-text", "SELECT nothing FROM bronze.numbers")
        self.browser.click("#sql-run")
        self.browser.wait_text("#sql-error", "\"nothing\" not found")
        need(not self.browser.text("#sql-result"), "old rows are gone")

    def unknown_pipeline_in_words(self):
        self.browser.open(f"http://127.0.0.1:{self.box.http}/#/pipelines/nothing")
        self.browser.wait_text("#problem", "there is no pipeline nothing")
        self.browser.click("#nav a[data-view=box]")
        self.browser.wait_text("#view-box", "core 0")
        need(self.browser.run("document.querySelector('#problem').hidden"), "the problem stays with its place")

    def says_that_the_box_is_away(self):
        self.box.stop()
        self.browser.wait_text("#banner", "does not answer")


def main():
    checks = Checks()
    with Box(settings={"http.token": TOKEN}) as box, Browser() as browser:
        page = Page(box, browser)
        page.prepare()
        for check, expected in ((page.asks_for_the_token, "401"), (page.lists_pipelines, ""), (page.pauses, ""), (page.trigger_makes_a_run, ""),
                                (page.log_is_followed, ""), (page.grid_shows_states, ""), (page.graph_shows_states, ""),
                                (page.files_are_shown, ""), (page.clears_and_cancels, ""), (page.triggers_with_conf, ""),
                                (page.tables_and_history, ""), (page.sql_answers, ""),
                                (page.sql_error_in_words, "400"), (page.unknown_pipeline_in_words, "404"),
                                (page.says_that_the_box_is_away, "ERR_")):
            checks.run(check.__name__, page.checked, check, expected)
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
