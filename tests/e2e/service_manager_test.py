"""Under a service manager: its stop fails no task, and it gets the messages that it needs."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import unittest
import urllib.error
import urllib.request

from support.definitions import script, workflow
from support.pawl import PAWL, ROOT, Server, below, clean_environment, cli, send, tasks_of, verdict, wait_until

# Writes its key down, and is at work the first time until somebody ends it.
WORK = """
    echo "$PAWL_IDEMPOTENCY_KEY" >> {place}
    [[ $PAWL_TRY != 1 ]] || {how}
"""


class Stop(unittest.TestCase):
    def setUp(self):
        self.server = Server()
        self.addCleanup(self.server.close)
        self.place = self.server.folder / "place"

    def work(self, how, **more):
        return script("work", WORK.format(place=self.place, how=how), **more)

    def begin(self, *tasks, **more):
        """A run of them in which the first one is at work."""
        self.server.start()
        self.server.apply(workflow("w", *tasks, **more))
        run = self.server.start_run("w")["id"]
        wait_until(self.place.exists, what="the task to begin")
        return run

    def stop_unit(self, tasks_first):
        """TERM to all, as by systemd's KillMode=control-group."""
        server, rest = [self.server.process.pid], below(self.server.process.pid)
        self.assertGreaterEqual(len(rest), 3, "guard, keeper, task")
        send(signal.SIGTERM, rest + server if tasks_first else server + rest)
        self.assertEqual(self.server.process.wait(60), 0, self.server.log_text())

    def keys(self):
        return self.place.read_text().split()

    def goes_on(self, run):
        """Its newest state, once it has ended well in the attempt that follows the stop."""
        self.server.start()
        done = self.server.wait_run(run)
        self.assertEqual([attempt["status"] for attempt in done["attempts"]], ["failed", "success"], done)
        cut, after = done["attempts"]
        self.assertEqual((cut["error"]["code"], cut["error"]["message"]), ("interrupted", "interrupted by system stop"))
        self.assertEqual(after["trigger"], "recovery")
        self.assertEqual(tasks_of(cut)["main/work"]["tries"][0]["status"], "interrupted")
        self.assertEqual(len(self.keys()), 2)
        self.assertEqual(len(set(self.keys())), 1, "both tries have one key")
        return done

    def test_a_stop_of_all_processes_fails_no_run_whoever_hears_of_it_first(self):
        # In each way in which a shell task ends: itself by the signal, by its program's, or by what it makes of it.
        hows = ("exec sleep 1000", "sleep 1000", "{ trap : TERM; bash -c 'exec sleep 1000'; }",
                "{ trap 'exit 130' TERM; while :; do sleep 0.01; done; }")
        for tasks_first in (False, True):
            for how in hows:
                with self.subTest(how, tasks_first=tasks_first):
                    with contextlib.ExitStack() as stack:
                        self.server = stack.enter_context(contextlib.closing(Server()))
                        self.place = self.server.folder / "place"
                        # A stop is not counted as a crash: one would be one too many.
                        run = self.begin(self.work(how), recover={"max": 0})
                        self.stop_unit(tasks_first)
                        self.goes_on(run)

    def test_a_stop_while_many_files_are_still_read_fails_no_run_either(self):
        files = self.server.folder / "files"
        files.mkdir()
        for number in range(1500):
            (files / f"{number}.json").write_text(workflow(f"filler {number}", *[script(f"t{k}", "true") for k in range(20)]))
        run = self.begin(script("work", f"echo $PAWL_IDEMPOTENCY_KEY >> {self.place}; [[ $PAWL_TRY == 3 ]] || exec sleep 1000"))
        self.server.kill()
        self.server.arguments = ["--workflows", str(files)]
        self.server.start(ready=False)
        wait_until(lambda: len(self.keys()) == 2, what="the task to go on")
        self.assertFalse(self.server.is_ready(), "all files are read already: make more of them")
        self.stop_unit(tasks_first=True)
        self.server.arguments = []
        self.server.start()
        done = self.server.wait_run(run)
        self.assertEqual([(attempt["status"], (attempt["error"] or {}).get("message")) for attempt in done["attempts"]],
                         [("failed", "interrupted by system restart"), ("failed", "interrupted by system stop"), ("success", None)])

    def test_what_ends_well_all_the_same_is_done(self):
        run = self.begin(self.work("{ trap 'exit 0' TERM; while :; do sleep 0.01; done; }"), script("next", "true"))
        self.stop_unit(tasks_first=False)
        self.server.start()
        done = self.server.wait_run(run)
        self.assertEqual((done["status"], len(done["attempts"])), ("success", 1))
        self.assertEqual(len(self.keys()), 1)

    def test_a_failure_of_its_own_is_one_also_while_the_server_stops(self):
        run = self.begin(self.work("{ trap 'exit 3' TERM; while :; do sleep 0.01; done; }"))
        self.stop_unit(tasks_first=False)
        self.server.start()
        done = self.server.wait_run(run)
        self.assertEqual((done["status"], len(done["attempts"])), ("failed", 1))

    def test_a_task_that_somebody_ends_fails_while_nobody_stops_the_server(self):
        run = self.begin(self.work("exec sleep 1000"))
        send(signal.SIGTERM, below(self.server.process.pid))
        done = self.server.wait_run(run)
        error = tasks_of(done["attempts"][0])["main/work"]["error"]
        self.assertEqual((done["status"], error["code"], error["cause"]["signal"]), ("failed", "task_failed", 15))

    def test_the_task_goes_on_as_it_says_for_a_crash(self):
        run = self.begin(self.work("exec sleep 1000", on_crash="hold"))
        self.stop_unit(tasks_first=True)
        self.server.start()
        held = self.server.wait_run(run, "waiting")
        self.assertEqual(tasks_of(held["attempts"][1])["main/work"]["waits_for"], "release")
        self.assertEqual(len(self.keys()), 1)

    def test_other_tasks_of_the_run_may_finish(self):
        finish, begun = self.server.folder / "finish", self.server.folder / "begun"
        deaf = f"trap '' TERM; touch {begun}; until [[ -e {finish} ]]; do sleep 0.02 || :; done; echo saved"
        self.server.start()
        self.server.apply(workflow("w", jobs={"main": {"tasks": [self.work("exec sleep 1000")]},
                                              "deaf": {"tasks": [script("deaf", deaf)]}}))
        run = self.server.start_run("w")["id"]
        wait_until(lambda: self.place.exists() and begun.exists(), what="both tasks to begin")
        send(signal.SIGTERM, [self.server.process.pid, *below(self.server.process.pid)])
        wait_until(lambda: "stopping signal=SIGTERM" in self.server.log_text(), what="the stop")
        finish.touch()
        self.assertEqual(self.server.process.wait(20), 0, "long before the stop timeout")
        done = self.goes_on(run)
        self.assertEqual(verdict(tasks_of(done["attempts"][1])["deaf/deaf"]), "skipped/done")

    def test_it_says_what_it_waits_for_and_is_not_ready_meanwhile(self):
        finish = self.server.folder / "finish"
        run = self.begin(self.work(f"until [[ -e {finish} ]]; do sleep 0.02; done"), script("next", "true"))
        self.server.process.terminate()
        wait_until(lambda: "stopping signal=SIGTERM" in self.server.log_text(), what="the stop")
        line = next(line for line in self.server.log_text().splitlines() if "stopping signal=SIGTERM" in line)
        self.assertRegex(line, rf'running=1 oldest="w/main/work of run {run} since 2[^ ]+Z" until=2[^ ]+Z')
        for path, status in ("/readyz", 503), ("/healthz", 200):
            with self.subTest(path):
                try:
                    with urllib.request.urlopen(self.server.url + path, timeout=10) as answer:
                        self.assertEqual(answer.status, status)
                except urllib.error.HTTPError as error:
                    self.assertEqual(error.code, status)
        finish.touch()
        self.assertEqual(self.server.process.wait(20), 0)
        self.assertNotIn("cut off", self.server.log_text())
        self.server.start()
        done = self.server.wait_run(run)
        self.assertEqual((done["status"], len(done["attempts"])), ("success", 1))

    def test_it_says_when_it_waits_no_longer(self):
        self.server.arguments += ["--stop-timeout", "100ms"]
        run = self.begin(self.work("exec sleep 1000"))
        self.assertEqual(self.server.stop(), 0)
        self.assertRegex(self.server.log_text(), "stopping: running tasks are cut off.* running=1 oldest=\"w/main/work")
        self.goes_on(run)

    def test_an_engine_of_the_command_line_takes_a_stop_of_all_no_worse(self):
        for tasks_first in (False, True):
            with self.subTest(tasks_first=tasks_first):
                data = self.server.folder / f"here-{tasks_first}"
                self.place = self.server.folder / f"place-{tasks_first}"
                file = self.server.folder / "w.yaml"
                file.write_text(workflow("w", self.work("exec sleep 1000")))
                process = subprocess.Popen([PAWL, "run", file, "--data", data, "--json"], stdout=subprocess.PIPE,
                                           stderr=subprocess.PIPE, text=True, env=clean_environment())
                wait_until(self.place.exists, what="the task to begin")
                all_of_it = [process.pid, *below(process.pid)]
                send(signal.SIGTERM, reversed(all_of_it) if tasks_first else all_of_it)
                out, err = process.communicate(timeout=60)
                self.assertEqual(process.returncode, 1, err)
                run = json.loads(out)["error"]["run"]
                resumed = cli("resume", run, "--data", data)
                self.assertEqual(resumed.returncode, 0, resumed.stderr)
                self.assertIn("interrupted by system stop", resumed.stdout + resumed.stderr)
                self.assertEqual(len(self.keys()), 2)
                self.assertEqual(len(set(self.keys())), 1)


