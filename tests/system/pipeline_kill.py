# SPDX-License-Identifier: Apache-2.0
"""kill -9 of worker, control and dataplane at random moments of pipeline runs.

The orders pipeline runs again and again with new records in between. At the end every run has ended well,
every table equals the oracle, no two attempts of a task overlapped, every commit of a table came from an
attempt that the pipeline knows, and the topics hold what was sent to them."""

import argparse
import collections
import contextlib
import glob
import json
import os
import random
import sys
import threading
import time

from confluent_kafka import Consumer, TopicPartition

from box import Box, Checks, need, wait_until
from orders import TOPICS, Shop, generate

VICTIMS = ("millrace-worker", "millrace-control", "millrace-dataplane")
PARTITIONS = 4


def kill(box, victim, delay):
    time.sleep(delay)
    pid = box.child(victim)
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 9)


def rounds(shop, count, chance):
    """@return  id of each run, kills"""
    seen, kills = [], collections.Counter()
    for number in range(count):
        shop.box.wait_ready(60)
        shop.send(chance.randrange(200, 1500))
        victims = [VICTIMS[number % len(VICTIMS)]]
        if chance.random() < 0.3:
            victims.append(chance.choice(VICTIMS))
        kills.update(victims)
        run = f"kill-{number}"
        killers = [threading.Thread(target=kill, args=(shop.box, victim, chance.uniform(0, 0.35)))
                   for victim in victims]
        for killer in killers:
            killer.start()
        trigger(shop.api, run)
        for killer in killers:
            killer.join()
        seen.append(run)
        shop.end(run)
    print(f"        {dict(kills)}")
    return seen


def trigger(api, run):
    """The answer may be lost with control: then the run is there already."""
    status, reply = api.patient("POST", "/dags/orders/runs", {"dag_run_id": run})
    need(status in (200, 409), f"{status}: {reply}")


def all_ended(shop, wanted):
    """One run each, none left in the middle, and no instance has an attempt too many."""
    runs = {run["dag_run_id"]: run for run in shop.api.runs("orders")}
    need(set(wanted) <= set(runs), f"runs are missing: {set(wanted) - set(runs)}")
    tries = 0
    for name, run in runs.items():
        need(run["state"] == "success" and run["end_date"], f"{name}: {run['state']}")
        for task in run["tasks"]:
            need(task["state"] == "success", f"{name}: {task}")
            tries = max(tries, task["try_number"])
    need(tries > 1, "no kill cost an attempt: they came at moments that show nothing")


def no_overlap(shop):
    """The log of a try ends before that of the next one begins."""
    folder = os.path.join(shop.box.data, "orchestrate", "logs", "orders")
    repeated = 0
    for task in glob.glob(f"{folder}/*/*"):
        numbers = sorted(int(os.path.basename(path)[:-4]) for path in glob.glob(f"{task}/*.log"))
        spans = []
        for number in numbers:
            with open(f"{task}/{number}.log", encoding="utf-8") as file:
                times = [json.loads(line)["timestamp"] for line in file if line.endswith("\n")]
            if times:
                spans.append((min(times), max(times)))
        for one, other in zip(spans, spans[1:]):
            need(one[1] <= other[0], f"{task}: {one} and {other} overlap")
            repeated += 1
    print(f"        {repeated} tries came after another, none before its end")
    need(repeated > 0, "nothing was repeated")


def commits(folder):
    for path in sorted(glob.glob(f"{folder}/_delta_log/*.json")):
        with open(path, encoding="utf-8") as file:
            yield [json.loads(line) for line in file]


def one_commit_each(shop, runs):
    """Of the attempts of a task instance at most one committed, and offsets only grew."""
    for table in ("bronze/orders", "bronze/events", "silver/orders", "silver/events", "gold/revenue"):
        seen, next_offset = {}, collections.defaultdict(int)
        for actions in commits(os.path.join(shop.box.data, "tables", table)):
            info = next(action["commitInfo"] for action in actions if "commitInfo" in action)
            need(info["run"] not in seen, f"{table}: {info['run']} committed twice: {seen.get(info['run'])}, {info}")
            seen[info["run"]] = info
            for name, part in info["read"].items():
                for partition, begin, end in part.get("ranges", ()):
                    need(begin == next_offset[name, partition], f"{table}: {info} begins not where it ended")
                    next_offset[name, partition] = end
        need(len(seen) > runs // 2, f"{table}: {len(seen)} commits of {runs} runs")


def topics_untouched(shop):
    """Consumers find each record that was sent, once, at offsets without a gap."""
    wanted = collections.Counter((topic, key, value) for batch in shop.batches
                                 for topic, key, value, _ in generate.records(*batch))
    got = collections.Counter()
    consumer = Consumer({"bootstrap.servers": shop.box.servers(), "group.id": "g.kill", "log_level": 0,
                         "enable.auto.commit": False})
    for topic in TOPICS:
        for partition in range(PARTITIONS):
            where = TopicPartition(topic, partition)
            low, high = consumer.get_watermark_offsets(where, timeout=30)
            need(low == 0, f"{topic}/{partition} starts at {low}")
            where.offset = at = 0
            consumer.assign([where])
            end = time.monotonic() + 30
            while at < high:
                need(time.monotonic() < end, f"{topic}/{partition} ends at {at} of {high}")
                for message in consumer.consume(500, 0.2):
                    need(message.error() is None and message.offset() == at, f"{message.offset()} for {at}")
                    got[topic, message.key(), message.value()] += 1
                    at += 1
    consumer.close()
    need(got == wanted, f"{sum(got.values())} records, {sum(wanted.values())} were sent; "
                        f"{list((got - wanted) + (wanted - got))[:3]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    args = parser.parse_args()
    print(f"seed {args.seed}")
    chance = random.Random(args.seed)
    checks, seen, begin = Checks(), [], time.monotonic()
    with Box() as box:
        shop = Shop(box)
        shop.send(2000)
        checks.run("apply", shop.apply)
        checks.run(f"{args.runs} runs with kill -9", lambda: seen.extend(rounds(shop, args.runs, chance)))
        wait_until(lambda: all(box.child(victim) for victim in VICTIMS), 30, "all processes are back")
        box.wait_ready(60)
        checks.run("every run ended well", all_ended, shop, seen)
        checks.run("tables equal the oracle", shop.verify)
        checks.run("no two attempts overlapped", no_overlap, shop)
        checks.run("one commit each", one_commit_each, shop, args.runs)
        checks.run("topics untouched", topics_untouched, shop)
        checks.run("clean restart", lambda: (need(box.stop() == 0, "exit code"), box.start(), shop.stable()))
        checks.run("tables equal the oracle still", shop.verify)
    print(f"  {time.monotonic() - begin:.0f} s")
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
