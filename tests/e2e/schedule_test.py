"""Schedules from outside: made, changed, stopped and deleted; what their options do; the ledger, and backfills."""

import json
import time
import unittest

from support.cases import Case
from support.definitions import workflow
from support.pawl import wait_until
from support.schedules import (DONE_AT_ONCE, EVERY_SECOND, UNTIL_APPROVED, ClockedScheduleServer, ScheduleServer, once_at,
                               seconds, stamp, what)

HOUR = 3600
DAY = 24 * HOUR
FAR = "0 0 3 1 1 ? 2190"  # nothing of it happens while a test looks
DEFAULTS = {"misfire": "run-once", "misfire_threshold": "1m", "misfire_window": "1d", "max_catch_up": 100,
            "overlap": "queue", "inputs": {}, "start": None, "end": None, "jitter": "0s", "late_after": None}


def with_schedules(name, schedules, *tasks, **more):
    return workflow(name, *(tasks or [DONE_AT_ONCE]), on={"schedule": schedules}, **more)


class WithServer(Case):
    """One server for all tests of a class: each has a workflow of its own name."""

    @classmethod
    def setUpClass(cls):
        cls.server = ScheduleServer().start()
        cls.addClassCleanup(cls.server.close)

    def setUp(self):
        pass

    def apply(self, name, *tasks, schedules=None, **more):
        if schedules:
            more["on"] = {"schedule": schedules}
        self.server.apply(workflow(name, *(tasks or [DONE_AT_ONCE]), **more),
                          name if self.is_known(name) else None)

    def is_known(self, name):
        return any(one["name"] == name for one in self.server.pages("workflows"))

    def add(self, workflow_name, cron=EVERY_SECOND, **more):
        return self.server.add_schedule(workflow_name, cron, **more)