class Manager:
    """The end of the socket that a service manager listens at."""

    def __init__(self, name):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.settimeout(60)
        self.socket.bind(f"\0{name[1:]}" if name.startswith("@") else name)
        self.told = []

    def until(self, word):
        """The first message that has this line, or begins a line so."""
        while True:
            message = self.socket.recv(4096).decode()
            self.told.append(message)
            if any(line.startswith(word) for line in message.splitlines()):
                return message.splitlines()


class Told(unittest.TestCase):
    SHOW = "${{ env.NOTIFY_SOCKET ?? 'none' }} ${{ env.WATCHDOG_USEC ?? 'none' }} ${{ env.WATCHDOG_PID ?? 'none' }}"

    def manager(self, name):
        manager = Manager(name)
        self.addCleanup(manager.socket.close)
        return manager

    def test_the_life_of_a_server(self):
        server = Server(arguments=["--pass-env", "NOTIFY_SOCKET,WATCHDOG_USEC,WATCHDOG_PID,OWN"])
        self.addCleanup(server.close)
        for name in f"@pawl-test-{os.getpid()}", str(server.folder / "notify"):
            with self.subTest(name):
                manager = self.manager(name)
                server.environment = clean_environment(NOTIFY_SOCKET=name, WATCHDOG_USEC="200000", OWN="own")
                server.start(ready=False)
                self.assertIn("EXTEND_TIMEOUT_USEC=60000000", manager.until("STATUS=starting"))
                self.assertIn(f"STATUS=ready on {server.url}", manager.until("READY=1"))
                self.assertTrue(server.is_ready())
                manager.until("WATCHDOG=1")
                manager.until("WATCHDOG=1")

                server.apply(workflow("w", script("show", f'echo "{self.SHOW} ${{{{ env.OWN }}}}"; env')), "w")
                run = server.start_run("w")["id"]
                self.assertEqual(server.wait_run(run)["status"], "success")
                log = server.task_log(run, "main/show")
                self.assertTrue(log.startswith("none none none own\n"), log)
                self.assertNotRegex(log, "NOTIFY_SOCKET=|WATCHDOG_")
                for pid in below(server.process.pid):
                    environment = pathlib.Path(f"/proc/{pid}/environ").read_bytes()
                    self.assertNotRegex(environment, b"NOTIFY_SOCKET|WATCHDOG")

                server.process.terminate()
                stopping = manager.until("STOPPING=1")
                self.assertIn("EXTEND_TIMEOUT_USEC=60000000", stopping)  # 30 s, and 30 s for all that follows
                self.assertTrue(any(line.startswith("STATUS=stopping") for line in stopping))
                self.assertEqual(server.process.wait(20), 0)
                self.assertEqual(sum("READY=1" in message for message in manager.told), 1)

    def test_a_start_that_fails_is_never_ready(self):
        with Server() as holder:
            name = str(holder.folder / "notify")
            manager = self.manager(name)
            second = cli("serve", "--data", holder.data, "--listen", "127.0.0.1:0",
                         environment=clean_environment(NOTIFY_SOCKET=name))
            self.assertEqual(second.returncode, 4)
            manager.socket.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                manager.until("READY=1")
                self.fail("it said that it is ready")

    def test_a_task_of_the_command_line_does_not_see_the_managers_variables(self):
        with contextlib.closing(Server()) as place:
            file = place.folder / "w.yaml"
            file.write_text(workflow("w", script("show", f'echo "{self.SHOW} ${{{{ env.OWN }}}}"')))
            name = str(place.folder / "notify")
            manager = self.manager(name)
            given = clean_environment(NOTIFY_SOCKET=name, WATCHDOG_USEC="1", WATCHDOG_PID="1", OWN="own")
            ran = cli("run", file, "--data", place.folder / "here", "--plain", environment=given)
            self.assertEqual(ran.returncode, 0, ran.stderr)
            self.assertIn("none none none own", ran.stdout + ran.stderr)
            # `pawl run` is not a service and leaves the variable alone.
            manager.socket.setblocking(False)
            self.assertRaises(BlockingIOError, manager.socket.recv, 4096)


