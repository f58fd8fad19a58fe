"""What a definition can say, with the real server: matrices, groups, failures that count and that do not, what follows
the verdict, environments, the time of a run. Each goes on after kill -9."""

import random
import time
import unittest

from support.cases import Case, Gate
from support.definitions import NEVER_POISON, http, script
from support.peer import after, first, hang, status
from support.pawl import tasks_of, verdict


SEED = random.SystemRandom().randrange(2**32)


def answering(value):
    return lambda _call: (200, {"success": True, "data": value})


def jobs_of(attempt):
    return {job["job"]: verdict(job) for job in attempt["job_runs"]}


class Matrix(Case):
    def grid(self, **job):
        """A job of one call for each of a, b and c; then one that gets what they answered."""
        unit = http("unit", self.url("${{ matrix.os }}"), outputs={"v": "${{ response.json.data }}"})
        return {"test": {"matrix": {"os": ["a", "b", "c"]}, "tasks": [unit]} | job,
                "after": {"needs": "test", "tasks": [
                    http("sum", self.url("sum"),
                         http_json={"all": "${{ jobs.test.instances.*.tasks.unit.outputs.v }}",
                                    "keys": "${{ jobs.test.instances.*.key }}"})]}}

    def test_instances_run_side_by_side_and_their_outputs_come_in_the_lists_order(self):
        gates = {name: Gate(answering(name.upper())) for name in "abc"}
        for name, gate in gates.items():
            self.peer.on(f"/{name}", gate)
        run = self.begin("grid", jobs=self.grid(**{"max-parallel": 2}))
        self.peer.wait_calls("/a"), self.peer.wait_calls("/b")
        self.assertEqual(self.calls("/c"), 0, "two at once")
        gates["b"].open()
        self.peer.wait_calls("/c")
        gates["c"].open(), gates["a"].open()
        done = self.server.wait_run(run, "success")
        self.assertEqual(self.bodies("/sum"), [{"all": ["A", "B", "C"],
                                                "keys": ["os=a", "os=b", "os=c"]}])
        self.assertEqual(jobs_of(done["attempts"][0]),
                         {"test": "success", "test[os=a]": "success", "test[os=b]": "success", "test[os=c]": "success",
                          "after": "success"})
        self.assertEqual(len({call.key for call in self.peer.calls}), 4)

    def test_kill_9_repeats_only_the_instances_in_flight(self):
        held = first(1, hang, then=answering("C"))
        self.peer.on("/a", answering("A")).on("/b", answering("B")).on("/c", held)
        self.peer.on("/sum", first(1, hang))
        run = self.begin("grid", jobs=self.grid(), **NEVER_POISON)
        self.peer.wait_calls("/c")
        self.wait_for(run, lambda now: jobs_of(now["attempts"][0])["test[os=b]"] == "success")
        self.wait_for(run, lambda now: jobs_of(now["attempts"][0])["test[os=a]"] == "success")
        self.crash()
        self.peer.wait_calls("/sum")
        self.crash()
        done = self.server.wait_run(run, "success")
        self.assertEqual([self.calls(path) for path in ("/a", "/b", "/c", "/sum")], [1, 1, 2, 2])
        self.assertEqual(self.bodies("/sum")[1]["all"], ["A", "B", "C"])
        self.assertEqual(len({call.key for call in self.peer.of("/c")}), 1)
        self.assertEqual(jobs_of(done["attempts"][1])["test[os=a]"], "skipped/done")
        self.assertEqual(jobs_of(done["attempts"][2])["test"], "skipped/done")

    def test_a_failure_stops_the_others_unless_they_may_finish(self):
        self.peer.on("/a", hang).on("/c", hang)
        gate = Gate(status(500))
        self.peer.on("/b", gate)
        run = self.begin("fast", jobs=self.grid())
        for path in ("/a", "/b", "/c"):
            self.peer.wait_calls(path)
        gate.open()
        done = self.server.wait_run(run, "failed")
        self.assertEqual(jobs_of(done["attempts"][0]),
                         {"test": "failed", "test[os=a]": "cancelled", "test[os=b]": "failed",
                          "test[os=c]": "cancelled", "after": "skipped/upstream"})
        self.assertIn("test[os=b]", done["error"]["message"])

        self.peer.on("/a", answering("A")).on("/c", answering("C"))
        run = self.begin("slow", jobs=self.grid(**{"fail-fast": False}))
        done = self.server.wait_run(run, "failed")
        self.assertEqual([verdict(job) for job in done["attempts"][0]["job_runs"]],
                         ["failed", "success", "failed", "success", "skipped/upstream"])

    def test_the_list_can_be_computed_is_computed_once_and_an_empty_one_skips_the_job(self):
        many = {"plan": {"tasks": [script("list", "echo \"$LIST\"", outputs={"all": "json(stdout)"},
                                          env={"LIST": "${{ inputs.list }}"})]},
                "each": {"needs": "plan", "matrix": "${{ jobs.plan.tasks.list.outputs.all }}",
                         "env": {"WHICH": "${{ matrix.n }}-${{ run.attempt }}"},
                         "tasks": [http("call", self.url("each"), http_json={"n": "${{ matrix.n }}"}),
                                   script("print", "echo \"$WHICH\"", outputs={"text": "stdout"})]}}
        self.peer.on("/each", first(2, hang))
        self.apply("computed", jobs=many, inputs={"list": {"type": "string"}}, **NEVER_POISON)
        run = self.server.start_run("computed", {"list": '[{"n": 1}, {"n": "two"}]'})["id"]
        self.peer.wait_calls("/each", 2)
        self.crash()
        done = self.server.wait_run(run, "success")
        self.assertEqual(self.calls("/each"), 4)
        self.assertEqual(sorted(str(body["n"]) for body in self.bodies("/each")), ["1", "1", "two", "two"])
        outputs = {name: task["outputs"] for name, task in tasks_of(done["attempts"][-1]).items()}
        self.assertEqual(outputs["each[n=1]/print"]["text"], "1-2")
        self.assertEqual(outputs["each[n=two]/print"]["text"], "two-2")
        empty = self.server.start_run("computed", {"list": "[]"})["id"]
        self.assertEqual(jobs_of(self.server.wait_run(empty, "success")["attempts"][0])["each"], "skipped/condition")


    def test_a_list_that_cannot_be_is_the_runs_failure_and_not_the_servers(self):
        self.apply("given", inputs={"list": {"type": "list"}}, jobs={
            "each": {"matrix": "${{ inputs.list }}", "tasks": [http("call", self.url("call"))]}})
        for given in ([{"n": 1}, {"n": "1"}], [{"a": "1,b=2"}, {"a": "1", "b": "2"}], [{"n": "x" * 70_000}],
                      ["text"], [{}], [None]):
            run = self.server.wait_run(self.server.start_run("given", {"list": given})["id"])
            self.assertEqual((run["status"], run["attempts"][0]["job_runs"][0]["error"]["code"]),
                             ("failed", "matrix_error"))
        self.assertEqual(self.calls("/call"), 0)
        odd = [{"to": "a/b"}, {"to": "../../.."}, {"to": "."}, {"to": "a\nb"}, {"to": {"x": [1]}}, {"to": None}, {"../x": ""}]
        run = self.server.wait_run(self.server.start_run("given", {"list": odd})["id"])
        self.assertEqual((run["status"], self.calls("/call")), ("success", len(odd)))


