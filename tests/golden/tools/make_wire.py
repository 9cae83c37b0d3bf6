#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write tests/golden/wire/*.hex: every message and version of our schema tables, with fixed sample
values, encoded by Apache Kafka's own classes. Run by hand through make_wire.sh.

    make_wire.py ROOT LIBS      LIBS: folder with kafka-clients and its companions

A line of a .hex file: MESSAGE VERSION SAMPLE HEX. Samples: `full` sets every field of the version
to another value than its default, with two elements in outer arrays and one in inner ones; `bare`
sends null wherever that is allowed, else nothing, and no tagged field.
"""
import base64
import hashlib
import json
import os
import subprocess
import sys


def digest(path):
    return hashlib.sha256(path.encode()).digest()


def camel(words):
    head, *tail = words.split('_')
    return head + ''.join(word.capitalize() for word in tail)


def holds(versions, version):
    return versions[0] <= version <= versions[1]


def scalar(field, path):
    """A value that follows from the path alone; never the default."""
    seed = digest(path)
    number = int.from_bytes(seed[:8], 'big')
    if field.type == 'bool':
        return field.default != 'true'
    if field.type == 'string':
        return f'{field.name[0]}{seed[:2].hex()}'
    if field.type == 'bytes':
        return base64.b64encode(seed[:5]).decode()
    if field.type == 'uuid':
        return base64.urlsafe_b64encode(seed[:16]).decode().rstrip('=')
    bits = {'i8': 7, 'i16': 15, 'u16': 16, 'i32': 31, 'i64': 63}[field.type]
    return number % (1 << bits) | 1


def sample(struct, version, full, path, outer):
    value = {}
    for field in struct.fields:
        if not holds(field.versions, version) or (field.tag is not None and not full):
            continue
        name, at = camel(field.name), f'{path}.{field.name}'
        if not full:
            null = holds(field.null, version)
            value[name] = None if null else [] if field.array else \
                sample(field.struct, version, full, at, False) if field.struct else \
                {'bool': False, 'string': '', 'bytes': '',
                 'uuid': 'A' * 22}.get(field.type, 0)
        elif field.array:
            value[name] = [element(field, version, f'{at}.{i}') for i in range(2 if outer else 1)]
        else:
            value[name] = element(field, version, at)
    return value


def element(field, version, path):
    return sample(field.struct, version, True, path, False) if field.struct \
        else scalar(field, path)


def java_class(message):
    if message.kind in ('request', 'response'):
        return f'org.apache.kafka.common.message.{message.name}Data'
    if message.kind == 'record':
        return f'org.apache.kafka.common.metadata.{message.name}'
    if message.name.startswith('ConsumerProtocol'):
        return f'org.apache.kafka.common.message.{message.name}'
    return f'org.apache.kafka.coordinator.group.generated.{message.name}'


def java_version(message, version):
    # Kafka gives each key type a class of version 0 and keeps the type, our version, beside it.
    return 0 if message.name in ('OffsetCommitKey', 'GroupMetadataKey') else version


def main(root, libs):
    sys.path.insert(0, os.path.join(root, 'dataplane', 'wire'))
    import gen_wire
    schema = os.path.join(root, 'dataplane', 'wire', 'schema')
    cases = []
    for file in sorted(os.listdir(schema)):
        stem = file.removesuffix('.txt')
        for message in gen_wire.parse([os.path.join(schema, file)])[1]:
            for version in range(message.min, message.max + 1):
                for full in (True, False):
                    cases.append((stem, message, version, full))
    lines = '\n'.join(f'{java_class(m)} {java_version(m, v)} '
                      + json.dumps(sample(m, v, full, m.path, True)) for _, m, v, full in cases)
    java = subprocess.run(['java', '-cp', os.path.join(libs, '*'),
                           os.path.join(root, 'tests', 'golden', 'tools', 'Golden.java')],
                          input=lines + '\n', stdout=subprocess.PIPE, text=True, check=True)
    hexes = java.stdout.split('\n')[:len(cases)]
    out = {}
    for (stem, message, version, full), text in zip(cases, hexes, strict=True):
        out.setdefault(stem, []).append(
            f'{message.name} {version} {"full" if full else "bare"} {text or "-"}\n')
    for stem, rows in out.items():
        path = os.path.join(root, 'tests', 'golden', 'wire', f'{stem}.hex')
        with open(path, 'w', encoding='utf-8') as file:
            file.writelines(rows)


if __name__ == '__main__':
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
