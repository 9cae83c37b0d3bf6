# SPDX-License-Identifier: Apache-2.0
"""Claim: the slots of our timetables are those of Apache Airflow's own: logical date, data interval and
earliest start, with and without catchup, in zones whose clocks change.

Shown: random cases (seeded), half of them around a change of the clocks, are given to Airflow's
classes from PyPI and to timetable_tool; every sequence of slots is compared. Run by test_timetable,
with the Python that has Airflow. Where Airflow fails, or gives the same date again and again (every hour of some days
only, and the clocks change in between), there is nothing to compare: we go on."""

import argparse
import datetime
import multiprocessing
import os
import random
import subprocess
import sys
import zoneinfo

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("MILLRACE_BUILD", os.path.join(ROOT, "build"))
TOOL = os.path.join(BUILD, "tests", "system", "timetable_tool")
SLOTS = 6
ZONES = ["UTC", "Europe/Amsterdam", "Europe/Dublin", "Europe/London", "America/New_York",
         "America/Los_Angeles", "America/Santiago", "America/Havana", "America/Sao_Paulo",
         "America/St_Johns", "Australia/Lord_Howe", "Australia/Sydney", "Pacific/Apia",
         "Pacific/Chatham", "Africa/Casablanca", "Africa/Cairo", "Asia/Kolkata", "Asia/Tehran",
         "Asia/Beirut", "Antarctica/Troll"]
PRESETS = ["@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly"]
DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
FIRST, LAST = 1136073600, 2082758400  # 2006 to 2036


def field(rng, low, high, star):
    """One cron field: mostly *, else a value, a list, a range or a step."""
    if rng.random() < star:
        return "*"
    kind = rng.randrange(5)
    values = sorted(rng.sample(range(low, high + 1), 3))
    if kind == 0:
        return ",".join(map(str, values))
    if kind == 1:
        return f"{values[0]}-{values[2]}"
    if kind == 2:
        return f"*/{rng.randint(1, max(1, (high - low) // 2))}"
    if kind == 3:
        return f"{values[0]}-{values[2]}/2"
    return str(values[0])


def cron(rng):
    if rng.random() < 0.1:
        return rng.choice(PRESETS)
    hour = rng.choice(["*", "*", str(rng.randrange(4)), str(rng.randrange(24)), "1-4", "*/2", "0,2,3",
                       "0-23", "22-3", field(rng, 0, 23, 0.2)])
    minute = rng.choice(["0", "30", str(rng.randrange(60)), field(rng, 0, 59, 0.1)])
    day = rng.choice(["*"] * 6 + ["L", "1,L", "29-31", "1-31", field(rng, 1, 31, 0.2)])
    month = rng.choice(["*"] * 6 + [rng.choice(MONTHS), "mar,oct", "nov-feb", field(rng, 1, 12, 0.2)])
    weekday = rng.choice(["*"] * 6 + [rng.choice(DAYS), "mon-fri", "fri-mon", "0,7", "5-7", "0-7",
                                      field(rng, 0, 6, 0.2)])
    if day == "*" and rng.random() < 0.05:
        weekday = rng.choice(["sun#1", "1#5", "L5", "mon#2,wed#2", "L0"])
    text = f"{minute} {hour} {day} {month} {weekday}"
    return text + f" {field(rng, 0, 59, 0.05)}" if rng.random() < 0.05 else text


def changes(name):
    """Instants at which the offset of a zone changes, to a second."""
    zone = zoneinfo.ZoneInfo(name)

    def offset(at):
        return datetime.datetime.fromtimestamp(at, zone).utcoffset()
    found = []
    for at in range(FIRST, LAST, 86400):
        low, high = at, at + 86400
        if offset(low) == offset(high):
            continue
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if offset(middle) == offset(low) else (low, middle)
        found.append(high)
    return found


