"""What bench/report.py makes of lines that were never measured."""

import pathlib
import sys
import tempfile
import unittest
import xml.etree.ElementTree as tree

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "bench"))
import report  # noqa: E402

SVG = "{http://www.w3.org/2000/svg}"


def line(workload, value, unit, **more):
    return {"workload": workload, "store": "sqlite", "value": value, "unit": unit, "cpu_us_per_step": None, **more}


def side_by_side():
    lines = [line("W1", 51234.0, "steps/s", engine="pawl", cpu_us_per_step=24.1, at_once=1000)]
    for partitions, value in (("24", 3461), ("2", 6203)):
        engine = f"restate-{partitions}"
        lines += [line("W1", value, "steps/s", engine=engine, cpu_us_per_step=500, at_once=128),
                  line("W1", value + 800, "steps/s", engine=engine, cpu_us_per_step=400, at_once=512)]
    for engine, slower in (("pawl", 1), ("restate-24", 10), ("restate-2", 8)):
        lines += [
            line("W2", 2.1 * slower, "ms", engine=engine, what="p50", p99_ms=5.0 * slower),
            line("W3", 0.3 * slower, "s", engine=engine, what="first", state="parked", run_twice=0),
            line("W3", 2.0 * slower, "s", engine=engine, what="all", state="parked", run_twice=0),
            line("W3", 1.5 * slower, "s", engine=engine, what="all", state="stepping", run_twice=7),
            line("W4", 20 * slower, "ms", engine=engine, what="ready"),
            line("W4", 22 * slower, "MiB", engine=engine, what="rss"),
            line("W4", 0.05 * slower, "%", engine=engine, what="idle_cpu"),
            line("W5", 15000 / slower, "steps/s", engine=engine, cpu_us_per_step=60 * slower),
        ]
    return lines


def growth():
    lines = [line("grow", 50_000 - 10 * x ** 0.5, "steps/s", series=series, x=x, cpu_us_per_step=20 + x / 1e5)
             for series in ("runs_at_once", "finished_runs", "tasks_in_run", "output_size")
             for x in (10, 100, 1000, 10_000)]
    return lines + [line("grow", 0.02 + x / 1e5, "s", series=series, x=x)
                    for series in ("startup_waiting", "startup_cut_off") for x in (0, 1000, 10_000, 100_000)]


def texts(svg):
    return [element.text for element in tree.fromstring(svg).iter(f"{SVG}text")]


def count(svg, kind, name):
    return sum(1 for element in tree.fromstring(svg).iter(SVG + kind) if element.get("class") == name)


class Drawings(unittest.TestCase):
    def test_every_drawing_is_well_formed_and_has_a_sheet_of_its_own(self):
        drawings, _ = report.report(side_by_side() + growth())
        self.assertEqual(sorted(drawings), ["grow-finished-runs.svg", "grow-output-size.svg", "grow-runs-at-once.svg",
                                            "grow-startup-cut-off.svg", "grow-startup-waiting.svg",
                                            "grow-tasks-in-run.svg", "w1.svg", "w2.svg", "w3-stepping.svg", "w3.svg",
                                            "w4.svg", "w5.svg"])
        for svg in drawings.values():
            root = tree.fromstring(svg)
            self.assertEqual(root.find(f"{SVG}rect").get("fill"), "white")
            self.assertTrue(root.find(f"{SVG}title").text)

    def test_a_bar_stands_for_every_engine_and_setting_with_its_value_and_unit(self):
        drawings, _ = report.report(side_by_side())
        self.assertEqual(count(drawings["w1.svg"], "rect", "bar"), 10)  # five each for steps and CPU
        for text in ("Pawl, SQLite", "Restate, 24 partitions, 128 at once", "51,230 steps/s", "3,461 steps/s",
                     "24.1 µs"):
            self.assertIn(text, texts(drawings["w1.svg"]))
        self.assertEqual(count(drawings["w4.svg"], "rect", "bar"), 9)
        self.assertIn("16.8 ms", texts(drawings["w2.svg"]))

    def test_every_point_of_a_series_is_drawn_and_zero_stands_left_of_the_first(self):
        drawings, _ = report.report(growth())
        self.assertEqual(count(drawings["grow-runs-at-once.svg"], "circle", "point"), 8)  # steps and CPU
        root = tree.fromstring(drawings["grow-startup-waiting.svg"])
        places = [float(point.get("cx")) for point in root.iter(f"{SVG}circle")]
        self.assertEqual(len(places), 4)
        self.assertEqual(places, sorted(places))
        self.assertIn("100 k", texts(drawings["grow-startup-waiting.svg"]))

    def test_two_stores_are_two_lines_of_one_drawing(self):
        lines = growth() + [dict(entry, store="postgres") for entry in growth()]
        drawings, _ = report.report(lines)
        self.assertEqual(count(drawings["grow-startup-waiting.svg"], "polyline", "series"), 2)
        self.assertIn("PostgreSQL", texts(drawings["grow-startup-waiting.svg"]))

    def test_names_from_the_lines_cannot_break_the_drawing(self):
        drawings, _ = report.report([line("W1", 1, "steps/s", engine="a<b&\"c\"-2")])
        tree.fromstring(drawings["w1.svg"])

    def test_one_line_and_values_of_zero_can_be_drawn(self):
        drawings, _ = report.report([line("grow", 0, "s", series="startup_waiting", x=0),
                                     line("W4", 0, "%", engine="pawl", what="idle_cpu")])
        self.assertEqual(len(drawings), 2)


