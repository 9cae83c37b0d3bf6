#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Generate wire_gen.h and wire_gen.c, the codec of Kafka's protocol, from the tables in schema/.

    gen_wire.py OUT_H OUT_C SCHEMA...

The notation of a schema file (README.md shows how to add one):

    api KEY NAME MIN-MAX flexible FROM+ [advertise MIN] [control]
    request                                 the two messages of that api follow
            FIELD TYPE VERSIONS [null VERSIONS] [tag N] [= DEFAULT]
                    FIELD ...               members of a struct, one tab deeper
    response
            ...
    record KEY NAME VERSIONS flexible FROM+ a metadata log record
    data NAME VERSIONS flexible FROM+|none  any other versioned structure

TYPE: bool i8 i16 u16 i32 u32 i64 f64 string uuid bytes struct, or one of them after [].
VERSIONS: 3  3-5  3+  and a # starts a comment.
"""
import re
import sys

LATEST = 32767
READ = {'i8': 'reader_i8', 'i16': 'reader_i16', 'u16': 'reader_u16', 'i32': 'reader_i32',
        'u32': 'reader_u32', 'i64': 'reader_i64', 'bool': 'wire_read_bool',
        'f64': 'wire_read_f64', 'uuid': 'wire_read_uuid'}
WRITE = {'i8': 'writer_i8', 'i16': 'writer_i16', 'u16': 'writer_u16', 'i32': 'writer_i32',
         'u32': 'writer_u32', 'i64': 'writer_i64', 'bool': 'wire_write_bool',
         'f64': 'wire_write_f64', 'uuid': 'wire_write_uuid'}
C_TYPE = {'bool': 'bool ', 'i8': 'int8_t ', 'i16': 'int16_t ', 'u16': 'uint16_t ',
          'i32': 'int32_t ', 'u32': 'uint32_t ', 'i64': 'int64_t ', 'f64': 'double ',
          'string': 'struct wire_string ', 'bytes': 'struct wire_bytes ', 'uuid': 'struct uuid '}


def fail(where, why):
    sys.exit(f'{where}: {why}')


def snake(name):
    """FetchOffset -> fetch_offset, LastKnownElr -> last_known_elr."""
    return re.sub(r'(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])', '_', name).lower()


def parse_range(text, where):
    if text == 'none':
        return (LATEST, -1)
    match = re.fullmatch(r'(\d+)(\+|-(\d+))?', text)
    if not match:
        fail(where, f'not a version range: {text}')
    low = int(match[1])
    return (low, LATEST if match[2] == '+' else int(match[3] or low))


class Struct:
    """A message or a nested struct: its fields, and the names the C code uses."""

    def __init__(self, path, top):
        self.path = path                # metadata_response_topics
        self.top = top                  # the Message it belongs to
        self.fields = []


class Message(Struct):
    def __init__(self, kind, key, name, versions, flexible):
        super().__init__(snake(name), self)
        self.kind, self.key, self.name = kind, key, name
        self.min, self.max = versions
        self.flexible = flexible[0]     # first flexible version

    def condition(self, versions):
        """C expression that is true in `versions`; 'true' or 'false' where all versions agree."""
        low, high = max(versions[0], self.min), min(versions[1], self.max)
        if low > high:
            return 'false'
        tests = [f'version >= {low}'] if low > self.min else []
        tests += [f'version <= {high}'] if high < self.max else []
        return ' && '.join(tests) or 'true'


class Api:
    def __init__(self, words, where):
        if len(words) < 6 or words[4] != 'flexible':
            fail(where, 'expected: api KEY NAME MIN-MAX flexible FROM+')
        self.key, self.name = int(words[1]), words[2]
        self.versions = parse_range(words[3], where)
        self.flexible = parse_range(words[5], where)
        rest = words[6:]
        self.control = 'control' in rest
        self.advertise = self.versions[0]
        if 'advertise' in rest:
            self.advertise = int(rest[rest.index('advertise') + 1])


class Field:
    def __init__(self, words, parent, where):
        top = parent.top
        if len(words) < 3:
            fail(where, 'expected: FIELD TYPE VERSIONS')
        self.name = snake(words[0])
        self.array = words[1].startswith('[]')
        self.type = words[1][2:] if self.array else words[1]
        if self.type not in C_TYPE and self.type != 'struct':
            fail(where, f'unknown type {self.type}')
        self.versions = parse_range(words[2], where)
        self.null, self.tag, self.default = (LATEST, -1), None, None
        rest = words[3:]
        while rest:
            if len(rest) < 2:
                fail(where, f'{rest[0]} wants a value')
            if rest[0] == 'null':
                self.null = parse_range(rest[1], where)
            elif rest[0] == 'tag':
                self.tag = int(rest[1])
            elif rest[0] == '=':
                self.default = rest[1]
            else:
                fail(where, f'unknown word {rest[0]}')
            rest = rest[2:]
        self.struct = Struct(f'{parent.path}_{self.name}', top) if self.type == 'struct' else None
        if self.struct and not self.array and self.null != (LATEST, -1):
            fail(where, 'a nullable struct is not supported')
        if any(other.name == self.name for other in parent.fields):
            fail(where, f'{self.name} occurs twice')
        self.present = top.condition(self.versions)
        self.nullable = top.condition(self.null)

    def c_type(self):
        return f'struct wire_{self.struct.path} ' if self.struct else C_TYPE[self.type]

    def sized(self):
        return self.type in ('string', 'bytes')

    def default_is_null(self):
        return self.default == 'null'

    def default_value(self):
        """The C expression of a number's or a flag's default."""
        value = self.default or ('false' if self.type == 'bool' else '0')
        return f'INT64_C({value})' if self.type == 'i64' else value

    def differs(self, at='value->'):
        """C expression: the field does not hold its default, so a tagged field must be sent."""
        if self.array:
            return f'{at}{self.name}_count != {-1 if self.default_is_null() else 0}'
        if self.struct:
            return f'!is_default_{self.struct.path}(&{at}{self.name})'
        if self.sized():
            return f'{at}{self.name}.size != {-1 if self.default_is_null() else 0}'
        if self.type == 'uuid':
            return f'!uuid_is_zero(&{at}{self.name})'
        return f'{at}{self.name} != {self.default_value()}'


def parse_line(state, line, where):
    text = line.split('#')[0].rstrip()
    if not text:
        return
    depth = len(text) - len(text.lstrip('\t'))
    words = text.split()
    if depth == 0:
        state['stack'] = []
        if words[0] == 'api':
            state['api'] = Api(words, where)
            state['apis'].append(state['api'])
            return
        if words[0] in ('request', 'response'):
            api = state['api']
            message = Message(words[0], api.key, api.name + words[0].capitalize(), api.versions,
                              api.flexible)
        elif words[0] == 'record' and len(words) == 6:
            message = Message('record', int(words[1]), words[2], parse_range(words[3], where),
                              parse_range(words[5], where))
        elif words[0] == 'data' and len(words) == 5:
            message = Message('data', -1, words[1], parse_range(words[2], where),
                              parse_range(words[4], where))
        else:
            fail(where, f'unknown line {text}')
        if message.max == LATEST:
            fail(where, 'a message wants a last version')
        state['messages'].append(message)
        state['stack'] = [message]
        return
    if depth > len(state['stack']):
        fail(where, 'members belong below a struct')
    del state['stack'][depth:]
    parent = state['stack'][-1]
    field = Field(words, parent, where)
    parent.fields.append(field)
    if field.struct:
        state['stack'].append(field.struct)


def parse(paths):
    state = {'apis': [], 'messages': [], 'stack': [], 'api': None}
    for path in paths:
        with open(path, encoding='utf-8') as file:
            for number, line in enumerate(file, 1):
                parse_line(state, line.rstrip('\n'), f'{path}:{number}')
    state['apis'].sort(key=lambda api: api.key)
    return state['apis'], state['messages']


def structs_of(struct):
    """Nested structs before the ones that hold them."""
    for field in struct.fields:
        if field.struct:
            yield from structs_of(field.struct)
    yield struct


def range_text(versions, top):
    low, high = max(versions[0], top.min), min(versions[1], top.max)
    if (low, high) == (top.min, top.max):
        return ''
    return f'v{low}' if low == high else f'v{low}+' if high == top.max else f'v{low}-{high}'


def field_note(field, top):
    note = [range_text(field.versions, top)]
    null = field.null
    if null != (LATEST, -1):
        note.append(('null ' + range_text(null, top)).rstrip())
    if field.tag is not None:
        note.append(f'tag {field.tag}')
    if field.default is not None:
        note.append(f'default {field.default}')
    text = ', '.join(part for part in note if part)
    return f' /* {text} */' if text else ''


def emit_struct(out, struct):
    out.append(f'struct wire_{struct.path} {{')
    for field in struct.fields:
        star = '*' if field.array else ''
        out.append(f'\t{field.c_type()}{star}{field.name};{field_note(field, struct.top)}')
        if field.array:
            out.append(f'\tint32_t {field.name}_count;')
    if not struct.fields:
        out.append('\tuint8_t nothing; /* this message has no fields */')
    out.append('};')
    out.append('')


HEAD = '''/* SPDX-License-Identifier: Apache-2.0 */
/* Generated by gen_wire.py from the tables in dataplane/wire/schema; do not edit. */
'''


def emit_header(apis, messages):
    out = [HEAD + '#pragma once', '', '#include "dataplane/wire/wire.h"', '', 'enum wire_api {']
    for api in apis:
        out.append(f'\tWIRE_API_{snake(api.name).upper()} = {api.key},')
    out += ['};', '', 'enum wire_record_key {']
    for message in messages:
        if message.kind == 'record':
            name = snake(message.name.removesuffix('Record')).upper()
            out.append(f'\tWIRE_RECORD_{name} = {message.key},')
    out += ['};', '']
    for message in messages:
        flexible = f', flexible from {message.flexible}' if message.flexible != LATEST else ''
        out.append(f'/** {message.name}, versions {message.min} to {message.max}{flexible}. */')
        for struct in structs_of(message):
            emit_struct(out, struct)
        for struct in structs_of(message):
            out.append(f'void wire_default_{struct.path}(struct wire_{struct.path} *value);')
        out.append(f'NODISCARD int wire_decode_{message.path}(struct reader *reader, '
                   f'int16_t version,\n\tstruct wire_scratch *scratch, '
                   f'struct wire_{message.path} *ret_value);')
        out.append(f'void wire_encode_{message.path}(struct writer *writer, int16_t version,\n'
                   f'\tconst struct wire_{message.path} *value);')
        out.append('')
    return '\n'.join(out)


def emit_default(out, struct):
    out.append(f'void wire_default_{struct.path}(struct wire_{struct.path} *value)')
    out.append('{')
    out.append('\tmemset(value, 0, sizeof(*value));')
    for field in struct.fields:
        at = f'value->{field.name}'
        if field.array:
            if field.default_is_null():
                out.append(f'\t{at}_count = -1;')
        elif field.struct:
            out.append(f'\twire_default_{field.struct.path}(&{at});')
        elif field.sized():
            if field.default_is_null():
                out.append(f'\t{at}.size = -1;')
            elif field.default not in (None, '""'):
                out.append(f'\t{at} = WIRE_STRING({field.default});')
        elif field.default is not None:
            out.append(f'\t{at} = {field.default_value()};')
    out += ['}', '']


def emit_is_default(out, struct):
    tests = ' || '.join(field.differs() for field in struct.fields)
    out += [f'static bool is_default_{struct.path}(const struct wire_{struct.path} *value)', '{',
            f'\treturn !({tests});', '}', '']


def read_value(field, reader, target, nullable):
    if field.struct:
        return f'read_{field.struct.path}({reader}, version, scratch, &{target});'
    if field.sized():
        return f'{target} = wire_read_{field.type}({reader}, flexible, {nullable});'
    return f'{target} = {READ[field.type]}({reader});'


def emit_read_field(out, field, indent, reader):
    at = f'value->{field.name}'
    if not field.array:
        out.append(indent + read_value(field, reader, at, field.nullable))
        return
    size = f'sizeof(*{at})'
    out += [f'{indent}{at}_count = wire_read_count({reader}, flexible, {field.nullable});',
            f'{indent}{at} = wire_scratch_take({reader}, scratch, {at}_count, {size});',
            f'{indent}for (int32_t i = 0; i < {at}_count && {reader}->error == 0; i++)',
            f'{indent}\t' + read_value(field, reader, f'{at}[i]', 'false')]


def open_condition(out, condition, indent):
    """Start `if (condition) {` unless it always holds; yields the indent of what is inside."""
    if condition == 'true':
        return indent
    out.append(f'{indent}if ({condition}) {{')
    return indent + '\t'


def emit_read_tags(out, struct, indent):
    tagged = sorted((f for f in struct.fields if f.tag is not None and f.present != 'false'),
                    key=lambda f: f.tag)
    if not tagged:
        out.append(f'{indent}wire_skip_tags(reader);')
        return
    out += [f'{indent}for (uint32_t tags = wire_read_tag_count(reader); '
            'tags > 0 && reader->error == 0; tags--) {',
            f'{indent}\tstruct reader tag;', '',
            f'{indent}\tswitch (wire_read_tag(reader, &tag)) {{']
    for field in tagged:
        out.append(f'{indent}\tcase {field.tag}:')
        if field.present != 'true':
            out += [f'{indent}\t\tif (!({field.present})) {{', f'{indent}\t\t\ttag.at = tag.end;',
                    f'{indent}\t\t\tbreak;', f'{indent}\t\t}}']
        emit_read_field(out, field, indent + '\t\t', '(&tag)' if field.array else '&tag')
        out.append(f'{indent}\t\tbreak;')
    out += [f'{indent}\tdefault:', f'{indent}\t\ttag.at = tag.end;', f'{indent}\t}}',
            f'{indent}\twire_close_tag(reader, &tag);', f'{indent}}}']


def flexible_condition(top):
    return top.condition((top.flexible, LATEST))


def finish_body(out, body, unused):
    """Add a function's body, with a (void) line for each argument it does not use."""
    text = '\n'.join(body)
    for name in unused:
        if not re.search(rf'\b{name}\b', text):
            out.append(f'\t(void){name};')
    out += body + ['}', '']


