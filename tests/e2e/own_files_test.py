"""Everything in the data folder is a plain file or folder of the server's user, closed to others. The start refuses anything
else, quickly, and says what it is and what to do. A running server notices within a second when a file is taken away."""

import contextlib
import os
import shutil
import socket
import stat
import unittest

from support.definitions import script, workflow
from support.pawl import PAWL, Refused, Server, cli, wait_until

CANNOT_NOW, REFUSED = 3, 4
NOBODY = 65534
FILES = ["admin.token", "pawl.db", "pawl.db-wal", "pawl.db-shm", "pawl.db-journal", "pawl.db.lock", "guard.lock"]
FOLDERS = ["logs", "workspace"]


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as one, contextlib.chdir(path.parent):  # a path of theirs is short
        one.bind(path.name)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


class Case(unittest.TestCase):
    def setUp(self):
        self.server = Server()
        self.addCleanup(self.server.close)
        self.data = self.server.data

    def made(self):
        """A data folder with all that a server leaves in it."""
        self.server.start()
        self.server.apply(workflow("hello", script("say", "echo hi")))
        self.run_id = self.server.start_run("hello")["id"]
        self.server.wait_run(self.run_id, "success")
        self.assertEqual(self.server.stop(), 0)

    def refused(self, *words, code=REFUSED):
        before = len(self.server.log_text())
        self.server.start(ready=False)
        self.assertEqual(self.server.process.wait(10), code, self.server.log_text())
        said = [line for line in self.server.log_text()[before:].splitlines() if line.startswith("pawl: ")]
        self.assertEqual(len(said), 1, self.server.log_text())
        for word in words:
            self.assertIn(str(word), said[0])
        return said[0]

    def replace(self, path, make):
        """Puts something else in its place; returns a function that restores it."""
        kept = path.with_name(path.name + ".kept")
        if path.exists():
            path.rename(kept)
        make(path)

        def back():
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
            if kept.exists():
                kept.rename(path)

        return back


class NotPlain(Case):
    def test_what_is_no_plain_file_is_refused_in_time(self):
        self.made()
        outside = self.server.folder / "outside"
        outside.write_text("x" * 100)
        kinds = {"a pipe": os.mkfifo, "a folder": lambda path: path.mkdir(), "a socket": make_socket,
                 "a link": lambda path: path.symlink_to(outside)}
        if os.getuid() == 0:
            kinds["a device"] = lambda path: os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))
        for name in FILES:
            for kind, make in kinds.items():
                if (name, kind) == ("pawl.db", "a link"):
                    continue  # a link to a database is allowed; that this is no database is tested elsewhere
                with self.subTest(f"{name}: {kind}"):
                    back = self.replace(self.data / name, make)
                    self.refused(self.data / name, f"is {kind}, not a plain file: move it away")
                    back()
        self.assertEqual(outside.read_text(), "x" * 100)
        self.server.start()
        self.server.wait_run(self.run_id, "success")

    def test_a_link_that_leads_nowhere_makes_no_file_elsewhere(self):
        self.made()
        for name in FILES:
            with self.subTest(name):
                back = self.replace(self.data / name, lambda path: path.symlink_to(self.server.folder / "elsewhere"))
                self.refused(self.data / name, "link", code=CANNOT_NOW if name == "pawl.db" else REFUSED)
                self.assertFalse((self.server.folder / "elsewhere").exists())
                back()

    def test_what_is_no_folder_is_refused(self):
        self.made()
        for name in FOLDERS:
            for kind, make in {"a pipe": os.mkfifo, "a plain file": lambda path: path.touch()}.items():
                with self.subTest(f"{name}: {kind}"):
                    back = self.replace(self.data / name, make)
                    self.refused(self.data / name, f"is {kind}, not a folder: move it away")
                    back()

    def test_left_overs_of_a_start_are_no_trap(self):
        for name in ("admin.token.new", "pawl.db.new"):
            with self.subTest(name):
                shutil.rmtree(self.data, ignore_errors=True)
                self.data.mkdir(mode=0o700)
                os.mkfifo(self.data / name)
                self.server.start()
                self.assertEqual(self.server.stop(), 0)
                shutil.rmtree(self.data)
                (self.data / name).mkdir(parents=True)
                self.data.chmod(0o700)
                self.refused(self.data / name, "is a folder, not a plain file")

    def test_a_data_path_that_is_no_folder(self):
        for kind, make in {"a plain file": lambda path: path.touch(), "a pipe": os.mkfifo, "a socket": make_socket}.items():
            with self.subTest(kind):
                make(self.data)
                self.refused(self.data, f"is {kind}, not a folder")
                self.data.unlink()
        self.data.symlink_to(self.server.folder / "nowhere")
        self.refused(self.data, "a link that leads nowhere", code=CANNOT_NOW)
        self.data.unlink()
        below = self.server.folder / "file"
        below.touch()
        self.data = self.server.data = below / "data"
        self.refused(self.data, "a part of that path is a file")

    def test_a_second_name_is_refused(self):
        self.made()
        for name in ("admin.token", "pawl.db", "pawl.db.lock", "guard.lock"):
            with self.subTest(name):
                other = self.server.folder / "other"
                os.link(self.data / name, other)
                self.refused(self.data / name, "has 2 names (hard links)")
                other.unlink()
        self.server.start()

    def test_neither_doctor_nor_a_client_waits_for_a_pipe(self):
        self.made()
        for name in ("admin.token", "pawl.db", "pawl.db.lock", "pawl.db-journal"):
            with self.subTest(name):
                back = self.replace(self.data / name, os.mkfifo)
                doctor = cli("doctor", "--data", self.data, timeout=20)
                if name in ("pawl.db", "pawl.db-journal"):
                    self.assertIn("is no plain file", doctor.stdout)
                cli("runs", "--data", self.data, "--server", "http://127.0.0.1:1", timeout=20)
                back()

    def test_a_token_file_without_a_token_is_refused(self):
        self.made()
        for text in ("", "short\n", "two words that are long enough to be a token\n", "x" * 5000):
            (self.data / "admin.token").write_text(text)
            self.refused(self.data / "admin.token", "holds no usable token", "remove the file to get a new one")


