"""Peers that hang, break off, talk nonsense or never stop talking: the task fails, the server does not."""

import pathlib
import unittest

from support.definitions import http, workflow
from support.peer import Peer, hang, huge, nonsense, reset
from support.pawl import Server, tasks_of


def resident_mib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0


class HostilePeer(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server().start()
        cls.addClassCleanup(cls.server.close)

    def setUp(self):
        self.peer = Peer()
        self.addCleanup(self.peer.close)

    def outcome(self, name, behaviour, **more):
        self.peer.on("/x", behaviour)
        self.server.apply(workflow(name, http("x", f"{self.peer.url}/x", **more)))
        run = self.server.wait_run(self.server.start_run(name, {})["id"])
        self.assertTrue(self.server.is_ready())
        task = tasks_of(run["attempts"][0])["main/x"]
        return task["status"], task["error"]["code"], task["error"]["message"]

    def test_one_that_hangs_ends_at_the_timeout(self):
        status, code, _ = self.outcome("hangs", hang, timeout="500ms")
        self.assertEqual((status, code), ("failed", "timeout"))

    def test_the_request_s_own_timeout_counts_too(self):
        status, code, _ = self.outcome("hangs-request", hang, timeout="1m", http_timeout="300ms")
        self.assertEqual((status, code), ("failed", "timeout"))

    def test_one_that_resets(self):
        self.assertEqual(self.outcome("resets", reset)[0], "failed")

    def test_one_that_talks_nonsense(self):
        self.assertEqual(self.outcome("nonsense", nonsense)[0], "failed")

    def test_one_whose_answer_is_no_JSON(self):
        def text(_call):
            def act(handler, _peer):
                handler.send_response(200)
                handler.send_header("Content-Type", "application/json")
                handler.send_header("Content-Length", "9")
                handler.end_headers()
                handler.wfile.write(b'{"succes\xff')
                return True

            return act

        self.assertEqual(self.outcome("no-json", text)[0], "failed")

    def test_a_hundred_megabytes_cost_no_memory(self):
        status, _, _ = self.outcome("huge", huge(100 << 20), timeout="30s")
        self.assertEqual(status, "failed")
        self.assertLess(resident_mib(self.server.process.pid), 200)

    def test_hundreds_that_hang_do_not_stop_another(self):
        self.peer.on("/x", hang)
        self.server.apply(workflow("crowd", http("x", f"{self.peer.url}/x", timeout="20s")))
        crowd = [self.server.start_run("crowd", {})["id"] for _ in range(200)]
        self.peer.wait_calls("/x", 200)
        self.server.apply(workflow("alone", http("y", f"{self.peer.url}/y")))
        self.assertEqual(self.server.wait_run(self.server.start_run("alone", {})["id"], seconds=10)["status"], "success")
        for run in crowd:
            self.server.post(f"runs/{run}/cancel")
        for run in crowd:
            self.assertEqual(self.server.wait_run(run)["status"], "cancelled")


if __name__ == "__main__":
    unittest.main()
