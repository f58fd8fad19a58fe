"""How many tasks run at once: what is usual, what may be asked for, and what a run shows that waits for its turn."""

import json
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from support.definitions import http, script, workflow
from support.pawl import PAWL, Server, clean_environment, cli, end, tasks_of, wait_until, wrapped
from support.peer import Peer, hang

CANNOT_NOW = 3


class Limits(unittest.TestCase):
    def server(self, *arguments, **options):
        """One that cuts off what still sleeps in the end."""
        server = Server(["--stop-timeout", "1s", *arguments], **options)
        self.addCleanup(server.close)
        return server

    def limited(self, descriptors):
        """A program that is pawl with so many file descriptors at most."""
        folder = pathlib.Path(tempfile.mkdtemp(prefix="pawl-limited-"))
        self.addCleanup(shutil.rmtree, folder)
        return wrapped(folder, f'exec prlimit --nofile={descriptors} {PAWL} "$@"')

    def parent_of(self, child, server):
        """A workflow whose only task starts another one and waits for it."""
        return workflow("parent", script("t", f"PAWL_TOKEN={server.token} {PAWL} start {child} --wait --server {server.url}"))

    def running(self, server, run):
        return wait_until(lambda: (now := server.run(run))["status"] == "running" and now, what="a running run")

    def waiting(self, server, run):
        return wait_until(lambda: (now := server.run(run)).get("waits_for") == "limit" and now, what="a run that waits")


class Usual(Limits):
    def test_six_that_sleep_do_not_keep_a_short_one_waiting(self):
        server = self.server().start()
        self.assertIn("how many tasks run at once processes=64 ", server.log_text())
        server.apply(workflow("sleeps", script("t", "sleep 600")))
        server.apply(workflow("short", script("t", "echo hi")))
        for run in [server.start_run("sleeps")["id"] for _ in range(6)]:
            self.running(server, run)
        server.wait_run(server.start_run("short")["id"], "success")

    def test_runs_that_each_start_another_and_wait_for_it_finish(self):
        server = self.server().start()
        server.apply(workflow("child", script("t", "echo child")))
        server.apply(self.parent_of("child", server))
        runs = [server.start_run("parent")["id"] for _ in range(4)]
        for run in runs:
            self.assertEqual(server.wait_run(run)["status"], "success")
        self.assertEqual(len(server.get("runs?workflow=child&status=success")["items"]), 4)


class Asked(Limits):
    def test_a_run_that_waits_shows_the_limit_and_who_holds_it_longest(self):
        server = self.server("--max-processes", "1").start()
        hold = script("hold", f"while [ ! -e {server.folder}/go ]; do sleep 0.05; done")
        server.apply(workflow("holds", hold))
        server.apply(workflow("short", script("t", "echo hi")))
        holder = server.start_run("holds")
        held = self.running(server, holder["id"])
        run = server.start_run("short")["id"]
        limit = self.waiting(server, run)["limit"]
        since = tasks_of(held["attempts"][0])["main/hold"]["started_at"]
        self.assertEqual(limit, {"name": "max-processes", "size": 1, "taken": 1, "oldest": {
            "run": holder["id"], "workflow": "holds", "number": 1, "job": "main", "task": "hold", "since": since}})
        self.assertEqual(tasks_of(server.run(run)["attempts"][0])["main/t"]["limit"], limit)
        self.assertIn("for limit max-processes, 1 of 1 taken, longest by holds#1 main/hold for ",
                      server.cli("show", "short#1").stdout)
        (server.folder / "go").touch()
        done = server.wait_run(run, "success")
        self.assertNotIn("limit", done)
        server.wait_run(holder["id"], "success")

    def test_the_oldest_is_known_again_after_a_crash(self):
        server = self.server("--max-processes", "1").start()
        server.apply(workflow("sleeps", script("t", "sleep 600")))
        holder = server.start_run("sleeps")["id"]
        self.running(server, holder)
        run = server.start_run("sleeps")["id"]
        self.waiting(server, run)
        server.kill()
        server.start()
        self.running(server, holder)
        self.assertEqual(self.waiting(server, run)["limit"]["oldest"]["run"], holder)

    def test_calls_have_a_limit_of_their_own(self):
        peer = Peer()
        self.addCleanup(peer.close)
        peer.on("/slow", hang)
        server = self.server("--max-http-calls", "1", "--max-processes", "1").start()
        server.apply(workflow("calls", http("call", f"{peer.url}/slow")))
        holder = server.start_run("calls")["id"]
        peer.wait_calls("/slow")
        limit = self.waiting(server, server.start_run("calls")["id"])["limit"]
        self.assertEqual((limit["name"], limit["size"], limit["taken"], limit["oldest"]["run"]),
                         ("max-http-calls", 1, 1, holder))
        server.apply(workflow("short", script("t", "echo hi")))
        server.wait_run(server.start_run("short")["id"], "success")

    def test_parents_that_take_all_places_wait_for_ever_and_say_so(self):
        server = self.server("--max-processes", "2").start()
        server.apply(workflow("child", script("t", "echo child")))
        server.apply(self.parent_of("child", server))
        parents = [server.start_run("parent")["id"] for _ in range(2)]
        children = wait_until(lambda: (found := server.get("runs?workflow=child&status=waiting")["items"]) and
                              len(found) == 2 and found, what="two children that wait")
        limit = server.run(children[0]["id"])["limit"]
        self.assertEqual((limit["taken"], limit["size"]), (2, 2))
        self.assertIn(limit["oldest"]["run"], parents)
        # Room for one is enough: the other child follows.
        server.post(f"runs/{parents[0]}/cancel")
        server.wait_run(parents[1], "success")

    def test_with_zero_there_are_as_many_as_the_descriptors_bear(self):
        server = self.server("--max-processes", "0", "--max-http-calls", "0", binary=self.limited(2000)).start()
        self.assertIn("how many tasks run at once processes=130 http_calls=394 connections=392 descriptors=2000",
                      server.log_text())


