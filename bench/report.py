"""Draws what was measured: JSON lines of pawl_bench and of bench/peers/run.py to SVG, and to tables in Markdown on
standard output, for docs/performance.md.

    report.py [--out FOLDER] [FILE…]        `./dev bench report`; FILEs: results, side-by-side and firing.jsonl of
                                            build/bench

Lines with `engine` were measured side by side; the median of their rounds counts. Of all others the last one counts.
"""

import argparse
import dataclasses
import json
import math
import pathlib
import statistics
import sys
import xml.sax.saxutils

ROOT = pathlib.Path(__file__).resolve().parent.parent
FILES = [ROOT / "build/bench" / name for name in ("results.jsonl", "side-by-side.jsonl", "firing.jsonl")]
OUT = ROOT / "docs/performance"


class Failure(Exception):
    """The lines cannot be used; the text names file and line."""


# ---- what is drawn --------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Panel:
    """One measure: `field` of the lines that have the values `where`."""

    title: str
    unit: str
    field: str = "value"
    where: tuple = ()
    more_is_better: bool = False

    def takes(self, line):
        # A line that does not speak of a member does not contradict it.
        return all(line.get(key, value) == value for key, value in self.where) and isinstance(
            line.get(self.field), (int, float))


STEPS = Panel("Steps a second", "steps/s", more_is_better=True)
CPU = Panel("CPU time per step, all processes", "µs", "cpu_us_per_step")


def restart(state):
    return [Panel("From the restart to the first step", "s", where=(("what", "first"), ("state", state))),
            Panel("From the restart to the end of all runs", "s", where=(("what", "all"), ("state", state))),
            Panel("Steps that were done twice", "steps", "run_twice", (("what", "all"), ("state", state)))]


def firing():
    panels = [Panel("Fires a second, all due at once", "fires/s", where=(("what", "burst"),), more_is_better=True)]
    for what, title in (("at_200", "200 in each second, at its beginning"),
                        ("at_200_spread", "200 in each second, spread over it"),
                        ("at_5000", "5,000 in each second, at its beginning")):
        panels += [Panel(f"Late by, {title}: median", "ms", where=(("what", what),)),
                   Panel(f"Late by, {title}: 99th percentile", "ms", "p99_ms", (("what", what),))]
    return panels


# file: (workload, title, panels)
BARS = {
    "w1": ("W1", "W1: runs of ten durable steps, many at once", [STEPS, CPU]),
    "w2": ("W2", "W2: one run of ten durable steps at a time",
           [Panel("Time of a run, median", "ms"), Panel("Time of a run, 99th percentile", "ms", "p99_ms")]),
    "w3": ("W3", "W3: 10,000 runs waiting half-way, kill -9, restart", restart("parked")[:2]),
    "w3-stepping": ("W3", "W3: 10,000 runs in the middle of their steps, kill -9, restart", restart("stepping")),
    "w4": ("W4", "W4: nothing to do",
           [Panel("From start to ready, empty store", "ms", where=(("what", "ready"),)),
            Panel("From start to ready, existing store", "ms", where=(("what", "ready_again"),)),
            Panel("Resident memory", "MiB", where=(("what", "rss"),)),
            Panel("CPU time, of one core", "%", where=(("what", "idle_cpu"),))]),
    "w5": ("W5", "W5: each step an HTTP POST, many runs at once", [STEPS, CPU]),
    "fire": ("fire", "fire: schedules whose slots are due", firing()),
}
# series: (title, what x is)
SERIES = {
    "runs_at_once": ("Runs at once", "runs open at any time"),
    "finished_runs": ("Finished runs in the store", "finished runs"),
    "tasks_in_run": ("Size of a run", "tasks in the run"),
    "output_size": ("Size of outputs", "bytes that each step leaves"),
    "startup_waiting": ("Start of the server, runs waiting", "open runs, each waiting for a retry"),
    "startup_cut_off": ("Start of the server, runs cut off", "open runs, each with a task in flight"),
}
GROWTH_PANELS = {"steps/s": [STEPS, dataclasses.replace(CPU, title="CPU time per step")],
                 "s": [Panel("From start until all runs are taken up", "s")]}
