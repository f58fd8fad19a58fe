"""What people ask of runs: start, cancel, resume; and what failing tasks do to them."""

import threading
import unittest

from support.definitions import http, script, workflow
from support.peer import Peer, after, first, hang, reset, status, unsuccessful
from support.pawl import Refused, Server, alive, free_port, tasks_of, verdict, wait_until


class WithServer(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server().start()
        cls.addClassCleanup(cls.server.close)

    def setUp(self):
        self.peer = Peer()
        self.addCleanup(self.peer.close)

    def begin(self, name, *tasks, given=None, **more):
        """Applies a workflow, which takes the inputs `given` as strings, and starts it with them."""
        if given:
            more["inputs"] = {key: {"type": "string", "required": True} for key in given}
        self.server.apply(workflow(name, *tasks, **more))
        return self.server.start_run(name, given or {})["id"]

    def refused(self, status_code, code, call, *arguments, **options):
        with self.assertRaises(Refused) as caught:
            call(*arguments, **options)
        self.assertEqual(caught.exception.status, status_code, caught.exception)
        if code:
            self.assertEqual(caught.exception.code, code, caught.exception)
        return caught.exception.problem


class Cancel(WithServer):
    def test_nothing_starts_after_a_cancel(self):
        self.peer.on("/one", after(0.5))
        run = self.begin("cancel-http", http("one", f"{self.peer.url}/one"), http("two", f"{self.peer.url}/two"))
        self.peer.wait_calls("/one")
        self.server.post(f"runs/{run}/cancel")
        done = self.server.wait_run(run)
        self.assertEqual(done["status"], "cancelled")
        tasks = tasks_of(done["attempts"][0])
        self.assertEqual([task["status"] for task in tasks.values()][0], "cancelled")
        self.assertEqual(self.peer.of("/two"), [])
        self.refused(409, None, self.server.post, f"runs/{run}/cancel")

    def test_a_process_gets_TERM_and_its_leftovers_are_killed(self):
        term, left = self.server.folder / "term", self.server.folder / "left"
        run = self.begin("cancel-process", script("work", f"""
            trap 'touch {term}; exit 1' TERM
            (setsid bash -c 'trap "" TERM; echo $$ > {left}; exec sleep 600' &)
            while :; do sleep 0.1; done
        """))
        wait_until(lambda: left.exists() and left.read_text(), 20, "the task's child")
        self.server.post(f"runs/{run}/cancel")
        self.assertEqual(self.server.wait_run(run)["status"], "cancelled")
        self.assertTrue(term.exists(), "it got no TERM")
        wait_until(lambda: not alive(int(left.read_text())), 5, "the leftover to go")

    def test_clean_up_that_asks_for_it_still_runs(self):
        self.peer.on("/work", hang)
        run = self.begin("cancel-clean-up", http("work", f"{self.peer.url}/work"), http("never", f"{self.peer.url}/never"),
                         http("tidy", f"{self.peer.url}/tidy", **{"if": "${{ always() }}"}))
        self.peer.wait_calls("/work")
        self.server.post(f"runs/{run}/cancel")
        self.assertEqual(self.server.wait_run(run)["status"], "cancelled")
        self.assertEqual((len(self.peer.of("/never")), len(self.peer.of("/tidy"))), (0, 1))

    def test_a_cancel_survives_kill_9(self):
        self.peer.on("/work", hang)
        with Server() as server:
            server.apply(workflow("w", http("work", f"{self.peer.url}/work"), http("next", f"{self.peer.url}/next")))
            run = server.start_run("w", {})["id"]
            self.peer.wait_calls("/work")
            server.post(f"runs/{run}/cancel")
            server.kill()
            server.start()
            self.assertEqual(server.wait_run(run)["status"], "cancelled")
        self.assertEqual((len(self.peer.of("/work")), len(self.peer.of("/next"))), (1, 0))


class Resume(WithServer):
    def test_a_resumed_run_starts_at_what_is_not_done(self):
        self.peer.on("/b", first(1, status(500)))
        run = self.begin("resume", *(http(name, f"{self.peer.url}/{name}") for name in "abc"))
        failed = self.server.wait_run(run)
        self.assertEqual(failed["status"], "failed")
        self.assertEqual([verdict(task) for task in tasks_of(failed["attempts"][0]).values()],
                         ["success", "failed", "skipped/upstream"])
        error = tasks_of(failed["attempts"][0])["main/b"]["error"]
        self.assertEqual(error["code"], "task_failed")
        self.assertEqual(error["cause"]["status"], 500)

        self.server.post(f"runs/{run}/resume")
        done = self.server.wait_run(run, "success")
        self.assertEqual([len(self.peer.of(f"/{name}")) for name in "abc"], [1, 2, 1])
        self.assertEqual(len({call.key for call in self.peer.of("/b")}), 1)
        self.assertEqual(len({call.trace for call in self.peer.calls}), 1)
        second = done["attempts"][1]
        self.assertEqual((second["attempt"], second["trigger"], second["status"]), (2, "resume", "success"))
        self.assertEqual([verdict(task) for task in tasks_of(second).values()], ["skipped/done", "success", "success"])

    def test_an_open_run_and_a_successful_one_are_not_resumed(self):
        self.peer.on("/a", after(0.5))
        run = self.begin("resume-open", http("a", f"{self.peer.url}/a"))
        self.peer.wait_calls("/a")
        self.refused(409, "run_open", self.server.post, f"runs/{run}/resume")
        self.server.wait_run(run, "success")
        self.refused(409, None, self.server.post, f"runs/{run}/resume")

    def test_of_two_resumes_at_once_one_wins(self):
        self.peer.on("/a", first(1, status(500), then=after(0.3)))
        run = self.begin("resume-twice", http("a", f"{self.peer.url}/a"))
        self.server.wait_run(run, "failed")
        verdicts = []

        def resume():
            try:
                self.server.post(f"runs/{run}/resume")
                verdicts.append(202)
            except Refused as refused:
                verdicts.append(refused.status)

        both = [threading.Thread(target=resume) for _ in range(2)]
        for thread in both:
            thread.start()
        for thread in both:
            thread.join()
        self.assertEqual(sorted(verdicts), [202, 409])
        self.assertEqual(len(self.server.wait_run(run, "success")["attempts"]), 2)


class Retry(WithServer):
    def tries_of(self, behaviour, name, **more):
        self.peer.on("/x", behaviour)
        run = self.begin(name, http("x", f"{self.peer.url}/x", retry={"max": 3, "delay": "100ms"}, **more))
        done = self.server.wait_run(run)
        tries = tasks_of(done["attempts"][0])["main/x"]["tries"]
        return done["status"], [one["status"] for one in tries], tries

    def test_a_status_that_is_no_success(self):
        outcome, tries, _ = self.tries_of(first(2, status(503)), "retry-status")
        self.assertEqual((outcome, tries), ("success", ["failed", "failed", "success"]))
        self.assertEqual(len({call.key for call in self.peer.of("/x")}), 1)
        gaps = [later.at - earlier.at for earlier, later in zip(self.peer.of("/x"), self.peer.of("/x")[1:])]
        self.assertGreaterEqual(min(gaps), 0.095)

    def test_a_reset_connection(self):
        outcome, tries, _ = self.tries_of(first(1, reset), "retry-reset")
        self.assertEqual((outcome, tries), ("success", ["failed", "success"]))

    def test_a_reply_that_says_it_failed(self):
        outcome, tries, _ = self.tries_of(first(1, unsuccessful), "retry-success-when")
        self.assertEqual((outcome, tries), ("success", ["failed", "success"]))

    def test_a_timeout(self):
        outcome, tries, _ = self.tries_of(first(1, hang), "retry-timeout", timeout="500ms")
        self.assertEqual((outcome, tries), ("success", ["timed_out", "success"]))

    def test_a_refused_connection(self):
        port = free_port()
        run = self.begin("retry-refused", http("x", f"http://127.0.0.1:{port}/x", retry={"max": 50, "delay": "100ms"}))
        self.server.wait_run(run, "waiting")
        with Peer(port):
            done = self.server.wait_run(run)
        self.assertEqual(done["status"], "success")
        self.assertEqual(tasks_of(done["attempts"][0])["main/x"]["tries"][0]["status"], "failed")

    def test_no_try_is_left(self):
        outcome, tries, details = self.tries_of(status(500), "retry-none-left")
        self.assertEqual((outcome, tries), ("failed", ["failed"] * 4))
        self.assertEqual(len(self.peer.of("/x")), 4)
        self.assertEqual(details[-1]["error"]["cause"]["status"], 500)

    def test_an_exit_code(self):
        folder = self.server.folder
        run = self.begin("retry-exit", script("x", f"""
            echo x >> {folder}/tries
            [[ $(wc -l < {folder}/tries) -ge 3 ]] || exit 7
        """, retry={"max": 3, "delay": "50ms"}))
        done = self.server.wait_run(run)
        self.assertEqual(done["status"], "success")
        tries = tasks_of(done["attempts"][0])["main/x"]["tries"]
        self.assertEqual([one["status"] for one in tries], ["failed", "failed", "success"])
        self.assertEqual(tries[0]["error"]["cause"]["exit_code"], 7)


class Flow(WithServer):
    def test_jobs_run_side_by_side_and_wait_for_what_they_need(self):
        self.peer.on("/left", after(0.3)).on("/right", after(0.3))
        run = self.begin("graph", jobs={
            "left": {"tasks": [http("left", f"{self.peer.url}/left")]},
            "right": {"tasks": [http("right", f"{self.peer.url}/right")]},
            "join": {"needs": ["left", "right"], "tasks": [http("join", f"{self.peer.url}/join")]},
        })
        self.assertEqual(self.server.wait_run(run)["status"], "success")
        left, right, join = (self.peer.of(f"/{name}")[0] for name in ("left", "right", "join"))
        self.assertLess(max(left.at, right.at), min(left.answered, right.answered))
        self.assertGreaterEqual(join.at, max(left.answered, right.answered))

    def test_a_failed_job_skips_those_that_need_it_and_no_others(self):
        self.peer.on("/bad", status(500))
        run = self.begin("one-fails", jobs={
            "bad": {"tasks": [http("bad", f"{self.peer.url}/bad")]},
            "good": {"tasks": [http("good", f"{self.peer.url}/good")]},
            "after-bad": {"needs": "bad", "tasks": [http("after-bad", f"{self.peer.url}/after-bad")]},
            "on-trouble": {"needs": "bad", "if": "${{ failure() }}",
                           "tasks": [http("on-trouble", f"{self.peer.url}/on-trouble")]},
        })
        done = self.server.wait_run(run)
        self.assertEqual(done["status"], "failed")
        jobs = {job["job"]: verdict(job) for job in done["attempts"][0]["job_runs"]}
        self.assertEqual(jobs, {"bad": "failed", "good": "success", "after-bad": "skipped/upstream",
                                "on-trouble": "success"})

    def test_outputs_travel_with_their_types(self):
        self.peer.on("/make", lambda _: (200, {"success": True, "data": {
            "list": [{"url": "a"}, {"url": ""}, {"url": None}, {"url": "b"}], "number": 1.5, "text": "상품 \"x\"\n", "none": None}}))
        run = self.begin("outputs",
                         http("make", f"{self.peer.url}/make", outputs={
                             "list": "${{ response.json.data.list }}", "number": "${{ response.json.data.number }}",
                             "text": "${{ response.json.data.text }}", "none": "${{ response.json.data.none }}"}),
                         http("use", f"{self.peer.url}/use", http_json={
                             "urls": "${{ compact(tasks.make.outputs.list.*.url) }}",
                             "number": "${{ tasks.make.outputs.number }}",
                             "text": "${{ tasks.make.outputs.text }}",
                             "line": "<${{ tasks.make.outputs.text }}>",
                             "left_out": "${{ tasks.make.outputs.none ?? omit }}",
                             "kept": "${{ tasks.make.outputs.none }}",
                             "given": "${{ inputs.tag }}"}),
                         given={"tag": "naver"})
        self.assertEqual(self.server.wait_run(run)["status"], "success")
        self.assertEqual(self.peer.of("/use")[0].json,
                         {"urls": ["a", "b"], "number": 1.5, "text": "상품 \"x\"\n", "line": "<상품 \"x\"\n>",
                          "kept": None, "given": "naver"})

    def test_a_process_gives_outputs_and_gets_values_unharmed(self):
        evil = "$(touch /tmp/never) `id` \"; exit 3; '"
        run = self.begin("process", script("make", """
            echo "url=https://example.test/1" >> "$PAWL_OUTPUT"
            printf 'text<<END\\n%s\\nsecond line\\nEND\\n' ${{ inputs.evil }} >> "$PAWL_OUTPUT"
        """), http("use", f"{self.peer.url}/use", http_json={"url": "${{ tasks.make.outputs.url }}",
                                                              "text": "${{ tasks.make.outputs.text }}"}),
                         given={"evil": evil})
        self.assertEqual(self.server.wait_run(run)["status"], "success")
        self.assertEqual(self.peer.of("/use")[0].json, {"url": "https://example.test/1", "text": f"{evil}\nsecond line"})

    def test_a_run_keeps_the_definition_it_started_with(self):
        self.peer.on("/one", after(0.5))
        run = self.begin("edited", http("one", f"{self.peer.url}/one"), http("old", f"{self.peer.url}/old"))
        self.peer.wait_calls("/one")
        self.server.apply(workflow("edited", http("one", f"{self.peer.url}/one"), http("new", f"{self.peer.url}/new")),
                          name="edited")
        self.assertEqual(self.server.wait_run(run)["status"], "success")
        self.assertEqual((len(self.peer.of("/old")), len(self.peer.of("/new"))), (1, 0))
        again = self.server.start_run("edited", {})
        self.server.wait_run(again["id"])
        self.assertEqual((again["version"], len(self.peer.of("/new"))), (2, 1))


class Start(WithServer):
    def test_the_same_key_gives_the_same_run(self):
        self.server.apply(workflow("keyed", http("x", f"{self.peer.url}/x"), inputs={"n": {"type": "int", "default": 1}}))
        one = self.server.start_run("keyed", {"n": 1}, key="k")
        two = self.server.start_run("keyed", {"n": 1}, key="k")
        self.assertEqual(one["id"], two["id"])
        self.refused(409, None, self.server.start_run, "keyed", {"n": 2}, key="k")
        self.server.wait_run(one["id"])
        self.assertEqual(len(self.peer.of("/x")), 1)

    def test_wrong_inputs_start_nothing(self):
        self.server.apply(workflow("strict", http("x", f"{self.peer.url}/x"),
                                   inputs={"tag": {"type": "choice", "options": ["a", "b"], "required": True}}))
        for inputs in ({}, {"tag": "c"}, {"tag": 1}, {"tag": "a", "more": 1}):
            with self.subTest(inputs):
                self.refused(422, None, self.server.start_run, "strict", inputs)
        self.assertEqual(self.peer.calls, [])

    def test_what_is_not_there_is_404(self):
        self.refused(404, None, self.server.start_run, "no-such-workflow", {})
        self.refused(404, None, self.server.run, "0192a000-0000-7000-8000-000000000000")
        self.refused(404, None, self.server.run, "..%2f..%2fetc%2fpasswd")

    def test_a_name_that_exists_is_changed_with_PUT(self):
        text = workflow("twice", http("x", f"{self.peer.url}/x"))
        self.server.apply(text)
        self.refused(409, None, self.server.apply, text)

    def test_nothing_but_health_is_open(self):
        self.refused(401, None, self.server.get, "workflows", token="wrong")
        self.refused(401, None, self.server.get, "workflows", headers={"Authorization": ""})
        self.refused(401, None, self.server.get, "no/such/route", token="wrong")
        self.assertTrue(self.server.is_ready())

    def test_the_token_is_for_its_owner_alone(self):
        self.assertEqual((self.server.data / "admin.token").stat().st_mode & 0o777, 0o600)


if __name__ == "__main__":
    unittest.main()
