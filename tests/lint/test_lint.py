#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Negative controls: each rule of the lints is broken once in a small tree and must be reported."""

import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import layers  # noqa: E402
import tidy  # noqa: E402

LICENCE = "/* SPDX-License-Identifier: Apache-2.0 */\n"


class Tree(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.root = self.folder.name

    def tearDown(self):
        self.folder.cleanup()

    def write(self, path, text):
        full = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as file:
            file.write(text)

    def assert_reported(self, checker, part):
        lines = list(checker.check(self.root))
        self.assertTrue(any(part in line for line in lines), f"{part!r} not in {lines}")

    def assert_clean(self, checker):
        self.assertEqual(list(checker.check(self.root)), [])


class Layers(Tree):
    def test_clean_tree(self):
        self.write("base/defs.h", "")
        self.write("storage/log.c", '#include "base/defs.h"\n')
        self.assert_clean(layers)

    def test_dataplane_including_control(self):
        self.write("control/meta/meta.h", "#define CONTROL_LAYER\n")
        self.write("dataplane/core/core.c", '#include "control/meta/meta.h"\n')
        self.assert_reported(layers, "dataplane/core/core.c: includes control/meta/meta.h")

    def test_leak_through_a_header(self):
        self.write("control/x.h", "#define CONTROL_LAYER\n")
        self.write("storage/a.h", '#include "control/x.h"\n')
        self.write("storage/b.c", '#include "storage/a.h"\n')
        self.assert_reported(layers, "storage/b.c: reaches control/x.h")

    def test_neighbours_in_dataplane(self):
        self.write("dataplane/net/net.h", "")
        self.write("dataplane/tcp/tcp.c", '#include "dataplane/net/net.h"\n')
        self.assert_reported(layers, "dataplane/tcp/tcp.c: includes dataplane/net/net.h")

    def test_upward_from_base(self):
        self.write("storage/x.h", "")
        self.write("base/a.c", '#include "storage/x.h"\n')
        self.assert_reported(layers, "base/a.c: includes storage/x.h")

    def test_library_homes(self):
        self.write("storage/seglog.c", "#include <rte_ring.h>\n")
        self.write("dataplane/core/core.c", "#include <liburing.h>\n")
        self.assert_reported(layers, "storage/seglog.c: <rte_ring.h>")
        self.assert_reported(layers, "dataplane/core/core.c: <liburing.h>")

    def test_clock_outside_base(self):
        self.write("storage/a.c", "void f(void) { clock_gettime(0, 0); }\n")
        self.assert_reported(layers, "storage/a.c: calls clock_gettime")

    def test_control_header_without_mark(self):
        self.write("control/a.h", "")
        self.assert_reported(layers, "control/a.h: a control header defines CONTROL_LAYER")


class Tidy(Tree):
    def source(self, body, path="base/a.c"):
        self.write(path, LICENCE + body)
        self.write("tests/unit/base/test_a.c", LICENCE)

    def test_clean_file(self):
        self.source("int a(void)\n{\n\treturn 1;\n}\n")
        self.assert_clean(tidy)

    def test_long_function(self):
        self.source("int long_one(void)\n{\n" + "\ta();\n" * 80 + "}\n")
        self.assert_reported(tidy, "long_one() has 83 lines")

    def test_ratchet_allows_and_tightens(self):
        self.source("int long_one(void)\n{\n" + "\ta();\n" * 80 + "}\n")
        self.write("tests/lint/tidy.list", "base/a.c:long_one 83 a table in code\n")
        self.assert_clean(tidy)
        self.write("tests/lint/tidy.list", "base/a.c:long_one 90 a table in code\n")
        self.assert_reported(tidy, "tighten it")

    def test_many_parameters(self):
        self.source("int wide(int a, int b, int c, int d, int e, int f, int g, int h)\n{\n}\n")
        self.assert_reported(tidy, "wide() has 8 parameters")

    def test_banned_call_names_replacement(self):
        self.source("void f(char *a)\n{\n\tstrcpy(a, a);\n}\n")
        self.assert_reported(tidy, "use snprintf()")

    def test_banned_call_in_comment_is_fine(self):
        self.source("/* strcpy(a) is banned */\n")
        self.assert_clean(tidy)

    def test_leftover(self):
        self.source("/* TO" "DO later */\n")
        self.assert_reported(tidy, "leftover")

    def test_missing_licence(self):
        self.write("base/a.c", "int x;\n")
        self.assert_reported(tidy, "the licence line is missing")

    def test_wide_line(self):
        self.source("int " + "x" * 100 + ";\n")
        self.assert_reported(tidy, "over 100 columns")

    def test_missing_unit_test(self):
        self.write("base/lonely.c", LICENCE)
        self.assert_reported(tidy, "no tests/unit/**/test_lonely.c")


if __name__ == "__main__":
    unittest.main(verbosity=0)
