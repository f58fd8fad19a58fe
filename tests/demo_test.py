import copy
import unittest

import demo

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def task(name, status, reason=None, tries=(), **more):
    return {"task": name, "name": "상품", "status": status, "reason": reason,
            "tries": [{"try": n + 1, "status": status} for n, status in enumerate(tries)], **more}


def attempt(number, status, task_of, **more):
    jobs = {}
    for full in demo.CHAIN.values():
        job, name = full.split("/")
        jobs.setdefault(job, []).append(task_of(full, name))
    return {"attempt": number, "status": status, "job_runs": [{"job": job, "task_runs": runs} for job, runs in jobs.items()],
            **more}


def good_story():
    """A run and a log as they are when all goes well."""
    chain = list(demo.CHAIN.values())
    cut = chain.index(demo.CHAIN[demo.KILLED_IN])

    def first(full, name):
        place = chain.index(full)
        if place < cut:
            return task(name, "success", tries=["success"])
        return task(name, "failed", tries=["interrupted"]) if place == cut else task(name, "skipped", "interrupted")

    def second(full, name):
        if chain.index(full) < cut:
            return task(name, "skipped", "done", done_in_attempt=1)
        return task(name, "success", tries=["success"])

    run = {"trace_id": TRACE, "status": "success", "attempts": [
        attempt(1, "failed", first, trigger="manual", client="127.0.0.1", user_agent="pawl-cli",
                error={"code": "interrupted", "message": "interrupted by system restart"}),
        attempt(2, "success", second, trigger="recovery", client="system-recovery",
                user_agent="workflow-system-recovery", error=None)]}
    lines = []
    for path in demo.CHAIN:
        for _ in range(2 if path == demo.KILLED_IN else 1):
            lines.append({"event": "call", "call": len(lines) + 1, "path": path, "key": f"key of {path}", "trace": TRACE})
            lines.append({"event": "answer", "call": len(lines), "status": 200})
    return run, lines


class Judge(unittest.TestCase):
    def setUp(self):
        self.run_json, self.lines = good_story()

    def calls(self, path):
        return [line for line in self.lines if line.get("path") == path]

    def refuses(self, part):
        problems = demo.judge(self.run_json, self.lines)
        self.assertTrue(any(part in problem for problem in problems), f"{part!r} is not in {problems}")

    def test_a_run_as_promised_passes(self):
        self.assertEqual(demo.judge(self.run_json, self.lines), [])

    def test_a_cut_off_task_need_not_have_reached_the_worker_before_the_kill(self):
        self.lines.remove(self.calls(demo.KILLED_IN)[1])
        self.assertEqual(demo.judge(self.run_json, self.lines), [])

    def test_a_finished_task_that_was_called_again_is_found(self):
        self.lines.append(copy.deepcopy(self.calls("/products/match")[0]))
        self.refuses("analyse/match was called 2 times")

    def test_a_cut_off_task_that_was_called_three_times_is_found(self):
        self.lines.append(copy.deepcopy(self.calls(demo.KILLED_IN)[0]))
        self.refuses("called 3 times")

    def test_a_task_that_was_never_called_is_found(self):
        self.lines.remove(self.calls("/blogs/publish")[0])
        self.refuses("publish/publish was called 0 times")

    def test_another_key_for_the_repeated_call_is_found(self):
        self.calls(demo.KILLED_IN)[1]["key"] = "another"
        self.refuses("carry the keys")

    def test_a_missing_key_is_found(self):
        self.calls("/images/ocr")[0]["key"] = None
        self.refuses("carry the keys")

    def test_one_key_for_two_tasks_is_found(self):
        self.calls("/images/ocr")[0]["key"] = self.calls("/blogs/write")[0]["key"]
        self.refuses("share an idempotency key")

    def test_a_second_trace_id_is_found(self):
        self.calls("/blogs/write")[0]["trace"] = "f" * 32
        self.refuses("trace id")

    def test_a_run_that_did_not_end_well_is_found(self):
        self.run_json["status"] = "failed"
        self.refuses("the run is failed")

    def test_another_reason_for_the_first_attempt_s_end_is_found(self):
        self.run_json["attempts"][0]["error"]["message"] = "gone"
        self.refuses("attempt 1 is failed")

    def test_a_resume_by_a_person_is_no_recovery(self):
        self.run_json["attempts"][1]["trigger"] = "resume"
        self.refuses("attempt 2 is success")

    def test_a_third_attempt_is_found(self):
        self.run_json["attempts"].append(self.run_json["attempts"][1])
        self.refuses("3 attempts")

    def test_done_work_that_is_not_shown_as_done_is_found(self):
        self.run_json["attempts"][1]["job_runs"][0]["task_runs"][0] = task("keyword", "success", tries=["success"])
        self.refuses("analyse/keyword is success with 1 tries in attempt 2")

    def test_the_table_tells_the_story(self):
        text = "\n".join(demo.table(self.run_json, self.lines))
        for part in ("interrupted", "done in attempt 1", "not begun", "interrupted by system restart",
                     "workflow-system-recovery"):
            self.assertIn(part, text)


if __name__ == "__main__":
    unittest.main()
