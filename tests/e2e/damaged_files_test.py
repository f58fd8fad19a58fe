"""Files of the data folder that are damaged, gone, or not what they were: refused at the start and left as they are, or
met by one run while the others go on. Nothing that was acknowledged goes without a word."""

import hashlib
import os
import pathlib
import random
import re
import shutil
import sqlite3
import tempfile
import unittest

from support.definitions import NEVER_POISON, http, script, workflow
from support.peer import Peer, first, hang
from support.pawl import PAWL, Refused, Server, tasks_of

BROKEN, CANNOT_NOW, REFUSED = 1, 3, 4  # docs/cli.md
SEED = random.SystemRandom().randrange(2**32)
RUNS = 12


def contents(folder):
    """What stands in it; the lock file names who holds it, and -shm is a cache."""
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).digest() if path.is_file() else "no file"
            for path in sorted(folder.rglob("*")) if path.name not in ("pawl.db.lock", "pawl.db-shm")}


def write_at(path, place, data):
    with open(path, "r+b") as file:
        file.seek(place, os.SEEK_SET if place >= 0 else os.SEEK_END)
        file.write(data)


class Database(unittest.TestCase):
    """Two folders to damage copies of: one of a server that was stopped, one of a server that was killed."""

    @classmethod
    def setUpClass(cls):
        print(f"\n    seed of the damage: {SEED}", flush=True)
        cls.folders = pathlib.Path(tempfile.mkdtemp(prefix="pawl-damage-"))
        cls.ids = {}
        for name, end in (("stopped", Server.stop), ("killed", Server.kill)):
            with Server() as server:
                server.apply(workflow("hello", script("say", "true"), inputs={"text": {"type": "string", "default": ""}}))
                cls.ids[name] = [server.start_run("hello", {"text": "x" * 9000})["id"] for _ in range(RUNS)]
                for run in cls.ids[name]:
                    server.wait_run(run, "success")
                end(server)
                shutil.copytree(server.data, cls.folders / name)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folders)

    def setUp(self):
        self.dice = random.Random(SEED)
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix="pawl-damage-"))
        self.addCleanup(shutil.rmtree, self.scratch)

    def copy(self, name):
        data = self.scratch / "data"
        shutil.rmtree(data, ignore_errors=True)
        shutil.copytree(self.folders / name, data)
        return data

    def check_refused(self, what, name, damage, *words, code=BROKEN):
        with self.subTest(what):
            data = self.copy(name)
            damage(data)
            before = contents(data)
            server = Server(data=data)
            try:
                server.start(ready=False)
                self.assertEqual(server.process.wait(10), code, server.log_text())
                said = [line for line in server.log_text().splitlines() if line.startswith("pawl: ")]
            finally:
                server.close()
            self.assertEqual(len(said), 1, said)
            for word in (str(data / "pawl.db"), *words):
                self.assertIn(word, said[0])
            self.assertEqual(contents(data), before)

    def check_taken(self, what, name, damage):
        with self.subTest(what):
            data = self.copy(name)
            damage(data)
            with Server(data=data) as server:
                found = server.get("runs?limit=200")["items"]
                self.assertEqual({run["id"] for run in found}, set(self.ids[name]))
                self.assertEqual({run["status"] for run in found}, {"success"})
                server.kill()

    def test_what_is_no_database_of_ours_is_refused_and_left_alone(self):
        def replaced(make):
            def damage(data):
                (data / "pawl.db").unlink()
                make(data / "pawl.db")

            return damage

        def of_another(path):
            with sqlite3.connect(path) as other:
                other.execute("CREATE TABLE theirs (a)")
            other.close()

        self.check_refused("a text", "stopped", replaced(lambda db: db.write_text("hello\n" * 100)), "is no database")
        self.check_refused("nothing", "stopped", replaced(lambda db: db.touch()), "is empty")
        self.check_refused("a folder", "stopped", replaced(lambda db: db.mkdir()), "is a folder", code=REFUSED)
        self.check_refused("a pipe", "stopped", replaced(os.mkfifo), "is a pipe", code=REFUSED)
        self.check_refused("another program's", "stopped", replaced(of_another), "another program")
        self.check_refused("a link that leads nowhere", "stopped", replaced(lambda db: db.symlink_to("/no/where/pawl.db")),
                           "leads nowhere", code=CANNOT_NOW)
        self.check_refused("a newer schema", "stopped", lambda data: write_at(data / "pawl.db", 60, b"\0\0\3\xe7"),
                           "schema version 999", code=REFUSED)

    def test_damage_in_the_database_is_found_at_the_start(self):
        def noise(place, size):
            return lambda data: write_at(data / "pawl.db", place, self.dice.randbytes(size))

        def cut(size):
            return lambda data: os.truncate(data / "pawl.db", size)

        size = (self.folders / "stopped/pawl.db").stat().st_size
        middle = size // 8192 * 4096
        self.check_refused("the header", "stopped", noise(0, 100), "is no database")
        self.check_refused("the schema", "stopped", noise(100, 3000), "is damaged")
        self.check_refused("a page in the middle", "stopped", noise(middle, 4096), "is damaged", "restore a backup")
        self.check_refused("the last page", "stopped", noise(size - 4096, 4096), "is damaged")
        self.check_refused("cut in half", "stopped", cut(middle), "is damaged")
        self.check_refused("cut to its first page", "stopped", cut(4096), "is damaged")
        self.check_refused("cut to less than a header", "stopped", cut(50), "is no database")
        self.check_refused("cut in its last page", "stopped", cut(size - 100), "is damaged", "cut off")

    def test_a_log_of_commits_that_lost_some_is_refused(self):
        def noise(place, size=4):
            return lambda data: write_at(data / "pawl.db-wal", place, self.dice.randbytes(size))

        def without_index(damage):
            def both(data):
                (data / "pawl.db-shm").unlink()
                damage(data)

            return both

        wal = "pawl.db-wal"
        size = (self.folders / "killed" / wal).stat().st_size
        for what, wrap in (("", lambda damage: damage), (", no -shm", without_index)):
            self.check_refused("its header" + what, "killed", wrap(noise(0, 32)), wal, "is damaged")
            for n in range(5):
                place = self.dice.randrange(32, size // 2)
                self.check_refused(f"byte {place}{what}", "killed", wrap(noise(place)), wal, "damaged at byte")
        self.check_refused("its end", "killed", lambda data: os.truncate(data / wal, size - 4120), wal, "damaged at byte")
        self.check_refused("gone", "killed", lambda data: (data / wal).unlink(), wal, "is missing")
        self.check_refused("emptied", "killed", lambda data: os.truncate(data / wal, 0), wal, "is cut off")
        self.check_refused("without its database", "killed", lambda data: (data / "pawl.db").unlink(), wal, "put the database")

        def folder(data):
            (data / wal).unlink()
            (data / wal).mkdir()

        self.check_refused("a folder", "killed", folder, wal, "is a folder", code=REFUSED)

    def test_what_is_left_of_a_broken_log_can_be_gone_on_with(self):
        data = self.copy("killed")
        wal = data / "pawl.db-wal"
        write_at(wal, wal.stat().st_size // 2, b"broken")
        with Server(data=data).start(ready=False) as server:
            self.assertEqual(server.process.wait(10), BROKEN)
            place = int(re.search(r"damaged at byte ([0-9]+)", server.log_text())[1])
            os.truncate(wal, place)  # as docs/operations.md says
            (data / "pawl.db-shm").unlink()
            server.start()
            found = [run["id"] for run in server.get("runs?limit=200")["items"]]
            self.assertTrue(0 < len(found) < RUNS, found)
            self.assertEqual(found[::-1], self.ids["killed"][:len(found)])
            for run in found:
                server.wait_run(run, "success")

    def test_what_a_crash_may_leave_is_taken(self):
        def appended(text):
            def damage(data):
                with open(data / "pawl.db-wal", "ab") as wal:
                    wal.write(text)

            return damage

        half_a_frame = (self.folders / "killed/pawl.db-wal").read_bytes()[32:2000]
        self.check_taken("as it was", "killed", lambda data: None)
        self.check_taken("half a frame", "killed", appended(half_a_frame))
        self.check_taken("noise", "killed", appended(self.dice.randbytes(9000)))
        self.check_taken("zeros", "killed", appended(bytes(9000)))
        self.check_taken("no index", "killed", lambda data: (data / "pawl.db-shm").unlink())
        self.check_taken("an index of noise", "killed", lambda data: write_at(data / "pawl.db-shm", 0, self.dice.randbytes(32768)))
        self.check_taken("an index without a WAL to be of", "stopped",
                         lambda data: (data / "pawl.db-shm").write_bytes(self.dice.randbytes(32768)))

    def test_a_file_without_permission_is_said(self):
        data = self.copy("stopped")
        program = self.scratch / "pawl"
        program.write_text(f'#!/bin/sh\nexec setpriv --reuid=65534 --regid=65534 --clear-groups {PAWL} "$@"\n')
        program.chmod(0o755)
        self.scratch.chmod(0o755)
        server = Server(binary=program, data=data)
        self.addCleanup(server.close)
        server.folder.chmod(0o755)
        for owner in (0, 65534):
            for path in (data, *data.rglob("*")):
                os.chown(path, owner, owner)
            if owner:
                (data / "pawl.db").chmod(0)
            before = contents(data)
            server.start(ready=False)
            code, word = (CANNOT_NOW, "Permission denied") if owner else (REFUSED, "belongs to user 0")
            self.assertEqual(server.process.wait(10), code, server.log_text())
            self.assertIn(word, server.log_text().splitlines()[-1])
            self.assertEqual(contents(data), before)

    def test_damage_met_later_stops_one_run_and_no_other(self):
        with Peer() as peer, Server() as server:
            peer.on("/wait", hang)
            server.apply(workflow("small", http("wait", f"{peer.url}/wait"), http("then", f"{peer.url}/then"), **NEVER_POISON))
            good, bad, worse = [server.start_run("small")["id"] for _ in range(3)]
            peer.wait_calls("/wait", 3)
            server.kill()
            with sqlite3.connect(server.data / "pawl.db") as database:
                database.execute("UPDATE events SET body = '{' WHERE run = ? AND seq = 1", (bytes.fromhex(bad.replace("-", "")),))
                database.execute("UPDATE runs SET who_trigger = 'x' WHERE id = ?", (bytes.fromhex(worse.replace("-", "")),))
            database.close()
            peer.behaviours.pop("/wait")
            server.start()
            self.assertEqual(server.wait_run(good)["status"], "success")
            for run in (bad, worse):
                self.assertRegex(server.log_text(), f"run parked.* run={run} ")
                with self.assertRaises(Refused) as caught:
                    server.run(run)
                self.assertIn((caught.exception.status, caught.exception.code), [(500, "corrupt"), (500, "broken_record")])
                with self.assertRaises(Refused) as caught:
                    server.post(f"runs/{run}/cancel")
                self.assertEqual(caught.exception.code, "run_parked")
            new = server.start_run("small")["id"]
            self.assertEqual(server.wait_run(new)["status"], "success")
            self.assertEqual(len(peer.of("/then")), 2)


    def test_a_page_that_breaks_in_a_large_database_hides_its_runs_alone(self):
        with Server() as server:
            server.apply(workflow("large", script("say", "true"), inputs={"text": {"type": "string", "default": ""}}))
            runs = []
            for n in range(48):  # together more than what is checked at a start
                runs.append(server.start_run("large", {"text": "x" * (900_000 if n < 8 else 1)})["id"])
            for run in runs:
                server.wait_run(run, "success")
            server.stop()
            path = server.data / "pawl.db"
            self.assertGreater(path.stat().st_size, 4 << 20)
            with sqlite3.connect(path) as database:
                pages = "SELECT pageno FROM dbstat WHERE name = 'events' AND pagetype = 'leaf' ORDER BY path"
                page = database.execute(pages).fetchone()[0]
            database.close()
            write_at(path, (page - 1) * 4096, self.dice.randbytes(4096))
            server.start()
            with self.assertRaises(Refused) as caught:
                server.run(runs[0])
            self.assertEqual((caught.exception.status, caught.exception.code), (500, "corrupt"))
            self.assertRegex(server.log_text(), "error a request failed .*malformed")
            self.assertEqual(server.run(runs[-1])["status"], "success")
            self.assertEqual(len(server.get("runs?limit=200")["items"]), 48)
            self.assertEqual(server.wait_run(server.start_run("large")["id"])["status"], "success")


class Logs(unittest.TestCase):
    def setUp(self):
        self.peer = Peer()
        self.addCleanup(self.peer.close)
        self.peer.on("/wait", first(1, hang))
        self.server = Server().start()
        self.addCleanup(self.server.close)
        self.server.apply(workflow(
            "print", script("one", "for n in 1 2 3 4 5; do echo line $n of one; sleep 0.05; done"),
            http("wait", f"{self.peer.url}/wait"), script("two", "echo two"), **NEVER_POISON))
        self.run_id = self.server.start_run("print")["id"]
        self.peer.wait_calls("/wait")
        self.server.kill()
        self.log = self.server.data / "logs" / self.run_id[24:26] / f"{self.run_id}.log"
        self.whole = self.log.read_bytes()

    def goes_on(self, status="success"):
        self.server.start()
        run = self.server.wait_run(self.run_id)
        self.assertEqual(run["status"], status, run)
        return run

    def test_a_bit_that_flipped_costs_its_frame_and_the_log_says_so(self):
        place = self.whole.index(b"line 3")
        write_at(self.log, place, b"L")
        self.goes_on()
        text = self.server.task_log(self.run_id, "main/one")
        self.assertRegex(text, r"^line 1 of one\nline 2 of one\npawl: [0-9]+ bytes of the log are damaged and left out here\n"
                               r"line 4 of one\nline 5 of one\n$")
        self.assertTrue(self.server.task_log(self.run_id, "main/two").endswith("two\n"))
        shown = self.server.cli("logs", self.run_id)
        self.assertEqual(shown.returncode, 0, shown.stderr)
        for words in ("line 2 of one", "are damaged and left out here", "line 4 of one", "two"):
            self.assertIn(words, shown.stdout)

    def test_an_end_that_is_cut_off_leaves_what_is_before_it(self):
        os.truncate(self.log, len(self.whole) - 3)
        self.goes_on()
        self.assertEqual(self.server.task_log(self.run_id, "main/one"), "".join(f"line {n} of one\n" for n in range(1, 5)))
        self.assertEqual(self.server.task_log(self.run_id, "main/two"), "two\n")
        self.assertIn("the end of a log was cut off", self.server.log_text())

    def has_only_the_rest(self):
        self.goes_on()
        self.assertEqual(self.server.task_log(self.run_id, "main/one"), "")
        self.assertEqual(self.server.task_log(self.run_id, "main/two"), "two\n")

    def test_rubbish_in_its_place_leaves_the_rest_of_the_run(self):
        self.log.write_bytes(random.Random(SEED).randbytes(5000))
        self.has_only_the_rest()
        self.assertIn("the end of a log was cut off", self.server.log_text())

    def test_one_that_is_gone_is_begun_anew(self):
        self.log.unlink()
        self.has_only_the_rest()

    def test_a_folder_in_its_place_fails_what_prints_and_is_said(self):
        self.log.unlink()
        self.log.mkdir()
        run = self.goes_on("failed")
        error = tasks_of(run["attempts"][-1])["main/two"]["error"]
        self.assertEqual(error["code"], "log_unavailable")
        self.assertRegex(self.server.log_text(), f"a task's log cannot be written run={self.run_id} .*is a folder, not a plain file")
        with self.assertRaises(Refused) as caught:
            self.server.task_log(self.run_id, "main/two")
        self.assertEqual((caught.exception.status, caught.exception.code), (500, "corrupt"))
        self.log.rmdir()
        self.server.post(f"runs/{self.run_id}/resume")
        self.server.wait_run(self.run_id, "success")

    def test_a_file_in_place_of_all_logs_is_refused_at_the_start(self):
        shutil.rmtree(self.server.data / "logs")
        (self.server.data / "logs").write_text("x")
        self.server.start(ready=False)
        self.assertEqual(self.server.process.wait(10), REFUSED)
        self.assertIn("logs is a plain file, not a folder", self.server.log_text())


class Workspace(unittest.TestCase):
    def setUp(self):
        self.peer = Peer()
        self.addCleanup(self.peer.close)
        self.peer.on("/wait", first(1, hang))
        self.server = Server()
        self.addCleanup(self.server.close)

    def interrupted(self):
        """A run that was cut off between its first and its last script; the folder of the run."""
        self.peer.calls.clear()
        self.server.start()
        self.server.apply(name="files", text=workflow("files", script("one", "echo mine > file"), http("wait", f"{self.peer.url}/wait"),
                                   script("two", "ls; echo touched > other"), **NEVER_POISON))
        run = self.server.start_run("files")["id"]
        self.peer.wait_calls("/wait")
        self.server.kill()
        return run, self.server.data / "workspace" / run

    def ends(self, run, *words):
        self.server.start()
        run = self.server.wait_run(run)
        error = tasks_of(run["attempts"][-1])["main/two"]["error"]
        self.assertEqual((run["status"], error["code"]), ("failed", "workspace_unavailable"))
        for word in words:
            self.assertIn(word, error["message"])

    def test_a_folder_that_is_gone_is_made_again_empty(self):
        run, folder = self.interrupted()
        shutil.rmtree(folder)
        self.server.start()
        self.assertEqual(self.server.wait_run(run)["status"], "success")
        self.assertEqual(self.server.task_log(run, "main/two"), "")

    def test_a_file_or_a_link_in_its_place_fails_the_task_and_is_not_followed(self):
        outside = self.server.folder / "outside"
        outside.mkdir()
        for make in (lambda path: path.write_text("x"), lambda path: path.symlink_to(outside),
                     lambda path: path.symlink_to("/etc")):
            run, folder = self.interrupted()
            shutil.rmtree(folder)
            before = set(os.listdir("/etc"))
            make(folder)
            self.ends(run, str(folder))
            self.assertEqual((list(outside.iterdir()), set(os.listdir("/etc"))), ([], before))
            folder.unlink()
            self.server.post(f"runs/{run}/resume")
            self.assertEqual(self.server.wait_run(run)["status"], "success")
            self.server.kill()

    def test_a_link_in_place_of_a_job_s_folder_is_not_followed(self):
        outside = self.server.folder / "outside"
        outside.mkdir()
        run, folder = self.interrupted()
        shutil.rmtree(folder / "main")
        (folder / "main").symlink_to(outside)
        self.ends(run, str(folder / "main"))
        self.assertEqual(list(outside.iterdir()), [])

    def test_a_folder_without_permission_fails_the_task(self):
        program = self.server.folder / "pawl"
        program.write_text(f'#!/bin/sh\nexec setpriv --reuid=65534 --regid=65534 --clear-groups {PAWL} "$@"\n')
        program.chmod(0o755)
        self.server.folder.chmod(0o777)
        self.server.binary = program
        run, folder = self.interrupted()
        folder.chmod(0)
        self.ends(run, str(folder), "Permission denied")
        folder.chmod(0o700)
        self.server.post(f"runs/{run}/resume")
        self.assertEqual(self.server.wait_run(run)["status"], "success")


if __name__ == "__main__":
    unittest.main()
