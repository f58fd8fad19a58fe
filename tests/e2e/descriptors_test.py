"""Standard descriptors that are closed, full or broken: no file of Pawl gets their numbers, and the exit code shows an
answer that could not be written."""

import os
import signal
import subprocess
import unittest

from support.definitions import script, workflow
from support.pawl import PAWL, Server, clean_environment, wait_until, wrapped

FAILED, UNREACHABLE = 1, 3


def sh(command, **options):
    """A shell command in which $PAWL is the binary."""
    return subprocess.run(["bash", "-c", command], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
                          env=clean_environment(PAWL=str(PAWL)) | options.pop("env", {}), **options)


class Serve(unittest.TestCase):
    def start(self, redirections):
        server = Server()
        self.addCleanup(server.close)
        server.binary = wrapped(server.folder, f'exec {PAWL} "$@" {redirections}')
        return server.start()

    def test_closed_ones_are_given_to_nothing_of_ours(self):
        for redirections in (">&-", "2>&-", "<&-", "<&- >&-", "<&- >&- 2>&-", "> /dev/full 2> /dev/full"):
            with self.subTest(redirections):
                server = self.start(redirections)
                self.assertEqual([os.readlink(f"/proc/{server.process.pid}/fd/{n}") for n in range(3)
                                  if "full" not in redirections and ("<&-", ">&-", "2>&-")[n] in redirections.split()],
                                 ["/dev/null"] * redirections.count("&-"))
                self.assertEqual((server.data / "pawl.db.lock").read_text(), f"{server.process.pid}\n")
                server.apply(workflow("hello", script("say", "echo hi; ls -l /proc/self/fd | wc -l; echo sorry >&2")))
                run = server.start_run("hello")["id"]
                server.wait_run(run, "success")
                self.assertIn("hi\n", server.task_log(run, "main/say"))
                self.assertIn("sorry\n", server.task_log(run, "main/say"))
                os.kill(server.process.pid, signal.SIGUSR1)  # a line for the log
                self.assertTrue(server.is_ready())
                self.assertEqual(server.stop(), 0)
                for file in server.data.rglob("*"):
                    if file.is_file():
                        self.assertNotIn(b"ready on http", file.read_bytes(), file)
                        self.assertNotIn(b"SIGUSR1", file.read_bytes(), file)

    def test_a_ready_line_that_nobody_reads_is_logged(self):
        server = self.start("> /dev/full")
        self.assertIn("standard output cannot be written to; the server is ready and keeps running", server.log_text())
        self.assertEqual(server.stop(), 0)

    def test_a_reader_that_has_gone_does_not_end_it(self):
        server = Server()
        self.addCleanup(server.close)
        reading, writing = os.pipe()
        os.close(reading)
        server.process = subprocess.Popen(
            [PAWL, "serve", "--data", server.data, "--listen", f"127.0.0.1:{server.port}"], stdin=subprocess.DEVNULL,
            stdout=writing, stderr=writing, env=server.environment)
        os.close(writing)
        wait_until(server.is_ready, what="the server")
        os.kill(server.process.pid, signal.SIGUSR1)
        self.assertTrue(server.is_ready())
        self.assertEqual(server.stop(), 0)


