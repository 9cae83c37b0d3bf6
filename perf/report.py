# SPDX-License-Identifier: Apache-2.0
"""Results of a benchmark: samples in, medians with spread and ratios out, as JSON, text and SVG."""

import json
import os
import platform
import statistics
import time
from xml.sax.saxutils import escape

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
COLORS = ("#2f6f4f", "#b0561f", "#5a5fa8", "#8a8a8a")


def machine():
    """The machine in words: what a figure is worth depends on it."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "?")
    with open("/proc/meminfo", encoding="utf-8") as file:
        memory = int(file.readline().split()[1]) // 1048576
    return f"{os.cpu_count()} x {model}, {memory} GiB, Linux {platform.release()}"


def shown(value):
    """Three digits that count, and no exponent."""
    return f"{float(f'{value:.3g}'):,.0f}" if abs(value) >= 100 else f"{value:.3g}"


class Report:
    """Samples by measure and system; higher or lower may be better."""

    def __init__(self, name, quick):
        self.name = name
        self.quick = quick
        self.begin = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
        self.load = os.getloadavg()[0]
        self.measures = {}
        self.notes = []

    def measure(self, name, unit, higher_is_better, goal=None, floor=None, ours="millrace", gated=None):
        """Goals and floors are least ratios by peer, or a figure: the least, the most where lower is better.

        A floor that does not hold fails the run; with `gated` only those against these peers do, or those
        of a figure where it is not empty, and the others are printed."""
        self.measures[name] = {"unit": unit, "higher_is_better": higher_is_better, "goal": goal,
                               "floor": floor, "ours": ours, "gated": gated, "samples": {}}

    def add(self, name, system, value):
        self.measures[name]["samples"].setdefault(system, []).append(value)
        print(f"    {name}: {system} {value:,.3f} {self.measures[name]['unit']}", flush=True)

    def note(self, text):
        self.notes.append(text)

    def ratio(self, name, system, peer):
        """How many times better `system` is than `peer`, by medians."""
        one = self.measures[name]
        ours, theirs = (statistics.median(one["samples"][key]) for key in (system, peer))
        if not one["higher_is_better"]:
            ours, theirs = theirs, ours
        return ours / theirs if theirs else float("inf")

    def measured(self):
        """Measures that have samples: part of a benchmark may have been asked for."""
        return [(name, one) for name, one in self.measures.items() if one["samples"]]

    def rows(self):
        for name, one in self.measured():
            systems = list(one["samples"])
            for system in systems:
                samples = one["samples"][system]
                is_ours = system == one["ours"]
                others = [peer for peer in systems if peer != system] if is_ours else []
                yield {"measure": name, "unit": one["unit"], "system": system,
                       "median": statistics.median(samples), "min": min(samples),
                       "max": max(samples), "n": len(samples),
                       "ratios": {peer: self.ratio(name, system, peer) for peer in others},
                       "goal": one["goal"] if is_ours else None,
                       "floor": one["floor"] if is_ours else None}

    def below(self):
        """Floors that do not hold: (whether that fails the run, the measure, in words)."""
        for name, one in self.measures.items():
            if one["floor"] is not None and one["ours"] not in one["samples"]:
                yield True, name, f"{name}: not measured"
        for row in self.rows():
            floor, gated = row["floor"], self.measures[row["measure"]]["gated"]
            if floor is None:
                continue
            if isinstance(floor, dict):
                for peer, least in floor.items():
                    ratio = row["ratios"].get(peer)
                    is_gated = gated is None or peer in gated
                    if ratio is None:
                        yield is_gated, row["measure"], f"{row['measure']}: {peer} was not measured, floor {least} x"
                    elif ratio < least:
                        yield is_gated, row["measure"], f"{row['measure']}: {ratio:.2f} x {peer}, floor {least} x"
            elif (row["median"] < floor if self.measures[row["measure"]]["higher_is_better"]
                  else row["median"] > floor):
                yield (gated is None or bool(gated), row["measure"],
                       f"{row['measure']}: {row['median']:,.3f} {row['unit']}, floor {floor}")

    def misses(self):
        """Floors that fail the run, in words."""
        return (text for is_gated, _, text in self.below() if is_gated)

    def aim(self, row, word):
        """Goal or floor in words."""
        if isinstance(row[word], dict):
            return ", ".join(f"{least} x {peer}" for peer, least in row[word].items())
        return f"{'>=' if self.measures[row['measure']]['higher_is_better'] else '<='} {row[word]}"

    def table(self):
        lines = [f"{self.name}, {self.begin} UTC{', quick' if self.quick else ''}",
                 f"{machine()}; load before {self.load:.1f}", "",
                 f"{'measure':34} {'system':10} {'median':>14} {'min':>14} {'max':>14} {'n':>3}  "
                 f"{'unit':12} ratios, goal, floor"]
        for row in self.rows():
            ratios = ", ".join(f"{value:.2f} x {peer}" for peer, value in row["ratios"].items())
            aims = "".join(f"; {word} {self.aim(row, word)}" for word in ("goal", "floor")
                           if row[word] is not None)
            lines.append(f"{row['measure']:34} {row['system']:10} {row['median']:14,.3f} "
                         f"{row['min']:14,.3f} {row['max']:14,.3f} {row['n']:3}  {row['unit']:12} "
                         f"{(ratios + aims).lstrip('; ')}".rstrip())
        return "\n".join([*lines, "", *self.notes])

    def plot(self):
        """Bars of the medians with whiskers from least to most, one panel a measure."""
        panels, top = [], 10
        for name, one in self.measured():
            most = max(max(samples) for samples in one["samples"].values()) or 1
            panels.append(f'<text x="10" y="{top + 14}" class="h">{escape(name)} '
                          f'({escape(one["unit"])}, {"more" if one["higher_is_better"] else "less"} is '
                          'better)</text>')
            for index, (system, samples) in enumerate(one["samples"].items()):
                y = top + 24 + index * 24
                median = statistics.median(samples)
                width, low, high = (400 * value / most for value in (median, min(samples), max(samples)))
                panels.append(
                    f'<text x="10" y="{y + 13}">{escape(system)}</text>'
                    f'<rect x="110" y="{y}" width="{width:.1f}" height="16" '
                    f'fill="{COLORS[index % len(COLORS)]}"/>'
                    f'<line x1="{110 + low:.1f}" x2="{110 + high:.1f}" y1="{y + 8}" y2="{y + 8}" '
                    f'stroke="#000"/><text x="{118 + high:.1f}" y="{y + 13}">{shown(median)}</text>')
            top += 40 + 24 * len(one["samples"])
        return (f'<svg xmlns="http://www.w3.org/2000/svg" width="640" height="{top}" '
                'font-family="sans-serif" font-size="12"><style>.h{font-weight:bold}</style>'
                '<rect width="100%" height="100%" fill="#fff"/>' + "".join(panels) + "</svg>\n")

    def write(self):
        """Files under perf/results. @return 0; 1 when a floor does not hold"""
        folder = os.path.join(ROOT, "perf", "results")
        os.makedirs(folder, exist_ok=True)
        base = os.path.join(folder, f"{self.name}-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}")
        content = {"name": self.name, "quick": self.quick, "begin": self.begin, "machine": machine(),
                   "load": self.load,
                   "measures": self.measures, "notes": self.notes, "rows": list(self.rows()),
                   "misses": list(self.misses()),
                   "missed": sorted({name for is_gated, name, _ in self.below() if is_gated})}
        for suffix, text in ((".json", json.dumps(content, indent=1)), (".txt", self.table() + "\n"),
                             (".svg", self.plot())):
            with open(base + suffix, "w", encoding="utf-8") as file:
                file.write(text)
        print("\n" + self.table())
        print(f"\nwritten: {os.path.relpath(base, ROOT)}.json, .txt, .svg")
        below = list(self.below())
        for is_gated, _, text in below:
            print(f"floor missed{'' if is_gated else ' (does not fail the run)'}: {text}")
        return 1 if any(is_gated for is_gated, _, _ in below) else 0
