"""What kill -9 may and may not do to runs that are under way."""

import random
import statistics
import time
import unittest

from support.definitions import NEVER_POISON, http, workflow
from support.peer import Peer, after, first, hang
from support.pawl import Server, tasks_of, verdict

SEED = random.SystemRandom().randrange(2**32)


def chain(name, peer, length, **more):
    return workflow(name, *(http(f"t{n}", f"{peer.url}/t{n}") for n in range(length)), **NEVER_POISON, **more)


class Kill(unittest.TestCase):
    def setUp(self):
        self.peer = Peer()
        self.addCleanup(self.peer.close)
        self.server = Server()
        self.addCleanup(self.server.close)

    def test_a_run_goes_on_at_the_task_that_was_in_flight(self):
        self.peer.on("/t2", first(1, hang))
        self.server.start()
        self.server.apply(chain("chain", self.peer, 5))
        run = self.server.start_run("chain", {})
        self.peer.wait_calls("/t2")
        self.server.kill()
        self.server.start()
        done = self.server.wait_run(run["id"])
        self.assertEqual(done["status"], "success")
        self.assertEqual([len(self.peer.of(f"/t{n}")) for n in range(5)], [1, 1, 2, 1, 1])
        self.assertEqual(len({call.key for call in self.peer.of("/t2")}), 1)
        self.assertEqual({call.trace for call in self.peer.calls}, {done["trace_id"]})
        one, two = done["attempts"]
        self.assertEqual((one["status"], one["error"]["code"], one["error"]["message"]),
                         ("failed", "interrupted", "interrupted by system restart"))
        self.assertEqual([verdict(task) for task in tasks_of(one).values()],
                         ["success", "success", "failed", "skipped/interrupted", "skipped/interrupted"])
        self.assertEqual(tasks_of(one)["main/t2"]["tries"][0]["status"], "interrupted")
        self.assertEqual((two["trigger"], two["client"], two["user_agent"]),
                         ("recovery", "system-recovery", "workflow-system-recovery"))
        self.assertEqual([verdict(task) for task in tasks_of(two).values()],
                         ["skipped/done", "skipped/done", "success", "success", "success"])

    def test_random_kills_repeat_nothing_but_what_was_in_flight(self):
        print(f"\n    seed of the kills: {SEED}", flush=True)
        dice = random.Random(SEED)
        length = 8
        for n in range(length):
            self.peer.on(f"/t{n}", after(0.05))
        self.server.start()
        self.server.apply(chain("chain", self.peer, length))
        runs = [self.server.start_run("chain", {})["id"] for _ in range(6)]
        kills = 12
        for n in range(kills):
            in_start_up = n % 3 == 2
            time.sleep(dice.uniform(0, 0.05 if in_start_up else 0.25))  # the moment of the kill is what is tested
            self.server.kill()
            self.server.start(ready=n % 3 != 1)  # the one after this is killed somewhere in its start-up
        if not self.server.is_ready():
            self.server.wait_ready()
        finished = [self.server.wait_run(run) for run in runs]
        self.assertEqual({run["status"] for run in finished}, {"success"})

        for run in finished:
            mine = sorted((call for call in self.peer.calls if call.trace == run["trace_id"]), key=lambda call: call.at)
            order = [int(call.path[2:]) for call in mine]
            self.assertEqual(order, sorted(order), "a task was called after a later one: it had been done")
            for n in range(length):
                calls = [call for call in mine if call.path == f"/t{n}"]
                self.assertEqual(len({call.key for call in calls}), 1)
                # By the server's own account, and not by the clock: a call may be read after its sender was killed.
                tries = [one["status"] for attempt in run["attempts"] for task, state in tasks_of(attempt).items()
                         if task.endswith(f"/t{n}") for one in state["tries"]]
                self.assertLessEqual(len(calls), len(tries), f"t{n} was called twice in one try")
                self.assertEqual(tries, ["interrupted"] * (len(tries) - 1) + ["success"], f"t{n}")
            self.assertLessEqual(len(run["attempts"]), kills + 1)
            self.assertEqual([attempt["attempt"] for attempt in run["attempts"]],
                             list(range(1, len(run["attempts"]) + 1)))
            for attempt in run["attempts"]:
                open_ones = [task for task, state in tasks_of(attempt).items()
                             if state["status"] in ("pending", "running", "waiting")]
                self.assertEqual(open_ones, [], "a final attempt has open tasks")

    def test_the_next_call_comes_soon_after_the_kill(self):
        self.server.start()
        times = []
        for n in range(5):
            path = f"/round{n}"
            self.peer.on(path, first(1, hang))
            name = f"round-{n}"
            self.server.apply(workflow(name, http("slow", self.peer.url + path), **NEVER_POISON))
            run = self.server.start_run(name, {})
            self.peer.wait_calls(path)
            killed = time.monotonic()
            self.server.kill()
            self.server.start(ready=False)
            calls = self.peer.wait_calls(path, 2)
            times.append(calls[1].at - killed)
            self.server.wait_ready()
            self.server.wait_run(run["id"])
        print(f"\n    kill -9 to the next call: p50 {statistics.median(times) * 1000:.0f} ms, "
              f"worst {max(times) * 1000:.0f} ms", flush=True)
        self.assertLess(statistics.median(times), 2.0)

    def test_an_accepted_start_survives_the_instant_after_its_answer(self):
        self.server.start()
        self.server.apply(chain("chain", self.peer, 2))
        accepted = []
        for n in range(5):
            accepted.append(self.server.start_run("chain", {}, key=f"order-{n}"))
            self.server.kill()
            self.server.start()
        for n, run in enumerate(accepted):
            self.assertEqual(self.server.start_run("chain", {}, key=f"order-{n}")["id"], run["id"])
            self.assertEqual(self.server.wait_run(run["id"])["status"], "success")
        self.assertEqual(len({run["number"] for run in accepted}), 5)

    def test_a_task_that_says_so_fails_when_it_is_cut_off(self):
        self.peer.on("/pay", hang)
        self.server.start()
        self.server.apply(workflow("pay", http("pay", f"{self.peer.url}/pay", on_crash="fail"),
                                   http("ship", f"{self.peer.url}/ship")))
        run = self.server.start_run("pay", {})
        self.peer.wait_calls("/pay")
        self.server.kill()
        self.server.start()
        done = self.server.wait_run(run["id"])
        self.assertEqual(done["status"], "failed")
        pay = tasks_of(done["attempts"][-1])["main/pay"]
        self.assertEqual((pay["status"], pay["error"]["code"]), ("failed", "interrupted"))
        self.assertEqual((len(self.peer.of("/pay")), len(self.peer.of("/ship"))), (1, 0))

    def test_a_run_that_keeps_dying_ends_and_the_others_go_on(self):
        self.peer.on("/poison", hang).on("/good", after(0.1))
        self.server.start()
        self.server.apply(workflow("poison", http("poison", f"{self.peer.url}/poison"), recover={"max": 1}))
        self.server.apply(workflow("good", http("good", f"{self.peer.url}/good"), **NEVER_POISON))
        poison = self.server.start_run("poison", {})
        for count in (1, 2):
            self.peer.wait_calls("/poison", count)
            self.server.kill()
            self.server.start()
        good = self.server.start_run("good", {})
        self.assertEqual(self.server.wait_run(good["id"])["status"], "success")
        ended = self.server.wait_run(poison["id"])
        self.assertEqual((ended["status"], ended["attempts"][-1]["error"]["code"]), ("failed", "recovery_limit"))
        self.assertEqual(len(self.peer.of("/poison")), 2)

    def test_a_retry_that_was_waited_for_stays_due(self):
        # Nothing is in flight, so the run is taken up in the same attempt.
        self.peer.on("/flaky", first(1, lambda _: (500, {})))
        self.server.start()
        self.server.apply(workflow("flaky", http("flaky", f"{self.peer.url}/flaky", retry={"max": 1, "delay": "3s"})))
        run = self.server.start_run("flaky", {})
        self.server.wait_run(run["id"], "waiting")
        failed_at = self.peer.of("/flaky")[0].at
        self.server.kill()
        self.server.start()
        done = self.server.wait_run(run["id"])
        self.assertEqual((done["status"], len(done["attempts"])), ("success", 1))
        delay = self.peer.of("/flaky")[1].at - failed_at
        self.assertGreater(delay, 2.8)

    def test_a_stop_on_request_lets_running_tasks_finish(self):
        self.peer.on("/slow", after(1))
        self.server.start()
        self.server.apply(workflow("slow", http("slow", f"{self.peer.url}/slow"), http("next", f"{self.peer.url}/next")))
        run = self.server.start_run("slow", {})
        self.peer.wait_calls("/slow")
        self.assertEqual(self.server.stop(), 0)
        self.assertEqual(len(self.peer.of("/next")), 0)
        self.server.start()
        done = self.server.wait_run(run["id"])
        self.assertEqual((done["status"], len(done["attempts"])), ("success", 1))
        self.assertEqual((len(self.peer.of("/slow")), len(self.peer.of("/next"))), (1, 1))

    def test_a_stop_on_request_that_cuts_a_task_off_is_recovered(self):
        self.peer.on("/slow", first(1, hang))
        self.server.arguments += ["--stop-timeout", "200ms"]
        self.server.start()
        self.server.apply(workflow("slow", http("slow", f"{self.peer.url}/slow")))
        run = self.server.start_run("slow", {})
        self.peer.wait_calls("/slow")
        self.assertEqual(self.server.stop(), 0)
        self.server.start()
        done = self.server.wait_run(run["id"])
        self.assertEqual((done["status"], len(done["attempts"])), ("success", 2))
        self.assertEqual(done["attempts"][0]["error"]["message"], "interrupted by system stop")
        self.assertEqual(len({call.key for call in self.peer.of("/slow")}), 1)


if __name__ == "__main__":
    unittest.main()
