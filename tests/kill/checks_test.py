"""That each check finds what it is for: a story in which all is well, and what would have to be said if it were not."""

import copy
import unittest

from kill import checks

T0 = 1_800_000_000.0  # 2027-01-15T08:00:00Z
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def at(seconds):
    return f"2027-01-15T08:00:{seconds:06.3f}Z"


def a_try(number, status, begin, end):
    return {"try": number, "status": status, "started_at": at(begin), "finished_at": at(end)}


def task(name, status, tries=(), reason=None, end=0, **more):
    return {"task": name, "status": status, "reason": reason, "generation": 1, "tries": list(tries),
            "finished_at": at(end), **more}


def effect(kind, seconds, name, **more):
    base = {"kind": kind, "at": T0 + seconds, "task": name, "key": f"key of {name}", "saw": None, "mark": "1",
            "try": None}
    base |= {"trace": TRACE} if kind == "http" else {"run": "r1"}
    return base | more


def good_story():
    """get (HTTP) and then put (shell), in which the server was killed at second 5; then a cancel of r2 at second 20."""
    first = {"attempt": 1, "status": "failed", "trigger": "api", "created_at": at(1), "cancel_requested": False,
             "error": {"code": "interrupted", "message": "interrupted by system restart"}, "job_runs": [
                 {"job": "main", "status": "failed", "task_runs": [
                     task("get", "success", [a_try(1, "success", 1, 2)], end=2, outputs={"token": "get.1"}),
                     task("put", "failed", [a_try(1, "interrupted", 2, 6)], end=6)]}]}
    second = {"attempt": 2, "status": "success", "trigger": "recovery", "created_at": at(6), "cancel_requested": False,
              "error": None, "job_runs": [{"job": "main", "status": "success", "task_runs": [
                  task("get", "skipped", reason="done"),
                  task("put", "success", [a_try(2, "success", 6, 8)], end=8, response=None)]}]}
    cancelled = {"attempt": 1, "status": "cancelled", "trigger": "api", "created_at": at(10), "cancel_requested": True,
                 "error": None, "job_runs": [{"job": "main", "status": "cancelled", "task_runs": [
                     task("get", "cancelled", [a_try(1, "cancelled", 10, 20)], end=20), task("put", "cancelled"),
                     task("undo", "success", [a_try(1, "success", 20.5, 21)], end=21)]}]}
    runs = {
        "r1": {"id": "r1", "workflow": "w", "version": 1, "number": 1, "inputs": {"who": "me"}, "trace_id": TRACE,
               "status": "success", "attempts": [first, second]},
        "r2": {"id": "r2", "workflow": "w", "version": 1, "number": 2, "inputs": {}, "trace_id": "b" * 32,
               "status": "cancelled", "attempts": [cancelled]},
    }
    start = {"what": "start", "workflow": "w", "version": 1}
    of_r1 = {"run": "r1", "key": "k1", "inputs": {"who": "me"}, "number": 1, "trace": TRACE}
    return {
        "acks": [{"at": T0, "what": "apply", "workflow": "w", "version": 1},
                 {"at": T0 + 1, **of_r1, **start},
                 {"at": T0 + 7, **of_r1, **start},
                 {"at": T0 + 10, "run": "r2", "key": "k2", "inputs": {}, "number": 2, "trace": "b" * 32, **start},
                 {"at": T0 + 20, "what": "cancel", "run": "r2", "attempt": 1}],
        "effects": [effect("http", 1.5, "main/get", token="get.1"),
                    effect("run", 3, "main/put", **{"try": 1}, saw="get.1"),
                    effect("run", 7, "main/put", **{"try": 2}, saw="get.1"),
                    effect("http", 11, "main/get", trace="b" * 32, key="other key", token="get.9"),
                    effect("http", 20.7, "main/undo", trace="b" * 32, key="key of undo", token="undo.1")],
        "kills": [{"at": T0 + 5}], "runs": runs, "listed": ["r2", "r1"], "versions": {"w": [1]},
        "seen": [{"run": "r1", "attempt": 1, "final": None, "tasks": {"main/get": "success"}},
                 {"run": "r1", "attempt": 2, "final": "success", "tasks": {"main/put": "success"}}],
        "logs": {"r1 main/put 2": "line 1 of try 2\nline 2 of try 2\n"}, "lines": 2,
        "workflows": {"w": {"main/get": {"hands_on": True},
                            "main/put": {"saw": "main/get", "lines": True, "after": ["main/get"]},
                            "main/undo": {"cleanup": True}}},
        "expected": {"r1": "success", "r2": "cancelled"},
    }