class Descriptors(Limits):
    def leaves(self, server):
        server.start(ready=False)
        self.assertEqual(server.process.wait(10), CANNOT_NOW, server.log_text())
        said = [line for line in server.log_text().splitlines() if line.startswith("pawl: ")]
        self.assertEqual(len(said), 1, server.log_text())
        return said[0]

    def test_more_than_they_bear_is_refused_with_the_number_that_is_needed(self):
        said = self.leaves(self.server("--max-processes", "500", binary=self.limited(1024)))
        for word in ("--max-processes 500 needs 3046 file descriptors", "1024 are allowed", "ulimit -n", "LimitNOFILE"):
            self.assertIn(word, said)
        self.assertIn("needs 8242", self.leaves(self.server("--max-http-calls", "4096", binary=self.limited(1024))))
        server = self.server("--max-processes", "500", binary=self.limited(3046)).start()
        self.assertIn("processes=500 ", server.log_text())

    def test_the_number_that_is_needed_is_enough_for_all_of_them_at_once(self):
        refused = self.leaves(self.server("--max-processes", "40", binary=self.limited(100)))
        needed = int(refused.split("needs ")[1].split()[0])
        server = self.server("--max-processes", "40", binary=self.limited(needed)).start()
        up, go = server.folder / "up", server.folder / "go"
        up.mkdir()
        task = script("t", f"touch {up}/$PAWL_JOB; echo hi; while [ ! -e {go} ]; do sleep 0.1; done")
        server.apply(workflow("many", jobs={f"j{n}": {"tasks": [task]} for n in range(45)}))
        run = server.start_run("many")["id"]
        begun = lambda: len(list(up.iterdir()))
        wait_until(lambda: begun() == 40, 60, lambda: f"40 at once, there are {begun()}")
        limits = [one["limit"] for one in tasks_of(server.run(run)["attempts"][0]).values() if "limit" in one]
        self.assertEqual([(limit["taken"], limit["size"]) for limit in limits], [(40, 40)] * 5)
        go.touch()
        server.wait_run(run, "success", seconds=60)

    def test_doctor_says_how_many_and_what_is_missing(self):
        folder = self.server().folder

        def check(*arguments, descriptors):
            said = cli("doctor", "--json", "--data", folder / "data", "--listen", "127.0.0.1:0", *arguments,
                       binary=self.limited(descriptors))
            found = next(one for one in json.loads(said.stdout)["checks"] if one["check"] == "at once")
            return said.returncode, found["state"], found["message"]

        code, state, message = check("--max-processes", "500", descriptors=1024)
        self.assertEqual((code, state), (1, "failed"))
        self.assertIn("needs 3046 file descriptors", message)
        self.assertEqual(check("--max-processes", "7", "--max-http-calls", "9", descriptors=1024)[1:],
                         ("fine", "7 processes, 9 http calls, 196 connections of clients"))
        self.assertEqual(check(descriptors=1024)[1:],
                         ("fine", "64 processes, 202 http calls, 196 connections of clients"))

    def test_a_run_without_a_server_obeys_the_same(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="pawl-local-"))
        self.addCleanup(shutil.rmtree, folder)
        task = script("t", f"while [ ! -e {folder}/go ]; do sleep 0.05; done")
        (folder / "w.json").write_text(workflow("w", jobs={name: {"tasks": [task]} for name in "abc"}))
        said = folder / "said"
        with open(said, "wb") as output:
            process = subprocess.Popen([PAWL, "run", "--plain", "--max-processes", "1", folder / "w.json"], cwd=folder,
                                       stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=clean_environment())
        self.addCleanup(end, process.pid)
        wait_until(lambda: "b/t waits for limit max-processes, 1 of 1 taken, longest by w#1 a/t for " in said.read_text(),
                   what=lambda: f"a task that waits: {said.read_text()}")
        (folder / "go").touch()
        self.assertEqual(process.wait(20), 0, said.read_text())

        refused = cli("run", "--max-processes", "500", folder / "w.json", cwd=folder, binary=self.limited(1024))
        self.assertEqual(refused.returncode, CANNOT_NOW, refused.stderr)
        self.assertIn("needs 3046 file descriptors", refused.stderr)


if __name__ == "__main__":
    unittest.main()
