"""Somebody sets the machine's clock, by a day, while tasks run and while the server is away."""

import datetime
import time
import unittest

from support.clock import ClockedServer
from support.definitions import NEVER_POISON, http, script, workflow
from support.pawl import tasks_of, wait_until
from support.peer import Peer, after, first, hang

DAY = 86400


def instant(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


class Clock(unittest.TestCase):
    def setUp(self):
        self.peer = Peer()
        self.addCleanup(self.peer.close)
        self.server = ClockedServer()
        self.addCleanup(self.server.close)

    def log_stamp(self):
        """The date of the server's newest log line: by the machine's clock, as the server is told it."""
        return self.server.log_text().splitlines()[-1][:10]

    def in_flight(self):
        """One run of each kind that hangs on time; each takes a few seconds."""
        self.peer.on("/hang", hang)
        self.peer.on("/flaky", first(1, lambda _: (500, {})))
        self.peer.on("/slow", after(4))
        flows = {
            "call": [http("t", f"{self.peer.url}/hang", timeout="4s")],
            "process": [script("t", "sleep 60", timeout="4s")],
            "stubborn": [script("t", "trap '' TERM; sleep 60 & wait; sleep 60", timeout="2s", grace="2s")],
            "retry": [http("t", f"{self.peer.url}/flaky", retry={"max": 1, "delay": "4s"})],
            "wait": [{"id": "t", "wait": "4s"}],
            "slow": [http("t", f"{self.peer.url}/slow", timeout="1h")],
        }
        for name, tasks in flows.items():
            self.server.apply(workflow(name, *tasks))
        runs = {name: self.server.start_run(name)["id"] for name in flows}
        self.peer.wait_calls("/hang")
        self.peer.wait_calls("/slow")
        self.peer.wait_calls("/flaky")
        for name in ("process", "stubborn"):
            self.server.wait_run(runs[name], "running")
        return runs

    def jump(self, seconds):
        self.server.start()
        began = time.time()
        runs = self.in_flight()
        self.server.set_clock(seconds)
        results = {name: self.server.wait_run(run) for name, run in runs.items()}
        self.assertLess(time.time() - began, 60)  # nothing waits for a day
        self.assertEqual({name: run["status"] for name, run in results.items()},
                         {"call": "failed", "process": "failed", "stubborn": "failed", "retry": "success",
                          "wait": "success", "slow": "success"})
        for name in ("call", "process", "stubborn"):
            self.assertEqual(tasks_of(results[name]["attempts"][0])["main/t"]["error"]["code"], "timeout", name)
        for name, least in (("call", 4), ("process", 4), ("stubborn", 4), ("retry", 4), ("wait", 4), ("slow", 4)):
            took = instant(results[name]["finished_at"]) - instant(results[name]["created_at"])
            self.assertGreater(took, least - 0.1, f"{name} was cut short")
            self.assertLess(took, 40, name)
            self.assertLess(abs(instant(results[name]["finished_at"]) - time.time()), 60, "the run's own times jumped")
        # That the lie reached the server: its log is stamped with the machine's clock.
        self.server.stop()
        today = datetime.datetime.now(datetime.timezone.utc)
        told = {(today + datetime.timedelta(seconds=seconds + shift)).strftime("%Y-%m-%d") for shift in (0, -60)}
        self.assertIn(self.log_stamp(), told)

    def test_a_day_ahead_hurts_no_timeout_wait_or_retry(self):
        self.jump(DAY)

    def test_a_day_back_hurts_no_timeout_wait_or_retry(self):
        self.jump(-DAY)

    def test_back_by_a_day_while_the_server_is_away_time_goes_on(self):
        self.peer.on("/flaky", first(1, lambda _: (500, {})))
        self.peer.on("/cut", first(1, hang))
        self.server.start()
        self.server.apply(workflow("retry", http("t", f"{self.peer.url}/flaky", retry={"max": 1, "delay": "3s"})))
        self.server.apply(workflow("wait", {"id": "t", "wait": "3s"}))
        self.server.apply(workflow("cut", http("t", f"{self.peer.url}/cut"), **NEVER_POISON))
        runs = [self.server.start_run(name)["id"] for name in ("retry", "wait", "cut")]
        self.server.wait_run(runs[0], "waiting")
        self.server.wait_run(runs[1], "waiting")
        self.peer.wait_calls("/cut")
        self.server.kill()
        self.server.set_clock(-DAY)
        self.server.start()
        self.assertIn("the machine's clock is behind what is stored: time goes on from that", self.server.log_text())
        later = self.server.start_run("wait")["id"]
        self.assertGreater(later, max(runs), "ids are in the order of time")
        for run in [*runs, later]:
            done = self.server.wait_run(run, "success")
            self.assertGreaterEqual(instant(done["finished_at"]), instant(done["created_at"]))
        self.assertEqual([run["id"] for run in self.server.get("runs")["items"]], sorted([*runs, later], reverse=True))
        # Right again: there is nothing to catch up with.
        self.server.stop()
        self.server.set_clock(0)
        said = len(self.server.log_text())
        self.server.start()
        self.assertNotIn("clock", self.server.log_text()[said:])
        self.server.wait_run(self.server.start_run("wait")["id"], "success")

    def test_ahead_by_a_day_while_the_server_is_away_what_is_due_comes_at_once(self):
        self.server.start()
        self.server.apply(workflow("wait", {"id": "t", "wait": "20h"}))
        run = self.server.start_run("wait")["id"]
        self.server.wait_run(run, "waiting")
        self.server.kill()
        self.server.set_clock(DAY)
        self.server.start()
        self.server.wait_run(run, "success")

    def test_what_a_wrong_clock_wrote_years_ahead_is_not_believed(self):
        self.server.set_clock(3 * 365 * DAY)
        self.server.start()
        self.server.apply(workflow("wait", {"id": "t", "wait": "1s"}))
        self.server.wait_run(self.server.start_run("wait")["id"], "success")
        self.server.stop()
        self.server.set_clock(0)
        self.server.start()
        self.assertIn("far behind what is stored", self.server.log_text())
        done = self.server.wait_run(self.server.start_run("wait")["id"], "success")
        self.assertLess(abs(instant(done["created_at"]) - time.time()), 60)


if __name__ == "__main__":
    unittest.main()
