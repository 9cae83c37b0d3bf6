# SPDX-License-Identifier: Apache-2.0
"""Compare the gold tables of the flights pipeline with the same numbers made by plain Python.

--sent is the number of flights sent, in the order of flights.flights(), damaged ones among them;
--later the number of those of the next year. Records that were sent again do not count."""

import argparse
import collections
import itertools
import json
import subprocess
import sys

import flights


def source(count, later):
    """Yield the undamaged flights of both kinds."""
    sent = itertools.chain(itertools.islice(flights.flights(), count), flights.later(later))
    for _, value in sent:
        try:
            row = json.loads(value)
        except ValueError:
            continue
        if isinstance(row["dep_delay"], str):
            continue
        yield row


def mean(total, count, digits=3):
    return round(total / count, digits) if count else None


def weather_of(row):
    if row is None:
        return "unknown"
    if (row["precip"] or 0) > 0:
        return "rain"
    if row["visib"] is not None and row["visib"] < 3:
        return "fog"
    return "wind" if row["wind_speed"] is not None and row["wind_speed"] > 20 else "clear"


class Sums:
    """Count, and sum and number of the values that are known."""

    def __init__(self):
        self.flights = self.cancelled = self.late = 0
        self.distance = None
        self.sums = collections.Counter()
        self.known = collections.Counter()

    def add(self, row):
        self.flights += 1
        self.cancelled += row["dep_time"] is None
        self.late += (row["dep_delay"] or 0) > 15
        self.distance = min(row["distance"], self.distance or row["distance"])
        for name in ("dep_delay", "arr_delay", "air_time"):
            if row[name] is not None:
                self.sums[name] += row[name]
                self.known[name] += 1

    def mean(self, name):
        return mean(self.sums[name], self.known[name])


def expected(count, later):
    airlines = {row["carrier"]: row["name"] for row in flights.rows("airlines")}
    airports = {str(row["faa"]): row["name"] for row in flights.rows("airports")}
    weather = {(row["origin"], row["time_hour"]): row for row in flights.rows("weather")}
    carriers, hours, routes = (collections.defaultdict(Sums) for _ in range(3))
    for row in source(count, later):
        carriers[row["carrier"]].add(row)
        hours[row["hour"], weather_of(weather.get((row["origin"], row["time_hour"])))].add(row)
        routes[row["origin"], row["dest"]].add(row)
    return {
        "gold.carriers": [(carrier, airlines.get(carrier), one.flights, one.cancelled,
                           one.mean("dep_delay"), mean(one.late, one.known["dep_delay"], 5))
                          for carrier, one in carriers.items()],
        "gold.weather": [(*key, one.flights, one.mean("dep_delay")) for key, one in hours.items()],
        "gold.routes": [(*key, airports.get(key[1]), one.flights, one.distance,
                         one.mean("air_time"), one.mean("arr_delay"))
                        for key, one in routes.items()],
    }


def is_equal(left, right):
    if isinstance(left, float) or isinstance(right, float):
        # Both sides round the same quotient; its last digit may fall either way.
        return left is not None and right is not None and abs(left - right) < 1.1e-3
    return left == right


def compare(name, wanted, got):
    """Print what differs. @return number of differences"""
    wanted, got = sorted(wanted, key=str), sorted(got, key=str)
    wrong = [(one, other) for one, other in zip(wanted, got)
             if len(one) != len(other) or not all(map(is_equal, one, other))]
    for one, other in wrong[:3]:
        print(f"    {name}: {other} where {one} was computed from the source")
    if len(wanted) != len(got):
        print(f"    {name}: {len(got)} rows instead of {len(wanted)}")
    return len(wrong) + abs(len(wanted) - len(got))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sent", type=int, required=True)
    parser.add_argument("--later", type=int, default=0)
    parser.add_argument("command", nargs="+", help="millrace sql, with its options")
    args = parser.parse_args()
    wrong = 0
    for name, wanted in expected(args.sent, args.later).items():
        out = subprocess.run([*args.command, "--format", "json", f"SELECT * FROM {name}"],
                             capture_output=True, text=True, check=True).stdout
        got = [tuple(row.values()) for row in json.loads(out)]
        wrong += compare(name, wanted, got)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
