"""`pawl run` on a terminal: the tree, and the question when a task waits for somebody."""

import os
import pathlib
import pty
import select
import shutil
import tempfile
import unittest

from support.pawl import PAWL, clean_environment

GATED = """name: gated
jobs:
  main:
    tasks:
      - {id: gate, approval: {message: ship it}}
      - {id: say, run: echo shipped}
"""


class Terminal(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pawl-terminal-"))
        self.addCleanup(shutil.rmtree, self.folder)
        (self.folder / "gated.yaml").write_text(GATED)

    def type_into_a_run(self, *lines):
        """Types each line when the question is asked; (exit code, all that was shown)."""
        child, terminal = pty.fork()
        if child == 0:
            os.chdir(self.folder)
            os.execve(PAWL, ["pawl", "run", "gated.yaml"], clean_environment(TERM="xterm", LANG="C.UTF-8"))
        self.addCleanup(os.close, terminal)
        shown, answers, asked = "", list(lines), 0
        while select.select([terminal], [], [], 20)[0]:
            try:
                piece = os.read(terminal, 4096)
            except OSError:  # what Linux says when the other side is gone
                break
            shown += piece.decode(errors="replace")
            if answers and shown.count("[y/n]") > asked:
                asked = shown.count("[y/n]")
                os.write(terminal, answers.pop(0).encode() + b"\n")
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), shown

    def test_an_approval_is_asked_for_and_y_goes_on(self):
        code, shown = self.type_into_a_run("y")
        self.assertEqual(code, 0, shown)
        self.assertIn("approve main/gate (ship it)? [y/n]", shown)
        self.assertIn("gated #1 success", shown)

    def test_n_rejects(self):
        code, shown = self.type_into_a_run("n")
        self.assertEqual(code, 1, shown)
        self.assertIn("job main: task gate: rejected", shown)


if __name__ == "__main__":
    unittest.main()