class Groups(Case):
    def test_runs_of_a_group_come_one_after_the_other_in_their_order_over_kill_9(self):
        gates = [Gate(), Gate(), Gate()]
        self.peer.on("/work", lambda call: gates[call.json["n"]](call))
        self.apply("grouped", http("work", self.url("work"), http_json={"n": "${{ inputs.n }}"}),
                   inputs={"n": {"type": "int"}}, concurrency={"group": "one ${{ workflow.name }}"}, **NEVER_POISON)
        runs = [self.server.start_run("grouped", {"n": n})["id"] for n in range(3)]
        self.peer.wait_calls("/work")
        for run in runs[1:]:
            self.assertEqual(self.server.run(run)["status"], "queued")
            self.assertEqual(self.server.run(run)["waits_for"], "group")
        self.crash()
        self.peer.wait_calls("/work", 2)
        self.assertEqual([self.server.run(run)["status"] for run in runs], ["running", "queued", "queued"])
        gates[0].open()
        self.peer.wait_calls("/work", 3)
        self.crash()
        self.peer.wait_calls("/work", 4)
        gates[1].open(), gates[2].open()
        for run in runs:
            self.assertEqual(self.server.wait_run(run)["status"], "success")
        self.assertEqual([body["n"] for body in self.bodies("/work")], [0, 0, 1, 1, 2])

    def test_a_group_may_have_several_places_and_another_group_does_not_mind(self):
        gate = Gate()
        self.peer.on("/work", gate)
        self.apply("places", http("work", self.url("work")), inputs={"g": {"type": "string", "default": "x"}},
                   concurrency={"group": "${{ inputs.g }}", "limit": 2})
        runs = [self.server.start_run("places")["id"] for _ in range(3)]
        other = self.server.start_run("places", {"g": "y"})["id"]
        self.peer.wait_calls("/work", 3)
        self.assertEqual([self.server.run(run)["status"] for run in runs], ["running", "running", "queued"])
        self.assertEqual(self.server.run(other)["status"], "running")
        gate.open()
        for run in [*runs, other]:
            self.server.wait_run(run, "success")

    def test_cancel_running_begins_when_what_was_running_has_cleaned_up_over_kill_9(self):
        self.peer.on("/work", first(1, hang))
        gate = Gate()
        self.peer.on("/tidy", lambda call: gate(call) if call.number < 3 else (200, {"success": True}))
        self.apply("newest", http("work", self.url("work")), always=[http("tidy", self.url("tidy"))],
                   concurrency={"group": "g", "on-conflict": "cancel-running"}, **NEVER_POISON)
        old = self.server.start_run("newest")["id"]
        self.peer.wait_calls("/work")
        new = self.server.start_run("newest")["id"]
        self.peer.wait_calls("/tidy")
        self.assertEqual(self.server.run(new)["status"], "queued")
        self.crash()
        self.peer.wait_calls("/tidy", 2)
        self.assertEqual((self.server.run(new)["status"], self.calls("/work")), ("queued", 1))
        gate.open()
        self.assertEqual(self.server.wait_run(old)["status"], "cancelled")
        self.assertEqual(self.server.wait_run(new)["status"], "success")
        self.assertLess(self.peer.of("/tidy")[1].answered, self.peer.of("/work")[1].at)


