"""The real process whose N-th write or sync of the database's log fails. `./dev faults` does the same to the store, the logs
and the driver in one process, for every call; here it is seen what the server says, how it ends and how it comes back."""

import shutil
import stat
import unittest

from support.definitions import NEVER_POISON, http, workflow
from support.pawl import PAWL, Refused, Server
from support.peer import Peer

CANNOT_NOW = 3  # docs/cli.md
RUNS = 6


class FailingCalls(unittest.TestCase):
    def setUp(self):
        if not shutil.which("strace"):
            self.skipTest("strace is not installed")
        self.peer = Peer()
        self.addCleanup(self.peer.close)

    def server_where(self, call, error, when):
        server = Server()
        self.addCleanup(server.close)
        program = server.folder / "pawl"
        # -D: the server keeps its own process id, and is the child of the test.
        program.write_text(f'#!/bin/sh\nexec strace -D -f -qq -o {server.folder}/trace -P {server.data}/pawl.db-wal '
                           f'-e trace={call} -e inject={call}:error={error}:when={when} {PAWL} "$@"\n')
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        server.binary = program
        return server

    def hits(self, server):
        """Each thread counts its calls by itself, so it may be more than one."""
        return (server.folder / "trace").read_text().count("(INJECTED)")

    def back(self, server):
        """It ended as the documentation says; started again, without the fault."""
        self.assertEqual(server.process.wait(20), CANNOT_NOW, server.log_text()[-2000:])
        self.assertRegex(server.log_text(), "the store cannot be relied on any more; stopping|pawl: cannot open .*pawl.db")
        server.binary = PAWL
        server.start()

    def play(self, server):
        """Runs that are asked for until they are acknowledged. Returns how often the server had to be started again."""
        ends, known = 0, {}
        try:
            server.start()
        except RuntimeError:
            self.back(server)
            ends += 1
        flow = workflow("two", http("one", f"{self.peer.url}/one"), http("two", f"{self.peer.url}/two"), **NEVER_POISON)

        def insist(act):
            nonlocal ends
            for _ in range(20):
                try:
                    return act()
                except (Refused, OSError) as refusal:
                    if isinstance(refusal, Refused):
                        self.assertEqual(refusal.status, 503, refusal)
                        if refusal.code == "no_room":
                            continue
                    self.back(server)
                    ends += 1
            self.fail("it never works again")

        insist(lambda: server.apply(flow, "two"))
        for n in range(RUNS):
            known[n] = insist(lambda: server.start_run("two", key=f"k{n}"))["id"]
            insist(lambda: server.wait_run(known[n], "success"))
        self.assertEqual({run["id"] for run in server.get("runs?limit=200")["items"]}, set(known.values()))
        for n, run in known.items():
            self.assertEqual(server.start_run("two", key=f"k{n}")["id"], run)
            self.assertEqual(server.run(run)["status"], "success")
        self.assertEqual(server.stop(), 0)
        return ends

    def test_a_sync_that_fails_ends_the_server_and_the_next_one_goes_on(self):
        for when in (1, 2, 3, 7, 14):
            with self.subTest(when=when):
                server = self.server_where("fdatasync", "EIO", when)
                self.assertEqual(self.play(server), 1)
                self.assertGreaterEqual(self.hits(server), 1)

    def test_a_write_that_fails_ends_the_server_and_the_next_one_goes_on(self):
        for when in (1, 2, 9, 30):
            with self.subTest(when=when):
                server = self.server_where("pwrite64", "EIO", when)
                self.assertEqual(self.play(server), 1)
                self.assertGreaterEqual(self.hits(server), 1)

    def test_a_write_without_room_is_told_and_the_server_stays(self):
        for when in (9, 30):
            with self.subTest(when=when):
                server = self.server_where("pwrite64", "ENOSPC", when)
                self.assertEqual(self.play(server), 0, server.log_text())
                self.assertGreaterEqual(self.hits(server), 1)


if __name__ == "__main__":
    unittest.main()