class Checks(unittest.TestCase):
    def setUp(self):
        self.story = good_story()
        self.effects = self.story["effects"]

    def row(self, run, attempt, name):
        jobs = self.story["runs"][run]["attempts"][attempt - 1]["job_runs"]
        return next(row for row in jobs[0]["task_runs"] if row["task"] == name)

    def finds(self, check, part):
        found = checks.violations(self.story)
        hits = [sentence for sentence in found if sentence.startswith(f"{check.__name__}: ") and part in sentence]
        self.assertTrue(hits, found)

    def test_a_good_story_has_no_violation(self):
        self.assertEqual(checks.violations(self.story), [])

    def test_every_check_is_shown_to_fail_by_a_test_here(self):
        text = open(__file__, encoding="utf-8").read()
        for check in checks.CHECKS:
            self.assertIn(f"self.finds(checks.{check.__name__},", text)

    # ---- accepted is durable ----

    def test_a_lost_run(self):
        del self.story["runs"]["r2"]
        self.finds(checks.accepted_is_durable, "r2 was accepted")

    def test_other_inputs_another_version_another_number(self):
        self.story["runs"]["r1"] |= {"inputs": {"who": "you"}, "version": 2, "number": 7}
        for part in ("who", "version", "number"):
            self.finds(checks.accepted_is_durable, part)

    def test_a_key_that_gave_two_runs(self):
        self.story["acks"][2]["run"] = "r2"
        self.finds(checks.accepted_is_durable, "two runs")

    def test_a_run_that_nobody_asked_for(self):
        self.story["listed"].append("r3")
        self.finds(checks.accepted_is_durable, "nobody asked")

    def test_a_lost_version(self):
        self.story["versions"]["w"] = []
        self.finds(checks.accepted_is_durable, "version 1 of w")

    # ---- answers ----

    def test_answers_that_came_to_nothing(self):
        self.story["runs"]["r2"]["attempts"][0]["status"] = "failed"
        self.story["acks"] += [{"at": T0, "what": what, "run": "r1", "attempt": 1}
                               for what in ("approve", "resume", "rerun")]
        for part in ("cancel", "approval", "resume", "rerun"):
            self.finds(checks.answers_hold, part)

    # ---- done is done ----

    def test_a_second_try_after_success(self):
        self.row("r1", 2, "get")["tries"] = [a_try(2, "success", 6, 7)]
        self.finds(checks.done_is_done, "started again as try 2")

    def test_an_effect_long_after_success(self):
        self.effects.append(effect("http", 7, "main/get", token="get.2"))
        self.finds(checks.done_is_done, "before its last effect")

    # ---- effects and tries ----

    def test_an_effect_without_a_try(self):
        self.effects.append(effect("http", 1.6, "main/get", token="get.2"))
        self.finds(checks.effects_have_tries, "2 effects in 1 tries")

    def test_two_effects_of_one_try(self):
        self.effects.append(effect("run", 7.1, "main/put", **{"try": 2}, saw="get.1"))
        self.finds(checks.effects_have_tries, "try 2 of main/put had 2 effects")

    def test_an_effect_of_a_try_that_was_never_committed(self):
        self.effects[2]["try"] = 5
        self.finds(checks.effects_have_tries, "try 5 of main/put had an effect and is not in the store")

    def test_a_success_without_effect(self):
        del self.effects[2]
        self.finds(checks.effects_have_tries, "recorded as success and had no effect")

    def test_a_second_key_in_one_generation(self):
        self.effects[2]["key"] = "another"
        self.finds(checks.effects_have_tries, "2 keys in 1 generations")

    def test_a_stranger(self):
        self.effects[0]["trace"] = "c" * 32
        self.finds(checks.effects_have_tries, "does not exist")

    def test_more_interruptions_than_kills(self):
        self.story["kills"] = []
        self.finds(checks.effects_have_tries, "interrupted 1 times by 0 kills")

    def test_tries_that_are_not_numbered_through(self):
        self.row("r1", 2, "put")["tries"][0]["try"] = 4
        self.finds(checks.effects_have_tries, "numbered [1, 4]")

    # ---- outputs ----

    def test_an_output_that_was_not_committed(self):
        self.effects[2]["saw"] = "get.2"
        self.finds(checks.outputs_are_committed, "saw 'get.2'")

    def test_an_output_that_was_seen_too_early(self):
        self.effects[1]["at"] = T0 + 1.9
        self.finds(checks.outputs_are_committed, "before the output that it saw was committed")
        self.finds(checks.outputs_are_committed, "before main/get was done")

    def test_an_output_that_nobody_gave(self):
        self.effects[0]["token"] = "get.3"
        self.finds(checks.outputs_are_committed, "never answered")

    # ---- nothing stays open ----

    def test_a_wrong_end(self):
        self.story["expected"]["r1"] = "failed"
        self.finds(checks.nothing_stays_open, "is success, not failed")

    def test_an_open_row_and_an_open_attempt(self):
        self.row("r1", 1, "put")["status"] = "running"
        self.story["runs"]["r2"]["attempts"][0]["status"] = "waiting"
        self.finds(checks.nothing_stays_open, "main/put is running")
        self.finds(checks.nothing_stays_open, "attempt 1 is waiting")

    def test_a_recovery_after_something_else_than_a_crash(self):
        self.story["runs"]["r1"]["attempts"][0]["error"] = None
        self.finds(checks.nothing_stays_open, "which was cut off, says ('failed', None")

    def test_a_stop_that_is_told_as_a_crash(self):
        self.story["kills"] = [{"at": T0 + 5, "how": "tasks first"}]
        self.finds(checks.nothing_stays_open, "'interrupted by system restart')")
        self.story["runs"]["r1"]["attempts"][0]["error"]["message"] = "interrupted by system stop"
        self.assertEqual(checks.violations(self.story), [])

    def test_more_recoveries_than_kills(self):
        self.story["kills"] = []
        self.finds(checks.nothing_stays_open, "1 recoveries after 0 kills")

    def test_a_lost_attempt(self):
        self.story["runs"]["r1"]["attempts"][1]["attempt"] = 3
        self.finds(checks.nothing_stays_open, "numbered [1, 3]")

    # ---- cancel ----

    def test_a_try_after_the_cancel(self):
        self.row("r2", 1, "put")["tries"] = [a_try(1, "cancelled", 20.1, 20.2)]
        self.finds(checks.cancel_is_final, "main/put was started 0.100 s after")

    def test_an_effect_after_the_cancel(self):
        self.effects.append(effect("http", 21, "main/get", trace="b" * 32, token="get.10"))
        self.finds(checks.cancel_is_final, "had an effect 1.000 s after")

    def test_clean_up_and_what_a_person_resumes_may_start(self):
        again = copy.deepcopy(self.story["runs"]["r2"]["attempts"][0])
        again |= {"attempt": 2, "trigger": "resume", "created_at": at(30), "status": "success"}
        self.story["runs"]["r2"]["attempts"].append(again)
        self.assertEqual(list(checks.cancel_is_final(checks.Known(self.story))), [])

    # ---- the others ----

    def test_the_work_of_another_version(self):
        self.effects[1]["mark"] = "2"
        self.finds(checks.definition_is_kept, "did the work of version 2")

    def test_a_log_with_a_gap_a_log_twice_and_no_log(self):
        for text in ("line 2 of try 2\n", 2 * self.story["logs"]["r1 main/put 2"], "", None):
            self.story["logs"]["r1 main/put 2"] = text
            self.finds(checks.logs_are_whole, "the log of try 2 of main/put")

    def test_a_process_that_was_left_behind(self):
        self.effects.append({"kind": "leftover", "at": T0 + 7, "run": "r1", "task": "main/put", "try": 2, "pid": 99,
                             "of": "r1/main/put"})
        self.finds(checks.nothing_is_left, "process 99")

    def test_what_was_shown_and_taken_back(self):
        self.row("r1", 1, "get")["status"] = "failed"
        self.finds(checks.nothing_is_taken_back, "main/get of attempt 1 was success and is failed")
        self.story["runs"]["r1"]["attempts"][1]["status"] = "failed"
        self.finds(checks.nothing_is_taken_back, "attempt 2 was success and is failed")
        self.story["runs"]["r1"]["attempts"].pop()
        self.finds(checks.nothing_is_taken_back, "attempt 2 was shown and is gone")


if __name__ == "__main__":
    unittest.main()
