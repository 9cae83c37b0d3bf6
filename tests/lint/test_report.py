#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A benchmark's floor that does not hold is reported, one that holds is not: ratios and figures, higher and
lower better, and a peer that was never measured."""

import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "perf"))
import report  # noqa: E402


class Misses(unittest.TestCase):
    def misses(self, higher_is_better, floor, **samples):
        out = report.Report("test", True)
        out.measure("m", "u", higher_is_better, floor=floor)
        for system, values in samples.items():
            out.measures["m"]["samples"][system] = values
        self.assertIn("m ", out.table())
        self.assertIn("<svg", out.plot())
        return list(out.misses())

    def test_ratio(self):
        self.assertEqual(self.misses(True, {"peer": 8}, millrace=[80, 90, 1], peer=[10]), [])
        self.assertIn("7.90 x peer", self.misses(True, {"peer": 8}, millrace=[79], peer=[10])[0])

    def test_ratio_of_what_should_be_low(self):
        self.assertEqual(self.misses(False, {"peer": 8}, millrace=[10], peer=[80]), [])
        self.assertIn("7.90 x peer", self.misses(False, {"peer": 8}, millrace=[10], peer=[79])[0])

    def test_figure(self):
        self.assertEqual(self.misses(True, 100, millrace=[100]), [])
        self.assertEqual(len(self.misses(True, 100, millrace=[99])), 1)

    def test_figure_that_should_be_low(self):
        self.assertEqual(self.misses(False, 100, millrace=[100], peer=[1]), [])
        self.assertEqual(len(self.misses(False, 100, millrace=[101], peer=[1000])), 1)

    def test_peer_not_measured(self):
        self.assertIn("peer was not measured", self.misses(True, {"peer": 8}, millrace=[80])[0])

    def test_nothing_measured(self):
        out = report.Report("test", True)
        out.measure("m", "u", True, floor=1)
        self.assertEqual(list(out.misses()), ["m: not measured"])


if __name__ == "__main__":
    unittest.main()
