# SPDX-License-Identifier: Apache-2.0
"""A shop's orders and clicks, the same for the same seed: 5 % are sent twice, some are refunds, a few
are damaged. As a program it sends them with a stock producer; as a module it also knows the truth."""

import argparse
import collections
import datetime
import decimal
import json
import random
import sys

REGIONS = ("north", "south", "east", "west", None)
KINDS = ("view", "view", "view", "cart", "buy", "ping")
BEGIN = datetime.datetime(2026, 3, 28, tzinfo=datetime.timezone.utc)
DAYS = 3


def records(count, seed, first=0):
    """Yield (topic, key, value, order or event or None when damaged), duplicates included."""
    chance = random.Random(f"{seed}-{first}")
    for number in range(first, first + count):
        at = BEGIN + datetime.timedelta(milliseconds=chance.randrange(DAYS * 86400000))
        if number % 3 == 0:
            topic, row = "raw.orders", {
                "order_id": f"o-{number}", "customer_id": chance.randrange(count // 10 + 1),
                "region": chance.choices(REGIONS, (30, 30, 20, 18, 2))[0],
                "amount": (chance.randrange(1, 50000) if chance.random() > 0.02 else -500) / 100,
                "created_at": at.isoformat()}
        else:
            topic, row = "raw.events", {
                "event_id": f"e-{number}", "customer_id": chance.randrange(count // 10 + 1),
                "kind": chance.choice(KINDS), "at": at.isoformat()}
        value = json.dumps(row).encode()
        if chance.random() < 0.001:
            yield topic, str(number).encode(), value[:-9], None
            continue
        for _ in range(2 if chance.random() < 0.05 else 1):
            yield topic, str(number).encode(), value, row


def truth(batches):
    """The gold tables by plain Python. @param batches  [(count, seed, first), ...]"""
    orders, events = {}, {}
    for batch in batches:
        for _, _, _, row in records(*batch):
            if row and "order_id" in row and row["amount"] > 0:
                orders[row["order_id"]] = row
            elif row and row.get("kind") in ("view", "cart", "buy"):
                events[row["event_id"]] = row
    hours = collections.defaultdict(list)
    days = collections.defaultdict(lambda: [0, 0, 0, decimal.Decimal(0)])
    for row in orders.values():
        at = datetime.datetime.fromisoformat(row["created_at"])
        amount = decimal.Decimal(str(row["amount"]))
        hours[at.strftime("%Y-%m-%d %H:00:00+00"), row["region"]].append((amount, row["customer_id"]))
        days[str(at.date())][2] += 1
        days[str(at.date())][3] += amount
    for row in events.values():
        if row["kind"] != "buy":
            days[row["at"][:10]][0 if row["kind"] == "view" else 1] += 1
    revenue = [(*key, len(sales), sum(amount for amount, _ in sales), len({who for _, who in sales}))
               for key, sales in hours.items()]
    return {"gold.revenue": revenue, "gold.funnel": [(day, *sums) for day, sums in days.items()]}


def send(bootstrap, count, seed, first):
    from confluent_kafka import Producer  # only the program needs it  pylint: disable=C0415

    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "acks": "all",
                         "compression.type": "zstd", "linger.ms": 5,
                         "queue.buffering.max.messages": 1000000})
    failed = sent = 0

    def on_delivery(error, _):
        nonlocal failed
        failed += error is not None

    for topic, key, value, _ in records(count, seed, first):
        while True:
            try:
                producer.produce(topic, value, key, on_delivery=on_delivery)
                break
            except BufferError:
                producer.poll(0.05)
        sent += 1
        producer.poll(0)
    failed += producer.flush(120)
    return sent, failed


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bootstrap", default="127.0.0.1:9092")
    parser.add_argument("--count", type=int, default=200000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first one")
    args = parser.parse_args()
    sent, failed = send(args.bootstrap, args.count, args.seed, args.first)
    print(f"{sent} records sent, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
