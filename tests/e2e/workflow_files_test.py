"""A server that watches a folder of definitions: what is changed there is at work at once, and can be changed nowhere else."""

import re
import time
import unittest

from support.cases import Case
from support.definitions import workflow
from support.pawl import wait_until
from support.schedules import DONE_AT_ONCE, EVERY_SECOND, UNTIL_APPROVED, ScheduleServer, seconds

FAR = "0 0 3 1 1 ? 2190"
LIVE = 1  # seconds: so soon a change is at work


class WorkflowFiles(Case):
    def setUp(self):
        self.server = ScheduleServer()
        self.addCleanup(self.server.close)
        self.folder = self.server.folder / "flows"
        self.folder.mkdir()
        self.server.arguments = ["--workflows", str(self.folder)]

    def write(self, name, text):
        """As an editor that writes into the file."""
        path = self.folder / name
        path.write_text(text)
        return path

    def replace(self, name, text):
        """As one that writes another file and moves it over this one."""
        fresh = self.folder / f"{name}.tmp"
        fresh.write_text(text)
        fresh.replace(self.folder / name)

    def flow(self, name="flow", cron=FAR, **more):
        return workflow(name, DONE_AT_ONCE, on={"schedule": {"cron": cron, "timezone": "UTC"}}, **more)

    def shown(self, name="flow"):
        return self.server.get(f"workflows/{name}")

    def known(self):
        return [one["name"] for one in self.server.pages("workflows")]

    def wait_shown(self, name="flow", limit=10, **members):
        """The workflow once it has these members."""
        wait_until(lambda: name in self.known() and members.items() <= self.shown(name).items(), limit,
                   lambda: f"{members} of {name}, last {self.shown(name) if name in self.known() else None}")
        return self.shown(name)

    def test_all_files_are_taken_before_the_server_is_ready(self):
        (self.folder / "deep" / "er").mkdir(parents=True)
        (self.folder / ".hidden").mkdir()
        for n in range(20):
            self.write(f"{n}.json", self.flow(f"flow-{n}"))
        self.write("deep/er/one.yaml", "name: deep\njobs: {main: {tasks: [{wait: 0s}]}}\n")
        self.write("other.yml", "name: yml\njobs: {main: {tasks: [{wait: 0s}]}}\n")
        self.write("notes.txt", self.flow("notes"))
        self.write(".hidden/one.json", self.flow("hidden"))
        self.write("broken.yaml", "name: [")
        self.server.start()
        self.assertEqual(self.known(), sorted(["deep", "yml", *(f"flow-{n}" for n in range(20))]))
        self.assertEqual(len(self.server.pages("schedules")), 20)
        self.assertEqual(self.server.schedule("flow-7/main")["managed_by"], "file")
        self.assertEqual(self.shown("deep")["file"], str(self.folder.resolve() / "deep/er/one.yaml"))
        log = self.server.log_text()
        self.assertGreater(log.index(" ready on "), max(found.start() for found in re.finditer("read from its file", log)))
        self.assertIn("broken.yaml", log)

    def test_a_change_is_at_work_within_a_second(self):
        self.server.start()
        took = []
        for n, put in enumerate([self.write, self.replace] * 3):
            begin = time.monotonic()
            put("flow.json", self.flow(description=f"the {n}."))
            self.wait_shown(version=n + 1)
            took.append(time.monotonic() - begin)
        self.assertLess(sorted(took)[3], LIVE, took)
        deep = self.folder / "later" / "deep"
        deep.mkdir(parents=True)
        self.write("later/deep/new.json", self.flow("new"))
        self.wait_shown("new")
        # A schedule of it is as live as one that is made by API.
        asked = time.time()
        self.replace("flow.json", self.flow(cron=EVERY_SECOND))
        (first, *_) = self.server.wait_fired("flow/main")
        self.assertLess(seconds(first["slot"]), asked + 3.5)
        self.replace("flow.json", workflow("flow", DONE_AT_ONCE))
        wait_until(lambda: not self.server.schedule_names("flow"), what="the schedule to go")

    def test_a_file_with_schedules_as_they_are_written_by_hand(self):
        self.write("report.yaml", """
name: report
on:
  schedule:
    - {id: morning, cron: "0 0 8 ? * MON-FRI", timezone: Asia/Seoul, late-after: 15m}
    - {id: hourly, cron: "0 * * * *", overlap: skip, inputs: {hour: "${{ schedule.slot }}"}}
inputs:
  hour: {type: string}
jobs:
  main:
    tasks: [{id: make, run: "true"}]
on-late:
  - {id: tell, run: "true"}
""")
        self.server.start()
        self.assertEqual(self.server.schedule_names("report"), ["hourly", "morning"])
        morning = self.server.schedule("report/morning")
        self.assertEqual((morning["timezone"], morning["late_after"], morning["managed_by"]), ("Asia/Seoul", "15m", "file"))

    def test_by_API_it_is_neither_changed_nor_deleted(self):
        self.write("flow.json", self.flow())
        self.server.start()
        told = self.refused(409, "managed_by_file", self.server.apply, self.flow(description="mine"), "flow")
        self.assertIn("flow.json", told["detail"])
        self.refused(409, "managed_by_file", self.server.call, "DELETE", "workflows/flow")
        self.refused(409, "managed_by_file", self.server.change_schedule, "flow/main", cron="0 4 * * *")
        self.refused(409, "managed_by_file", self.server.delete_schedule, "flow/main")
        self.assertNotEqual(self.server.cli("delete", "flow").returncode, 0)
        self.assertEqual((self.shown()["version"], self.server.schedule("flow/main")["cron"]), (1, FAR))
        # Another schedule of it that no file carries is nobody's but the API's.
        added = self.server.add_schedule("flow", "0 4 * * *", name="mine")
        self.assertEqual(added["managed_by"], "api")
        self.replace("flow.json", self.flow(description="changed"))
        self.wait_shown(version=2)
        self.assertEqual(self.server.schedule_names("flow"), ["main", "mine"])
        self.server.delete_schedule("flow/mine")

    def test_what_was_disabled_stays_so_over_changes_of_the_file_and_restarts(self):
        self.write("flow.json", self.flow())
        self.write("sleeps.json", self.flow("sleeps"))
        self.server.start()
        disabled = self.server.change_schedule("flow/main", enabled=False)
        self.assertFalse(disabled["enabled"])
        self.server.switch_workflow("sleeps", False)
        self.replace("flow.json", self.flow(cron="0 4 * * *"))
        self.replace("sleeps.json", self.flow("sleeps", description="changed"))
        self.wait_shown(version=2)
        self.wait_shown("sleeps", version=2)
        for _ in range(2):
            changed = self.server.schedule("flow/main")
            self.assertEqual((changed["id"], changed["cron"], changed["enabled"]), (disabled["id"], "0 4 * * *", False))
            self.assertFalse(self.shown("sleeps")["enabled"])
            self.server.kill()
            self.server.start()
        self.assertEqual((self.shown()["version"], self.shown("sleeps")["version"]), (2, 2))
        self.assertTrue(self.server.change_schedule("flow/main", enabled=True)["active"])
        self.assertTrue(self.server.switch_workflow("sleeps", True)["enabled"])

    def test_a_file_that_vanishes_disables_and_one_that_comes_back_enables(self):
        path = self.write("flow.json", workflow("flow", UNTIL_APPROVED, on={"schedule": [
            {"id": "tick", "cron": EVERY_SECOND, "overlap": "skip"}, {"id": "off", "cron": FAR}]}))
        self.server.start()
        self.server.change_schedule("flow/off", enabled=False)
        (first, *_) = self.server.wait_fired("flow/tick")
        ids = [self.server.schedule(f"flow/{name}")["id"] for name in ("tick", "off")]
        text = path.read_text()
        path.unlink()
        self.wait_shown(enabled=False, file_gone=True)
        self.refused(409, "workflow_disabled", self.server.start_run, "flow")
        self.assertFalse(self.server.schedule("flow/tick")["active"])
        self.assertEqual(self.server.run(first["run"])["status"], "waiting", "an open run goes on")
        # The same over a restart, and when the file comes back while nobody looks.
        self.server.kill()
        self.server.start()
        self.assertEqual((self.shown()["enabled"], self.shown()["file_gone"]), (False, True))
        self.server.kill()
        path.write_text(text)
        self.server.start()
        self.assertEqual((self.shown()["enabled"], self.shown()["file_gone"], self.shown()["version"]), (True, False, 1))
        path.unlink()
        self.wait_shown(enabled=False)
        path.write_text(text)
        self.wait_shown(enabled=True, version=1)
        self.assertEqual([self.server.schedule(f"flow/{name}")["id"] for name in ("tick", "off")], ids)
        self.assertEqual([self.server.schedule(f"flow/{name}")["active"] for name in ("tick", "off")], [True, False])
        self.answer(first["run"], "main/ask", "approve")
        self.server.wait_fired("flow/tick", 2)
        self.assertEqual(self.server.runs_of("flow")[0]["id"], first["run"])

    def test_one_that_was_disabled_by_hand_is_not_enabled_by_its_file_coming_back(self):
        path = self.write("flow.json", self.flow())
        self.server.start()
        self.server.switch_workflow("flow", False)
        text = path.read_text()
        path.unlink()
        self.wait_shown(file_gone=True)
        path.write_text(text)
        self.assertFalse(self.wait_shown(file_gone=False)["enabled"])

    def test_a_broken_file_leaves_the_version_before_it_at_work_and_says_what_is_wrong(self):
        self.write("flow.json", self.flow(cron=EVERY_SECOND))
        self.server.start()
        self.server.wait_fired("flow/main")
        self.write("flow.json", self.flow(cron="61 * * * *"))
        wait_until(lambda: self.shown()["file_error"], 10, "what is wrong")
        broken = self.shown()
        self.assertIn("cron", broken["file_error"])
        self.assertEqual((broken["version"], broken["enabled"], broken["file_gone"]), (1, True, False))
        count = len(self.server.fired("flow/main"))
        self.server.wait_fired("flow/main", count + 1)
        self.assertIn("flow.json", self.server.cli("list").stdout)
        self.server.kill()
        self.server.start()
        self.assertEqual((self.shown()["version"], self.shown()["file_error"]), (1, broken["file_error"]))
        self.write("flow.json", self.flow())
        self.wait_shown(version=2, file_error=None)

    def test_what_the_server_refuses_is_told_as_well(self):
        self.write("flow.json", self.flow())
        self.server.start()
        self.server.add_schedule("flow", "0 4 * * *", name="mine", timezone="UTC")
        self.write("flow.json", self.flow(cron="0 4 * * *"))
        wait_until(lambda: self.shown()["file_error"], 5, lambda: f"what is wrong: {self.shown()}")
        self.assertEqual((self.shown()["version"], self.server.schedule("flow/main")["cron"]), (1, FAR))
        self.server.delete_schedule("flow/mine")

    def test_a_file_that_was_renamed_goes_on_as_the_same(self):
        path = self.write("flow.json", self.flow())
        self.server.start()
        before = self.server.schedule("flow/main")
        path.rename(self.folder / "other.json")
        shown = self.wait_shown(file=str(self.folder.resolve() / "other.json"))
        self.assertEqual((shown["enabled"], shown["version"]), (True, 1))
        self.assertEqual(self.server.schedule("flow/main")["id"], before["id"])
        self.server.kill()
        (self.folder / "other.json").rename(self.folder / "third.json")
        self.server.start()
        shown = self.shown()
        self.assertEqual((shown["file"], shown["enabled"]), (str(self.folder.resolve() / "third.json"), True))

    def test_another_name_in_the_file_disables_the_old_one(self):
        self.write("flow.json", self.flow("old"))
        self.server.start()
        self.write("flow.json", self.flow("new"))
        self.wait_shown("new", enabled=True)
        self.assertFalse(self.wait_shown("old", enabled=False)["enabled"])
        self.write("flow.json", self.flow("old"))
        self.wait_shown("old", enabled=True)
        self.wait_shown("new", enabled=False)

    def test_of_two_files_with_one_workflow_the_second_takes_over_when_the_first_goes(self):
        first = self.write("a.json", self.flow())
        self.server.start()
        self.write("b.json", self.flow(description="the other"))
        wait_until(lambda: "b.json" in self.server.log_text(), 10, "the second file to be refused")
        self.assertEqual((self.shown()["version"], self.shown()["file"]), (1, str(self.folder.resolve() / "a.json")))
        first.unlink()
        self.wait_shown(file=str(self.folder.resolve() / "b.json"), enabled=True, version=2)

    def test_one_that_was_sent_before_belongs_to_the_file_from_then_on(self):
        self.server.start()
        self.server.apply(self.flow())
        before = self.server.schedule("flow/main")
        self.assertEqual(before["managed_by"], "definition")
        self.write("flow.json", self.flow(description="of the file"))
        self.wait_shown(version=2)
        after = self.server.schedule("flow/main")
        self.assertEqual((after["id"], after["managed_by"]), (before["id"], "file"))

    def test_without_the_folder_workflows_are_managed_as_all_others(self):
        self.write("flow.json", self.flow())
        self.write("broken.json", self.flow("broken"))
        gone = self.write("gone.json", self.flow("gone"))
        self.server.start()
        gone.unlink()
        self.write("broken.json", "{")
        self.wait_shown("gone", file_gone=True)
        wait_until(lambda: self.shown("broken")["file_error"], 10)
        self.server.stop()
        self.server.arguments = []
        self.server.start()
        for name in ("flow", "broken", "gone"):
            shown = self.shown(name)
            self.assertEqual((shown["file"], shown["file_gone"], shown["file_error"]), (None, False, None), name)
        self.assertEqual(self.server.schedule("flow/main")["managed_by"], "definition")
        self.server.apply(self.flow(description="mine"), "flow")
        self.assertEqual(self.server.change_schedule("flow/main", cron="0 4 * * *")["cron"], "0 4 * * *")
        self.server.delete_schedule("flow/main")
        self.server.call("DELETE", "workflows/flow")
        self.assertNotIn("flow", self.known())

    def test_a_folder_that_is_not_there_is_said_so(self):
        self.server.arguments = ["--workflows", str(self.folder / "nowhere")]
        self.server.start(ready=False)
        self.assertNotEqual(self.server.process.wait(10), 0)
        self.assertIn("nowhere", self.server.log_text())


if __name__ == "__main__":
    unittest.main()