class Failures(Case):
    def test_keep_going_runs_what_follows_and_the_failure_shows_in_the_end(self):
        self.peer.on("/bad", status(500)).on("/next", first(1, hang)).on("/below", first(1, hang))
        run = self.begin("going", keep_going=True, **NEVER_POISON, jobs={
            "work": {"tasks": [http("bad", self.url("bad")), http("next", self.url("next"))]},
            "below": {"needs": "work", "tasks": [http("below", self.url("below"))]}})
        self.peer.wait_calls("/next")
        self.crash()
        self.peer.wait_calls("/below")
        self.crash()
        done = self.server.wait_run(run)
        self.assertEqual((done["status"], done["error"]["code"]), ("failed", "task_failed"))
        self.assertEqual(self.verdicts(done),
                         {"work/bad": "failed", "work/next": "skipped/done", "below/below": "success"})
        self.assertEqual([self.calls(path) for path in ("/bad", "/next", "/below")], [1, 2, 2])

    def test_a_failure_with_continue_on_error_does_not_count(self):
        self.peer.on("/bad", status(503)).on("/next", first(1, hang))
        run = self.begin("on", http("bad", self.url("bad"), continue_on_error=True),
                         http("next", self.url("next"), http_json={
                             "status": "${{ tasks.bad.status }}", "code": "${{ tasks.bad.outputs.status }}"}),
                         http("never", self.url("never"), **{"if": "failure()"}), **NEVER_POISON)
        self.peer.wait_calls("/next")
        self.crash()
        done = self.server.wait_run(run)
        self.assertEqual((done["status"], done["error"]), ("success", None))
        self.assertEqual(self.verdicts(done), {"main/bad": "failed", "main/next": "success",
                                               "main/never": "skipped/condition"})
        self.assertEqual(self.bodies("/next"), [{"status": "failed", "code": 503}] * 2)
        self.assertEqual((self.calls("/bad"), self.calls("/never")), (1, 0))


