#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Hold our schema tables against those inside Apache Kafka 4.3.1's jars, field by field.

    check_schema.py ROOT [LIBS]     LIBS: folder with the jars; default Maven's local repository

Exits 77 (skipped) where the jars are not there."""
import glob
import json
import os
import re
import sys
import zipfile

KAFKA = '4.3.1'
JARS = ('kafka-clients', 'kafka-metadata', 'kafka-group-coordinator')
TYPES = {'int8': 'i8', 'int16': 'i16', 'uint16': 'u16', 'int32': 'i32', 'uint32': 'u32',
         'int64': 'i64', 'float64': 'f64', 'records': 'bytes', 'bool': 'bool', 'string': 'string',
         'bytes': 'bytes', 'uuid': 'uuid'}
# We name the int16 in front of a key its version; Kafka's own class for each key has version 0.
KEYS = ('OffsetCommitKey', 'GroupMetadataKey')


def find_jars(libs):
    for name in JARS:
        if libs:
            path = os.path.join(libs, f'{name}-{KAFKA}.jar')
        else:
            path = os.path.expanduser(
                f'~/.m2/repository/org/apache/kafka/{name}/{KAFKA}/{name}-{KAFKA}.jar')
        if not os.path.exists(path):
            print(f'skipped: no {path}')
            sys.exit(77)
        yield path


def load(libs):
    theirs = {}
    for path in find_jars(libs):
        with zipfile.ZipFile(path) as jar:
            for name in jar.namelist():
                if re.fullmatch(r'common/(message|metadata)/\w+\.json', name):
                    text = re.sub(r'(^|\s)//[^\n]*', '', jar.read(name).decode())
                    schema = json.loads(text)
                    theirs[schema['name']] = schema
    return theirs


def clip(text, gen_wire, message):
    """The versions of ours in which `text` holds, as a set."""
    if text is None:
        return set()
    low, high = gen_wire.parse_range(text, 'Kafka') if isinstance(text, str) else text
    return {v for v in range(message.min, message.max + 1) if low <= v <= high}


def default_of(kind, text):
    """Kafka's default and ours in one form: null, a number, a flag or a text."""
    if text in (None, '', '""'):
        return {'bool': False, 'string': '', 'bytes': '', 'uuid': '', 'struct': ''}.get(kind, 0)
    text = str(text)
    if text.lower() in ('null', 'true', 'false'):
        return {'null': None, 'true': True, 'false': False}[text.lower()]
    return text if kind in ('string', 'uuid') else int(text, 0)


def compare(ours, theirs, common, gen_wire, message, path, errors):
    def say(what, mine, kafkas):
        if mine != kafkas:
            errors.append(f'{path}: {what} is {mine}, in Kafka {kafkas}')

    key = message.name in KEYS
    theirs = [field for field in theirs if key or clip(field['versions'], gen_wire, message)]
    say('the order of fields', [f.name for f in ours.fields],
        [gen_wire.snake(f['name']) for f in theirs])
    for field, other in zip(ours.fields, theirs):
        at = f'{path}.{field.name}'
        kind = other['type'].removeprefix('[]')
        say(f'{field.name}: type', ('[]' if field.array else '') + field.type,
            ('[]' if other['type'].startswith('[]') else '') + TYPES.get(kind, 'struct'))
        if not key:
            say(f'{field.name}: versions', clip(field.versions, gen_wire, message),
                clip(other['versions'], gen_wire, message))
        say(f'{field.name}: null in', clip(field.null, gen_wire, message),
            clip(other.get('nullableVersions'), gen_wire, message))
        say(f'{field.name}: tag', field.tag, other.get('tag'))
        say(f'{field.name}: default', default_of(field.type, field.default),
            default_of(field.type, other.get('default')))
        if other.get('flexibleVersions'):
            errors.append(f'{at}: flexible in versions of its own')
        if field.struct:
            compare(field.struct, other.get('fields') or common[kind], common, gen_wire, message,
                    at, errors)


def main(root, libs=None):
    sys.path.insert(0, os.path.join(root, 'dataplane', 'wire'))
    sys.dont_write_bytecode = True
    import gen_wire
    theirs, errors, fields = load(libs), [], 0
    _, messages = gen_wire.parse(sorted(glob.glob(f'{root}/dataplane/wire/schema/*.txt')))
    for message in messages:
        other = theirs[message.name]
        valid = gen_wire.parse_range(other['validVersions'], message.name)
        if message.name not in KEYS and not valid[0] <= message.min <= message.max <= valid[1]:
            errors.append(f'{message.name}: versions outside of Kafka\'s {other["validVersions"]}')
        flexible = clip(other['flexibleVersions'], gen_wire, message)
        if clip((message.flexible, gen_wire.LATEST), gen_wire, message) != flexible:
            errors.append(f'{message.name}: flexible in other versions than Kafka\'s')
        if message.key >= 0 and message.key != other['apiKey']:
            errors.append(f'{message.name}: key {message.key}, in Kafka {other["apiKey"]}')
        common = {struct['name']: struct['fields'] for struct in other.get('commonStructs', [])}
        compare(message, other['fields'], common, gen_wire, message, message.name, errors)
        fields += sum(len(struct.fields) for struct in gen_wire.structs_of(message))
    print('\n'.join(errors) or f'{len(messages)} messages, {fields} fields agree with Kafka {KAFKA}')
    sys.exit(1 if errors else 0)


if __name__ == '__main__':
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(*sys.argv[1:])
