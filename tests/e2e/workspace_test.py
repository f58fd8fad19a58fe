"""The folder of a run: there as long as its tasks may need it, and gone when the run is a success."""

import unittest

from support.definitions import NEVER_POISON, http, script, workflow
from support.pawl import Server, cli, wait_until
from support.peer import Peer, first, hang

# Hard to remove: no rights, a link to the outside.
LEAVES_MUCH = """
mkdir -p deep/a/b && echo x > deep/a/b/file && ln -s "$OUTSIDE" deep/link && chmod 000 deep
"""


class Workspace(unittest.TestCase):
    def setUp(self):
        self.server = Server()
        self.addCleanup(self.server.close)
        self.workspace = self.server.data / "workspace"

    def ended(self, name, **inputs):
        return self.server.wait_run(self.server.start_run(name, inputs)["id"])

    def wait_left(self, *runs):
        """Until nothing but the folders of these is in the workspace."""
        def left():
            return sorted(path.name for path in self.workspace.iterdir())

        wait_until(lambda: left() == sorted(runs), 20, lambda: f"the workspace has {left()}, not {sorted(runs)}\n"
                                                               f"{self.server.log_text()[-2000:]}")

    def test_of_a_success_it_goes_and_of_a_failure_it_stays(self):
        outside = self.server.folder / "outside"
        outside.mkdir()
        (outside / "kept").write_text("kept")
        self.server.start()
        self.server.apply(workflow("good", script("t", LEAVES_MUCH.replace("$OUTSIDE", str(outside)))))
        self.server.apply(workflow("bad", script("t", "echo x > file; exit 1")))
        good, bad = self.ended("good"), self.ended("bad")
        self.assertEqual((good["status"], bad["status"]), ("success", "failed"))
        self.wait_left(bad["id"])
        self.assertEqual((self.workspace / bad["id"] / "main" / "file").read_text(), "x\n")
        self.assertTrue((outside / "kept").exists(), "a link was followed")

    def test_a_rerun_of_a_success_begins_with_an_empty_one(self):
        self.server.start()
        self.server.apply(workflow("again", script("t", "ls -A; echo x > file"), script("u", "cat file")))
        run = self.ended("again")["id"]
        self.server.post(f"runs/{run}/rerun", {"from": "main/t"})
        wait_until(lambda: len(self.server.run(run)["attempts"]) == 2, 20, "the rerun")
        self.assertEqual(self.server.wait_run(run)["status"], "success")
        self.assertEqual(self.server.task_log(run, "main/t"), "", "it has seen the file of the first attempt")
        self.assertEqual(self.server.task_log(run, "main/u"), "x\nx\n")
        self.wait_left()

    def test_what_a_killed_server_has_left_goes_at_the_next_start_and_what_an_open_run_needs_stays(self):
        peer = Peer()
        self.addCleanup(peer.close)
        peer.on("/wait", first(1, hang))
        self.server.start()
        self.server.apply(workflow("files", script("one", "echo mine > file"), http("wait", f"{peer.url}/wait"),
                                   script("two", "cat file"), **NEVER_POISON))
        self.server.apply(workflow("good", script("t", "true")))
        good = self.ended("good")["id"]
        self.wait_left()
        cut_off = self.server.start_run("files")["id"]
        peer.wait_calls("/wait")
        self.server.kill()
        # As they are when it dies before it can put them aside, and before it can remove them.
        (self.workspace / good / "t").mkdir(parents=True)
        (self.workspace / f".discarded-{good}.0").mkdir()
        self.server.start()
        self.assertEqual(self.server.wait_run(cut_off)["status"], "success")
        self.assertEqual(self.server.task_log(cut_off, "main/two"), "mine\n")
        self.wait_left()

    def test_one_run_without_a_server_leaves_nothing_either(self):
        file = self.server.folder / "good.yaml"
        file.write_text("name: good\njobs: {main: {tasks: [{id: t, run: 'echo x > file'}]}}\n")
        done = cli("run", str(file), "--data", str(self.server.data))
        self.assertEqual(done.returncode, 0, done)
        self.wait_left()


if __name__ == "__main__":
    unittest.main()
