"""The data folder: one server at a time, and a disk that fills up."""

import os
import pathlib
import subprocess
import tempfile
import unittest

from support.definitions import http, workflow
from support.peer import Peer, after
from support.pawl import Refused, Server, wait_until


class OneServer(unittest.TestCase):
    def test_a_second_server_on_the_same_folder_says_so_and_leaves(self):
        with Server() as first_one:
            before = first_one.process.pid
            second = Server(data=first_one.data)
            self.addCleanup(second.close)
            second.start(ready=False)
            self.assertEqual(second.process.wait(10), 4)
            self.assertIn(str(first_one.data), second.log_text())
            self.assertTrue(first_one.is_ready())
            self.assertEqual(first_one.process.pid, before)

    def test_the_folder_is_free_at_once_after_kill_9(self):
        with Server() as server:
            server.kill()
            server.start()
            self.assertTrue(server.is_ready())

    def test_a_taken_port_is_said_so(self):
        with Server() as one:
            two = Server()
            self.addCleanup(two.close)
            two.port = one.port
            two.start(ready=False)
            self.assertNotEqual(two.process.wait(10), 0)
            self.assertIn(str(one.port), two.log_text())
            self.assertTrue(one.is_ready())


class FullDisk(unittest.TestCase):
    def setUp(self):
        if os.geteuid() != 0:
            self.skipTest("mounting a small disk needs root")
        self.disk = pathlib.Path(tempfile.mkdtemp(prefix="pawl-disk-"))
        self.addCleanup(self.disk.rmdir)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "pawl-test", self.disk], capture_output=True)
        if mounted.returncode != 0:
            self.skipTest(f"no disk can be mounted here: {mounted.stderr.decode().strip()}")
        self.addCleanup(subprocess.run, ["umount", "-l", self.disk], check=True)

    def test_starts_are_refused_while_there_is_no_room_and_taken_again_when_there_is(self):
        with Peer() as peer, Server(data=self.disk / "data") as server:
            peer.on("/x", after(0.02))
            server.apply(workflow("full", http("x", f"{peer.url}/x"), inputs={"text": {"type": "string", "default": ""}}))
            accepted, refusal = [], None
            for _ in range(400):
                try:
                    accepted.append(server.start_run("full", {"text": "x" * 20_000})["id"])
                except Refused as refused:
                    refusal = refused
                    break
            self.assertIsNotNone(refusal, "the disk never filled up")
            self.assertEqual(refusal.status, 503)
            self.assertIsNone(server.process.poll(), "the server left")
            self.assertEqual(server.run(accepted[0])["id"], accepted[0])  # reading goes on

            subprocess.run(["mount", "-o", "remount,size=16m", self.disk], check=True)

            def starts_again():
                try:
                    return server.start_run("full", {})["id"]
                except Refused:
                    return None

            accepted.append(wait_until(starts_again, 20, "a start after there was room again"))
            for run in accepted:
                self.assertEqual(server.wait_run(run)["status"], "success")
            server.kill()
            server.start()
            self.assertEqual({server.run(run)["status"] for run in accepted}, {"success"})
            self.assertEqual(len(peer.of("/x")), len(accepted), "a done task was called again")


if __name__ == "__main__":
    unittest.main()
