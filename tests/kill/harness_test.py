"""That the harness is heard when a real server breaks a promise: it loses something whenever it starts again."""

import pathlib
import shutil
import subprocess
import tempfile
import unittest

from kill import checks, exact, stops
from kill.scenarios import A
from kill.world import World
from support.pawl import PAWL


class Doctored(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pawl-doctored-"))
        self.addCleanup(shutil.rmtree, self.folder)
        kept, exact.KEPT = exact.KEPT, self.folder / "kept"
        self.addCleanup(setattr, exact, "KEPT", kept)

    def experiment(self, losing=None):
        binary = PAWL
        if losing:
            binary = self.folder / "pawl"  # serve --data FOLDER …
            binary.write_text(f'#!/bin/bash\n{losing}\nexec {PAWL} "$@"\n')
            binary.chmod(0o755)
        # Late enough for results to be recorded, early enough for work to be left.
        return exact.one(binary, "A:run:pawl-engine:fdatasync:25")

    def test_a_server_that_is_as_it_should_be_is_killed_and_passes(self):
        result = self.experiment()
        self.assertEqual((result["reached"], result["violations"]), (True, []))
        self.assertEqual(result["victim"][1:3], ["fdatasync", "pawl.db-wal"])

    def test_one_that_forgets_what_it_had_committed_last_is_found(self):
        result = self.experiment('rm -f "$3"/pawl.db-wal "$3"/pawl.db-shm')
        self.assertTrue(result["reached"])
        self.assertTrue(result["violations"])
        self.assertTrue(pathlib.Path(result["kept"]).is_dir())

    def test_one_that_forgets_what_tasks_had_printed_is_found(self):
        result = self.experiment('rm -rf "$3"/logs')
        found = result["violations"]
        self.assertTrue(any(sentence.startswith("logs_are_whole") for sentence in found), found)

    def test_a_process_of_another_server_that_is_alive_is_found_by_the_tasks(self):
        world = World(PAWL)
        self.addCleanup(world.close)
        with subprocess.Popen(["sleep", "100"]) as orphan:
            self.addCleanup(orphan.kill)
            since = pathlib.Path(f"/proc/{orphan.pid}/stat").read_text().rpartition(")")[2].split()[19]
            (world.folder / "pids" / f"7.{orphan.pid}.1").write_text(f"{orphan.pid} {since} 7 a-run/main/write\n")
            world.start()
            play = A(world)
            play.warm_up()
            found = checks.violations(play.story())
            orphan.kill()
        wanted = f"process {orphan.pid} of a-run/main/write was alive"
        self.assertTrue(any(wanted in sentence for sentence in found), found)


class Stops(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pawl-doctored-"))
        self.addCleanup(shutil.rmtree, self.folder)
        kept, stops.KEPT = stops.KEPT, self.folder / "kept"
        self.addCleanup(setattr, stops, "KEPT", kept)

    def test_a_service_managers_stop_of_tasks_and_server_passes(self):
        result = stops.segment(PAWL, 1, "tasks first", 2)
        self.assertEqual((result["stops"], result["violations"]), (2, []))

    def test_tasks_that_end_by_TERM_long_before_the_server_is_told_are_found_to_have_failed(self):
        result = stops.segment(PAWL, 1, "tasks first", 1, gap=3)
        self.assertTrue(any("failed, not success" in sentence for sentence in result["violations"]), result)


if __name__ == "__main__":
    unittest.main()
