# SPDX-License-Identifier: Apache-2.0
"""An ordinary user, without huge pages, capabilities or locked memory: the box says what is missing
and how to get it, and serves on kernel sockets with its rings under /dev/shm."""

import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

from box import BUILD, Box, Checks, Lab, can_lab, need, wait_until
from recovery import produce, read

USER = 65534
MEMLOCK = 8 << 20  # what Linux gives everybody
BECOME = ["setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups", "--inh-caps=-all"]


def as_user(*command, limit=None):
    """A command line of that user; limit: bytes of memory that it may lock."""
    limits = ["prlimit", f"--memlock={limit}:{limit}"] if limit is not None else []
    return [*limits, *BECOME, *command]


def give(folder):
    for path, _, files in os.walk(folder):
        for name in (path, *(os.path.join(path, file) for file in files)):
            os.chown(name, USER, USER)


class PlainUser:
    def __init__(self, folder, lab):
        self.lab = lab
        self.data = os.path.join(folder, "data")
        os.mkdir(self.data)
        give(self.data)
        # The tree may lie where that user cannot look.
        for program in ("control/cli/millrace", "millrace-control",
                        "dataplane/millrace-dataplane"):
            shutil.copy(os.path.join(BUILD, program), folder)
        self.millrace = os.path.join(folder, "millrace")
        self.sent = {}

    def box(self, **settings):
        return Box(lab=self.lab, data=self.data, settings={"ring.size": 32 << 20, **settings},
                   command=as_user(self.millrace, limit=MEMLOCK))

    def serves_and_says_what_is_missing(self):
        with self.box() as box:
            log = box.logs()
            for words in ("no huge pages", "vm.nr_hugepages=", "mount -t hugetlbfs", "memlock limit",
                          "CAP_NET_ADMIN", "run as root or grant", "socket (io_uring)",
                          "the box serves without it"):
                need(words in log, f"the log does not say {words!r}:\n{log}")
            rings = glob.glob(os.path.join(box.run_dir(), "*.ring"))
            need(box.run_dir().startswith("/dev/shm/") and len(rings) == 1, f"{rings}")
            for name in os.listdir(box.run_dir()):
                info = os.stat(os.path.join(box.run_dir(), name))
                need(info.st_uid == USER, f"{name} belongs to {info.st_uid}")
                # Records and what stands for them are nobody else's to read.
                need(not name.endswith((".ring", ".sock")) or not info.st_mode & 0o007, f"{name} is open")
            self.sent = produce(box.servers(), "t.user", 5000)
            need(len(self.sent) == 5000 and read(box.servers(), "t.user") == self.sent, "records")
            said = box.get("/api/v1/status")["transports"]
            need(any("CAP_NET_ADMIN" in line for line in said), said)

    def survives_kill_and_restart(self):
        with self.box() as box:
            need(read(box.servers(), "t.user") == self.sent, "differs after a clean restart")
            more = produce(box.servers(), "t.rings", 2000, acks="1", **{"enable.idempotence": False})
            box.kill("millrace-dataplane")
            wait_until(lambda: box.child("millrace-dataplane"), 20, "the dataplane is back")
            box.wait_ready()
            need(read(box.servers(), "t.rings") == more, "acks=1 records differ after kill -9")
            need(read(box.servers(), "t.user") == self.sent, "differs after kill -9")
            need(box.stop() == 0, "clean stop")
            self.remains = box.run_dir()

    def required_bypass_ends_it(self):
        box = self.box(**{"dpdk.required": "true"})
        result = subprocess.run([os.path.join(os.path.dirname(self.millrace), "millrace-dataplane"),
                                 *box.arguments()], capture_output=True, text=True, timeout=20,
                                check=False, preexec_fn=lambda: (os.setgid(USER), os.setuid(USER)))
        need(result.returncode == 1 and "CAP_NET_ADMIN" in result.stderr, result)

    def a_run_directory_of_another_user(self):
        """Root ran it before: a sentence and an end, not one restart after the other."""
        os.chown(self.remains, 0, 0)
        result = subprocess.run([*as_user(self.millrace), "up", *self.box().arguments()],
                                capture_output=True, text=True, timeout=20, check=False)
        os.chown(self.remains, USER, USER)
        need(result.returncode == 2 and "another user" in result.stderr, result)
        need("run.dir" in result.stderr and "starting it again" not in result.stderr, result)

    def a_data_directory_of_another_user(self):
        with tempfile.TemporaryDirectory(prefix="millrace-root-", dir="/var/tmp") as other:
            box = self.box(**{"data.dir": os.path.join(other, "data")})
            result = subprocess.run([*as_user(self.millrace), "up", *box.arguments()],
                                    capture_output=True, text=True, timeout=20, check=False)
            need(result.returncode == 1 and "Permission denied" in result.stderr, result)
            need("set data.dir" in result.stderr, result.stderr)
            shutil.rmtree(box.run_dir(), ignore_errors=True)

    def doctor(self):
        result = subprocess.run([*as_user(self.millrace, limit=MEMLOCK), "doctor", "--json", "--set",
                                 f"data.dir={self.data}"], capture_output=True, text=True,
                                timeout=20, check=False)
        need(result.returncode == 0, result)
        found = {check["check"]: check for check in json.loads(result.stdout)}
        need(found["io_uring"]["verdict"] == "ok" and found["O_DIRECT"]["verdict"] == "ok", found)
        for name, words in (("hugepages", "vm.nr_hugepages="), ("AF_XDP", "CAP_NET_ADMIN"),
                            ("memlock", "CAP_IPC_LOCK")):
            need(found[name]["verdict"] == "warn" and words in found[name]["remedy"], found[name])
        need(re.search(r"vm\.nr_hugepages=\d+", found["hugepages"]["remedy"]), found["hugepages"])


def main():
    if not can_lab():
        print("the test itself takes root, to become somebody else")
        return 1
    checks = Checks()
    folder = tempfile.mkdtemp(prefix="millrace-user-", dir="/var/tmp")
    os.chmod(folder, 0o755)
    try:
        with Lab() as lab:
            test = PlainUser(folder, lab)
            for name in ("serves_and_says_what_is_missing", "survives_kill_and_restart",
                         "required_bypass_ends_it", "a_run_directory_of_another_user",
                         "a_data_directory_of_another_user", "doctor"):
                checks.run(name, getattr(test, name))
            shutil.rmtree(getattr(test, "remains", ""), ignore_errors=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
