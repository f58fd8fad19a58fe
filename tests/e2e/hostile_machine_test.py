"""A machine that has no room, no descriptors, no memory left, or a disk that cannot be written to any more."""

import os
import shutil
import socket
import subprocess
import tempfile
import pathlib
import time
import unittest

from support.definitions import http, script, workflow
from support.disk import Disk, FailingDisk
from support.peer import Peer, after, first
from support.pawl import PAWL, Refused, Server, tasks_of, wait_until, wrapped

CANNOT_NOW = 3  # docs/cli.md


class Machine(unittest.TestCase):
    def disk(self, *arguments, kind=Disk):
        disk = kind(*arguments)
        self.addCleanup(disk.close)
        return disk

    def server(self, **options):
        server = Server(**options)
        self.addCleanup(server.close)
        return server

    def peer(self):
        peer = Peer()
        self.addCleanup(peer.close)
        return peer

    def limited(self, *limits):
        """A program that is pawl with less of something."""
        folder = pathlib.Path(tempfile.mkdtemp(prefix="pawl-limited-"))
        self.addCleanup(shutil.rmtree, folder)
        return wrapped(folder, f'exec prlimit {" ".join(limits)} {PAWL} "$@"')

    def leaves_with(self, server, code, *words):
        """Starts it: it says what is wrong, in one line, and ends."""
        before = len(server.log_text())
        server.start(ready=False)
        self.assertEqual(server.process.wait(10), code, server.log_text())
        said = [line for line in server.log_text()[before:].splitlines() if line.startswith("pawl: ")]
        self.assertEqual(len(said), 1, server.log_text())
        for word in words:
            self.assertIn(word, said[0])

    def refused(self, code, act, *arguments):
        with self.assertRaises(Refused) as caught:
            act(*arguments)
        self.assertEqual((caught.exception.status, caught.exception.code), (503, code), caught.exception)


def error_of(run, task):
    return tasks_of(run["attempts"][-1])[task]["error"]


