"""Persons in the loop, with the real server: approvals, waits, held tasks, resume with the current version, rerun, many
runs by a filter, and two persons at once. All of it over kill -9."""

import concurrent.futures
import os
import pathlib
import subprocess
import tempfile
import time
import unittest

from support.cases import Case, Gate
from support.definitions import NEVER_POISON, http, script, workflow
from support.peer import first, hang, ok, status
from support.pawl import PAWL, alive, clean_environment, cli, tasks_of, wait_until


def approval(task_id, **more):
    return {"id": task_id, "approval": more or True}


class Approvals(Case):
    def chain(self, **asked):
        return [http("before", self.url("before")), approval("ask", message="Publish ${{ tasks.before.status }}?", **asked),
                http("after", self.url("after"), http_json={
                    "by": "${{ tasks.ask.outputs.approved_by }}", "comment": "${{ tasks.ask.outputs.comment }}"})]

    def test_an_approved_run_goes_on_once_over_kill_9_before_and_after_the_answer(self):
        self.peer.on("/after", first(1, hang))
        run = self.begin("ask", *self.chain(), **NEVER_POISON)
        waiting = self.waiting_for(run, "approval")
        self.assertEqual(waiting["status"], "waiting")
        self.crash()
        asked = tasks_of(self.server.run(run)["attempts"][-1])["main/ask"]
        self.assertEqual((asked["status"], asked["message"], asked["tries"]), ("waiting", "Publish success?", []))
        self.assertEqual(self.server.run(run)["attempt"], 1, "nothing was in flight: the attempt goes on")
        self.answer(run, "main/ask", "approve", comment="looks good")
        self.peer.wait_calls("/after")
        self.crash()
        done = self.server.wait_run(run, "success")
        self.assertEqual((self.calls("/before"), self.calls("/after")), (1, 2))
        self.assertEqual(self.bodies("/after")[1], {"by": "admin", "comment": "looks good"})
        asked = tasks_of(done["attempts"][0])["main/ask"]
        self.assertEqual((asked["response"]["answer"], asked["response"]["user"]), ("approved", "admin"))
        self.assertEqual(self.verdicts(done)["main/ask"], "skipped/done")
        self.refused(409, "not_waiting", self.answer, run, "main/ask", "approve")

    def test_a_rejected_one_fails_with_the_reason_and_a_resume_asks_again(self):
        run = self.begin("ask", *self.chain(), on_failure=[
            http("tell", self.url("tell"), http_json={"why": "${{ run.error.message }}"})])
        self.waiting_for(run, "approval")
        self.answer(run, "main/ask", "reject", comment="not on a Friday")
        failed = self.server.wait_run(run, "failed")
        error = tasks_of(failed["attempts"][0])["main/ask"]["error"]
        self.assertEqual((error["code"], error["message"]), ("approval_rejected", "rejected by admin: not on a Friday"))
        self.assertIn("not on a Friday", self.bodies("/tell")[0]["why"])
        self.server.post(f"runs/{run}/resume")
        self.waiting_for(run, "approval", attempt=2)
        self.answer(run, "main/ask", "approve")
        self.server.wait_run(run, "success")
        self.assertEqual((self.calls("/before"), self.calls("/after")), (1, 1))

    def test_one_that_expires_while_the_server_is_down_fails_at_its_start(self):
        run = self.begin("ask", *self.chain(expires="1s"))
        due = self.waiting_for(run, "approval")["due"]
        self.server.kill()
        time.sleep(1)  # the expiry passes while nobody is there
        self.server.start()
        failed = self.server.wait_run(run, "failed")
        self.assertEqual(tasks_of(failed["attempts"][0])["main/ask"]["error"]["code"], "approval_expired")
        self.assertGreaterEqual(failed["finished_at"], due)
        self.assertEqual(len(failed["attempts"]), 1)

    def test_a_task_cut_off_beside_it_leaves_the_question_open(self):
        self.peer.on("/work", first(1, hang))
        run = self.begin("beside", **NEVER_POISON, jobs={
            "ask": {"tasks": [approval("ask", message="Well?", expires="1h")]},
            "work": {"tasks": [http("work", self.url("work"))]}})
        self.peer.wait_calls("/work")
        due = tasks_of(self.server.run(run)["attempts"][0])["ask/ask"]["due"]
        self.crash()
        self.waiting_for(run, "approval", attempt=2)
        asked = tasks_of(self.server.run(run)["attempts"][1])["ask/ask"]
        self.assertEqual((asked["message"], asked["due"]), ("Well?", due))
        self.answer(run, "ask/ask", "approve")
        self.server.wait_run(run, "success")

    def test_a_cancel_ends_the_wait(self):
        run = self.begin("ask", *self.chain())
        self.waiting_for(run, "approval")
        self.server.post(f"runs/{run}/cancel")
        self.assertEqual(self.server.run(run)["status"], "cancelled")
        self.refused(409, "not_waiting", self.answer, run, "main/ask", "approve")
        self.assertEqual(self.calls("/after"), 0)

    def test_a_place_in_a_group_is_kept_while_a_person_is_waited_for(self):
        self.apply("ask", approval("ask"), concurrency={"group": "one"})
        asking, queued = (self.server.start_run("ask")["id"] for _ in range(2))
        self.waiting_for(asking, "approval")
        self.crash()
        self.assertEqual(self.server.run(queued)["waits_for"], "group")
        self.answer(asking, "main/ask", "approve")
        self.waiting_for(queued, "approval")


    def test_each_instance_of_a_matrix_asks_for_itself_whatever_it_is_called(self):
        run = self.begin("each", jobs={"deploy": {
            "matrix": {"to": ["a/b", "일 2", "c]/gate"]},
            "tasks": [approval("gate", message="To ${{ matrix.to }}?"),
                      http("go", self.url("go"), http_json={"to": "${{ matrix.to }}"})]}})
        self.waiting_for(run, "approval")
        self.crash()
        self.answer(run, "deploy[to=a/b]/gate", "approve")
        self.peer.wait_calls("/go")
        self.refused(409, "not_waiting", self.answer, run, "deploy[to=a/b]/gate", "reject")
        self.assertEqual(self.server.cli("approve", "each#1", "deploy[to=일 2]/gate").returncode, 0)
        self.assertEqual(self.server.cli("approve", "each#1", "deploy[to=c]/gate]/gate").returncode, 0)
        self.server.wait_run(run, "success")
        self.assertEqual([body["to"] for body in self.bodies("/go")], ["a/b", "일 2", "c]/gate"])
        self.assertEqual(self.server.cli("rerun", "each#1", "--from", "deploy[to=c]/gate]/go").returncode, 0)
        self.server.wait_run(run, "success")
        self.assertEqual(self.bodies("/go")[3:], [{"to": "c]/gate"}])