class Unit(unittest.TestCase):
    TEXT = (ROOT / "packaging/pawl.service").read_text()

    def verified(self, text):
        with contextlib.closing(Server()) as place:
            file = place.folder / "pawl.service"
            file.write_text(text)
            checked = subprocess.run(["systemd-analyze", "verify", "--man=no", file], capture_output=True, text=True, timeout=60)
            return checked.returncode, checked.stderr

    def test_systemd_finds_nothing_wrong_with_the_unit(self):
        self.assertIn("ExecStart=/usr/bin/pawl serve ", self.TEXT)
        self.assertEqual(self.verified(self.TEXT.replace("/usr/bin/pawl", str(PAWL))), (0, ""))

    def test_it_would_find_what_is_wrong(self):
        good = self.TEXT.replace("/usr/bin/pawl", str(PAWL))
        for right, wrong in ("KillMode=mixed", "KillMod=mixed"), ("TimeoutStopSec=60", "TimeoutStopSec=soon"):
            self.assertIn(right, good)
            self.assertIn("pawl.service", self.verified(good.replace(right, wrong))[1])

    def test_its_options_are_those_of_this_server(self):
        line = next(line for line in self.TEXT.splitlines() if line.startswith("ExecStart="))
        words = line.split("=", 1)[1].split()[1:]
        with contextlib.closing(Server()) as place:
            words[words.index("--data") + 1] = str(place.folder / "data")
            words[words.index("--listen") + 1] = f"127.0.0.1:{place.port}"
            place.process = subprocess.Popen([PAWL, *words], stdin=subprocess.DEVNULL, stdout=open(place.output, "ab"),
                                             stderr=subprocess.STDOUT, env=clean_environment(), cwd=place.folder)
            place.wait_ready()


if __name__ == "__main__":
    unittest.main()
