"""Signals: which of them stop a server or a `pawl run`, which reload its files, and that all others are logged and do
nothing. Limits of the process that arrive as signals become ordinary errors."""

import os
import pty
import re
import signal
import subprocess
import unittest

from support.definitions import script, workflow
from support.pawl import PAWL, Refused, Server, clean_environment, wait_until, wrapped

STRAYS = [signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF, signal.SIGIO, signal.SIGXCPU,
          signal.SIGPWR, signal.SIGSTKFLT, signal.SIGRTMIN, signal.SIGRTMIN + 3, signal.SIGRTMAX]
OF_THE_LIBRARY = [32, 33]  # the C library uses these itself
CANNOT_NOW = 3


def name_of(number):
    if number >= signal.SIGRTMIN:
        return f"SIGRTMIN+{number - signal.SIGRTMIN}"
    return {signal.SIGIO: "SIGPOLL"}.get(number) or signal.Signals(number).name


class ServerCase(unittest.TestCase):
    def server(self, **options):
        server = Server(**options)
        self.addCleanup(server.close)
        return server

    def send(self, server, number):
        os.kill(server.process.pid, number)

    def limit(self, server, size):
        """Its files may not be larger from now on."""
        subprocess.run(["prlimit", "--pid", str(server.process.pid), f"--fsize={size}:"], check=True)

    def logged(self, server, pattern):
        wait_until(lambda: re.search(pattern, server.log_text()), 10, lambda: f"{pattern} in\n{server.log_text()}")

    def starts_with_ignored(self, server, *names):
        """Has it started by a shell that ignores these signals."""
        server.binary = wrapped(server.folder, f'trap "" {" ".join(names)}\nexec {PAWL} "$@"')
        return server.start()


