# SPDX-License-Identifier: Apache-2.0
"""The example of a shop's orders: by its one command, and with kill -9 of worker and control at each of its tasks.

After every kill the run ends by itself, and the gold tables are those that plain Python makes of all orders
sent so far; bronze and quarantine hold each record once."""

import contextlib
import os
import subprocess
import sys
import time

from api import Api
from box import BUILD, MILLRACE, ROOT, Box, Checks, free_ports, need, wait_until

EXAMPLE = os.path.join(ROOT, "deploy", "examples", "orders")
sys.path.insert(0, EXAMPLE)
import compare  # noqa: E402  pylint: disable=wrong-import-position
import generate  # noqa: E402  pylint: disable=wrong-import-position

TOPICS = ("raw.orders", "raw.events")
SEED = 7


class Shop:
    """A box with the pipeline, and what was sent to it."""

    def __init__(self, box):
        self.box = box
        self.api = Api(box)
        self.batches = []
        self.records = dict.fromkeys(TOPICS, 0)
        self.command = [MILLRACE, "sql", *box.arguments()]
        for topic in TOPICS:
            need(box.cli("topic", "create", topic, "--partitions", "4").returncode == 0, topic)

    def send(self, count):
        batch = (count, SEED, sum(sent for sent, _, _ in self.batches))
        sent, failed = generate.send(self.box.servers(), *batch)
        need(failed == 0, f"{failed} of {sent} records were not taken")
        self.batches.append(batch)
        for topic, _, _, _ in generate.records(*batch):
            self.records[topic] += 1

    def apply(self):
        """What applying starts is over when this returns: the last day's run."""
        applied = self.box.cli("dag", "apply", EXAMPLE)
        need(applied.returncode == 0, applied)
        wait_until(lambda: self.api.runs("orders"), 10, "the run of the last day")
        self.end(self.api.runs("orders")[0]["dag_run_id"])

    def end(self, run, seconds=60):
        reply = self.api.wait("orders", run, seconds)
        need(reply["state"] == "success", [t for t in reply["tasks"] if t["state"] != "success"])
        return reply

    def verify(self):
        """Gold is the oracle's; every record is in bronze or quarantine, once."""
        found = list(compare.differences(self.batches, self.command))
        need(not found, found)
        for topic, count in self.records.items():
            bronze = topic.replace("raw", "bronze")
            rows = self.api.sql(
                f'SELECT count(*), count(DISTINCT ("partition", "offset")) FROM '
                f'(SELECT "partition", "offset" FROM {bronze} UNION ALL '
                f'SELECT "partition", "offset" FROM {bronze}_quarantine)')[0]
            need(rows == [str(count)] * 2, f"{bronze}: {rows} where {count} were sent")

    def stable(self):
        self.box.wait_ready()
        self.api.sql("SELECT 1")


def one_command():
    ports = free_ports(20)
    done = subprocess.run([os.path.join(EXAMPLE, "run"), "--count", "20000", "--port", str(ports),
                           "--http-port", str(ports + 19)], capture_output=True, text=True, timeout=120,
                          check=False, env={**os.environ, "MILLRACE_BUILD": BUILD})
    need(done.returncode == 0, f"exit {done.returncode}: {done.stdout[-3000:]}\n{done.stderr[-2000:]}")
    need("those that plain Python makes" in done.stdout and "success" in done.stdout, done.stdout)


def kill_at_each_task(shop, victim):
    """@return  how many kills met an attempt under way"""
    tasks = [task["task_id"] for task in shop.api.get("/dags/orders")["tasks"]]
    met = 0
    for task in tasks:
        shop.send(3000)
        run = shop.api.trigger("orders")
        pid = shop.box.child(victim)
        while True:
            state = shop.api.task("orders", run, task)["state"]
            if state not in (None, "none", "scheduled", "no_status"):
                break
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 9)
        met += state in ("queued", "running", "up_for_reschedule")
        wait_until(lambda: shop.box.child(victim) not in (None, pid), 20, f"{victim} is back")
        shop.end(run)
        shop.stable()
        shop.verify()
    print(f"        {met} of {len(tasks)} kills met the task under way")
    need(met >= len(tasks) // 3, "the kills come too late to show anything")


def compare_can_fail(shop):
    """The truth without one order is another one."""
    last = shop.batches.pop()
    try:
        for less in ((last[0] - 3, *last[1:]), (last[0] - 300, *last[1:])):
            found = list(compare.differences([*shop.batches, less], shop.command))
            need(any("gold.revenue" in sentence for sentence in found), f"{less}: {found}")
    finally:
        shop.batches.append(last)
    shop.verify()


def nothing_new(shop):
    run = shop.end(shop.api.trigger("orders"))
    for task in ("bronze_orders", "bronze_events", "silver_orders", "silver_events", "gold_revenue", "gold_funnel"):
        need(run["by"][task]["result"]["nothing_new"], run["by"][task])
    shop.verify()


def main():
    checks = Checks()
    begin = time.monotonic()
    checks.run("one command", one_command)
    with Box() as box:
        shop = Shop(box)
        shop.send(6000)
        checks.run("apply", lambda: (shop.apply(), shop.verify()))
        checks.run("nothing new", nothing_new, shop)
        for victim in ("millrace-worker", "millrace-control"):
            checks.run(f"kill -9 of {victim} at each task", kill_at_each_task, shop, victim)
        checks.run("nothing new after all", nothing_new, shop)
        checks.run("compare can fail", compare_can_fail, shop)
    print(f"  {time.monotonic() - begin:.0f} s")
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