def emit_body(struct, emit_field, emit_tags, scratch):
    """The statements shared by reading and writing: fields in order, then the tagged ones."""
    top, body = struct.top, []
    for field in struct.fields:
        if field.tag is not None or field.present == 'false':
            continue
        indent = open_condition(body, field.present, '\t')
        emit_field(body, field, indent)
        if indent != '\t':
            body.append('\t}')
    condition = flexible_condition(top)
    if condition != 'false':
        indent = open_condition(body, 'true' if condition == 'true' else 'flexible', '\t')
        emit_tags(body, struct, indent)
        if indent != '\t':
            body.append('\t}')
    if re.search(r'\bflexible\b', '\n'.join(body)):
        body.insert(0, f'\tconst bool flexible = {condition};\n')
    return body


def emit_read(out, struct):
    out.append(f'static void read_{struct.path}(struct reader *reader, int16_t version,\n'
               f'\tstruct wire_scratch *scratch, struct wire_{struct.path} *value)')
    out.append('{')
    body = emit_body(struct, lambda b, f, i: emit_read_field(b, f, i, 'reader'), emit_read_tags,
                     True)
    body.insert(0, f'\twire_default_{struct.path}(value);')
    if body[1:] and body[1].startswith('\tconst bool'):
        body[0], body[1] = body[1], body[0]     # declarations first
    finish_body(out, body, ('reader', 'version', 'scratch'))


