# SPDX-License-Identifier: Apache-2.0
"""Compare what was acknowledged with what was read back.

usage: compare.py MANIFEST READ...    (kcat's output is given as kcat:FILE, see kcat_records)
Checks, per partition: every acknowledged record is there once, with its offset, size and checksum;
each reader saw offsets rise; offsets have no holes. Prints a table; exit code 0 when all holds."""

import collections
import sys
import zlib


def records(path):
    with open(path, encoding="ascii") as file:
        for line in file:
            topic, partition, offset, size, crc = line.split()
            yield (topic, int(partition)), int(offset), (int(size), int(crc))


def kcat_records(path):
    """kcat -f '%t %p %o %S\\n%s\\n' keeps binary values apart by their size."""
    with open(path, "rb") as file:
        data = file.read()
    at = 0
    while at < len(data):
        end = data.index(b"\n", at)
        head = data[at:end].split()
        size = int(head[3])
        value = data[end + 1:end + 1 + size]
        at = end + 1 + size + 1
        yield (head[0].decode(), int(head[1])), int(head[2]), (size, zlib.crc32(value))


def main():
    faults = []
    acknowledged = collections.defaultdict(dict)
    for partition, offset, what in records(sys.argv[1]):
        if offset in acknowledged[partition]:
            faults.append(f"{partition}: offset {offset} acknowledged twice")
        acknowledged[partition][offset] = what
    read = collections.defaultdict(dict)
    for name in sys.argv[2:]:
        last = {}
        source = kcat_records(name[5:]) if name.startswith("kcat:") else records(name)
        for partition, offset, what in source:
            if offset <= last.get(partition, -1):
                faults.append(f"{name} {partition}: {offset} read after {last[partition]}")
            last[partition] = offset
            if offset in read[partition] and read[partition][offset] != what:
                faults.append(f"{partition}: offset {offset} read with two contents")
            read[partition][offset] = what
    for partition in sorted(acknowledged):
        want, got = acknowledged[partition], read.get(partition, {})
        missing = [o for o in want if o not in got]
        differ = [o for o in want if o in got and got[o] != want[o]]
        extra = [o for o in got if o not in want]
        dense = not got or (min(got) == 0 and max(got) == len(got) - 1)
        print(f"    {partition[0]}-{partition[1]}: {len(want)} acknowledged, {len(got)} read, "
              f"{sum(s for s, _ in got.values())} bytes, {len(missing)} missing, "
              f"{len(differ)} differ, {len(extra)} never acknowledged, "
              f"{'dense' if dense else 'HOLES'}")
        if missing or differ or not dense:
            faults.append(f"{partition}: missing {missing[:3]} differ {differ[:3]} dense {dense}")
        # Records past the acknowledged ones may exist after a crash, but never the same one twice.
        contents = collections.Counter(got.values())
        wanted = collections.Counter(want.values())
        if extra and any(contents[w] > wanted[w] and w in wanted for w in (got[o] for o in extra)):
            faults.append(f"{partition}: a record stands there twice")
    for fault in faults[:20]:
        print(f"    FAULT {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