class AfterTheVerdict(Case):
    def reserved(self):
        return {"on_failure": [http("tell", self.url("tell"), http_json={
                    "error": "${{ run.error.message }}", "outcome": "${{ run.outcome }}"})],
                "always": [http("sweep", self.url("sweep"), http_json={"outcome": "${{ run.outcome }}"})]}

    def test_on_failure_follows_a_failure_always_follows_all_and_kill_9_changes_no_verdict(self):
        self.peer.on("/work", status(500)).on("/tell", first(1, hang)).on("/sweep", first(1, hang))
        run = self.begin("fails", http("work", self.url("work")), **self.reserved(), **NEVER_POISON)
        self.peer.wait_calls("/tell"), self.peer.wait_calls("/sweep")
        self.assertEqual(self.server.run(run)["status"], "running", "they belong to the run")
        self.crash()
        done = self.server.wait_run(run)
        self.assertEqual((done["status"], done["error"]["code"]), ("failed", "task_failed"))
        self.assertEqual([self.calls(path) for path in ("/work", "/tell", "/sweep")], [1, 2, 2])
        self.assertEqual(len({call.key for call in self.peer.of("/tell")}), 1)
        self.assertEqual({body["outcome"] for body in self.bodies("/tell") + self.bodies("/sweep")}, {"failed"})
        self.assertIn("HTTP 500", self.bodies("/tell")[1]["error"])
        self.assertEqual(self.verdicts(done)["main/work"], "failed")

    def test_a_success_stays_one_whatever_becomes_of_always(self):
        self.peer.on("/sweep", status(500))
        run = self.begin("works", http("work", self.url("work")), **self.reserved())
        done = self.server.wait_run(run)
        self.assertEqual(done["status"], "success")
        self.assertEqual(jobs_of(done["attempts"][0]),
                         {"main": "success", "on-failure": "skipped/condition", "always": "failed"})
        self.assertEqual((self.calls("/tell"), self.bodies("/sweep")), (0, [{"outcome": "success"}]))

    def test_after_a_cancel_always_runs_and_on_failure_does_not(self):
        self.peer.on("/work", hang).on("/sweep", first(1, hang))
        run = self.begin("stopped", http("work", self.url("work")), **self.reserved(), **NEVER_POISON)
        self.peer.wait_calls("/work")
        self.server.post(f"runs/{run}/cancel")
        self.peer.wait_calls("/sweep")
        self.crash()
        done = self.server.wait_run(run)
        self.assertEqual(done["status"], "cancelled")
        self.assertEqual((self.calls("/work"), self.calls("/tell"), self.calls("/sweep")), (1, 0, 2))

    def test_a_run_that_keeps_killing_the_server_tells_of_it(self):
        self.peer.on("/work", hang)
        run = self.begin("poison", http("work", self.url("work")), recover={"max": 0}, **self.reserved())
        self.peer.wait_calls("/work")
        self.crash()
        done = self.server.wait_run(run)
        self.assertEqual((done["status"], done["error"]["code"]), ("failed", "recovery_limit"))
        self.assertEqual((self.calls("/work"), self.calls("/tell"), self.calls("/sweep")), (1, 1, 1))
        self.assertIn("recover.max", self.bodies("/tell")[0]["error"])

    def test_a_resume_is_followed_by_them_again_under_another_key(self):
        self.peer.on("/work", first(1, status(500)))
        run = self.begin("again", http("work", self.url("work")), **self.reserved())
        self.server.wait_run(run, "failed")
        self.server.post(f"runs/{run}/resume")
        self.server.wait_run(run, "success")
        self.assertEqual([body["outcome"] for body in self.bodies("/sweep")], ["failed", "success"])
        self.assertEqual(len({call.key for call in self.peer.of("/sweep")}), 2)
        self.assertEqual(self.calls("/tell"), 1)