def write_value(field, source, nullable):
    if field.struct:
        return f'write_{field.struct.path}(writer, version, &{source});'
    if field.sized():
        return f'wire_write_{field.type}(writer, flexible, {nullable}, {source});'
    address = '&' if field.type == 'uuid' else ''
    return f'{WRITE[field.type]}(writer, {address}{source});'


def emit_write_field(out, field, indent):
    at = f'value->{field.name}'
    if not field.array:
        out.append(indent + write_value(field, at, field.nullable))
        return
    out += [f'{indent}wire_write_count(writer, flexible, {field.nullable}, {at}_count);',
            f'{indent}for (int32_t i = 0; i < {at}_count && writer->error == 0; i++)',
            f'{indent}\t' + write_value(field, f'{at}[i]', 'false')]


def emit_write_tags(out, struct, indent):
    tagged = sorted((f for f in struct.fields if f.tag is not None and f.present != 'false'),
                    key=lambda f: f.tag)
    if not tagged:
        out.append(f'{indent}writer_uvarint(writer, 0);')
        return
    if indent == '\t':                  # an always flexible message: a block for the declarations
        out.append('\t{')
        indent += '\t'
    for field in tagged:
        present = '' if field.present == 'true' else f'{field.present} && '
        out.append(f'{indent}const bool has_{field.name} = {present}{field.differs()};')
    count = ' + '.join(f'has_{field.name}' for field in tagged)
    out += ['', f'{indent}writer_uvarint(writer, (uint32_t)({count}));']
    for field in tagged:
        out += [f'{indent}if (has_{field.name}) {{',
                f'{indent}\tsize_t mark = wire_open_tag(writer, {field.tag});', '']
        emit_write_field(out, field, indent + '\t')
        out += [f'{indent}\twire_finish_tag(writer, mark);', f'{indent}}}']
    if flexible_condition(struct.top) == 'true':
        out.append('\t}')