class NoRoom(Machine):
    def test_a_start_without_room_says_so_and_leaves_nothing_half(self):
        disk = self.disk("size=1m")
        disk.fill()
        server = self.server(data=disk.path / "data")
        self.leaves_with(server, CANNOT_NOW, "pawl.db", "no room")
        self.assertFalse((server.data / "pawl.db").exists())
        self.assertFalse((server.data / "pawl.db.new").exists())
        disk.empty()
        server.start()
        server.apply(workflow("hello", script("say", "echo hi")))
        run = server.start_run("hello")["id"]
        server.wait_run(run, "success")
        for end in (server.kill, server.stop):
            end()
            disk.fill()
            self.leaves_with(server, CANNOT_NOW, "pawl.db")
            disk.empty()
            server.start()
            self.assertEqual(server.run(run)["status"], "success")
            self.assertEqual(server.task_log(run, "main/say"), "hi\n")

    def test_without_inodes_it_is_the_same(self):
        disk = self.disk("size=1m,nr_inodes=4")  # its root, data, pawl.db.lock, pawl.db: none for the WAL
        server = self.server(data=disk.path / "data")
        self.leaves_with(server, CANNOT_NOW, "pawl.db-wal", "No space left")
        disk.remount("nr_inodes=9")  # no task can be given a folder
        server.start()
        server.apply(workflow("hello", script("say", "echo hi")))
        run = server.wait_run(server.start_run("hello")["id"])
        self.assertEqual((run["status"], error_of(run, "main/say")["code"]), ("failed", "workspace_unavailable"))
        self.assertIn("No space left", error_of(run, "main/say")["message"])
        disk.remount("nr_inodes=100")
        server.post(f"runs/{run['id']}/resume")
        server.wait_run(run["id"], "success")

    def fill_in_flight(self):
        disk, peer = self.disk("size=4m"), self.peer()
        server = self.server(data=disk.path / "data").start()
        peer.on("/slow", after(0.5))
        # A script that prints nothing needs no log, but it needs a folder: made before there was no room.
        server.apply(workflow("work", http("slow", f"{peer.url}/slow"), http("then", f"{peer.url}/then"),
                              script("last", "true")))
        runs = [server.start_run("work", key=f"k{n}")["id"] for n in range(20)]
        peer.wait_calls("/slow", 20)
        disk.fill()
        for n in range(3):
            self.refused("no_room", server.start_run, "work", None, f"refused{n}")
        self.refused("no_room", server.apply, workflow("other", script("x", "true")))
        return disk, peer, server, runs

    def all_of_it_was_done_once(self, server, peer, runs, slow=20):
        for run in runs:
            server.wait_run(run, "success", seconds=15)
        self.assertEqual((len(peer.of("/slow")), len(peer.of("/then"))), (slow, 20))
        self.assertEqual(len({call.key for call in peer.of("/slow")}), 20)
        self.assertEqual({run["id"] for run in server.get("runs?limit=200")["items"]}, set(runs))
        self.assertEqual([flow["name"] for flow in server.get("workflows")["items"]], ["work"])
        again = [server.start_run("work", key=f"k{n}")["id"] for n in range(20)]
        self.assertEqual(again, runs)  # the keys that were answered are known, each with its run

    def test_what_is_in_flight_waits_for_room_and_goes_on_by_itself(self):
        disk, peer, server, runs = self.fill_in_flight()
        wait_until(lambda: all(call.answered for call in peer.of("/slow")), 10, "the answers")
        time.sleep(1)  # a few attempts to write them down
        self.assertEqual(len(peer.of("/then")), 0)
        self.assertTrue(server.is_ready())
        self.assertEqual({server.run(run)["status"] for run in runs}, {"running"})  # reading goes on
        told = [line for line in server.log_text().splitlines() if "commit failed" in line]
        self.assertEqual(len(told), 1, told)  # not one every quarter of a second
        self.assertIn("no room", told[0])
        disk.empty()
        self.all_of_it_was_done_once(server, peer, runs)
        self.assertIn("there is room again", server.log_text())

    def test_killed_without_room_nothing_acknowledged_is_lost(self):
        disk, peer, server, runs = self.fill_in_flight()
        wait_until(lambda: all(call.answered for call in peer.of("/slow")), 10, "the answers")
        server.kill()
        self.leaves_with(server, CANNOT_NOW, "no room")
        disk.empty()
        server.start()
        # What was done and could not be written down is done again, with the same key.
        self.all_of_it_was_done_once(server, peer, runs, slow=40)

    def test_a_stop_without_room_ends_in_time(self):
        disk, peer, server, runs = self.fill_in_flight()
        began = time.monotonic()
        self.assertEqual(server.stop(20), 0)
        self.assertLess(time.monotonic() - began, 10)
        disk.empty()
        server.start()
        for run in runs:
            server.wait_run(run, "success", seconds=15)

    def test_a_full_workspace_fails_the_task_and_no_other(self):
        disk, peer = self.disk("size=256k"), self.peer()
        server = self.server(arguments=["--workspace", str(disk.path / "work")]).start()
        server.apply(workflow("script", script("say", "echo hi")))
        server.apply(workflow("call", http("call", f"{peer.url}/x")))
        server.wait_run(server.start_run("script")["id"], "success")
        disk.fill()
        run = server.wait_run(server.start_run("script")["id"])
        error = error_of(run, "main/say")
        self.assertEqual((run["status"], error["code"]), ("failed", "workspace_unavailable"))
        self.assertIn("No space left", error["message"])
        self.assertIn(run["id"], error["message"])
        server.wait_run(server.start_run("call")["id"], "success")
        disk.empty()
        server.post(f"runs/{run['id']}/resume")
        server.wait_run(run["id"], "success")

    def test_a_full_log_says_what_is_missing_or_fails_the_task(self):
        disk = self.disk("size=256k")
        server = self.server()
        server.data.mkdir(mode=0o700)
        (server.data / "logs").symlink_to(disk.path)
        server.start()
        server.apply(workflow("flood", script("print", "head -c 600000 /dev/zero | tr '\\0' x; sleep 0.7; echo; echo end")))
        server.apply(workflow("line", script("print", "echo one")))
        server.apply(workflow("silent", script("print", "true")))
        flood = server.start_run("flood")["id"]
        wait_until(lambda: "log cannot be written" in server.log_text(), 10, "the disk of logs to be full")
        disk.remount("size=1m")
        self.assertEqual(server.wait_run(flood)["status"], "success")
        printed = server.task_log(flood, "main/print")
        self.assertRegex(printed[-200:], r"x\npawl: [0-9]+ bytes are missing here: there was no room\nx*\nend\n$")
        disk.fill()
        run = server.wait_run(server.start_run("line")["id"])
        self.assertEqual((run["status"], error_of(run, "main/print")["code"]), ("failed", "log_unavailable"))
        self.assertEqual(server.wait_run(server.start_run("silent")["id"])["status"], "success")
        disk.empty()
        server.post(f"runs/{run['id']}/resume")
        server.wait_run(run["id"], "success")
        self.assertIn("one\n", server.task_log(run["id"], "main/print"))


class ReadOnly(Machine):
    def test_a_disk_that_turns_read_only_ends_the_server_and_a_restart_goes_on(self):
        disk, peer = self.disk(kind=FailingDisk), self.peer()
        server = self.server(data=disk.path / "data").start()
        peer.on("/slow", first(1, after(0.7)))
        server.apply(workflow("work", http("one", f"{peer.url}/one"), http("slow", f"{peer.url}/slow"),
                              http("last", f"{peer.url}/last")))
        run = server.start_run("work", key="k")["id"]
        peer.wait_calls("/slow")
        disk.fail()
        try:
            server.start_run("work", key="refused")
            self.fail("acknowledged what cannot be written")
        except (Refused, OSError) as refusal:
            if isinstance(refusal, Refused):
                self.assertEqual(refusal.status, 503)
        self.assertEqual(server.process.wait(10), CANNOT_NOW)
        self.assertIn("the store cannot be relied on any more", server.log_text())
        self.leaves_with(server, CANNOT_NOW, "Read-only file system")
        disk.repair()
        server.start()
        done = server.wait_run(run, "success")
        self.assertEqual([len(peer.of(path)) for path in ("/one", "/slow", "/last")], [1, 2, 1])
        self.assertEqual(len(done["attempts"]), 2)
        self.assertEqual(server.start_run("work", key="k")["id"], run)
        self.assertEqual(len(server.get("runs")["items"]), 1)

    def test_a_read_only_disk_is_said_at_the_start(self):
        disk = self.disk("size=1m,ro")
        self.leaves_with(self.server(data=disk.path / "data"), CANNOT_NOW, str(disk.path), "Read-only file system")
        disk = self.disk("size=2m")
        server = self.server(data=disk.path / "data").start()
        server.stop()
        disk.remount("ro")
        self.leaves_with(server, CANNOT_NOW, "pawl.db", "Read-only file system")