STORES = {"sqlite": "SQLite", "postgres": "PostgreSQL"}
QUARTZ = {"ram": "in memory", "jdbc": "JDBC", "cluster": "JDBC, clustered"}


# ---- reading --------------------------------------------------------------------------------------------------------


def read(path):
    """The lines of a file, in order; empty lines are passed over."""
    found = []
    for number, text in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        if not text.strip():
            continue
        try:
            line = json.loads(text)
        except ValueError as error:
            raise Failure(f"{path}:{number}: not JSON ({error}): {text[:80]}") from None
        if not isinstance(line, dict) or not isinstance(line.get("workload"), str):
            raise Failure(f"{path}:{number}: no object with a workload: {text[:80]}")
        if "not_measured" not in line and not isinstance(line.get("value"), (int, float)):
            raise Failure(f"{path}:{number}: neither value nor not_measured: {text[:80]}")
        found.append(line)
    return found


def settled(lines):
    """One line for each thing measured: the median over rounds, or the last one."""
    groups = {}
    for line in lines:
        key = tuple(line.get(name) for name in ("engine", "workload", "store", "what", "state", "series", "x"))
        # How many are at once is a setting of the peers; with us it belongs to the workload.
        key += (line.get("at_once") if line.get("engine", "pawl") != "pawl" else None,)
        groups.setdefault(key, []).append(line)
    return [middle(group) if "round" in group[-1] else group[-1] for group in groups.values()]


def middle(group):
    measured = [line for line in group if "not_measured" not in line]
    if not measured:
        return group[-1]
    line = dict(measured[-1])
    for field in ("value", "cpu_us_per_step", "p99_ms", "run_twice"):
        values = [other[field] for other in measured if isinstance(other.get(field), (int, float))]
        if values:
            line[field] = statistics.median(values)
    return line


def engine_name(line):
    engine = line["engine"]
    if engine == "pawl":
        store = line.get("store", "sqlite")
        return f"Pawl, {STORES.get(store, store)}"
    name, _, partitions = engine.partition("-")
    if name == "quartz":
        return f"Quartz, {QUARTZ.get(partitions, partitions)}"
    return f"{name.capitalize()}, {partitions} partitions" if partitions else name.capitalize()


def number(value):
    """Three digits or four that matter, thousands apart."""
    if value == 0:
        return "0"
    if abs(value) >= 999.5:  # which three digits would make 1e+03
        digits = 3 - math.floor(math.log10(abs(value)))
        return f"{round(value, min(0, digits)):,.0f}"
    text = f"{value:.3g}"
    return f"{float(text):f}".rstrip("0").rstrip(".") if "e" in text else text


# ---- drawing --------------------------------------------------------------------------------------------------------

WIDTH, MARGIN = 760, 28
INK, FAINT, GRID = "#1f2937", "#6b7280", "#e5e7eb"
OURS, OURS_TOO, THEIRS = "#2563eb", "#0e9aa7", "#9ca3af"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


class Drawing:
    """Elements on a white sheet of its own, so that it reads the same on a light and on a dark page."""

    def __init__(self, title):
        self.title, self.parts, self.height = title, [], 0
        self.text(MARGIN, 38, title, size=18, weight=600)

    def text(self, x, y, text, size=13, color=INK, anchor="start", weight=400, turn=None):
        turned = f' transform="rotate({turn} {x:.1f} {y:.1f})"' if turn is not None else ""
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" fill="{color}" '
                          f'text-anchor="{anchor}"{turned}>{escape(text)}</text>')

    def bar(self, x, y, width, height, color):
        self.parts.append(f'<rect class="bar" x="{x:.1f}" y="{y:.1f}" width="{max(width, 1.5):.1f}" '
                          f'height="{height:.1f}" rx="2" fill="{color}"/>')

    def line(self, x1, y1, x2, y2, color=GRID):
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}"/>')

    def path(self, points, color):
        text = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.parts.append(f'<polyline class="series" points="{text}" fill="none" stroke="{color}" stroke-width="2.5" '
                          'stroke-linejoin="round"/>')
        for x, y in points:
            self.parts.append(f'<circle class="point" cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{color}" stroke="white" '
                              'stroke-width="1.5"/>')

    def svg(self):
        title = escape(self.title)
        return "\n".join([
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self.height:.0f}" width="{WIDTH}" '
            f'height="{self.height:.0f}" role="img" aria-label={xml.sax.saxutils.quoteattr(self.title)} '
            f'font-family="{FONT}">', f"<title>{title}</title>",
            f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{self.height - 1:.0f}" rx="10" fill="white" '
            f'stroke="{GRID}"/>', *self.parts, "</svg>", ""])