def emit_write(out, struct):
    out.append(f'static void write_{struct.path}(struct writer *writer, int16_t version,\n'
               f'\tconst struct wire_{struct.path} *value)')
    out.append('{')
    finish_body(out, emit_body(struct, emit_write_field, emit_write_tags, False),
                ('writer', 'version', 'value'))


def emit_entry_points(out, message):
    path = message.path
    outside = f'version < {message.min} || version > {message.max}'
    out.append(f'''int wire_decode_{path}(struct reader *reader, int16_t version,
	struct wire_scratch *scratch, struct wire_{path} *ret_value)
{{
	struct wire_{path} value;

	if ({outside})
		return ERR_UNSUPPORTED;
	read_{path}(reader, version, scratch, &value);
	if (reader->error != 0)
		return reader->error;
	*ret_value = value;
	return 0;
}}

void wire_encode_{path}(struct writer *writer, int16_t version,
	const struct wire_{path} *value)
{{
	if ({outside})
		wire_write_fail(writer, ERR_UNSUPPORTED);
	else
		write_{path}(writer, version, value);
}}

static int decode_{path}(struct reader *reader, int16_t version, struct wire_scratch *scratch,
	void *ret_value)
{{
	return wire_decode_{path}(reader, version, scratch, ret_value);
}}

static void encode_{path}(struct writer *writer, int16_t version, const void *value)
{{
	wire_encode_{path}(writer, version, value);
}}
''')


