# SPDX-License-Identifier: Apache-2.0
"""`millrace dag` as people type it: apply, look, trigger, follow a log, ask why, clear, cancel."""

import os
import shutil
import tempfile

from box import Box, Checks, need

MANIFEST = """dag: errands
description: two commands, one that fails and one that waits
schedule: "@yearly"
defaults: {retry_delay: 1s}
tasks:
  greet: {command: "echo hello {{ conf.who | default('world') }}; sleep 1"}
  break: {after: [greet], command: "echo too bad >&2; exit 3"}
  wait: {after: [greet], sensor: {file: /nowhere/at/all}, poke_interval: 1h}
"""


class Errands:
    def __init__(self, box):
        self.box = box
        self.folder = tempfile.mkdtemp(prefix="millrace-cli-")

    def write(self, text):
        with open(os.path.join(self.folder, "pipeline.yaml"), "w", encoding="utf-8") as file:
            file.write(text)

    def dag(self, *arguments, code=0):
        done = self.box.cli("dag", *arguments)
        need(done.returncode == code, f"dag {arguments}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def apply_tells_where_the_slips_are(self):
        self.write(MANIFEST.replace("command:", "comand:", 1))
        told = self.dag("check", self.folder, code=1)
        need("pipeline.yaml:6:" in told and "command" in told, told)
        self.write(MANIFEST)
        need("no errors" in self.dag("check", self.folder), "check")
        need("errands" not in self.dag("list"), "check applied it")
        need("applied" in self.dag("apply", self.folder), "apply")
        need("unchanged" in self.dag("apply", self.folder), "apply again")

    def list_and_show(self):
        need("@yearly" in self.dag("list"), "list")
        shown = self.dag("show", "errands")
        need("greet" in shown and "sensor" in shown and "all_success" in shown, shown)

    def a_run_is_followed(self):
        told = self.dag("trigger", "errands", "--conf", '{"who": "miller"}', "--run-id", "one")
        need("one" in told, told)
        followed = self.dag("logs", "errands", "last", "greet", "-f")
        need("hello miller" in followed, followed)
        need("one" in self.dag("runs", "errands"), "runs")

    def why_and_cancel(self):
        why = self.dag("why", "errands", "one", "wait")
        need("/nowhere/at/all" in why or "pokes" in why, why)
        self.dag("cancel", "errands", "one")
        shown = self.dag("run", "errands", "last")
        need("failed" in shown and "break" in shown, shown)

    def a_failed_run_is_exit_code_1(self):
        self.write(MANIFEST.replace("  wait:", "  never: {after: [break], command: 'true'}\n  wait:")
                   .split("  wait:")[0])
        self.dag("apply", self.folder)
        told = self.dag("trigger", "errands", "--wait", code=1)
        need("exit" in told or "code 3" in told, told)
        need("too bad" in self.dag("logs", "errands", "last", "break"), "log")
        need("task instances are cleared" in self.dag("clear", "errands", "last"), "clear")

    def pause_delete_and_unknown_names(self):
        need("paused" in self.dag("pause", "errands"), "pause")
        need("paused" in self.dag("list"), "list")
        need("active" in self.dag("unpause", "errands"), "unpause")
        self.dag("runs", "nobody", code=4)
        self.dag("run", "errands", "nobody", code=4)
        self.dag("nonsense", code=2)
        need("deleted" in self.dag("delete", "errands"), "delete")


def main():
    checks = Checks()
    with Box() as box:
        errands = Errands(box)
        try:
            for check in (errands.apply_tells_where_the_slips_are, errands.list_and_show,
                          errands.a_run_is_followed, errands.why_and_cancel,
                          errands.a_failed_run_is_exit_code_1,
                          errands.pause_delete_and_unknown_names):
                checks.run(check.__name__, check)
        finally:
            shutil.rmtree(errands.folder)
    return checks.end()


if __name__ == "__main__":
    raise SystemExit(main())