class Answers(unittest.TestCase):
    """Commands whose answer nobody gets."""

    @classmethod
    def setUpClass(cls):
        cls.server = Server().start()
        cls.server.apply(workflow("hello", script("say", "echo hi")))
        cls.run_id = cls.server.start_run("hello")["id"]
        cls.server.wait_run(cls.run_id, "success")
        cls.file = cls.server.folder / "flow.yaml"
        cls.file.write_text(workflow("flow", script("say", "echo hi")))

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def sh(self, command):
        return sh(command, cwd=self.server.folder,
                  env={"PAWL_SERVER": self.server.url, "PAWL_DATA": str(self.server.data), "RUN": self.run_id})

    COMMANDS = ["runs", "runs --json", "show $RUN", "logs $RUN", "logs $RUN --json", "list", "--version", "--help", "schema",
                "cron '* * * * *'", "validate flow.yaml", "validate flow.yaml --json", "schedule list", "doctor --json",
                "start hello --wait", "apply flow.yaml", "run flow.yaml", "run flow.yaml --json"]

    def test_a_closed_output_is_a_failure_and_said(self):
        for command in self.COMMANDS:
            with self.subTest(command):
                done = self.sh(f"$PAWL {command} >&-")
                self.assertEqual(done.returncode, FAILED, done.stderr)
                self.assertIn("not all output could be written: Bad file descriptor", done.stderr)

    def test_a_full_one_is_too(self):
        for command in self.COMMANDS:
            with self.subTest(command):
                done = self.sh(f"$PAWL {command} > /dev/full")
                self.assertEqual(done.returncode, FAILED, done.stderr)
                self.assertIn("not all output could be written: No space left on device", done.stderr)

    def test_one_that_is_open_for_reading_alone_is_too(self):
        done = self.sh("$PAWL runs 1< /dev/null")
        self.assertEqual(done.returncode, FAILED)
        self.assertIn("Bad file descriptor", done.stderr)

    def test_without_any_of_them_the_exit_code_tells(self):
        self.assertEqual(self.sh("$PAWL runs <&- >&- 2>&-").returncode, FAILED)
        self.assertEqual(self.sh("$PAWL --server http://127.0.0.1:1 runs <&- >&- 2>&-").returncode, UNREACHABLE)

    def test_an_error_that_cannot_be_said_keeps_its_code(self):
        self.assertEqual(self.sh("$PAWL --server http://127.0.0.1:1 runs 2>&-").returncode, UNREACHABLE)
        done = self.sh("$PAWL --server http://127.0.0.1:1 runs --json >&-")
        self.assertEqual(done.returncode, UNREACHABLE)
        self.assertIn("not all output could be written", done.stderr)

    def test_a_closed_input_cannot_be_read(self):
        done = self.sh("$PAWL validate - <&-")
        self.assertEqual(done.returncode, FAILED)
        self.assertIn("Bad file descriptor", done.stdout + done.stderr)

    def test_a_reader_that_has_enough_ends_it_without_a_word(self):
        done = self.sh("$PAWL --help | head -1; echo ${PIPESTATUS[0]}")
        self.assertEqual(done.stderr, "")
        self.assertIn(done.stdout.split("\n")[-2], ("0", "141"))  # 0: all of it was in the pipe before

    def broken_pipe(self, *command, restore):
        reading, writing = os.pipe()
        os.close(reading)
        try:
            return subprocess.run([PAWL, *command], stdin=subprocess.DEVNULL, stdout=writing, stderr=subprocess.PIPE,
                                  text=True, cwd=self.server.folder, env=self.server.environment, timeout=60,
                                  restore_signals=restore)
        finally:
            os.close(writing)

    def test_a_broken_pipe_ends_a_command_by_its_signal(self):
        done = self.broken_pipe("schema", restore=True)
        self.assertEqual((done.returncode, done.stderr), (-signal.SIGPIPE, ""))

    def test_where_that_signal_is_ignored_it_is_a_failure_and_said(self):
        done = self.broken_pipe("schema", restore=False)  # Python ignores SIGPIPE, as systemd does
        self.assertEqual(done.returncode, FAILED)
        self.assertIn("not all output could be written: Broken pipe", done.stderr)

    def test_a_run_in_this_process_goes_on_to_its_end(self):
        mark = self.server.folder / "mark"
        self.server.folder.joinpath("marks.yaml").write_text(workflow("marks", script("mark", f"echo hi; touch {mark}")))
        done = self.broken_pipe("run", "marks.yaml", restore=True)
        self.assertEqual(done.returncode, FAILED)
        self.assertIn("Broken pipe", done.stderr)
        self.assertTrue(mark.exists())


if __name__ == "__main__":
    unittest.main()
