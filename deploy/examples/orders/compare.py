# SPDX-License-Identifier: Apache-2.0
"""Compare the gold tables with those that plain Python makes of the same orders.

usage: compare.py COUNT:SEED:FIRST... -- MILLRACE sql [OPTION...]"""

import decimal
import json
import subprocess
import sys

import generate


def normal(value):
    try:
        return decimal.Decimal(str(value))
    except decimal.InvalidOperation:
        return value


def differences(batches, command):
    """Yield a sentence for each table that differs."""
    for name, wanted in generate.truth(batches).items():
        out = subprocess.run([*command, "--format", "json", f"SELECT * FROM {name}"],
                             capture_output=True, text=True, check=True).stdout
        got = [tuple(map(normal, row.values())) for row in json.loads(out)]
        wanted = [tuple(map(normal, row)) for row in wanted]
        if sorted(got, key=str) != sorted(wanted, key=str):
            odd = set(got) ^ set(wanted)
            yield f"{name}: {len(got)} rows, {len(wanted)} wanted; differing: {sorted(odd, key=str)[:4]}"


def main():
    split = sys.argv.index("--")
    batches = [tuple(map(int, text.split(":"))) for text in sys.argv[1:split]]
    found = list(differences(batches, sys.argv[split + 1:]))
    for sentence in found:
        print(sentence)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
