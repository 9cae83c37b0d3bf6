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

    def gated(self, gated, floor, **samples):
        """What fails the run, and what is only printed."""
        out = report.Report("test", True)
        out.measure("m", "u", True, floor=floor, ours="dpdk", gated=gated)
        for system, values in samples.items():
            out.measures["m"]["samples"][system] = values
        below = list(out.below())
        return len([text for fails, _, text in below if fails]), len(below)

    def test_only_limits_of_the_same_run_fail_it(self):
        floor = {"device": 0.5, "kafka": 5}
        self.assertEqual(self.gated(("device",), floor, dpdk=[10], device=[100], kafka=[10]), (1, 2))
        self.assertEqual(self.gated(("device",), floor, dpdk=[60], device=[100], kafka=[100]), (0, 1))
        self.assertEqual(self.gated((), floor, dpdk=[10], device=[100], kafka=[10]), (0, 2))
        self.assertEqual(self.gated(None, floor, dpdk=[10], device=[100], kafka=[10]), (2, 2))

    def test_a_figure_that_depends_on_the_machine_does_not_fail(self):
        self.assertEqual(self.gated((), 20, dpdk=[10]), (0, 1))
        self.assertEqual(self.gated(None, 20, dpdk=[10]), (1, 1))

    def test_a_limit_that_was_not_measured_fails(self):
        self.assertEqual(self.gated(("device",), {"device": 0.5}, dpdk=[10]), (1, 1))
        self.assertEqual(self.gated((), {"kafka": 5}, dpdk=[10]), (0, 1))

    def test_ours_is_who_the_measure_says(self):
        out = report.Report("test", True)
        out.measure("m", "u", True, goal={"socket": 2}, ours="dpdk")
        out.measures["m"]["samples"] = {"millrace": [1], "dpdk": [10], "socket": [5]}
        rows = {row["system"]: row for row in out.rows()}
        self.assertEqual(rows["dpdk"]["ratios"]["socket"], 2)
        self.assertEqual(rows["millrace"]["ratios"], {})
        self.assertIsNone(rows["socket"]["goal"])

    def test_nothing_measured(self):
        out = report.Report("test", True)
        out.measure("m", "u", True, floor=1)
        self.assertEqual(list(out.misses()), ["m: not measured"])


if __name__ == "__main__":
    unittest.main()