class Stop(ServerCase):
    def test_each_that_asks_for_a_stop_is_named_with_its_sender(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            server = self.server().start()
            self.send(server, number)
            self.assertEqual(server.process.wait(20), 0, server.log_text())
            self.assertIn(f'stopping signal={number.name} from="process {os.getpid()} of user {os.getuid()}"',
                          server.log_text())

    def test_what_is_ignored_at_the_start_stays_ignored(self):
        server = self.starts_with_ignored(self.server(), "INT", "QUIT", "HUP", "USR1")
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            self.send(server, number)
        self.logged(server, "ignored signal=SIGUSR2")
        self.assertTrue(server.is_ready())
        for word in ("SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1"):
            self.assertNotIn(word, server.log_text())
        self.assertEqual(server.stop(), 0)
        self.assertIn("stopping signal=SIGTERM", server.log_text())

    def test_a_second_one_cuts_off_what_runs_and_a_stray_one_does_not(self):
        server = self.server().start()
        server.apply(workflow("long", script("sleep", "echo begun; sleep 60")))
        run = server.start_run("long")["id"]
        wait_until(lambda: "begun" in server.task_log(run, "main/sleep"), what="the task")
        self.send(server, signal.SIGTERM)
        self.logged(server, "stopping signal=SIGTERM")
        self.send(server, signal.SIGUSR1)
        self.logged(server, "ignored signal=SIGUSR1")
        self.assertIsNone(server.process.poll())
        self.assertNotIn("cut off", server.log_text())
        self.send(server, signal.SIGINT)
        self.assertEqual(server.process.wait(20), 0, server.log_text())
        self.assertIn("running tasks are cut off signal=SIGINT", server.log_text())


class Strays(ServerCase):
    def test_they_are_logged_and_ignored(self):
        server = self.server().start()
        for number in STRAYS:
            self.send(server, number)
            self.logged(server, rf'signal={re.escape(name_of(number))} from="process {os.getpid()} of user {os.getuid()}"')
        for number in (*OF_THE_LIBRARY, signal.SIGXFSZ, signal.SIGPIPE):
            self.send(server, number)
        self.assertTrue(server.is_ready())
        self.assertNotIn("stopping", server.log_text())
        server.apply(workflow("hello", script("say", "echo hi")))
        server.wait_run(server.start_run("hello")["id"], "success")
        self.assertEqual(server.stop(), 0)

    def test_a_flood_of_them_is_no_flood_of_lines(self):
        server = self.server().start()
        for _ in range(500):
            self.send(server, signal.SIGUSR1)
        self.send(server, signal.SIGUSR2)
        self.logged(server, "ignored signal=SIGUSR2")
        self.assertLess(server.log_text().count("SIGUSR1"), 20)

    def test_tasks_begin_with_the_defaults(self):
        server = self.starts_with_ignored(self.server(), "INT", "HUP", "USR1", "XFSZ")
        server.apply(workflow("look", script("look", "grep -E '^Sig(Ign|Blk)' /proc/self/status")))
        run = server.start_run("look")["id"]
        server.wait_run(run, "success")
        shown = dict(line.split(":\t") for line in server.task_log(run, "main/look").splitlines())
        self.assertEqual({name: int(value, 16) for name, value in shown.items()}, {"SigIgn": 0, "SigBlk": 0})

    def test_the_limit_of_processor_time_is_logged(self):
        server = self.server().start()
        self.send(server, signal.SIGXCPU)
        self.logged(server, "the soft limit of processor time is reached.* signal=SIGXCPU")
        self.assertTrue(server.is_ready())


class Hangup(ServerCase):
    def test_without_a_terminal_the_workflows_are_read_again(self):
        server = self.server()
        flows = server.folder / "flows"
        flows.mkdir()
        (flows / "one.yaml").write_text(workflow("one", script("say", "echo 1")))
        server.arguments = ["--workflows", str(flows)]
        server.binary = self.detached(server)
        server.start()
        self.send(server, signal.SIGHUP)
        self.logged(server, 'reloading signal=SIGHUP from="process')
        self.logged(server, "the folder of workflows was reloaded .*files=1")
        self.assertTrue(server.is_ready())
        # A file that could not be stored before, and has not changed since, is taken now.
        self.limit(server, (server.data / "pawl.db-wal").stat().st_size)
        (flows / "two.yaml").write_text(workflow("two", script("say", "echo 2")))
        self.logged(server, "a workflow's file cannot be taken file=.*two.yaml")
        self.limit(server, "unlimited")
        self.send(server, signal.SIGHUP)
        self.logged(server, "the folder of workflows was reloaded .*files=2")
        self.assertEqual(server.get("workflows/two")["version"], 1)

    def test_without_a_folder_there_is_nothing_to_read(self):
        server = self.server()
        server.binary = self.detached(server)
        server.start()
        self.send(server, signal.SIGHUP)
        self.logged(server, "there is no folder of workflows to reload")
        self.assertTrue(server.is_ready())

    def test_with_a_terminal_it_stops_the_server(self):
        server = self.server()
        server.folder.joinpath("data").mkdir(mode=0o700)
        pid, terminal = pty.fork()
        if pid == 0:
            with open(server.output, "ab") as output:
                os.dup2(output.fileno(), 1)
                os.dup2(output.fileno(), 2)
            os.execve(PAWL, ["pawl", "serve", "--data", str(server.data), "--listen", f"127.0.0.1:{server.port}"],
                      server.environment)
        wait_until(server.is_ready, what=server.log_text)
        os.close(terminal)  # the terminal is hung up
        ended, status = os.waitpid(pid, 0)
        self.assertEqual((ended, status), (pid, 0), server.log_text())
        self.assertIn('stopping signal=SIGHUP from="the system"', server.log_text())

    def detached(self, server):
        program = server.folder / "pawl"
        program.write_text(f'#!/bin/sh\nexec setsid {PAWL} "$@"\n')
        program.chmod(0o755)
        return program


class FileSize(ServerCase):
    """A limit on the size of files is met like a full disk."""

    def test_nothing_that_was_acknowledged_is_lost(self):
        server = self.server().start()
        server.apply(workflow("large", script("say", "true"), inputs={"text": {"type": "string", "default": ""}}))
        self.limit(server, 4 << 20)
        accepted, refused = [], []
        for n in range(16):
            try:
                accepted.append(server.start_run("large", {"text": "x" * 500_000}, key=f"k{n}")["id"])
            except Refused as refusal:
                refused.append(refusal)
        self.assertGreater(len(accepted), 2)
        self.assertGreater(len(refused), 2)
        self.assertEqual({(one.status, one.code) for one in refused}, {(503, "no_room")})
        self.assertIn("ulimit -f", str(refused[0]))
        self.assertIn("commit failed code=overloaded", server.log_text())
        self.assertIn("File too large, by a limit of this process", server.log_text())
        self.assertIsNone(server.process.poll())
        self.limit(server, "unlimited")
        for run in accepted:
            server.wait_run(run, "success")
        server.kill()
        server.start()
        self.assertEqual({run["id"] for run in server.get("runs?limit=200")["items"]}, set(accepted))

    def test_a_start_that_meets_it_says_so(self):
        server = self.server()
        program = server.folder / "pawl"
        program.write_text(f'#!/bin/sh\nexec prlimit --fsize=8192 {PAWL} "$@"\n')
        program.chmod(0o755)
        server.binary = program
        server.start(ready=False)
        self.assertEqual(server.process.wait(20), CANNOT_NOW, server.log_text())
        self.assertRegex(server.log_text(), "pawl: .*pawl.db.*File too large.*ulimit -f")

    def test_a_log_that_may_not_grow_says_what_is_missing(self):
        server = self.server(arguments=["--task-file-size", "0"])
        server.start()
        server.apply(workflow("flood", script("print", "head -c 900000 /dev/zero | tr '\\0' x; echo; echo end")))
        self.limit(server, 600_000)
        run = server.start_run("flood")["id"]
        wait_until(lambda: "log cannot be written" in server.log_text(), 10, server.log_text)
        self.assertRegex(server.log_text(), "log cannot be written .*File too large, by a limit")
        self.limit(server, "unlimited")
        server.wait_run(run)
        self.assertIsNone(server.process.poll())


class WithoutServer(unittest.TestCase):
    """`pawl run`."""

    def setUp(self):
        self.place = Server()  # its folder alone
        self.addCleanup(self.place.close)
        self.file = self.place.folder / "flow.yaml"
        self.go = self.place.folder / "go"
        self.file.write_text(workflow("flow", script("wait", f"echo begun; until test -e {self.go}; do sleep 0.02; done; echo over")))
        self.output = self.place.folder / "out"

    def begin(self, *before, ignored=()):
        def ignore():
            for number in ignored:
                signal.signal(number, signal.SIG_IGN)

        with open(self.output, "wb") as output:
            self.process = subprocess.Popen(
                [*before, PAWL, "run", self.file, "--plain"], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                env=clean_environment(), cwd=self.place.folder, preexec_fn=ignore)
        self.addCleanup(self.process.wait)
        self.addCleanup(self.process.kill)
        wait_until(lambda: "begun" in self.said(), what=self.said)

    def said(self):
        return self.output.read_text()

    def test_nohup_outlives_the_terminal(self):
        self.begin("nohup")
        self.process.send_signal(signal.SIGHUP)
        self.go.touch()
        self.assertEqual(self.process.wait(20), 0, self.said())
        self.assertIn("over", self.said())

    def test_what_is_ignored_at_the_start_stays_ignored(self):
        self.begin(ignored=(signal.SIGINT, signal.SIGQUIT, signal.SIGTERM))
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
            self.process.send_signal(number)
        self.go.touch()
        self.assertEqual(self.process.wait(20), 0, self.said())
        self.assertNotIn("cancelling", self.said())

    def test_strays_are_said_and_ignored(self):
        self.begin()
        for number in STRAYS:
            self.process.send_signal(number)
            words = ": the soft limit of processor time" if number == signal.SIGXCPU else " has no meaning here and is ignored"
            wait_until(lambda: name_of(number) + words in self.said(), what=self.said)
        for number in (*OF_THE_LIBRARY, signal.SIGXFSZ, signal.SIGPIPE):
            self.process.send_signal(number)
        self.go.touch()
        self.assertEqual(self.process.wait(20), 0, self.said())

    def test_what_ends_it_leaves_a_run_that_can_go_on(self):
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT):
            self.begin()
            self.process.send_signal(number)
            self.assertEqual(self.process.wait(20), 1, self.said())
            self.assertIn("goes on with: pawl resume", self.said())


if __name__ == "__main__":
    unittest.main()