class Logs(Case):
    def test_a_log_that_is_no_plain_file_fails_what_prints(self):
        self.made()
        log = self.data / "logs" / self.run_id[24:26] / f"{self.run_id}.log"
        outside = self.server.folder / "outside"
        outside.touch()
        for kind, make in {"a pipe": os.mkfifo, "a socket": make_socket, "a link": lambda path: path.symlink_to(outside)}.items():
            with self.subTest(kind):
                back = self.replace(log, make)
                self.server.start()
                with self.assertRaises(Refused) as caught:
                    self.server.task_log(self.run_id, "main/say")
                self.assertEqual((caught.exception.status, caught.exception.code), (500, "corrupt"))
                self.server.post(f"runs/{self.run_id}/rerun", {"from": "main"})
                wait_until(lambda: f"is {kind}, not a plain file" in self.server.log_text(), what=self.server.log_text)
                self.server.wait_run(self.run_id, "failed")
                self.assertEqual(self.server.stop(), 0)
                back()
        self.assertEqual(outside.read_bytes(), b"")


class Rights(Case):
    def test_a_folder_that_others_may_enter_is_closed_and_that_is_logged(self):
        self.made()
        for path, rights in ((self.data, 0o755), (self.data, 0o777), (self.data, 0o710), (self.data / "logs", 0o755)):
            with self.subTest(f"{path.name} {rights:o}"):
                path.chmod(rights)
                self.server.start()
                self.assertEqual(mode(path), 0o700)
                self.assertIn(f"their rights were taken away path={path} was={rights:o} is=700", self.server.log_text())
                self.assertEqual(self.server.stop(), 0)

    def test_a_file_that_others_may_read_is_closed_and_that_is_logged(self):
        self.made()
        for name in ("admin.token", "pawl.db", "pawl.db.lock", "guard.lock"):
            with self.subTest(name):
                (self.data / name).chmod(0o644)
                token = self.server.token
                self.server.start()
                self.assertEqual(mode(self.data / name), 0o600)
                self.assertIn(f"their rights were taken away path={self.data / name} was=644 is=600", self.server.log_text())
                self.assertEqual(self.server.token, token)
                self.assertEqual(self.server.stop(), 0)

    def test_a_folder_for_other_things_is_not_closed_but_refused(self):
        self.data.mkdir()
        (self.data / "letters.txt").touch()
        self.data.chmod(0o755)
        self.refused(self.data, "others may enter it (mode 755)", "a folder for Pawl alone")
        self.assertEqual(mode(self.data), 0o755)
        (self.data / "letters.txt").unlink()
        self.data.chmod(0o1777)
        self.refused(self.data, "others may enter it (mode 1777)")
        self.assertEqual(mode(self.data), 0o1777)

    def test_a_run_without_a_server_keeps_the_same_rules(self):
        file = self.server.folder / "flow.yaml"
        file.write_text(workflow("flow", script("say", "echo hi")))
        place = self.server.folder / ".pawl"
        place.mkdir()
        os.mkfifo(place / "guard.lock")
        place.chmod(0o700)
        done = cli("run", file, cwd=self.server.folder)
        self.assertEqual(done.returncode, REFUSED, done.stderr)
        self.assertIn("is a pipe, not a plain file", done.stderr)
        (place / "guard.lock").unlink()
        place.chmod(0o755)
        done = cli("run", file, cwd=self.server.folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("their rights were taken away", done.stderr)


@unittest.skipUnless(os.getuid() == 0, "needs root to make files of others")
class OfOthers(Case):
    def test_what_belongs_to_another_user_is_refused(self):
        self.made()
        for name in (*FILES, *FOLDERS, ""):
            path = self.data / name
            if not path.exists():
                path.touch(mode=0o600)
            with self.subTest(name or "the folder"):
                os.chown(path, NOBODY, NOBODY)
                self.refused(path, f"belongs to user {NOBODY}, and this process runs as user 0", "chown")
                os.chown(path, 0, 0)
                if name.endswith(("-wal", "-shm", "-journal")):
                    path.unlink()

    def test_a_hard_link_to_a_file_of_another_is_refused(self):
        self.made()
        theirs = self.server.folder / "theirs"
        theirs.write_text("x" * 40 + "\n")
        os.chown(theirs, NOBODY, NOBODY)
        (self.data / "admin.token").unlink()
        os.link(theirs, self.data / "admin.token")
        self.refused(self.data / "admin.token", f"belongs to user {NOBODY}")

    def test_tasks_of_another_user_still_go_through_the_folder(self):
        self.server.folder.chmod(0o755)
        self.server.arguments = ["--run-as", "nobody"]
        for _ in range(2):
            self.server.start()
            self.assertEqual(mode(self.data), 0o711)
            self.assertNotIn("taken away", self.server.log_text())
            self.assertEqual(self.server.stop(), 0)
        self.server.arguments = []
        self.server.start()
        self.assertEqual(mode(self.data), 0o700)

    def test_a_folder_that_cannot_be_written_to_is_said(self):
        program = self.server.folder / "pawl"
        program.write_text(f'#!/bin/sh\nexec setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups {PAWL} "$@"\n')
        program.chmod(0o755)
        self.server.folder.chmod(0o755)
        self.server.binary = program
        self.refused(self.data, "Permission denied", code=CANNOT_NOW)
        self.data.mkdir(mode=0o500)
        os.chown(self.data, NOBODY, NOBODY)
        self.refused(self.data, "Permission denied", code=CANNOT_NOW)

    def test_a_run_s_log_is_not_made_in_a_folder_of_another(self):
        logs = self.server.folder / "logs"
        logs.mkdir(mode=0o700)
        self.data.mkdir(mode=0o700)
        (self.data / "logs").symlink_to(logs)
        for n in range(256):
            (logs / f"{n:02x}").mkdir()
            os.chown(logs / f"{n:02x}", NOBODY, NOBODY)
        self.server.start()
        self.server.apply(workflow("hello", script("say", "echo hi")))
        self.server.wait_run(self.server.start_run("hello")["id"], "failed")
        self.assertIn("is not a folder of this server's user", self.server.log_text())


class Token(Case):
    """The file while the server runs."""

    def setUp(self):
        super().setUp()
        self.server.start()
        self.path = self.data / "admin.token"
        self.old = self.server.token

    def accepted(self, token):
        try:
            self.server.get("workflows", token=token)
            return True
        except Refused as refusal:
            self.assertEqual(refusal.status, 401)
            return False

    def soon(self, condition):
        wait_until(condition, 10, self.server.log_text, interval=0.05)

    def test_one_that_is_removed_counts_no_more_and_a_new_one_is_made(self):
        self.path.unlink()
        self.soon(self.path.exists)
        new = self.server.token
        self.assertNotEqual(new, self.old)
        self.assertEqual(mode(self.path), 0o600)
        self.soon(lambda: self.accepted(new))
        self.assertFalse(self.accepted(self.old))
        self.assertIn("the admin token was removed: the old one is no longer valid, and a new one was made", self.server.log_text())

    def test_one_that_is_replaced_is_read(self):
        new = "n" * 40
        fresh = self.server.folder / "fresh"
        fresh.write_text(new + "\n")
        fresh.chmod(0o600)
        fresh.rename(self.path)
        self.soon(lambda: self.accepted(new))
        self.assertFalse(self.accepted(self.old))
        self.path.write_text("m" * 40 + "\n")  # in place, as an editor does
        self.soon(lambda: self.accepted("m" * 40))
        self.assertFalse(self.accepted(new))

    def test_as_long_as_it_cannot_be_used_none_is_accepted(self):
        for make, word in ((lambda: self.path.write_text("short"), "holds no usable token"), (self.pipe, "is a pipe, not a plain file")):
            make()
            self.soon(lambda: word in self.server.log_text())
            self.assertFalse(self.accepted(self.old))
        self.path.unlink()
        self.soon(lambda: self.path.is_file() and self.accepted(self.server.token))
        self.assertEqual(self.server.log_text().count("the admin token cannot be used"), 2)

    def pipe(self):
        fresh = self.server.folder / "fresh"
        os.mkfifo(fresh)
        fresh.rename(self.path)

    def test_one_that_is_touched_stays(self):
        os.utime(self.path)
        self.path.chmod(0o400)
        self.path.chmod(0o644)
        self.soon(lambda: mode(self.path) == 0o600)
        self.assertTrue(self.accepted(self.old))
        self.assertNotIn("replaced", self.server.log_text())


class TakenAway(Case):
    """Files of a running server."""

    def ends(self, name):
        self.assertEqual(self.server.process.wait(15), CANNOT_NOW, self.server.log_text())
        self.assertRegex(self.server.log_text(), f"the data folder cannot be relied on any more; stopping why=.*{name} was removed or replaced")

    def test_a_file_that_is_removed_stops_the_server(self):
        for name in ("pawl.db.lock", "pawl.db", "pawl.db-wal", "pawl.db-shm"):
            with self.subTest(name):
                shutil.rmtree(self.data, ignore_errors=True)
                self.server.start()
                (self.data / name).unlink()
                self.ends(name)

    def knows(self, token):
        with contextlib.suppress(Refused):
            return self.server.get("workflows", token=token)

    def test_a_lock_that_is_replaced_stops_the_server(self):
        self.server.start()
        other = self.data / "other"
        other.write_text("1\n")
        other.rename(self.data / "pawl.db.lock")
        self.ends("pawl.db.lock")
        self.server.start()

    def test_the_lock_of_tasks_does_too(self):
        self.server.start()
        self.server.apply(workflow("hello", script("say", "echo hi")))
        self.server.wait_run(self.server.start_run("hello")["id"], "success")
        lock = self.data / "guard.lock"
        # The server must have checked the files before. That a replaced token is no longer accepted shows a check.
        for new in ("n" * 40, "m" * 40):
            (self.data / "admin.token").write_text(new + "\n")
            wait_until(lambda: self.knows(new), what=self.server.log_text)
        lock.unlink()
        self.ends("guard.lock")
        self.server.start()

    def test_a_folder_that_is_moved_stops_the_server(self):
        self.server.start()
        self.data.rename(self.server.folder / "moved")
        self.ends("pawl.db.lock")


if __name__ == "__main__":
    unittest.main()