def emit_tables(out, apis, messages):
    out.append('const struct wire_api_info wire_apis[] = {')
    for api in apis:
        flexible = api.flexible[0]
        out.append(f'\t{{ .key = {api.key}, .min = {api.versions[0]}, .max = {api.versions[1]}, '
                   f'.flexible_from = {flexible},\n\t\t.advertised_min = {api.advertise}, '
                   f'.name = "{api.name}", .in_control = {str(api.control).lower()} }},')
    out += ['};', 'const size_t wire_api_count = ARRAY_COUNT(wire_apis);', '',
            'const struct wire_codec wire_codecs[] = {']
    for message in messages:
        path = message.path
        out.append(f'\t{{ WIRE_KIND_{message.kind.upper()}, {message.key}, {message.min}, '
                   f'{message.max}, "{message.name}",\n\t\tsizeof(struct wire_{path}), '
                   f'decode_{path}, encode_{path} }},')
    out += ['};', 'const size_t wire_codec_count = ARRAY_COUNT(wire_codecs);', '']


def emit_source(apis, messages):
    out = [HEAD + '#include "dataplane/wire/wire_gen.h"', '', '#include <string.h>', '',
           '#include "dataplane/wire/api.h"', '']
    for message in messages:
        for struct in structs_of(message):
            emit_default(out, struct)
        for struct in structs_of(message):
            for field in struct.fields:
                if field.struct and field.tag is not None and not field.array:
                    emit_is_default(out, field.struct)
            emit_read(out, struct)
            emit_write(out, struct)
        emit_entry_points(out, message)
    emit_tables(out, apis, messages)
    return '\n'.join(out)


def main(argv):
    if len(argv) < 4:
        sys.exit(__doc__)
    apis, messages = parse(argv[3:])
    for path, text in ((argv[1], emit_header(apis, messages)),
                       (argv[2], emit_source(apis, messages))):
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)


if __name__ == '__main__':
    main(sys.argv)