class Descriptors(Machine):
    def test_too_few_are_refused_at_the_start(self):
        self.leaves_with(self.server(binary=self.limited("--nofile=63")), CANNOT_NOW, "63 file descriptors", "ulimit -n")

    def test_connections_take_no_descriptor_that_tasks_or_the_store_need(self):
        peer = self.peer()
        server = self.server(binary=self.limited("--nofile=80")).start()
        server.apply(workflow("both", script("say", "echo hi"), http("call", f"{peer.url}/x"), script("wait", "sleep 2")))
        run = server.start_run("both")["id"]
        held = []
        self.addCleanup(lambda: [each.close() for each in held])
        for _ in range(100):  # a few are taken, the others wait in the kernel
            one = socket.create_connection(("127.0.0.1", server.port))
            one.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
            held.append(one)

        def processor_time():
            with open(f"/proc/{server.process.pid}/stat") as status:
                words = status.read().rpartition(")")[2].split()
            return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

        peer.wait_calls("/x")
        before = processor_time()
        time.sleep(1)
        self.assertLess(processor_time() - before, 0.3, "it spins")
        self.assertLess(len(os.listdir(f"/proc/{server.process.pid}/fd")), 60)
        for each in held:
            each.close()
        wait_until(server.is_ready, 5, "the API")
        server.wait_run(run, "success")

    def test_tasks_for_which_there_are_none_fail_and_say_so_and_others_go_on(self):
        peer = self.peer()
        server = self.server(binary=self.limited("--nofile=64")).start()
        peer.on("/slow", after(0.4))
        jobs = {f"c{n}": {"tasks": [http("call", f"{peer.url}/slow", retry={"max": 5, "delay": "300ms"})]} for n in range(60)}
        server.apply(workflow("calls", jobs=jobs))
        server.apply(workflow("script", script("say", "echo hi", retry={"max": 20, "delay": "300ms"})))
        calls = server.start_run("calls")["id"]
        peer.wait_calls("/slow", 5)
        says = server.start_run("script")["id"]
        server.wait_run(says, "success")
        run = server.wait_run(calls)
        self.assertIsNone(server.process.poll())
        for task in tasks_of(run["attempts"][0]).values():
            for one in task["tries"]:
                if one["status"] != "success":
                    self.assertIn(one["error"]["code"], ("connection_failed", "spawn_failed"), one)
        server.apply(workflow("after", script("say", "echo hi"), http("call", f"{peer.url}/x")))
        server.wait_run(server.start_run("after")["id"], "success")


class Memory(Machine):
    def test_memory_that_runs_out_loses_nothing_and_is_said(self):
        program = self.limited(f"--as={192 << 20}")
        # One arena: glibc's others reserve 64 MiB of addresses each, and what is left would depend on who was first.
        server = self.server(binary=program, environment={"MALLOC_ARENA_MAX": "1"}).start()
        server.apply(workflow("large", script("say", "sleep 60"), inputs={"text": {"type": "string", "default": ""}}))
        accepted, refused = [], 0
        while refused < 20 and server.process.poll() is None:
            try:
                run = server.start_run("large", {"text": "x" * 1_000_000}, key=f"k{len(accepted)}")
                accepted.append(run["id"])
                refused = 0
            except (Refused, OSError):
                refused += 1
        self.assertGreater(len(accepted), 3)
        try:
            self.assertEqual(server.process.wait(5), CANNOT_NOW, server.log_text()[-2000:])
            # Whoever asked for the piece that was one too many: we or SQLite.
            self.assertRegex(server.log_text(), "pawl: stopped at once: there is no memory left|"
                                                "the store cannot be relied on any more; stopping .*out of memory")
        except subprocess.TimeoutExpired:  # requests find none, the engine goes on with what it has
            self.assertRegex(server.log_text(), "bad_alloc|memory")
            server.kill()
        server.binary = PAWL
        server.start()
        for run in accepted:
            self.assertIn(server.run(run)["status"], ("running", "waiting", "queued"))
        server.kill()  # nobody waits for the tasks

    def test_too_little_to_start_is_said(self):
        server = self.server(binary=self.limited(f"--as={40 << 20}"))
        server.start(ready=False)
        self.assertNotIn(server.process.wait(10), (0, -6, -11), server.log_text())
        self.assertIn("pawl: ", server.log_text())


if __name__ == "__main__":
    unittest.main()