class Waits(Case):
    def threads(self):
        return len(os.listdir(f"/proc/{self.server.process.pid}/task"))

    def processor_time(self):
        with open(f"/proc/{self.server.process.pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def test_a_wait_ends_when_it_would_have_over_kill_9(self):
        run = self.begin("pause", {"id": "pause", "wait": "1500ms"}, http("after", self.url("after")))
        due = self.waiting_for(run, "timer")["due"]
        for _ in range(2):
            self.crash()
            self.assertEqual(self.server.run(run)["due"], due)
        done = self.server.wait_run(run, "success")
        self.assertEqual(len(done["attempts"]), 1)
        self.assertGreaterEqual(tasks_of(done["attempts"][0])["main/pause"]["finished_at"], due)

    def test_a_thousand_runs_that_wait_take_no_thread_and_no_time_and_survive_kill_9(self):
        count = 1000
        self.apply("many", jobs={
            "a": {"tasks": [approval("ask", message="Well?", expires="30d")]},
            "b": {"tasks": [{"id": "wait", "wait": "30d"}]}})
        before = self.threads()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            runs = [one["id"] for one in pool.map(lambda _: self.server.start_run("many"), range(count))]
        self.assertEqual(self.threads(), before)

        def all_wait():
            chosen = self.server.post("runs/bulk", {"action": "cancel", "dry_run": True,
                                                    "filter": {"status": "waiting"}})
            return len(chosen["items"]) == count

        self.assertTrue(all_wait())
        self.crash()
        self.assertTrue(all_wait(), "all of them are there when it is ready")
        self.assertEqual(self.threads(), before)
        used = self.processor_time()
        window = 0.5
        time.sleep(window)  # what is measured is that nothing happens
        self.assertLess(self.processor_time() - used, 0.2 * window)
        self.answer(runs[500], "a/ask", "approve")
        self.assertEqual(self.server.run(runs[500])["waits_for"], "timer")
        self.assertEqual(self.server.run(runs[501])["waits_for"], "approval")


class Held(Case):
    def pay(self):
        return [http("reserve", self.url("reserve")),
                http("pay", self.url("pay"), on_crash="hold", http_json={"n": "${{ inputs.n }}"},
                     outputs={"receipt": "response.json.data.receipt"}),
                http("ship", self.url("ship"), http_json={"receipt": "${{ tasks.pay.outputs.receipt ?? 'none' }}"})]

    def test_a_task_that_was_cut_off_waits_and_is_released_as_a_person_says(self):
        self.peer.on("/pay", first(3, hang, then=lambda _: (200, {"success": True, "data": {"receipt": "r"}})))
        self.apply("pay", *self.pay(), inputs={"n": {"type": "int"}},
                   on_failure=[http("undo", self.url("undo"))])
        runs = [self.server.start_run("pay", {"n": n})["id"] for n in range(3)]
        self.peer.wait_calls("/pay", 3)
        self.crash()
        for run in runs:
            held = self.waiting_for(run, "release")
            self.assertEqual((held["status"], held["attempt"]), ("waiting", 2))
        self.crash()
        self.assertEqual([self.server.run(run)["attempt"] for run in runs], [2, 2, 2])
        self.assertEqual(self.calls("/pay"), 3)

        self.refused(409, "not_waiting", self.answer, runs[0], "main/pay", "approve")
        self.refused(422, "outputs_invalid", self.answer, runs[0], "main/pay", "release", answer="done",
                     outputs={"other": 1})
        self.answer(runs[0], "main/pay", "release", answer="done", outputs={"receipt": "by hand"}, comment="I looked")
        self.answer(runs[1], "main/pay", "release", answer="rerun")
        self.answer(runs[2], "main/pay", "release", answer="fail")
        done = [self.server.wait_run(run) for run in runs]
        self.assertEqual([run["status"] for run in done], ["success", "success", "failed"])
        self.assertEqual(sorted(body["receipt"] for body in self.bodies("/ship")), ["by hand", "r"])
        keys = {n: [call.key for call in self.peer.of("/pay") if call.json["n"] == n] for n in range(3)}
        self.assertEqual([len(keys[n]) for n in range(3)], [1, 2, 1])
        self.assertEqual(len(set(keys[1])), 1, "the same work under the same key")
        self.assertEqual((self.calls("/reserve"), self.calls("/undo")), (3, 1))
        self.assertEqual(tasks_of(done[2]["attempts"][-1])["main/pay"]["error"]["code"], "interrupted")

    def test_its_process_is_gone_when_it_is_held(self):
        pids = self.server.folder / "pids"
        run = self.begin("held", script("work", f"echo $$ >> {pids}; exec sleep 1000", on_crash="hold"))
        self.wait_for(run, lambda _: pids.exists() and pids.read_text())
        self.crash()
        self.waiting_for(run, "release")
        self.assertFalse(alive(int(pids.read_text())))
        self.answer(run, "main/work", "release", answer="done")
        self.server.wait_run(run, "success")
        self.assertEqual(len(pids.read_text().split()), 1, "it was begun once")

    def test_a_run_that_keeps_killing_the_server_is_held_and_the_others_go_on(self):
        self.peer.on("/poison", first(2, hang)).on("/good", first(2, hang))
        run = self.begin("poison", http("poison", self.url("poison")), recover={"max": 1, "then": "hold"})
        good = self.begin("good", http("good", self.url("good")), **NEVER_POISON)
        for count in (1, 2):
            self.peer.wait_calls("/poison", count), self.peer.wait_calls("/good", count)
            self.crash()
        held = self.waiting_for(run, "release")
        self.assertEqual(held["attempt"], 3)
        self.server.wait_run(good, "success")
        self.crash()
        self.assertEqual(self.server.run(run)["waits_for"], "release")
        self.assertEqual(self.calls("/poison"), 2)
        self.answer(run, "main/poison", "release", answer="rerun")
        self.server.wait_run(run, "success")
        self.assertEqual(len({call.key for call in self.peer.of("/poison")}), 1)


class CurrentVersion(Case):
    def fail(self, *tasks, **more):
        run = self.begin("w", *tasks, **more)
        self.server.wait_run(run, "failed")
        return run

    def change(self, *tasks, **more):
        self.server.apply(workflow("w", *tasks, **more), name="w")

    def test_it_goes_on_in_the_new_version_and_repeats_nothing_that_is_done(self):
        self.peer.on("/b", first(1, status(500), then=first(2, hang)))
        run = self.fail(http("a", self.url("a"), outputs={"x": "response.json.success"}), script("said", "echo old"),
                        http("b", self.url("b")), **NEVER_POISON)
        self.change(http("new", self.url("new")), http("a", self.url("other"), outputs={"x": "response.json.success"}),
                    script("said", "echo new"),
                    http("b", self.url("b"), http_json={"x": "${{ tasks.a.outputs.x }}", "fixed": True}), **NEVER_POISON)
        self.server.post(f"runs/{run}/resume", {"with_current": True})
        self.peer.wait_calls("/b", 2)
        self.crash()
        done = self.server.wait_run(run, "success")
        self.assertEqual([attempt["version"] for attempt in done["attempts"]], [1, 2, 2])
        self.assertEqual([self.calls(path) for path in ("/a", "/other", "/new", "/b")], [1, 0, 1, 3])
        self.assertEqual(self.bodies("/b")[1:], [{"x": True, "fixed": True}] * 2)
        self.assertEqual(len({call.key for call in self.peer.of("/b")}), 1)
        self.assertEqual(self.verdicts(done), {"main/new": "skipped/done", "main/a": "skipped/done",
                                               "main/said": "skipped/done", "main/b": "success"})
        self.assertEqual(self.server.task_log(run, "main/said"), "old\n")

    def test_a_done_task_without_an_id_is_refused_and_forced(self):
        unnamed = http("x", self.url("one"))
        del unnamed["id"]
        self.peer.on("/two", first(1, status(500)))
        run = self.fail(unnamed, http("two", self.url("two")))
        self.change(unnamed, http("two", self.url("two")), http("three", self.url("three")))
        problem = self.refused(422, "tasks_unmatched", self.server.post, f"runs/{run}/resume", {"with_current": True})
        self.assertIn("main/task-1", problem["detail"])
        self.assertEqual(self.server.run(run)["attempt"], 1)
        self.server.post(f"runs/{run}/resume", {"with_current": True, "force": True})
        self.server.wait_run(run, "success")
        self.assertEqual([self.calls(path) for path in ("/one", "/two", "/three")], [2, 2, 1])
        self.assertEqual(len({call.key for call in self.peer.of("/one")}), 2, "thrown away: another generation")

    def test_inputs_that_do_not_fit_are_refused_and_the_run_can_be_resumed_as_it_was(self):
        self.peer.on("/a", first(1, status(500)))
        run = self.fail(http("a", self.url("a")))
        self.change(http("a", self.url("a")), inputs={"n": {"type": "int", "required": True}})
        self.refused(422, "inputs_invalid", self.server.post, f"runs/{run}/resume", {"with_current": True})
        self.server.post(f"runs/{run}/resume")
        self.assertEqual(self.server.wait_run(run, "success")["version"], 1)


class Rerun(Case):
    def graph(self):
        def task(name):
            return http(name, self.url(name))

        return {"build": {"tasks": [task("fetch"), task("make")]},
                "test": {"needs": "build", "matrix": {"os": ["a", "b"]},
                         "tasks": [http("unit", self.url("unit"), http_json={"os": "${{ matrix.os }}"})]},
                "publish": {"needs": "test", "tasks": [task("check"), task("send")]},
                "notes": {"tasks": [task("notes")]}}

    def counts(self):
        return [self.calls(f"/{name}") for name in ("fetch", "make", "unit", "check", "send", "notes")]

    def test_from_a_task_an_instance_a_job_with_all_that_needs_it_over_kill_9(self):
        run = self.begin("graph", jobs=self.graph(), **NEVER_POISON)
        self.server.wait_run(run, "success")
        self.assertEqual(self.counts(), [1, 1, 2, 1, 1, 1])

        self.server.post(f"runs/{run}/rerun", {"from": "publish/send"})
        self.server.wait_run(run, "success")
        self.assertEqual(self.counts(), [1, 1, 2, 1, 2, 1])

        self.peer.on("/unit", lambda call: hang(call) if call.number == 3 else (200, {"success": True}))
        self.server.post(f"runs/{run}/rerun", {"from": "test[os=b]"})
        self.peer.wait_calls("/unit", 3)
        self.crash()
        done = self.server.wait_run(run, "success")
        self.assertEqual(self.counts(), [1, 1, 4, 2, 3, 1])
        self.assertEqual([body["os"] for body in self.bodies("/unit")[2:]], ["b", "b"])
        keys = [call.key for call in self.peer.of("/unit")]
        self.assertEqual(keys[2], keys[3], "a crash stays in the generation")
        self.assertEqual(len(set(keys)), 3, "a rerun begins another")
        self.assertEqual(done["attempts"][2]["trigger"], "rerun")
        self.assertEqual(self.verdicts(done)["test[os=a]/unit"], "skipped/done")

        self.server.post(f"runs/{run}/rerun", {"from": "build"})
        done = self.server.wait_run(run, "success")
        self.assertEqual(self.counts(), [2, 2, 6, 3, 4, 1])
        self.assertEqual({call.trace for call in self.peer.calls}, {done["trace_id"]})
        self.refused(404, "task_unknown", self.server.post, f"runs/{run}/rerun", {"from": "build/nothing"})

    def test_a_rerun_of_a_failed_run_goes_on_with_the_rest_too(self):
        self.peer.on("/notes", first(1, status(500)))
        run = self.begin("graph", jobs=self.graph())
        self.server.wait_run(run, "failed")
        self.server.post(f"runs/{run}/rerun", {"from": "publish"})
        self.server.wait_run(run, "success")
        self.assertEqual(self.counts(), [1, 1, 2, 2, 2, 2])


class Many(Case):
    def test_runs_are_cancelled_and_resumed_by_a_filter(self):
        gate = Gate()
        self.peer.on("/work", gate)
        self.apply("one", http("work", self.url("work")))
        self.apply("other", http("work", self.url("work")))
        ones = {self.server.start_run("one")["id"] for _ in range(5)}
        other = self.server.start_run("other")["id"]
        self.peer.wait_calls("/work", 6)
        found = self.server.post("runs/bulk", {"action": "cancel", "filter": {"workflow": "one"}, "dry_run": True})
        self.assertEqual({item["id"] for item in found["items"]}, ones)
        self.assertEqual({self.server.run(run)["status"] for run in ones}, {"running"}, "a dry run moves nothing")

        answer = self.server.post("runs/bulk", {"action": "cancel", "filter": {"workflow": "one"}})
        self.assertEqual({item["id"]: item["accepted"] for item in answer["items"]}, dict.fromkeys(ones, True))
        for run in ones:
            self.server.wait_run(run, "cancelled")
        self.assertEqual(self.server.run(other)["status"], "running")

        self.crash()
        gate.open()
        answer = self.server.post("runs/bulk", {"action": "resume", "filter": {"workflow": "one", "status": "cancelled"}})
        self.assertEqual({item["id"] for item in answer["items"] if item["accepted"]}, ones)
        for run in [*ones, other]:
            self.server.wait_run(run, "success")
        self.assertEqual(self.server.post("runs/bulk", {"action": "resume", "filter": {"workflow": "one"}})["items"], [])
        rerun = self.server.post("runs/bulk", {"action": "rerun", "from": "main", "filter": {"workflow": "one"}})
        self.assertEqual(len(rerun["items"]), 5)
        for run in ones:
            self.assertEqual(len(self.server.wait_run(run, "success")["attempts"]), 3)


class TwoAtOnce(Case):
    def test_of_two_answers_one_wins(self):
        self.apply("ask", approval("ask"), http("after", self.url("after")))
        for _ in range(5):
            run = self.server.start_run("ask")["id"]
            self.waiting_for(run, "approval")
            approved, rejected = self.one_wins(lambda: self.answer(run, "main/ask", "approve"),
                                               lambda: self.answer(run, "main/ask", "reject"))
            self.assertEqual((approved or rejected), (409, "not_waiting"))
            self.assertEqual(self.server.wait_run(run)["status"], "failed" if approved else "success")

    def test_of_two_releases_one_wins(self):
        self.peer.on("/pay", first(1, hang))
        run = self.begin("pay", http("pay", self.url("pay"), on_crash="hold"))
        self.peer.wait_calls("/pay")
        self.crash()
        self.waiting_for(run, "release")
        done, failed = self.one_wins(lambda: self.answer(run, "main/pay", "release", answer="done"),
                                     lambda: self.answer(run, "main/pay", "release", answer="fail"))
        self.assertEqual(done or failed, (409, "not_waiting"))
        self.assertEqual(self.server.wait_run(run)["status"], "failed" if done else "success")

    def test_of_a_resume_and_a_rerun_one_wins(self):
        gate = Gate()
        self.peer.on("/b", first(1, status(500), then=gate)).on("/a", first(1, ok, then=gate))
        run = self.begin("two", http("a", self.url("a")), http("b", self.url("b")))
        self.server.wait_run(run, "failed")
        answers = self.one_wins(lambda: self.server.post(f"runs/{run}/resume"),
                                lambda: self.server.post(f"runs/{run}/rerun", {"from": "main"}),
                                lambda: self.server.post(f"runs/{run}/resume"))
        self.assertEqual({answer for answer in answers if answer}, {(409, "run_open")})
        gate.open()
        self.assertEqual(len(self.server.wait_run(run, "success")["attempts"]), 2)

    def test_of_an_answer_and_a_cancel_the_run_is_one_or_the_other(self):
        self.apply("ask", approval("ask"))
        run = self.server.start_run("ask")["id"]
        self.waiting_for(run, "approval")
        approved, cancelled = self.one_wins(lambda: self.answer(run, "main/ask", "approve"),
                                            lambda: self.server.post(f"runs/{run}/cancel"))
        self.assertEqual(self.server.run(run)["status"], "cancelled" if approved else "success")
        self.assertIn(approved or cancelled, ((409, "not_waiting"), (409, "run_final")))


class CommandLine(Case):
    def pawl(self, *arguments, code=0):
        done = self.server.cli(*arguments)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def test_every_act_has_its_command_and_whoever_is_late_is_told_so(self):
        self.peer.on("/pay", first(1, hang)).on("/last", first(1, status(500)))
        self.apply("acts", approval("ask", message="Pay?"), http("pay", self.url("pay"), on_crash="hold"),
                   http("last", self.url("last")))
        run = self.server.start_run("acts")["id"]
        self.waiting_for(run, "approval")
        self.assertIn("Pay?", self.pawl("show", "acts#1"))
        self.pawl("release", "acts#1", "main/ask", "done", code=4)
        self.pawl("approve", "acts#1", "main/ask", "-m", "fine")
        self.pawl("approve", "acts#1", "main/ask", code=4)
        self.peer.wait_calls("/pay")
        self.pawl("resume", "acts#1", code=4)
        self.crash()
        self.waiting_for(run, "release")
        self.pawl("release", "acts#1", "main/pay", "rerun")
        self.server.wait_run(run, "failed")
        self.apply_again("acts", approval("ask"), http("pay", self.url("pay")), http("last", self.url("last")),
                         http("more", self.url("more")))
        self.pawl("resume", "acts#1", "--with-current")
        self.assertEqual(self.server.wait_run(run, "success")["version"], 2)
        self.assertEqual([self.calls(path) for path in ("/pay", "/last", "/more")], [2, 2, 1])
        self.pawl("resume", "acts#1", code=4)
        self.pawl("rerun", "acts#1", "--from", "main/more")
        self.server.wait_run(run, "success")
        self.assertEqual([self.calls(path) for path in ("/pay", "/last", "/more")], [2, 2, 2])
        self.pawl("rerun", "acts#1", "--from", "main/nothing", code=1)

    def apply_again(self, name, *tasks):
        self.server.apply(workflow(name, *tasks), name=name)

    def test_many_runs_by_a_filter(self):
        self.apply("many", approval("ask"))
        runs = [self.server.start_run("many")["id"] for _ in range(3)]
        for run in runs:
            self.waiting_for(run, "approval")
        said = self.pawl("cancel", "--workflow", "many", "--status", "waiting", "--dry-run")
        self.assertEqual([f"many#{n}" in said for n in (1, 2, 3)], [True] * 3)
        self.assertEqual(self.server.run(runs[0])["status"], "waiting")
        self.pawl("cancel", "--workflow", "many", "--status", "waiting")
        self.assertEqual({self.server.run(run)["status"] for run in runs}, {"cancelled"})
        self.pawl("resume", "--workflow", "many")
        for run in runs:
            self.waiting_for(run, "approval", attempt=2)


class WithoutAServer(unittest.TestCase):
    """`pawl run`, killed, and what goes on with it."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="pawl-person-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def pawl(self, *arguments, code=0):
        done = cli(*arguments, cwd=self.folder)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def test_a_held_task_of_a_killed_run_is_released(self):
        trace = self.folder / "trace"
        (self.folder / "w.json").write_text(workflow(
            "alone", script("pay", f"echo \"$PAWL_IDEMPOTENCY_KEY\" >> {trace}\n[ -e {self.folder}/go ] || sleep 1000",
                            on_crash="hold"), script("after", "echo went on")))
        process = subprocess.Popen([PAWL, "run", "w.json"], cwd=self.folder, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, env=clean_environment())
        wait_until(lambda: trace.exists() and trace.read_text(), 20, "the task to begin")
        process.kill()
        process.wait()
        said = self.pawl("resume", "alone#1", code=1)
        self.assertIn("pawl release", said)
        (self.folder / "go").touch()
        self.assertIn("went on", self.pawl("release", "alone#1", "main/pay", "rerun"))
        keys = trace.read_text().split()
        self.assertEqual((len(keys), len(set(keys))), (2, 1))

    def test_an_approval_nobody_can_be_asked_for_is_given_later(self):
        (self.folder / "w.json").write_text(workflow("alone", approval("ask", message="Well?"), script("after", "echo went on")))
        said = self.pawl("run", "w.json", code=1)
        self.assertIn("pawl approve", said)
        self.assertIn("went on", self.pawl("approve", "alone#1", "main/ask"))


if __name__ == "__main__":
    unittest.main()