class Environment(Case):
    def test_the_nearest_env_wins_and_what_the_run_began_with_stays_over_a_restart(self):
        self.server.stop()
        self.server.environment["PAWL_VAR_COLOUR"] = "green"
        self.server.start()
        self.peer.on("/hold", first(1, hang))
        run = self.begin(
            "env", env={"A": "workflow", "B": "workflow", "C": "workflow", "COLOUR": "${{ env.PAWL_VAR_COLOUR }}"},
            jobs={"main": {"env": {"B": "job", "C": "job"}, "tasks": [
                http("hold", self.url("hold")),
                script("print", "echo \"$A $B $C $COLOUR ${LANG} ${SECRET_OF_THE_SERVER-none}\"",
                       env={"C": "task ${{ tasks.hold.status }}"}, outputs={"text": "stdout"})]}}, **NEVER_POISON)
        self.peer.wait_calls("/hold")
        self.server.kill()
        self.server.environment |= {"PAWL_VAR_COLOUR": "red", "SECRET_OF_THE_SERVER": "x"}
        self.server.start()
        done = self.server.wait_run(run, "success")
        self.assertEqual(tasks_of(done["attempts"][-1])["main/print"]["outputs"]["text"],
                         "workflow job task success green C.UTF-8 none")


class RunTimes(Case):
    def test_a_run_whose_time_is_over_is_stopped_and_cleans_up(self):
        self.peer.on("/work", hang).on("/stuck", hang)
        run = self.begin("late", http("work", self.url("work")), http("next", self.url("next")),
                         http("tidy", self.url("tidy"), **{"if": "always()"}),
                         http("stuck", self.url("stuck"), **{"if": "always()"}),
                         timeout="600ms", cleanup_timeout="300ms", on_failure=[http("tell", self.url("tell"))])
        done = self.server.wait_run(run)
        self.assertEqual((done["status"], done["error"]["code"]), ("failed", "timeout"))
        self.assertEqual([self.calls(path) for path in ("/work", "/next", "/tidy", "/stuck")], [1, 0, 1, 1])
        self.assertEqual(self.verdicts(done)["main/stuck"], "cancelled")

    def test_its_time_goes_on_after_kill_9_and_stands_still_while_it_waits(self):
        self.peer.on("/work", hang)
        run = self.begin("late", {"id": "pause", "wait": "1200ms"}, http("work", self.url("work")), timeout="1s",
                         **NEVER_POISON)
        self.waiting_for(run, "timer")
        self.crash()
        self.peer.wait_calls("/work")
        self.crash()
        self.peer.wait_calls("/work", 2)
        done = self.server.wait_run(run)
        self.assertEqual((done["status"], done["error"]["code"]), ("failed", "timeout"))
        self.assertEqual(len(done["attempts"]), 2, "the wait was adopted, the call was recovered")

    def test_clean_up_after_a_cancel_ends_in_its_time_also_over_kill_9(self):
        self.peer.on("/work", hang).on("/sweep", hang)
        run = self.begin("stopped", http("work", self.url("work")), cleanup_timeout="1s",
                         always=[http("sweep", self.url("sweep"))], **NEVER_POISON)
        self.peer.wait_calls("/work")
        began = time.monotonic()
        self.server.post(f"runs/{run}/cancel")
        self.peer.wait_calls("/sweep")
        self.crash()
        done = self.server.wait_run(run)
        self.assertEqual(done["status"], "cancelled")
        self.assertGreater(time.monotonic() - began, 0.9)
        self.assertEqual(jobs_of(done["attempts"][-1])["always"], "cancelled")


