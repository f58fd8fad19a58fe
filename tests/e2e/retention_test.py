"""What becomes of runs whose time is over: they go whole, what is not due stays, and the disk gets its room back."""

import os
import random
import time
import unittest

from support.definitions import script, workflow
from support.pawl import Refused, Server, wait_until

LEAVES_MUCH = """
echo said
mkdir -p deep/a/b && echo x > deep/a/b/file
ln -s "$OUTSIDE" deep/link && ln -s "$OUTSIDE" ../link
chmod 000 deep
"""


class Retention(unittest.TestCase):
    def setUp(self):
        self.server = Server(environment={"PAWL_VAR_X": "1"})
        self.addCleanup(self.server.close)
        self.outside = self.server.folder / "outside"
        self.outside.mkdir()
        (self.outside / "kept").write_text("kept")
        self.server.start()

    def files_of(self, run):
        """Log and folder of a run, those that are there."""
        log = self.server.data / "logs" / run[24:26] / f"{run}.log"
        folder = self.server.data / "workspace" / run
        return [path for path in (log, folder) if os.path.lexists(path)]

    def is_gone(self, run):
        try:
            self.server.run(run)
            return False
        except Refused as refused:
            self.assertEqual(refused.status, 404, refused)
            return True

    def wait_gone(self, *runs, seconds=30):
        wait_until(lambda: all(self.is_gone(run) and not self.files_of(run) for run in runs), seconds,
                   lambda: f"runs to be gone; left: {[(run, self.files_of(run)) for run in runs]}\n"
                           f"{self.server.log_text()[-3000:]}")

    def ended(self, name, count=1, **inputs):
        runs = [self.server.start_run(name, inputs)["id"] for _ in range(count)]
        for run in runs:
            wait_until(lambda: self.is_gone(run) or self.server.run(run)["status"] in ("success", "failed"), 40)
        return runs

    def test_a_run_goes_with_its_log_and_its_folder_and_the_others_stay(self):
        text = LEAVES_MUCH.replace("$OUTSIDE", str(self.outside))
        self.server.apply(workflow("short", script("t", text + "exit 1"), retention="3s"))
        self.server.apply(workflow("long", script("t", "echo said; exit 1"), retention="30d"))
        self.server.apply(workflow("ever", script("t", "echo said; exit 1")))
        self.server.apply(workflow("open", {"id": "ask", "approval": {"message": "go on?"}}, retention="1s"))
        waiting = self.server.start_run("open")["id"]
        stays = self.ended("long") + self.ended("ever")
        (goes,) = self.ended("short")
        self.assertEqual(len(self.files_of(goes)), 2)
        page = self.server.get("runs?limit=1")
        self.wait_gone(goes)
        self.assertTrue((self.outside / "kept").exists(), "a link was followed")
        for path in (f"runs/{goes}/log", f"runs/{goes}/logs", f"runs/{goes}/tasks/main/t/logs"):
            with self.assertRaises(Refused) as refused:
                self.server.open("GET", path)
            self.assertEqual(refused.exception.status, 404, path)
        for verb in ("cancel", "resume"):
            with self.assertRaises(Refused) as refused:
                self.server.post(f"runs/{goes}/{verb}")
            self.assertEqual(refused.exception.status, 404, verb)
        listed = [run["id"] for run in self.server.get("runs")["items"]]
        self.assertEqual(set(listed), {waiting, *stays})
        if page.get("next_cursor"):
            self.assertNotIn("code", self.server.get(f"runs?cursor={page['next_cursor']}"))
        for run in stays:
            self.assertEqual(len(self.files_of(run)), 2)
        self.assertEqual(self.server.run(waiting)["status"], "waiting")
        self.assertIn("retention deleted runs runs=1", self.server.log_text())

    def test_numbers_and_keys_after_all_runs_are_gone(self):
        self.server.apply(workflow("w", script("t", "true"), retention="100ms"))
        first = self.server.start_run("w", key="once")
        self.wait_gone(first["id"])
        self.server.kill()
        self.server.start()
        second = self.server.start_run("w", key="once")
        self.assertNotEqual(second["id"], first["id"])
        self.assertEqual(second["number"], first["number"] + 1)

    def test_kill_9_in_between_leaves_nothing_half(self):
        self.server.apply(workflow("w", script("t", "echo said; mkdir -p a/b/c; touch a/b/c/d"), retention="1s"))
        self.server.apply(workflow("stays", script("t", "echo said; exit 3")))
        stays = self.ended("stays", 3)
        dice = random.Random(7)
        runs = []
        for _ in range(4):
            runs += [self.server.start_run("w")["id"] for _ in range(10)]
            time.sleep(1 + dice.random())  # the moment of the kill is what is tested
            self.server.kill()
            self.server.start()
        for run in runs:
            wait_until(lambda: self.is_gone(run) or self.server.run(run)["status"] == "success", 40)
        time.sleep(1)  # all are due now
        self.server.kill()
        self.server.start()
        self.wait_gone(*runs)
        for run in stays:
            self.assertEqual(self.server.run(run)["status"], "failed")
            self.assertEqual(len(self.files_of(run)), 2)
        self.server.stop()
        self.server.start()
        self.assertEqual(len(self.server.get("runs")["items"]), 3)

    def test_a_resume_at_the_instant_works_whole_or_says_that_there_is_no_such_run(self):
        self.server.apply(workflow("w", script("t", '[ -e ../again ] || { touch ../again; exit 1; }'), retention="300ms"))
        told = []
        for delay in (0, 0.15, 0.2, 0.25, 0.28, 0.3, 0.32, 0.6):
            run = self.server.start_run("w")["id"]
            wait_until(lambda: self.is_gone(run) or self.server.run(run)["status"] == "failed", 20, interval=0.005)
            time.sleep(delay)  # around the instant of its expiry
            try:
                self.server.post(f"runs/{run}/resume")
                told.append("works")
            except Refused as refused:
                self.assertEqual(refused.status, 404, refused)
                told.append("none")
            wait_until(lambda: self.is_gone(run) or self.server.run(run)["status"] == "success", 20)
            # The first server takes what is left, the second has nothing to take: it sweeps at the very instant.
            time.sleep(0.4)
            for _ in range(2):
                self.server.kill()
                self.server.start()
                self.wait_gone(run)
        self.assertEqual({told[0], told[-1]}, {"works", "none"})
        print(f"\n    resumes around the expiry: {told}", flush=True)

    def test_the_database_shrinks(self):
        self.server.apply(workflow("big", script("t", "sleep 3; echo said"), inputs={"text": {"type": "string"}},
                                   retention="1s"))
        database = self.server.data / "pawl.db"
        runs = [self.server.start_run("big", {"text": "x" * 500_000})["id"] for _ in range(40)]
        for run in runs:
            wait_until(lambda: self.is_gone(run) or self.server.run(run)["status"] == "success", 40)
        size = lambda: sum(path.stat().st_size for path in self.server.data.glob("pawl.db*"))
        largest = size()
        self.assertGreater(largest, 15 << 20)
        time.sleep(1)
        self.server.kill()
        self.server.start()
        self.wait_gone(*runs)
        wait_until(lambda: database.stat().st_size < 4 << 20, 20, lambda: f"{database.stat().st_size} bytes to shrink")


if __name__ == "__main__":
    unittest.main()