def escape(text):
    return xml.sax.saxutils.escape(str(text))


def color_of(line):
    if line.get("engine", "pawl") != "pawl":
        return THEIRS
    return OURS if line.get("store", "sqlite") == "sqlite" else OURS_TOO


def bar_label(line, peers_differ):
    many = peers_differ and line["engine"] != "pawl" and "at_once" in line
    return engine_name(line) + (f", {number(line['at_once'])} at once" if many else "")


def draw_bars(title, panels, lines):
    """None if there is nothing to draw."""
    drawing = Drawing(title)
    label_width, value_width, y = 250, 126, 56
    at_once = {line.get("at_once") for line in lines if line["engine"] != "pawl"}
    for panel in panels:
        rows = [line for line in lines if panel.takes(line)]
        if not rows:
            continue
        rows.sort(key=lambda line: (order_of(line), line.get("at_once") or 0))
        better = "more is better" if panel.more_is_better else "less is better"
        drawing.text(MARGIN, y + 16, f"{panel.title} ({panel.unit})", weight=600)
        drawing.text(WIDTH - MARGIN, y + 16, better, size=12, color=FAINT, anchor="end")
        y += 30
        most = max(line[panel.field] for line in rows) or 1
        room = WIDTH - 2 * MARGIN - label_width - value_width
        for line in rows:
            value = line[panel.field]
            ours = line["engine"] == "pawl"
            drawing.text(MARGIN + label_width - 12, y + 15, bar_label(line, len(at_once) > 1), anchor="end",
                         weight=600 if ours else 400)
            drawing.bar(MARGIN + label_width, y + 1, room * value / most, 20, color_of(line))
            drawing.text(MARGIN + label_width + room * value / most + 8, y + 15, f"{number(value)} {panel.unit}",
                         weight=600 if ours else 400)
            y += 27
        y += 16
    drawing.height = y
    return drawing.svg() if y > 56 else None


def order_of(line):
    """Ours first, then by partitions, the most first."""
    tail = line["engine"].rpartition("-")[2]
    return line["engine"] != "pawl", -int(tail) if tail.isdigit() else 0


def nice_top(most):
    """A round number at or above `most`, and how far the lines of the grid are apart."""
    if most <= 0:
        return 1, 1
    step = 10 ** math.floor(math.log10(most))
    for factor in (0.2, 0.25, 0.5, 1, 2, 2.5):
        if most <= 5 * factor * step:
            step *= factor
            break
    return math.ceil(most / step - 1e-9) * step, step


def short(x):
    """A place on the x axis: 100, 1 k, 10 k, 1 M."""
    for unit, name in ((10**6, "M"), (10**3, "k")):
        if x >= unit:
            return f"{number(round(x / unit, 1))} {name}"
    return number(x)