def make(seed, count):
    rng = random.Random(seed)
    known = {name: changes(name) for name in ZONES}
    for _ in range(count):
        zone = rng.choice(ZONES)
        now = rng.randrange(FIRST, LAST)
        if known[zone] and rng.random() < 0.7:
            now = rng.choice(known[zone]) + rng.randrange(-3 * 86400, 2 * 86400)
        now -= rng.choice([0, now % 60, now % 3600, now % 1800])
        if rng.random() < 0.1:
            every = rng.choice([1, 45, 90, 300, 3600, 5400, 86400, 604800])
            schedule = f"every {every}s"
        else:
            schedule = cron(rng)
        start = now + rng.randrange(-5 * 86400, 86400) if rng.random() < 0.7 else "-"
        if start != "-":
            start -= rng.choice([0, start % 60, start % 3600, start % 86400])
        end = "-"
        if rng.random() < 0.1:
            end = max(now, now if start == "-" else start) + rng.randrange(10 * 86400)
        spans = [rng.choice([0, 0, 1, 600, 3600, 7200, 86400, 200000]) for _ in range(SLOTS)]
        yield [schedule, zone, rng.choice(["previous", "none"]), start, end, rng.choice([0, 1]), now] + spans


def expect(case):
    """Airflow's answer in the form of timetable_tool, up to where it stands still; None: it fails."""
    import pendulum
    from airflow.timetables import interval, trigger
    from airflow.timetables.base import DataInterval, TimeRestriction

    schedule, zone, window, start, end, catchup, now = case[:7]

    def instant(at):
        return None if at == "-" else pendulum.from_timestamp(at)
    if schedule.startswith("every "):
        delta = datetime.timedelta(seconds=int(schedule[6:-1]))
        timetable = interval.DeltaDataIntervalTimetable(delta) if window == "previous" else \
            trigger.DeltaTriggerTimetable(delta)
    elif window == "previous":
        timetable = interval.CronDataIntervalTimetable(schedule, zone)
    else:
        timetable = trigger.CronTriggerTimetable(schedule, timezone=zone)
    restriction = TimeRestriction(instant(start), instant(end), bool(catchup))
    manual = timetable.infer_manual_data_interval(run_after=instant(now))
    answer = [f"{int(manual.start.timestamp())} {int(manual.end.timestamp())}"]
    last = None
    for span in case[7:]:
        interval.utcnow = trigger.utcnow = lambda: instant(now)
        try:
            info = timetable.next_dagrun_info(last_automated_data_interval=last, restriction=restriction)
        except AssertionError:
            return None
        if info is None:
            answer.append("none")
            break
        if last is not None and info.logical_date <= last.start:
            break
        last = DataInterval(info.data_interval.start, info.data_interval.end)
        answer.append(" ".join(str(int(at.timestamp())) for at in
                               (info.logical_date, last.start, last.end, info.run_after)))
        now = max(now, int(info.run_after.timestamp())) + span
    return "\t".join(answer)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    cases = list(make(options.seed, options.cases))
    lines = "".join("\t".join(map(str, case)) + "\n" for case in cases)
    ours = subprocess.run([TOOL], input=lines, stdout=subprocess.PIPE, text=True,
                          check=True).stdout.splitlines()
    with multiprocessing.Pool(2) as pool:
        theirs = pool.map(expect, cases, chunksize=50)
    differ = failed = still = 0
    for case, our, their in zip(cases, ours, theirs):
        if their is None:
            failed += 1
            continue
        slots = len(their.split("\t"))
        if slots <= SLOTS and not their.endswith("none"):
            still += 1
            our = "\t".join(our.split("\t")[:slots])
        if our != their:
            differ += 1
            if differ <= 5:
                print(f"  {case}\n    Airflow:  {their}\n    Millrace: {our}")
    print(f"seed {options.seed}: {len(cases)} cases, {differ} differ; Airflow fails in {failed}, stands still in {still}")
    good = differ == 0 and len(ours) == len(cases) and failed + still < len(cases) / 50
    print(f"{int(good)} passed, {int(not good)} failed")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