class Everything(Case):
    def test_random_kills_repeat_nothing_but_what_was_in_flight(self):
        print(f"\n    seed of the kills: {SEED}", flush=True)
        dice = random.Random(SEED)
        for path in ("/plan", "/unit", "/bad", "/sum", "/tell", "/sweep"):
            self.peer.on(path, after(0.05, status(500) if path == "/bad" else answering([{"n": 1}, {"n": 2}, {"n": 3}])))
        tag = {"http_json": {"run": "${{ run.number }}", "n": "${{ matrix.n }}"}}
        run_only = {"http_json": {"run": "${{ run.number }}"}}
        self.apply("everything", **NEVER_POISON, keep_going=True, concurrency={"group": "g", "limit": 3},
                   on_failure=[http("tell", self.url("tell"), **run_only)],
                   always=[http("sweep", self.url("sweep"), **run_only)],
                   jobs={"plan": {"tasks": [http("plan", self.url("plan"), **run_only,
                                                 outputs={"list": "response.json.data"})]},
                         "each": {"needs": "plan", "max-parallel": 2,
                                  "matrix": "${{ jobs.plan.tasks.plan.outputs.list }}",
                                  "tasks": [http("unit", self.url("unit"), **tag), {"id": "pause", "wait": "100ms"},
                                            http("bad", self.url("bad"), **tag, continue_on_error=True)]},
                         "sum": {"needs": "each", "tasks": [http("sum", self.url("sum"), **run_only),
                                                            {"id": "end", "run": "exit 1"}]}})
        runs = [self.server.start_run("everything")["id"] for _ in range(6)]
        kills = []
        for _ in range(8):
            time.sleep(dice.uniform(0, 0.3))  # the moment of the kill is what is tested
            self.server.kill()
            kills.append(time.monotonic())
            self.server.start()
        finished = [self.server.wait_run(run) for run in runs]
        self.assertEqual({(run["status"], run["error"]["code"]) for run in finished}, {("failed", "task_failed")})

        works = {}
        for call in self.peer.calls:
            body = call.json
            works.setdefault((body["run"], call.path, body.get("n")), []).append(call)
        self.assertEqual(len(works), 6 * (1 + 3 + 3 + 1 + 1 + 1))
        for work, calls in works.items():
            self.assertEqual(len({call.key for call in calls}), 1, work)
            for earlier, later in zip(calls, calls[1:]):
                self.assertTrue(any(earlier.at <= kill <= later.at for kill in kills), f"{work} twice without a kill")
        self.assertEqual(len({calls[0].key for calls in works.values()}), len(works), "no two share a key")
        for run in finished:
            order = ["/plan", "/unit", "/bad", "/sum"]
            last = {path: max(call.at for work, calls in works.items() if work[:2] == (run["number"], path)
                              for call in calls) for path in order}
            first_call = {path: min(call.at for work, calls in works.items() if work[:2] == (run["number"], path)
                                    for call in calls) for path in order}
            self.assertLess(last["/plan"], first_call["/unit"])
            self.assertLess(last["/bad"], first_call["/sum"])
            for n in (1, 2, 3):
                self.assertLess(works[run["number"], "/unit", n][-1].at, works[run["number"], "/bad", n][0].at)
            self.assertEqual([task["status"] for attempt in run["attempts"] for task in tasks_of(attempt).values()
                              if task["status"] in ("pending", "running", "waiting")], [])


if __name__ == "__main__":
    unittest.main()