class Tables(unittest.TestCase):
    def test_ratios_are_how_many_times_better_whichever_way_is_better(self):
        _, text = report.report(side_by_side())
        steps = next(row for row in text.split("\n") if row.startswith("| W1: Steps"))
        self.assertIn("4,261 (512 at once)", steps)  # the better of both settings
        self.assertIn("| 12× |", steps)
        median = next(row for row in text.split("\n") if row.startswith("| W2: Time of a run, median"))
        self.assertIn("| 10× |", median)

    def test_the_median_of_rounds_counts_and_without_rounds_the_last_line(self):
        rounds = [line("W1", value, "steps/s", engine="pawl", round=i) for i, value in enumerate((10, 30, 20))]
        self.assertIn("| 20 |", report.report(rounds)[1])
        again = [line("W1", value, "steps/s") for value in (10, 30, 20)]
        text = report.report(again)[1]
        self.assertIn("20 steps/s", text)
        self.assertNotIn("30 steps/s", text)

    def test_what_was_not_measured_is_named_with_its_reason(self):
        why = "there is no PostgreSQL store yet"
        _, text = report.report([line("fire", 20_000, "fires/s", what="burst"),
                                 {"workload": "fire", "store": "postgres", "not_measured": why}])
        self.assertIn(f"- fire on PostgreSQL: {why}", text)
        self.assertIn("| fire (burst) | SQLite | 20,000 fires/s |", text)

    def test_firing_is_set_beside_quartz_and_the_rest_beside_restate(self):
        lines = side_by_side() + [line("fire", 20_000, "fires/s", engine="pawl", what="burst"),
                                  line("fire", 1, "ms", engine="pawl", what="at_200_spread", p99_ms=4)]
        for batch in (1, 100):
            lines.append(line("fire", 10_000 * batch, "fires/s", engine="quartz-ram", what="burst", at_once=batch))
        lines.append(line("fire", 3, "ms", engine="quartz-jdbc", what="at_200_spread", p99_ms=12, at_once=100))
        drawings, text = report.report(lines)
        restate, quartz = text.split("## Side by side with ")[1:]
        self.assertNotIn("Quartz", restate)
        self.assertNotIn("Restate", quartz.partition("![")[0])
        fires = next(row for row in quartz.split("\n") if row.startswith("| fire: Fires"))
        self.assertIn("| 20,000 | 1,000,000 (100 at once) |", fires)  # the better of both settings
        late = next(row for row in quartz.split("\n") if "spread over it: 99th" in row)
        self.assertIn("| 3× |", late)
        self.assertIn("Quartz, JDBC, 100 at once", texts(drawings["fire.svg"]))

    def test_numbers_keep_what_matters(self):
        for value, text in ((0, "0"), (0.00312, "0.00312"), (2.126, "2.13"), (999.6, "1,000"), (51234, "51,230"),
                            (1e6, "1,000,000"), (0.00001234, "0.000012")):
            self.assertEqual(report.number(value), text)


class Reading(unittest.TestCase):
    def read(self, text):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "lines.jsonl"
            path.write_text(text)
            return report.read(path)

    def test_a_line_that_is_not_json_is_named(self):
        good = '{"workload":"W1","value":1,"unit":"steps/s"}\n'
        with self.assertRaisesRegex(report.Failure, r"lines\.jsonl:3: not JSON .*bench: W1"):
            self.read(good + "\n" + "bench: W1 begins\n" + good)
        self.assertEqual(len(self.read(good + "\n")), 1)

    def test_a_line_without_workload_or_value_is_named(self):
        for text in ("[1]", '{"value":1}', '{"workload":"W1"}', '{"workload":"W1","value":"fast"}'):
            with self.assertRaisesRegex(report.Failure, r"lines\.jsonl:1: "):
                self.read(text)


if __name__ == "__main__":
    unittest.main()