def draw_growth(series, lines):
    title, what_x_is = SERIES.get(series, (series, series))
    lines = sorted(lines, key=lambda line: line["x"])
    panels = [panel for panel in GROWTH_PANELS.get(lines[0]["unit"], [Panel("Value", lines[0]["unit"])])
              if any(panel.takes(line) for line in lines)]
    drawing = Drawing(title)
    stores = sorted({line.get("store", "sqlite") for line in lines}, reverse=True)
    xs = sorted({line["x"] for line in lines})
    left, right, top, high = MARGIN + 62, WIDTH - MARGIN - 24, 60, 190
    # 0 has no logarithm: it stands a decade before the first.
    place = {x: math.log10(x) if x > 0 else math.log10(min([x for x in xs if x > 0], default=10)) - 1 for x in xs}
    low, far = min(place.values()), max(place.values())

    def at(x):
        return left + 16 + (right - left - 32) * ((place[x] - low) / (far - low) if far > low else 0.5)

    for index, store in enumerate(stores if len(stores) > 1 else []):
        # Several stores: which color is whose.
        x = WIDTH - MARGIN - 110 * (len(stores) - index)
        drawing.bar(x, 27, 12, 12, OURS if store == "sqlite" else OURS_TOO)
        drawing.text(x + 18, 38, STORES.get(store, store))
    for panel in panels:
        taken = [line for line in lines if panel.takes(line)]
        roof, step = nice_top(max(line[panel.field] for line in taken) * 1.12)
        drawing.text(MARGIN, top + 14, f"{panel.title} ({panel.unit})", weight=600)
        drawing.text(WIDTH - MARGIN, top + 14, "more is better" if panel.more_is_better else "less is better", size=12,
                     color=FAINT, anchor="end")
        base = top + 30 + high
        for i in range(round(roof / step) + 1):
            y = base - high * i * step / roof
            drawing.line(left, y, right, y, GRID if i else FAINT)
            drawing.text(left - 8, y + 4, number(i * step), size=12, color=FAINT, anchor="end")
        for x in xs:
            drawing.text(at(x), base + 18, short(x), size=12, color=FAINT, anchor="middle")
        for store in stores:
            own = [line for line in taken if line.get("store", "sqlite") == store]
            points = [(at(line["x"]), base - high * line[panel.field] / roof) for line in own]
            if not points:
                continue
            drawing.path(points, color_of(own[0]))
            for (x, y), line in zip(points, own):
                drawing.text(x, y - 10, number(line[panel.field]), size=12, anchor="middle", weight=600)
        drawing.text((left + right) / 2, base + 38, what_x_is, size=12, color=INK, anchor="middle")
        top = base + 56
    drawing.height = top + 4
    return drawing.svg()


# ---- tables ---------------------------------------------------------------------------------------------------------


def table(head, rows):
    out = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    return "\n".join(out + ["| " + " | ".join(row) + " |" for row in rows])


def times(ours, theirs, more_is_better):
    ratio = ours / theirs if more_is_better else theirs / ours
    return f"{number(ratio)}×"


def side_by_side_table(lines):
    engines = []
    for line in sorted(lines, key=lambda line: (order_of(line), line.get("store") != "sqlite")):
        if engine_name(line) not in engines:
            engines.append(engine_name(line))
    ours = [name for name in engines if name.startswith("Pawl")]
    theirs = [name for name in engines if name not in ours]
    head = ["", *engines] + [f"{name} against {other}" if len(ours) > 1 else f"against {other}"
                             for name in ours for other in theirs]
    rows = []
    for workload, title, panels in BARS.values():
        for panel in panels:
            best, cells = {}, []
            for name in engines:
                found = [line for line in lines if line["workload"] == workload and engine_name(line) == name
                         and panel.takes(line)]
                if not found:
                    cells.append("")
                    continue
                line = (max if panel.more_is_better else min)(found, key=lambda line: line[panel.field])
                best[name] = line[panel.field]
                cells.append(number(line[panel.field])
                             + (f" ({number(line['at_once'])} at once)" if len(found) > 1 else ""))
            if not best:
                continue
            cells += [times(best[name], best[other], panel.more_is_better)
                      if best.get(name) and best.get(other) else "" for name in ours for other in theirs]
            rows.append([f"{title.partition(':')[0]}{stage_of(panel)}: {panel.title}, {panel.unit}", *cells])
    return table(head, rows)


def stage_of(panel):
    return "".join(f", {value}" for key, value in panel.where if key == "state")