class Kept(WithServer):
    """What a schedule is, apart from its slots."""

    def test_one_made_by_API_has_all_that_was_said_and_defaults_for_the_rest(self):
        self.apply("made", inputs={"tag": {"type": "string"}})
        made = self.add("made", "0 8 * * 1-5", timezone="Asia/Seoul", inputs={"tag": "x"})
        self.assertEqual({key: made[key] for key in DEFAULTS}, DEFAULTS | {"inputs": {"tag": "x"}})
        self.assertEqual((made["workflow"], made["name"], made["cron"], made["timezone"], made["managed_by"]),
                         ("made", "main", "0 8 * * 1-5", "Asia/Seoul", "api"))
        self.assertEqual((made["enabled"], made["active"], made["last_slot"]), (True, True, None))
        self.assertEqual(made["description"], "At 08:00, Monday to Friday")
        self.assertEqual(self.server.schedule(made["id"]), made)
        self.assertEqual(self.server.schedule("made/main"), made)
        self.assertEqual(self.server.schedule("made%2Fmain"), made)
        self.assertEqual([one["id"] for one in self.server.get("workflows/made/schedules")["items"]], [made["id"]])
        said = {"cron": "0 9 * * *", "timezone": "Europe/Berlin", "misfire": "run-all", "misfire_threshold": "2m",
                "misfire_window": "3h", "max_catch_up": 7, "overlap": "skip", "inputs": {"tag": "y"},
                "start": "2027-01-01T00:00:00.000Z", "end": "2190-01-01T00:00:00.000Z", "jitter": "5s", "late_after": "10m"}
        every = self.add("made", name="every", **said)
        self.assertEqual({key: every[key] for key in said}, said)
        self.assertEqual(self.server.schedule("made/every"), every)

    def test_a_definition_carries_its_schedules_and_a_lone_one_without_id_is_main(self):
        self.apply("lone", schedules={"cron": "0 8 * * *", "timezone": "Asia/Seoul", "late-after": "1h"})
        (lone,) = self.server.pages("workflows/lone/schedules")
        self.assertEqual((lone["name"], lone["managed_by"], lone["timezone"], lone["late_after"]),
                         ("main", "definition", "Asia/Seoul", "1h"))
        self.assertEqual(seconds(lone["next_fire_at"]) % DAY, 23 * HOUR)
        self.apply("two", schedules=[{"id": "a", "cron": "0 8 * * *"}, {"id": "b", "cron": "0 9 * * *"}])
        self.assertEqual(self.server.schedule_names("two"), ["a", "b"])
        self.refused(422, "definition_invalid", self.server.apply,
                     with_schedules("nameless", [{"cron": "0 8 * * *"}, {"cron": "0 9 * * *"}]))
        self.refused(422, "definition_invalid", self.server.apply,
                     with_schedules("same", [{"id": "a", "cron": "0 8 * * *"}, {"id": "b", "cron": "0 8 * * *"}]))
        self.refused(422, "definition_invalid", self.server.apply, with_schedules("never", {"cron": "0 0 30 2 *"}))

    def test_a_new_version_changes_adds_and_deletes_and_leaves_alone_what_is_the_same(self):
        self.apply("versions", schedules=[{"id": "same", "cron": "0 8 * * *"}, {"id": "changed", "cron": "0 9 * * *"},
                                          {"id": "gone", "cron": "0 10 * * *"}])
        self.add("versions", "0 11 * * *", name="by-api")
        self.server.change_schedule("versions/changed", enabled=False)
        before = {name: self.server.schedule(f"versions/{name}") for name in ("same", "changed", "gone", "by-api")}
        self.apply("versions", schedules=[{"id": "same", "cron": "0 8 * * *"}, {"id": "changed", "cron": "0 12 * * *"},
                                          {"id": "new", "cron": "0 13 * * *"}])
        self.assertEqual(self.server.schedule_names("versions"), ["by-api", "changed", "new", "same"])
        for name in ("same", "by-api"):
            self.assertEqual(self.server.schedule(f"versions/{name}"), before[name])
        changed = self.server.schedule("versions/changed")
        self.assertEqual((changed["id"], changed["cron"], changed["enabled"]),
                         (before["changed"]["id"], "0 12 * * *", False))
        self.refused(404, "schedule_unknown", self.server.schedule, before["gone"]["id"])

    def test_the_second_of_a_name_and_the_second_that_does_the_same_are_refused(self):
        self.apply("twice", inputs={"tag": {"type": "string"}})
        self.add("twice", FAR, name="a", timezone="UTC", inputs={"tag": "x"})
        self.refused(409, "schedule_exists", self.add, "twice", "0 4 * * *", name="a")
        self.refused(409, "schedule_duplicate", self.add, "twice", FAR, name="b", timezone="UTC", inputs={"tag": "x"})
        self.add("twice", FAR, name="zone", timezone="Asia/Seoul", inputs={"tag": "x"})
        self.add("twice", FAR, name="inputs", timezone="UTC", inputs={"tag": "y"})
        self.add("twice", "0 4 * * *", name="cron", timezone="UTC", inputs={"tag": "x"})
        self.refused(409, "schedule_duplicate", self.server.change_schedule, "twice/cron", cron=FAR)
        self.refused(422, "name_required", self.add, "twice", "0 5 * * *")
        self.apply("other")
        self.add("other", FAR, name="a", timezone="UTC")

    def test_what_makes_no_sense_is_refused_with_the_member_that_is_wrong(self):
        self.apply("wrong")
        for members, field in (({"cron": "61 * * * *"}, "cron"), ({"cron": "0 0 30 2 *"}, "cron"), ({"timezone": "Asia/Soul"}, "timezone"),
                               ({"misfire": "never"}, "misfire"), ({"overlap": "maybe"}, "overlap"),
                               ({"jitter": "-1s"}, "jitter"), ({"max_catch_up": 0}, "max_catch_up"),
                               ({"inputs": {"unknown": 1}}, "inputs"), ({"start": "soon"}, "start")):
            with self.subTest(members):
                problem = self.refused(422, "schedule_invalid", self.add, "wrong", **({"cron": FAR} | members))
                self.assertTrue(problem["errors"][0]["field"].startswith(field), problem)
        self.refused(422, "schedule_never_fires", self.add, "wrong", once_at(time.time() - DAY), timezone="UTC")
        self.refused(422, "name_invalid", self.add, "wrong", FAR, name="a/b")
        self.refused(404, "workflow_unknown", self.add, "nobody", FAR)
        self.refused(404, "schedule_unknown", self.server.schedule, "wrong/nobody")
        self.assertEqual(self.server.schedule_names("wrong"), [])

    def test_a_change_keeps_the_id_and_what_became_of_earlier_slots(self):
        self.apply("changed")
        made = self.add("changed", name="tick")
        fired = self.server.wait_fired("changed/tick", 2)
        changed = self.server.change_schedule("changed/tick", cron=FAR, overlap="allow", late_after="5m")
        self.assertEqual((changed["id"], changed["name"], changed["cron"], changed["overlap"], changed["late_after"]),
                         (made["id"], "tick", FAR, "allow", "5m"))
        self.assertEqual(changed["misfire"], "run-once", "what was not said has changed")
        self.assertEqual(seconds(changed["next_fire_at"]) // DAY, seconds("2190-01-01T00:00:00Z") // DAY)
        kept = self.server.ledger(made["id"])
        self.assertEqual([one["run"] for one in kept[:len(fired)]], [one["run"] for one in fired])
        back = self.server.change_schedule(made["id"], late_after=None)
        self.assertIsNone(back["late_after"])
        self.assertGreaterEqual(back["updated_at"], changed["updated_at"])

    def test_a_change_of_the_expression_counts_from_the_next_second(self):
        self.apply("soon")
        self.add("soon", FAR)
        asked = time.time()
        self.server.change_schedule("soon/main", cron=EVERY_SECOND)
        (first, *_) = self.server.wait_fired("soon/main")
        self.assertLess(seconds(first["slot"]), asked + 2.5)
        self.assertLess(first["lateness_ms"], 1000)

    def test_deleted_and_added_again_it_is_another_one_and_the_old_ledger_can_be_read(self):
        self.apply("again")
        old = self.add("again")
        self.server.wait_fired("again/main")
        self.server.delete_schedule("again/main")
        ledger = self.server.ledger(old["id"])
        self.refused(404, "schedule_unknown", self.server.schedule, old["id"])
        self.refused(404, "schedule_unknown", self.server.delete_schedule, old["id"])
        self.assertEqual(self.server.schedule_names("again"), [])
        new = self.add("again")
        self.assertNotEqual(new["id"], old["id"])
        self.server.wait_fired("again/main", 2)
        self.assertEqual(self.server.ledger(old["id"]), ledger)
        self.assertGreater(self.server.fired("again/main")[0], seconds(ledger[-1]["to"]))
        self.server.delete_schedule(new["id"])

    def test_lists_are_by_workflow_and_by_whether_they_are_enabled(self):
        self.apply("listed")
        zones = {"a": "UTC", "b": "Asia/Seoul", "c": "Asia/Tokyo"}
        for name, enabled in (("a", True), ("b", False), ("c", True)):
            self.add("listed", FAR, name=name, enabled=enabled, timezone=zones[name])
        self.assertEqual(self.server.schedule_names("listed"), ["a", "b", "c"])
        ask = lambda enabled: [one["name"] for one in self.server.pages("schedules", workflow="listed", enabled=enabled)]
        self.assertEqual((ask("true"), ask("false")), (["a", "c"], ["b"]))
        page = self.server.get("schedules?workflow=listed&limit=2")
        self.assertEqual([one["name"] for one in page["items"]], ["a", "b"])
        rest = self.server.get(f"schedules?workflow=listed&limit=2&cursor={page['next_cursor']}")
        self.assertEqual(([one["name"] for one in rest["items"]], rest["next_cursor"]), (["c"], None))

    def test_all_of_it_survives_kill_9(self):
        self.apply("kept", schedules={"cron": FAR, "late-after": "1h"})
        self.add("kept", "0 9 * * *", name="second", enabled=False, jitter="3s")
        before = self.server.pages("schedules", workflow="kept")
        self.server.kill()
        self.server.start()
        self.assertEqual(self.server.pages("schedules", workflow="kept"), before)


class CommandLine(WithServer):
    def cli(self, *arguments):
        done = self.server.cli(*arguments)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def ask(self, *arguments):
        return json.loads(self.cli(*arguments, "--json"))

    def test_a_schedule_is_added_changed_stopped_and_deleted(self):
        self.apply("shell", inputs={"tag": {"type": "string"}})
        made = self.ask("schedule", "add", "shell", "--cron", FAR, "--name", "m", "--tz", "Asia/Seoul", "--overlap", "skip",
                        "--misfire", "run-all", "--max-catch-up", 7, "--jitter", "2s", "--late-after", "10m", "-i", "tag=x")
        self.assertEqual(made, self.server.schedule("shell/m"))
        self.assertEqual((made["timezone"], made["overlap"], made["misfire"], made["max_catch_up"], made["jitter"],
                          made["late_after"], made["inputs"]),
                         ("Asia/Seoul", "skip", "run-all", 7, "2s", "10m", {"tag": "x"}))
        changed = self.ask("schedule", "change", "shell/m", "--overlap", "allow", "--no-late-after")
        self.assertEqual((changed["id"], changed["overlap"], changed["late_after"], changed["misfire"]),
                         (made["id"], "allow", None, "run-all"))
        self.cli("schedule", "disable", "shell/m")
        self.assertFalse(self.server.schedule("shell/m")["enabled"])
        self.assertIn("no", self.cli("schedule", "list", "shell").split())
        self.cli("schedule", "enable", made["id"])
        self.assertTrue(self.server.schedule("shell/m")["enabled"])
        self.assertIn("shell/m", self.cli("schedule", "list"))
        self.assertEqual([one["id"] for one in self.ask("schedule", "list", "shell")["items"]], [made["id"]])
        self.assertIn("2190", self.cli("schedule", "next", "shell/m", "-n", 1))
        self.cli("schedule", "delete", "shell/m")
        self.assertEqual(self.server.schedule_names("shell"), [])
        gone = self.server.cli("schedule", "next", "shell/m")
        self.assertEqual(gone.returncode, 1)
        self.assertIn("there is no schedule 'shell/m'", gone.stderr)

    def test_the_ledger_tells_what_became_of_the_slots(self):
        self.apply("told", UNTIL_APPROVED)
        self.cli("schedule", "add", "told", "--cron", EVERY_SECOND, "--overlap", "skip")
        self.server.wait_ledger("told/main", lambda entries: [what(one) for one in entries][1:2] == ["skipped/overlap"])
        text = self.cli("schedule", "ledger", "told/main")
        self.assertIn("told#1", text)
        self.assertIn("an earlier run was still open", text)
        self.assertEqual(self.ask("schedule", "ledger", "told/main", "--limit", 200)["items"][-1]["outcome"], "fired")
        self.cli("delete", "told")

    def test_a_workflow_is_disabled_enabled_and_deleted(self):
        self.apply("whole", schedules={"cron": FAR})
        self.cli("disable", "whole")
        self.assertFalse(self.server.get("workflows/whole")["enabled"])
        self.assertNotEqual(self.server.cli("start", "whole").returncode, 0)
        self.cli("enable", "whole")
        self.assertTrue(self.server.schedule("whole/main")["active"])
        self.cli("delete", "whole")
        self.assertFalse(self.is_known("whole"))

    def test_a_backfill_is_looked_at_and_done(self):
        self.apply("fill")
        self.cli("schedule", "add", "fill", "--cron", "0 * * * *")
        begin = int(time.time()) // HOUR * HOUR
        span = ["--from", begin - 4 * HOUR, "--to", begin - HOUR]
        self.assertIn("4 would be started", self.cli("schedule", "backfill", "fill/main", *span, "--dry-run"))
        self.assertEqual(self.server.runs_of("fill"), [])
        self.cli("schedule", "backfill", "fill/main", *span, "--wait")
        self.assertEqual(self.server.slots_of_runs("fill"), [begin - n * HOUR for n in (4, 3, 2, 1)])
        (done,) = self.ask("schedule", "backfills", "fill/main")["items"]
        self.assertEqual((done["status"], done["started"]), ("success", 4))


class Stopped(WithServer):
    """Disabled and deleted, schedules and workflows."""

    def test_a_disabled_schedule_fires_nothing_and_its_slots_are_in_the_ledger_when_it_goes_on(self):
        self.apply("pause")
        self.add("pause")
        self.server.wait_fired("pause/main")
        stopped = self.server.change_schedule("pause/main", enabled=False)
        self.assertEqual((stopped["enabled"], stopped["active"], stopped["next_fire_at"]), (False, False, None))
        at = time.time()
        fired = self.server.fired("pause/main")
        wait_until(lambda: time.time() > at + 2.2)
        growing = self.server.get("schedules/pause/main/ledger")["items"][0]
        self.assertEqual((what(growing), growing["decided_at"]), ("skipped/disabled", None))
        self.assertGreaterEqual(growing["count"], 2)
        self.assertEqual(self.server.fired("pause/main"), fired)
        again = time.time()
        self.server.change_schedule("pause/main", enabled=True)
        self.server.wait_fired("pause/main", len(fired) + 1)
        told = self.server.told("pause/main")
        self.assert_covered(told)
        (between,) = [one for one in told if one[0] == "skipped/disabled"]
        self.assertEqual((between[1], between[3]), (fired[-1] + 1, between[2] - fired[-1]))
        self.assertLess(abs(between[2] - again), 1.5)
        self.assertLess(self.server.fired("pause/main")[len(fired)], again + 2.5, "it goes on within a second")
        self.server.delete_schedule("pause/main")

    def assert_covered(self, told):
        """All seconds from the first entry to the last, each by one."""
        for before, entry in zip(told, told[1:]):
            self.assertEqual(entry[1], before[2] + 1, told)
        for entry in told:
            self.assertEqual(entry[3], entry[2] - entry[1] + 1, told)

    def test_a_disabled_workflow_refuses_starts_and_gives_back_exactly_what_was_enabled(self):
        self.apply("whole", UNTIL_APPROVED)
        self.add("whole", name="on", overlap="allow")
        self.add("whole", "*/2 * * * * ?", name="off", enabled=False)
        (run, *_) = self.server.wait_fired("whole/on")
        self.assertFalse(self.server.switch_workflow("whole", False)["enabled"])
        self.refused(409, "workflow_disabled", self.server.start_run, "whole")
        on, off = (self.server.schedule(f"whole/{name}") for name in ("on", "off"))
        self.assertEqual((on["enabled"], on["active"], off["enabled"], off["active"]), (True, False, False, False))
        self.assertIsNone(self.server.get("workflows/whole")["next_fire_at"])
        fired = self.server.fired("whole/on")
        self.server.kill()
        self.server.start()
        # A run that was open goes on.
        self.answer(run["run"], "main/ask", "approve")
        self.server.wait_run(run["run"], "success")
        at = time.time()
        wait_until(lambda: time.time() > at + 1.5)
        self.assertEqual(self.server.fired("whole/on"), fired)
        again = time.time()
        self.assertTrue(self.server.switch_workflow("whole", True)["enabled"])
        self.server.wait_fired("whole/on", len(fired) + 1)
        self.assertLess(self.server.fired("whole/on")[len(fired)], again + 2.5)
        self.assert_covered(self.server.told("whole/on"))
        self.assertIn("skipped/disabled", [one[0] for one in self.server.told("whole/on")])
        off = self.server.schedule("whole/off")
        self.assertEqual((off["enabled"], off["active"]), (False, False))
        self.assertEqual(self.server.fired("whole/off"), [])
        self.server.call("DELETE", "workflows/whole")

    def test_a_deleted_workflow_goes_from_lists_and_its_numbers_go_on_when_it_comes_back(self):
        self.apply("gone", UNTIL_APPROVED, schedules={"cron": EVERY_SECOND, "overlap": "allow"})
        old = self.server.schedule("gone/main")["id"]
        (first, *_) = self.server.wait_fired("gone/main")
        self.server.call("DELETE", "workflows/gone")
        self.assertFalse(self.is_known("gone"))
        self.assertEqual(self.server.schedule_names("gone"), [])
        self.refused(404, "workflow_unknown", self.server.get, "workflows/gone")
        self.refused(404, "workflow_unknown", self.server.start_run, "gone")
        self.refused(404, "schedule_unknown", self.server.schedule, "gone/main")
        numbers = [run["number"] for run in self.server.runs_of("gone")]
        self.answer(first["run"], "main/ask", "approve")
        self.server.wait_run(first["run"], "success")
        self.apply("gone", UNTIL_APPROVED)
        self.assertEqual(self.server.schedule_names("gone"), [])
        self.assertEqual(self.server.start_run("gone")["number"], max(numbers) + 1)
        self.assertEqual([run["number"] for run in self.server.runs_of("gone")], [*numbers, max(numbers) + 1])
        new = self.add("gone", FAR)
        self.assertNotEqual(new["id"], old)
        self.assertEqual(self.server.ledger(old)[0]["run"], first["run"])

    def test_schedules_of_one_workflow_are_independent_of_each_other(self):
        self.apply("beside", UNTIL_APPROVED)
        self.add("beside", name="blocked", overlap="skip", inputs={})
        self.add("beside", name="free", overlap="allow", timezone="Asia/Seoul")
        self.add("beside", name="stopped", timezone="Asia/Tokyo", enabled=False)
        self.server.wait_fired("beside/free", 3)
        self.assertEqual(len(self.server.fired("beside/blocked")), 1)
        self.server.change_schedule("beside/blocked", enabled=False)
        self.server.delete_schedule("beside/stopped")
        count = len(self.server.fired("beside/free"))
        self.server.wait_fired("beside/free", count + 2)
        self.server.call("DELETE", "workflows/beside")


class Options(WithServer):
    """Each does what it says; a test fails where it is passed over."""

    def queued(self, name):
        return [run for run in self.server.runs_of(name) if run["status"] == "queued"]

    def test_overlap_queue_lets_one_slot_wait_and_passes_over_the_next_ones(self):
        self.apply("queue", UNTIL_APPROVED)
        self.add("queue")
        self.server.wait_ledger("queue/main", lambda entries: len(entries) >= 4)
        told = self.server.told("queue/main")
        self.assertEqual([one[0] for one in told[:4]], ["fired", "fired", "skipped/overlap", "skipped/overlap"])
        first, second = self.server.runs_of("queue")
        self.assertEqual((first["status"], second["status"]), ("waiting", "queued"))
        self.assertEqual(seconds(second["schedule"]["slot"]), told[1][1])
        self.answer(first["id"], "main/ask", "approve")
        self.server.wait_run(second["id"], "waiting")
        wait_until(lambda: self.queued("queue"), what="the next in line")
        self.server.call("DELETE", "workflows/queue")

    def test_overlap_skip_starts_none_while_one_is_open(self):
        self.apply("skip", UNTIL_APPROVED)
        self.add("skip", overlap="skip")
        self.server.wait_ledger("skip/main", lambda entries: len(entries) >= 3)
        self.assertEqual([one[0] for one in self.server.told("skip/main")[:3]],
                         ["fired", "skipped/overlap", "skipped/overlap"])
        (first,) = self.server.runs_of("skip")
        self.answer(first["id"], "main/ask", "approve")
        self.server.wait_fired("skip/main", 2)
        self.server.call("DELETE", "workflows/skip")

    def test_overlap_allow_runs_them_side_by_side(self):
        self.apply("allow", UNTIL_APPROVED)
        self.add("allow", overlap="allow")
        self.server.wait_fired("allow/main", 3)
        wait_until(lambda: [run["status"] for run in self.server.runs_of("allow")][:3] == ["waiting"] * 3)
        self.server.call("DELETE", "workflows/allow")

    def test_overlap_cancel_running_ends_the_earlier_one(self):
        self.apply("cancel", UNTIL_APPROVED)
        self.add("cancel", overlap="cancel-running")
        self.server.wait_fired("cancel/main", 3)
        self.server.call("DELETE", "workflows/cancel")
        runs = self.server.runs_of("cancel")
        wait_until(lambda: self.server.run(runs[-1]["id"])["status"] == "waiting")
        self.assertEqual({self.server.run(run["id"])["status"] for run in runs[:-1]}, {"cancelled"})

    def test_runs_by_hand_are_no_overlap(self):
        self.apply("hand", UNTIL_APPROVED)
        self.server.start_run("hand")
        self.add("hand", overlap="skip")
        self.server.wait_fired("hand/main")
        self.server.call("DELETE", "workflows/hand")

    def test_no_slot_is_earlier_than_start_and_none_later_than_end(self):
        self.apply("bounds")
        start, end = int(time.time()) + 3, int(time.time()) + 5
        made = self.add("bounds", start=stamp(start), end=end, overlap="allow")
        self.assertEqual((seconds(made["next_fire_at"]), made["end"]), (start, stamp(end)))
        self.assertEqual([seconds(one["slot"]) for one in self.server.get("schedules/bounds/main/next")["items"]],
                         [start, start + 1, start + 2])
        wait_until(lambda: time.time() > end + 1.5)
        self.assertEqual(self.server.told("bounds/main"), [("fired", at, at, 1) for at in range(start, end + 1)])
        over = self.server.schedule("bounds/main")
        self.assertEqual((over["next_fire_at"], seconds(over["last_slot"])), (None, end))

    def test_a_slot_with_jitter_is_due_at_a_time_of_its_own_that_never_changes(self):
        self.apply("jitter")
        self.add("jitter", "*/2 * * * * ?", jitter="1900ms", overlap="allow")
        due = {one["slot"]: seconds(one["due"]) for one in self.server.get("schedules/jitter/main/next?count=5")["items"]}
        shares = [at - seconds(slot) for slot, at in due.items()]
        self.assertGreater(len(set(shares)), 3, shares)
        self.assertTrue(all(0 <= share <= 1.9 for share in shares), shares)
        self.server.wait_fired("jitter/main")
        self.server.kill()
        self.server.start()
        later = self.server.get("schedules/jitter/main/next?count=5")["items"]
        self.assertEqual({one["slot"]: seconds(one["due"]) for one in later if one["slot"] in due},
                         {slot: at for slot, at in due.items() if slot >= later[0]["slot"]})
        self.server.wait_fired("jitter/main", 3)
        for entry in self.server.ledger("jitter/main"):
            decided, at = seconds(entry["decided_at"]), due[entry["slot"]]
            self.assertGreaterEqual(decided, at, "it fired before it was due")
            self.assertLess(abs(decided - at - entry["lateness_ms"] / 1000), 0.01)
            self.assertLess(decided, at + 1.5)
        self.server.delete_schedule("jitter/main")

    def test_inputs_are_the_runs_own_and_see_the_slot(self):
        self.apply("inputs", {"id": "t", "wait": "0s"}, inputs={"tag": {"type": "string", "default": "none"},
                                                              "at": {"type": "string"}, "size": {"type": "number"}})
        self.add("inputs", inputs={"tag": "x", "at": "${{ schedule.name }} ${{ schedule.slot }}", "size": 3})
        (entry, *_) = self.server.wait_fired("inputs/main")
        run = self.server.run(entry["run"])
        self.assertEqual(run["inputs"], {"tag": "x", "at": f"main {entry['slot']}", "size": 3})
        self.assertEqual((run["trigger"], run["number"]), ("schedule", entry["run_number"]))
        self.assertEqual(run["schedule"], {"id": self.server.schedule("inputs/main")["id"], "name": "main",
                                           "slot": entry["slot"], "backfill": None})
        self.server.change_schedule("inputs/main", inputs={"at": "later"})
        after = seconds(self.server.ledger("inputs/main")[-1]["to"]) + 1
        last = self.server.wait_past("inputs/main", after)[-1]
        self.assertEqual(self.server.run(last["run"])["inputs"], {"tag": "none", "at": "later"})
        self.server.delete_schedule("inputs/main")

    def test_inputs_that_the_workflow_does_not_take_any_more_are_told_in_the_ledger(self):
        self.apply("narrow", inputs={"tag": {"type": "string"}})
        self.add("narrow", FAR, inputs={"tag": "x"})
        self.apply("narrow", inputs={"tag": {"type": "number"}})
        at = int(time.time()) + 2
        self.server.change_schedule("narrow/main", inputs={})
        self.apply("narrow", inputs={"tag": {"type": "number", "required": True}})
        self.server.change_schedule("narrow/main", cron=once_at(at), timezone="UTC")
        (entry,) = self.server.wait_past("narrow/main", at)
        self.assertEqual(what(entry), "skipped/invalid")
        self.assertIn("tag", entry["message"])
        self.assertEqual(self.server.runs_of("narrow"), [])

    def test_hours_are_those_of_the_time_zone(self):
        self.apply("zone")
        at = int(time.time()) + 3
        local = at + 5 * HOUR + 45 * 60
        made = self.add("zone", once_at(local), timezone="Asia/Kathmandu")
        self.assertEqual(seconds(made["next_fire_at"]), at)
        (slot,) = self.server.get("schedules/zone/main/next")["items"]
        self.assertEqual((seconds(slot["slot"]), slot["local"][-6:]), (at, "+05:45"))
        (entry,) = self.server.wait_fired("zone/main")
        self.assertEqual(seconds(entry["slot"]), at)

    def test_a_slot_whose_run_does_not_begin_in_time_starts_on_late_alone(self):
        late = [{"id": "tell", "wait": "0s"}]
        self.apply("late", UNTIL_APPROVED, on_late=late)
        self.apply("patient", UNTIL_APPROVED, on_late=late)
        self.add("late", late_after="1s")
        self.add("patient")
        wait_until(lambda: self.server.runs_of("late", trigger="late"), what="a late run")
        told = self.server.told("late/main")
        run = self.server.runs_of("late", trigger="late")[0]
        self.assertEqual(seconds(run["schedule"]["slot"]), told[1][1], "the first that did not begin")
        self.assertGreaterEqual(seconds(run["created_at"]), told[1][1] + 1)
        self.assertLess(seconds(run["created_at"]), told[1][1] + 3)
        done = self.server.wait_run(run["id"], "success")
        self.assertEqual(self.verdicts(done)["on-late/tell"], "success")
        self.assertEqual(self.verdicts(done)["main/ask"].split("/")[0], "skipped")
        self.server.wait_past("patient/main", told[1][1] + 2)
        self.assertEqual(self.server.runs_of("patient", trigger="late"), [])
        for name in ("late", "patient"):
            self.server.call("DELETE", f"workflows/{name}")

    def test_a_new_schedule_fires_within_a_second_of_its_slot(self):
        self.apply("live")
        took = []
        for n in range(3):
            asked = time.time()
            self.add("live", name=f"n{n}")
            (first, *_) = self.server.wait_fired(f"live/n{n}")
            self.assertLess(seconds(first["slot"]), asked + 2.5)
            took.append(first["lateness_ms"])
            self.server.delete_schedule(f"live/n{n}")
        self.assertLess(sorted(took)[1], 1000)


class Looked(WithServer):
    def test_next_shows_what_the_clocks_do(self):
        self.apply("next")
        self.add("next", "30 2 * * *", timezone="Europe/Berlin")
        ask = lambda after, count: [(one["slot"], one["local"], one["clock"]) for one in self.server.get(
            f"schedules/next/main/next?count={count}&after={after}")["items"]]
        self.assertEqual(ask("2027-03-27T12:00:00Z", 2),
                         [("2027-03-28T01:00:00.000Z", "2027-03-28T03:00:00+02:00", "moved"),
                          ("2027-03-29T00:30:00.000Z", "2027-03-29T02:30:00+02:00", None)])
        self.assertEqual(ask("2027-10-30T12:00:00Z", 1),
                         [("2027-10-31T00:30:00.000Z", "2027-10-31T02:30:00+02:00", "first_of_two")])
        self.assertEqual(len(self.server.get("schedules/next/main/next")["items"]), 10)
        first = self.server.get("schedules/next/main/next?count=1")["items"][0]
        self.assertEqual(first["due"], self.server.schedule("next/main")["next_fire_at"])
        self.server.change_schedule("next/main", enabled=False)
        self.assertEqual(self.server.get("schedules/next/main/next?count=1")["items"], [first])
        for count in (0, 1001):
            with self.subTest(count):
                self.refused(400, "bad_parameter", self.server.get, f"schedules/next/main/next?count={count}")

    def test_an_expression_is_explained_as_the_command_line_does(self):
        asked = {"cron": "30 2 * * *", "timezone": "Europe/Berlin", "after": "2026-03-28T00:00:00Z", "count": 3}
        told = self.server.post("cron/explain", asked)
        printed = self.server.cli("cron", "--json", "--tz", asked["timezone"], "--after", asked["after"], "-n", 3,
                                  asked["cron"])
        self.assertEqual(told, json.loads(printed.stdout))
        self.assertEqual(told["description"], "At 02:30 every day")
        self.assertEqual([stamp(at) for at in told["next"]],
                         ["2026-03-28T01:30:00.000Z", "2026-03-29T01:00:00.000Z", "2026-03-30T00:30:00.000Z"])
        problem = self.refused(422, "cron_invalid", self.server.post, "cron/explain", {"cron": "0 25 * * *"})
        self.assertEqual((problem["field"], problem["position"]), ("hours", 3))
        self.refused(422, "timezone_unknown", self.server.post, "cron/explain", asked | {"timezone": "Mars/Base"})
        self.assertEqual(self.server.post("cron/explain", {"cron": "0 0 30 2 *"})["next"], [])

    def test_the_ledger_is_read_by_range_and_by_page(self):
        self.apply("read")
        self.add("read", overlap="allow")
        self.server.wait_fired("read/main", 4)
        self.server.change_schedule("read/main", enabled=False)
        slots = self.server.fired("read/main")
        ask = lambda **query: [int(seconds(one["from"])) for one in self.server.ledger("read/main", **query)]
        self.assertEqual(ask(since=stamp(slots[1]), until=stamp(slots[2])), slots[1:3])
        self.assertEqual(ask(until=stamp(slots[0])), slots[:1])
        page = self.server.get(f"schedules/read/main/ledger?limit=2&until={slots[3]}")
        self.assertEqual([int(seconds(one["slot"])) for one in page["items"]], [slots[3], slots[2]])
        page = self.server.get(f"schedules/read/main/ledger?limit=2&until={slots[3]}&cursor={page['next_cursor']}")
        self.assertEqual([int(seconds(one["slot"])) for one in page["items"]], [slots[1], slots[0]])


class Backfill(WithServer):
    def setUp(self):
        self.begin_hour = int(time.time()) // HOUR * HOUR

    def hours_ago(self, *hours):
        return [self.begin_hour - n * HOUR for n in hours]

    def ask(self, which, first, last, **more):
        begin, end = self.hours_ago(first, last)
        return self.server.post(f"schedules/{which}/backfill", {"from": stamp(begin), "to": stamp(end)} | more)

    def state(self, which):
        return self.server.get(f"schedules/{which}/backfills")["items"][0]

    def wait_state(self, which, status):
        wait_until(lambda: self.state(which)["status"] == status, 20, lambda: f"{status}, last {self.state(which)}")
        return self.state(which)

    def open_runs(self, name):
        return [run for run in self.server.runs_of(name) if run["status"] == "waiting"]

    def approve_one(self, name):
        self.answer(self.open_runs(name)[0]["id"], "main/ask", "approve")

    def test_a_dry_run_says_what_would_start_and_starts_nothing(self):
        self.apply("dry")
        self.add("dry", "0 * * * *")
        told = self.ask("dry/main", 12, 1, dry_run=True)
        self.assertEqual((told["slots"], told["already_run"], told["would_start"]), (12, 0, 12))
        self.assertEqual([seconds(one) for one in told["first"]], self.hours_ago(*range(12, 2, -1)))
        self.assertEqual((self.server.runs_of("dry"), self.server.get("schedules/dry/main/backfills")["items"]), ([], []))

    def test_slots_without_a_run_get_one_the_oldest_first_and_never_a_second_one(self):
        self.apply("real", inputs={"at": {"type": "string"}})
        self.add("real", "0 * * * *", inputs={"at": "${{ schedule.slot }}"})
        self.ask("real/main", 3, 2)
        self.wait_state("real/main", "success")
        self.assertEqual(self.ask("real/main", 5, 1, dry_run=True)["already_run"], 2)
        self.ask("real/main", 5, 1, limit=2)
        done = self.wait_state("real/main", "success")
        self.assertEqual((done["started"], done["passed_over"]), (3, 2))
        self.assertEqual(self.server.slots_of_runs("real"), self.hours_ago(3, 2, 5, 4, 1))
        entries = self.server.ledger("real/main")
        self.assertEqual([(what(one), seconds(one["slot"])) for one in entries],
                         [("fired", at) for at in self.hours_ago(5, 4, 3, 2, 1)])
        for entry in entries:
            run = self.server.run(entry["run"])
            self.assertEqual((run["trigger"], run["inputs"]["at"], run["schedule"]["backfill"]),
                             ("schedule", entry["slot"], entry["backfill"]))
        self.assertEqual(len({entry["backfill"] for entry in entries}), 2)

    def test_so_many_are_open_at_once_and_kill_9_neither_loses_nor_doubles_one(self):
        self.apply("limit", UNTIL_APPROVED)
        self.add("limit", "0 * * * *")
        self.ask("limit/main", 6, 1, limit=2)
        wait_until(lambda: len(self.open_runs("limit")) == 2)
        for left in (4, 3, 2, 1, 0):
            self.server.kill()
            self.server.start()
            self.assertLessEqual(len(self.open_runs("limit")), 2)
            self.approve_one("limit")
            wait_until(lambda: len(self.server.runs_of("limit")) == min(6, 7 - left), 20,
                       lambda: f"{7 - left} runs; there are {len(self.server.runs_of('limit'))}")
            self.assertLessEqual(len(self.open_runs("limit")), 2)
        done = self.wait_state("limit/main", "success")
        self.assertEqual((done["started"], done["passed_over"]), (6, 0))
        self.assertEqual(self.server.slots_of_runs("limit"), self.hours_ago(6, 5, 4, 3, 2, 1))

    def test_one_that_is_cancelled_starts_no_further_run(self):
        self.apply("cancelled", UNTIL_APPROVED)
        self.add("cancelled", "0 * * * *")
        asked = self.ask("cancelled/main", 6, 1)
        wait_until(lambda: self.open_runs("cancelled"))
        cancel = f"schedules/cancelled/main/backfills/{asked['id']}/cancel"
        self.assertEqual(self.server.post(cancel)["status"], "cancelled")
        self.refused(409, "backfill_final", self.server.post, cancel)
        self.approve_one("cancelled")
        self.server.wait_run(self.server.runs_of("cancelled")[0]["id"], "success")
        self.assertEqual(self.server.slots_of_runs("cancelled"), self.hours_ago(6))

    def test_ranges_that_make_no_sense_are_refused(self):
        self.apply("senseless")
        self.add("senseless")
        path = "schedules/senseless/main/backfill"
        now = time.time()
        for body, code in (({"from": stamp(now - 10), "to": stamp(now + HOUR)}, "range_invalid"),
                           ({"from": stamp(now - 10), "to": stamp(now - 20)}, "range_invalid"),
                           ({"from": stamp(now - 30 * DAY), "to": stamp(now - DAY)}, "range_too_large"),
                           ({"from": stamp(now - 20), "to": stamp(now - 10), "limit": 0}, "limit_invalid")):
            with self.subTest(code):
                self.refused(422, code, self.server.post, path, body)
        self.server.switch_workflow("senseless", False)
        self.refused(409, "workflow_disabled", self.server.post, path, {"from": stamp(now - 20), "to": stamp(now - 10)})


class MissedWhileAway(unittest.TestCase):
    """Ten hours away, from half past to half past: ten slots of an hourly schedule were missed."""

    cases = {
        "latest": {},
        "all": {"misfire": "run-all"},
        "none": {"misfire": "skip"},
        "old": {"misfire_window": "20m"},
        "young": {"misfire_window": "40m"},
        "patient": {"misfire": "skip", "misfire_threshold": "3h"},
        "few": {"misfire": "run-all", "max_catch_up": 3},
        "late": {"late_after": "10m"},
    }

    @classmethod
    def setUpClass(cls):
        cls.server = ClockedScheduleServer()
        cls.addClassCleanup(cls.server.close)
        begin = (int(time.time()) // HOUR + 1) * HOUR + HOUR // 2
        cls.server.set_clock(begin - time.time())
        cls.server.start()
        for name, members in cls.cases.items():
            cls.server.apply(workflow(name, DONE_AT_ONCE, on_late=[{"id": "tell", "wait": "0s"}]))
            cls.server.add_schedule(name, "0 * * * *", **members)
        cls.server.apply(workflow("bounds", DONE_AT_ONCE))
        cls.server.add_schedule("bounds", "0 * * * *", name="over", misfire="run-all", end=begin + 5 * HOUR)
        cls.server.add_schedule("bounds", "0 * * * *", name="young", misfire="run-all", start=begin + 5 * HOUR,
                                timezone="Asia/Seoul")
        cls.server.add_schedule("bounds", "0 * * * *", name="stopped", misfire="run-all", enabled=False,
                                timezone="Asia/Tokyo")
        cls.slots = [begin + HOUR // 2 + n * HOUR for n in range(10)]
        cls.server.away_for(10 * HOUR)
        for name in cls.cases:
            cls.server.wait_past(f"{name}/main", cls.slots[-1])
        for name in ("over", "young"):
            cls.server.wait_ledger(f"bounds/{name}", lambda entries: entries)
        cls.server.wait_fired("bounds/young", 5)

    def expect(self, which, passed_over, fired, word="misfired"):
        """So many of them were passed over in one entry, and these last ones have fired, each once and in their order."""
        told = self.server.told(which)
        expected = [(word, self.slots[0], self.slots[passed_over - 1], passed_over)] if passed_over else []
        self.assertEqual(told, expected + [("fired", at, at, 1) for at in self.slots[10 - fired:]])

    def test_run_once_runs_the_latest(self):
        self.expect("latest/main", 9, 1)

    def test_run_all_runs_all_the_oldest_first(self):
        self.expect("all/main", 0, 10)
        self.assertEqual(self.server.slots_of_runs("all"), self.slots)
        self.assertEqual([entry["run_number"] for entry in self.server.ledger("all/main")], list(range(1, 11)))

    def test_skip_runs_none(self):
        self.expect("none/main", 10, 0)
        self.assertEqual(self.server.runs_of("none"), [])

    def test_no_slot_older_than_the_window_runs(self):
        self.expect("old/main", 10, 0)
        self.expect("young/main", 9, 1)

    def test_what_comes_within_the_threshold_was_not_missed(self):
        self.expect("patient/main", 7, 3)
        entry = self.server.ledger("patient/main")[-1]
        self.assertLess(abs(entry["lateness_ms"] / 1000 - HOUR // 2), 60)

    def test_no_more_than_max_catch_up_run(self):
        self.expect("few/main", 7, 3)
        self.assertEqual(self.server.slots_of_runs("few"), self.slots[7:])

    def test_a_slot_that_was_made_up_for_too_late_is_late(self):
        wait_until(lambda: self.server.runs_of("late", trigger="late"), what="a late run")
        (run,) = self.server.runs_of("late", trigger="late")
        self.assertIn(seconds(run["schedule"]["slot"]), self.slots)
        self.assertEqual(self.server.runs_of("latest", trigger="late"), [])

    def test_missed_slots_of_a_schedule_that_is_over_run_no_more(self):
        self.assertEqual(self.server.told("bounds/over"), [("skipped/end", self.slots[0], self.slots[4], 5)])

    def test_what_lay_before_the_start_was_not_missed(self):
        self.assertEqual(self.server.told("bounds/young"), [("fired", at, at, 1) for at in self.slots[5:]])

    def test_a_disabled_schedule_missed_nothing(self):
        self.assertEqual(self.server.fired("bounds/stopped"), [])
        (growing,) = self.server.get("schedules/bounds/stopped/ledger")["items"]
        self.assertEqual((what(growing), growing["count"], growing["decided_at"]), ("skipped/disabled", 10, None))


class Away(unittest.TestCase):
    def setUp(self):
        self.server = ClockedScheduleServer()
        self.addCleanup(self.server.close)

    def test_thirty_days_of_a_schedule_of_every_second_are_one_entry(self):
        self.server.start()
        self.server.apply(workflow("tick", DONE_AT_ONCE))
        self.server.add_schedule("tick", name="once", misfire_threshold="1s")
        self.server.add_schedule("tick", name="skip", misfire_threshold="1s", misfire="skip", timezone="Asia/Seoul")
        for name in ("once", "skip"):
            self.server.wait_fired(f"tick/{name}", 2)
        before = time.monotonic()
        self.server.away_for(30 * DAY)
        self.assertLess(time.monotonic() - before, 10, "the start took long")
        for name in ("once", "skip"):
            entries = self.server.wait_ledger(f"tick/{name}", lambda all: any(one["count"] > DAY for one in all[:-1]))
            (away,) = [one for one in entries if one["count"] > DAY]
            self.assertEqual((what(away), away["run"]), ("misfired", None))
            self.assertLess(abs(away["count"] - 30 * DAY), 60)
            told = self.server.told(f"tick/{name}")
            for one, then in zip(told, told[1:]):
                self.assertEqual(then[1], one[2] + 1, told)
            self.assertEqual([one[3] for one in told], [one[2] - one[1] + 1 for one in told])
            self.assertLess(len(told), 30)

    def test_a_backfill_within_a_range_leaves_the_rest_of_it_on_both_sides(self):
        begin = (int(time.time()) // HOUR + 1) * HOUR + HOUR // 2
        self.server.set_clock(begin - time.time())
        self.server.start()
        self.server.apply(workflow("split", DONE_AT_ONCE))
        self.server.add_schedule("split", "0 * * * *", misfire="skip")
        slots = [begin + HOUR // 2 + n * HOUR for n in range(10)]
        self.server.away_for(10 * HOUR)
        self.server.wait_past("split/main", slots[-1])
        self.server.post("schedules/split/main/backfill", {"from": slots[4], "to": slots[5]})
        wait_until(lambda: self.server.get("schedules/split/main/backfills")["items"][0]["status"] == "success")
        self.assertEqual(self.server.told("split/main"),
                         [("misfired", slots[0], slots[3], 4), ("fired", slots[4], slots[4], 1),
                          ("fired", slots[5], slots[5], 1), ("misfired", slots[6], slots[9], 4)])

    def test_a_clock_that_was_set_back_fires_no_slot_a_second_time(self):
        self.server.start()
        self.server.apply(workflow("back", DONE_AT_ONCE))
        self.server.add_schedule("back", overlap="allow")
        self.server.wait_fired("back/main", 2)
        self.server.away_for(-HOUR)
        count = len(self.server.fired("back/main"))
        self.server.wait_fired("back/main", count + 2)
        slots = self.server.slots_of_runs("back")
        self.assertEqual(slots, list(range(slots[0], slots[0] + len(slots))))


if __name__ == "__main__":
    unittest.main()
