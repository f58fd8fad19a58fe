"""The five minutes of README.md, as its reader would spend them: its files, and its commands in their order."""

import re
import shlex
import unittest

from support.pawl import ROOT, Server, cli, wait_until

README = (ROOT / "README.md").read_text()
# What a task of the tour takes is cut down.
QUICKER = {"sleep 5": "sleep 0.2", "sleep 20": "sleep 2", "sleep 2'": "true'"}


# (the text before it, its language, what is in it) of each block between fences.
BLOCKS = [(before, language, block) for before, language, block in
          re.findall(r"(.*?)^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)]


def files():
    """{"hello.yaml": text}: blocks of YAML, and the last file that is named before each."""
    return {re.findall(r"`(\w+\.yaml)`", before)[-1]: block for before, language, block in BLOCKS if language == "yaml"}


def commands(first):
    """The commands of the block that begins so, in order; comments and `&&` are taken away."""
    (block,) = [block for _, language, block in BLOCKS if not language and block.startswith(first)]
    lines = [line.split("  #")[0].strip() for line in block.splitlines()]
    return [part.strip() for line in lines for part in re.split("&&|;", line)]


class Tour(unittest.TestCase):
    def setUp(self):
        self.server = Server()
        self.addCleanup(self.server.close)
        self.folder = self.server.folder
        for name, text in files().items():
            for long, short in QUICKER.items():
                text = text.replace(long, short)
            (self.folder / name).write_text(text)

    def play(self, line, code=0):
        """A `pawl …` line; what it printed."""
        program, *words = shlex.split(line)
        self.assertEqual(program, "pawl", line)
        done = self.server.cli(*words, cwd=self.folder)
        self.assertEqual(done.returncode, code, f"{line}\n{done.stdout}{done.stderr}")
        return done.stdout

    def status(self, name):
        workflow, number = name.split("#")
        return self.server.get(f"workflows/{workflow}/runs/{number}")

    def of_tasks(self, name):
        """Statuses of the tasks of the first job, in the newest attempt."""
        return [task["status"] for task in self.status(name)["attempts"][-1]["job_runs"][0]["task_runs"]]

    def wait_for(self, name, what):
        wait_until(lambda: what in ((run := self.status(name))["status"], run.get("waits_for")), 20,
                   lambda: f"{name}, {what}: {self.status(name)}")

    def test_its_files_are_found_and_valid(self):
        self.assertEqual(sorted(files()), ["hello.yaml", "release.yaml", "report.yaml", "slow.yaml"])
        for name in files():
            done = cli("validate", name, cwd=self.folder)
            self.assertEqual((done.returncode, done.stderr), (0, ""), done)

    def test_hello_without_and_with_a_server(self):
        for line in commands("pawl validate hello.yaml"):
            done = cli(*shlex.split(line)[1:], cwd=self.folder)
            self.assertEqual(done.returncode, 0, done)
        self.assertIn("Hello, you", done.stdout + done.stderr)
        self.assertEqual(commands("pawl serve --data ./data"), ["pawl serve --data ./data"])
        self.server.start()
        lines = commands("pawl apply hello.yaml")
        self.assertEqual(len(lines), 5)
        said = [self.play(line) for line in lines]
        self.assertEqual(said[-1], "Hello, you\n")

    def test_the_plug_is_pulled(self):
        self.server.start()
        apply, start, _, kill, serve, show = commands("pawl apply slow.yaml")
        self.play(apply)
        self.play(start)
        self.assertIn("kill -9", kill)
        wait_until(lambda: self.of_tasks("slow#1")[:2] == ["success", "running"], 20, "the second task")
        self.server.kill()
        self.assertEqual(serve, "pawl serve --data ./data")
        self.server.start()
        self.wait_for("slow#1", "success")
        self.play(show)
        first, second = self.status("slow#1")["attempts"]
        self.assertEqual((first["status"], first["error"]["message"]), ("failed", "interrupted by system restart"))
        self.assertIn("attempt 1 is `failed: interrupted by system restart`", README.lower())
        self.assertEqual(second["trigger"], "recovery")
        self.assertEqual(self.of_tasks("slow#1"), ["skipped", "success", "success"])

    def test_more_than_a_chain(self):
        self.server.start()
        alone, apply, start, approve, release, rerun, cancel = commands("pawl run release.yaml")
        done = cli(*shlex.split(alone)[1:], cwd=self.folder)  # nobody is there to be asked
        self.assertEqual(done.returncode, 1, done)
        self.assertRegex(done.stderr, "pawl approve [0-9a-f-]+ ship/gate")
        self.play(apply)
        self.play(start)
        self.wait_for("release#1", "approval")
        self.play(approve)
        wait_until(lambda: self.status("release#1")["status"] == "running", 20, lambda: f"the upload: {self.status('release#1')}")
        self.server.kill()
        self.server.start()
        self.wait_for("release#1", "release")
        self.play(release)
        self.wait_for("release#1", "success")
        self.play(rerun)
        self.wait_for("release#1", "approval")
        self.play(cancel)
        self.wait_for("release#1", "cancelled")

    def test_every_morning(self):
        self.server.start()
        cron, apply, listed, ledger, disable = commands("pawl cron")
        self.assertIn("At 08:00, Monday to Friday", self.play(cron))
        self.play(apply)
        said = self.play(listed)
        self.assertIn("report/morning", said)
        self.assertIn("report/minute", said)
        self.play(ledger)
        self.play(disable)
        self.assertIn(" no ", self.play(listed))


if __name__ == "__main__":
    unittest.main()