def alone_table(lines):
    rows = []
    for line in sorted(lines, key=lambda line: (line["workload"], line.get("store", ""))):
        what = ", ".join(str(line[key]) for key in ("what", "state") if key in line)
        name = line["workload"] + (f" ({what})" if what else "")
        optional = [number(line[key]) if isinstance(line.get(key), (int, float)) else "" for key in
                    ("cpu_us_per_step", "limit", "ratio")]
        rows.append([name, STORES.get(line.get("store"), str(line.get("store"))),
                     f"{number(line['value'])} {line['unit']}", *optional, str(line.get("limit_is") or "")])
    return table(["workload", "store", "value", "CPU per step, µs", "limit", "ratio to it", "the limit is"], rows)


def growth_table(series, lines):
    lines = sorted(lines, key=lambda line: (line.get("store", ""), line["x"]))
    cpu = any(isinstance(line.get("cpu_us_per_step"), (int, float)) for line in lines)
    head = [SERIES.get(series, (series, series))[1], lines[0]["unit"]] + (["CPU per step, µs"] if cpu else [])
    rows = [[f"{line['x']:,}", number(line["value"])] + ([number(line["cpu_us_per_step"])
            if isinstance(line.get("cpu_us_per_step"), (int, float)) else ""] if cpu else []) for line in lines]
    return table(head, rows)


# ---- the whole report -----------------------------------------------------------------------------------------------


def report(lines):
    """({file name: SVG}, Markdown) of lines as read() gives them."""
    lines = settled(lines)
    missing = [line for line in lines if "not_measured" in line]
    measured = [line for line in lines if "not_measured" not in line]
    growth = [line for line in measured if line["workload"] == "grow"]
    measured = [line for line in measured if line["workload"] != "grow"]
    compared = [line for line in measured if "engine" in line]
    alone = [line for line in measured if "engine" not in line]

    drawings, text = {}, []
    if compared:
        for peer, own in (("Restate", [line for line in compared if line["workload"] != "fire"]),
                          ("Quartz", [line for line in compared if line["workload"] == "fire"])):
            if own:
                text += [f"## Side by side with {peer}", side_by_side_table(own)]
        for name, (workload, title, panels) in BARS.items():
            svg = draw_bars(title, panels, [line for line in compared if line["workload"] == workload])
            if svg:
                drawings[f"{name}.svg"] = svg
                text.append(f"![{title}](performance/{name}.svg)")
    if alone:
        text += ["## Against the machine's limits", alone_table(alone)]
    if growth:
        text.append("## How cost grows")
        known = [*SERIES, *sorted({line["series"] for line in growth} - set(SERIES))]
        for series in known:
            own = [line for line in growth if line["series"] == series]
            if own:
                name = f"grow-{series.replace('_', '-')}.svg"
                drawings[name] = draw_growth(series, own)
                text += [f"![{SERIES.get(series, (series,))[0]}](performance/{name})", growth_table(series, own)]
    if missing:
        text.append("## Not measured")
        text.append("\n".join(f"- {line['workload']} on {STORES.get(line.get('store'), line.get('store'))}: "
                              f"{line['not_measured']}" for line in missing))
    return drawings, "\n\n".join(text) + "\n"


def main():
    parser = argparse.ArgumentParser(prog="./dev bench report", description="draw what was measured")
    parser.add_argument("--out", type=pathlib.Path, default=OUT, help="folder for the drawings")
    parser.add_argument("files", nargs="*", type=pathlib.Path, metavar="FILE", help="default: all of build/bench")
    options = parser.parse_args()
    files = options.files or [path for path in FILES if path.exists()]
    try:
        lines = [line for path in files for line in read(path)]
        if not lines:
            raise Failure("nothing was measured yet: ./dev bench, ./dev bench peers")
    except (Failure, OSError) as error:
        print(f"report: {error}", file=sys.stderr)
        return 1
    drawings, text = report(lines)
    options.out.mkdir(parents=True, exist_ok=True)
    for name, svg in drawings.items():
        (options.out / name).write_text(svg, encoding="utf-8")
        print(f"report: {options.out / name}", file=sys.stderr)
    print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
