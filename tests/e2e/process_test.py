"""Tasks that are processes: nothing of them lives on after their server, and what they printed can be read."""

import signal
import subprocess
import unittest

from support.definitions import NEVER_POISON, http, script, workflow
from support.peer import Peer, first, hang
from support.pawl import PAWL, Server, alive, clean_environment, cli, tasks_of, wait_until


class Leftovers(unittest.TestCase):
    def setUp(self):
        self.peer = Peer()
        self.addCleanup(self.peer.close)
        self.server = Server()
        self.addCleanup(self.server.close)

    def test_what_ignores_TERM_and_leaves_its_session_is_gone_after_kill_9(self):
        pids = self.server.folder / "pids"
        witness = self.server.folder / "witness"
        self.server.start()
        self.server.apply(workflow("stubborn", script("work", f"""
            trap '' TERM HUP INT
            for pid in $(cat {pids} 2>/dev/null); do
              if kill -0 $pid 2>/dev/null; then echo $pid >> {witness}; fi
            done
            if [[ -e {pids} ]]; then exit 0; fi
            # A double fork out of the session and the process group, deaf to everything that can be ignored.
            (setsid bash -c 'trap "" TERM HUP INT; (setsid bash -c "trap \\"\\" TERM HUP INT; echo \\$\\$ >> {pids}; while :; do sleep 1; done" &) ; exit' &)
            (trap '' TERM; echo $BASHPID >> {pids}; while :; do sleep 1; done) &
            echo $$ >> {pids}
            while :; do sleep 1; done
        """), **NEVER_POISON))
        run = self.server.start_run("stubborn", {})
        wait_until(lambda: pids.exists() and len(pids.read_text().split()) == 3, 20, "three processes")
        left = [int(pid) for pid in pids.read_text().split()]
        self.assertEqual(len(left), 3)
        self.assertTrue(all(map(alive, left)))
        self.server.kill()
        wait_until(lambda: not any(map(alive, left)), 10, "the processes of the dead server to go")
        self.server.start()
        self.assertEqual(self.server.wait_run(run["id"])["status"], "success")
        self.assertFalse(witness.exists(), "a process of the first try lived when the second began")

    def test_what_a_finished_task_leaves_behind_is_killed(self):
        pids = self.server.folder / "pids"
        self.server.start()
        self.server.apply(workflow("careless", script("work", f"""
            (setsid bash -c 'echo $$ >> {pids}; exec sleep 600' &)
            while [[ ! -s {pids} ]]; do sleep 0.02; done
        """)))
        run = self.server.start_run("careless", {})
        self.assertEqual(self.server.wait_run(run["id"])["status"], "success")
        wait_until(lambda: not alive(int(pids.read_text())), 5, "the leftover to go")

    def test_a_timeout_ends_the_whole_tree(self):
        pids = self.server.folder / "pids"
        self.server.start()
        self.server.apply(workflow("endless", script("work", f"""
            trap '' TERM
            (trap '' TERM; echo $BASHPID >> {pids}; while :; do sleep 1; done) &
            echo $$ >> {pids}
            wait
            while :; do sleep 1; done
        """, timeout="500ms", grace="200ms")))
        run = self.server.wait_run(self.server.start_run("endless", {})["id"])
        task = tasks_of(run["attempts"][0])["main/work"]
        self.assertEqual((task["status"], task["error"]["code"], task["tries"][0]["status"]),
                         ("failed", "timeout", "timed_out"))
        left = [int(pid) for pid in pids.read_text().split()]
        wait_until(lambda: not any(map(alive, left)), 5, "the tree to go")

    def test_the_environment_of_a_task_is_clean_and_names_its_work(self):
        self.server.environment["SECRET_OF_THE_SERVER"] = "x"
        self.server.start()
        self.server.apply(workflow("environment", script("show", "env | sort", env={"OWN": "상품"}, outputs={"all": "stdout"}),
                                   http("send", f"{self.peer.url}/send", http_json={"all": "${{ tasks.show.outputs.all }}"})))
        run = self.server.wait_run(self.server.start_run("environment", {})["id"])
        self.assertEqual(run["status"], "success")
        seen = dict(line.split("=", 1) for line in self.peer.of("/send")[0].json["all"].splitlines() if "=" in line)
        self.assertNotIn("SECRET_OF_THE_SERVER", seen)
        self.assertEqual((seen["OWN"], seen["PAWL_RUN_ID"], seen["PAWL_TRACE_ID"], seen["PAWL_TASK"], seen["PAWL_TRY"]),
                         ("상품", run["id"], run["trace_id"], "show", "1"))
        self.assertTrue(seen["PAWL_IDEMPOTENCY_KEY"])


class Logs(unittest.TestCase):
    def setUp(self):
        self.peer = Peer()
        self.addCleanup(self.peer.close)
        self.server = Server()
        self.addCleanup(self.server.close)

    def test_the_log_of_a_finished_task_is_whole_after_kill_9(self):
        self.peer.on("/next", first(1, hang))
        self.server.start()
        self.server.apply(workflow("lines", script("print", "seq 1 20000; echo to stderr >&2; seq 20001 40000"),
                                   http("next", f"{self.peer.url}/next"), **NEVER_POISON))
        run = self.server.start_run("lines", {})["id"]
        self.peer.wait_calls("/next")
        self.server.kill()
        self.server.start()
        self.server.wait_run(run, "success")
        # The two streams are two pipes, read in pieces: the other's line may stand anywhere, inside a line too.
        text = self.server.task_log(run, "main/print")
        self.assertEqual(text.count("to stderr\n"), 1)
        self.assertEqual(text.replace("to stderr\n", "").splitlines(), [str(n) for n in range(1, 40001)])

    def test_a_try_that_was_cut_off_keeps_what_it_had_printed(self):
        marker = self.server.folder / "second"
        self.server.start()
        self.server.apply(workflow("cut", script("print", f"""
            if [[ -e {marker} ]]; then echo again; exit 0; fi
            touch {marker}
            seq 1 1000
            while :; do sleep 1; done
        """), **NEVER_POISON))
        run = self.server.start_run("cut", {})["id"]
        wait_until(lambda: marker.exists() and self.server.task_log(run, "main/print").endswith("\n1000\n"), 10, "what was printed")
        self.server.kill()
        self.server.start()
        self.server.wait_run(run, "success")
        self.assertEqual(self.server.task_log(run, "main/print", **{"try": 1}).splitlines(), [str(n) for n in range(1, 1001)])
        self.assertEqual(self.server.task_log(run, "main/print", **{"try": 2}), "again\n")

    def test_a_flood_is_cut_with_a_mark_and_the_task_goes_on(self):
        self.server.start()
        self.server.apply(workflow("flood", script("print", "head -c 30000000 /dev/zero | tr '\\0' 'x'; echo; echo end")))
        run = self.server.wait_run(self.server.start_run("flood", {})["id"])
        self.assertEqual(run["status"], "success")
        size = len(self.server.task_log(run["id"], "main/print"))
        self.assertLess(size, 12 << 20)


class RunFile(unittest.TestCase):
    """`pawl run FILE`: no server, a store of its own in the folder where it is called."""

    def setUp(self):
        self.peer = Peer()
        self.addCleanup(self.peer.close)
        self.server = Server()  # only for its folder
        self.addCleanup(self.server.close)
        self.folder = self.server.folder

    def file(self, text):
        path = self.folder / "flow.yaml"
        path.write_text(text)
        return path

    def test_success_is_0_and_failure_is_1(self):
        good = self.file(workflow("good", http("x", f"{self.peer.url}/x")))
        self.assertEqual(cli("run", good, cwd=self.folder).returncode, 0)
        self.peer.on("/x", lambda _: (500, {}))
        self.assertEqual(cli("run", good, cwd=self.folder).returncode, 1)

    def test_env_is_the_caller_s(self):
        path = self.file(workflow("env", http("x", "${{ env.WORKER_URL }}/x")))
        done = cli("run", path, cwd=self.folder, environment=clean_environment(WORKER_URL=self.peer.url))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_one_that_was_killed_is_resumed_in_the_same_place(self):
        self.peer.on("/two", first(1, hang))
        path = self.file(workflow("chain", *(http(name, f"{self.peer.url}/{name}") for name in ("one", "two", "three"))))
        process = subprocess.Popen([PAWL, "run", path], cwd=self.folder, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=clean_environment())
        try:
            self.peer.wait_calls("/two")
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        done = cli("resume", "chain#1", cwd=self.folder)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual([len(self.peer.of(f"/{name}")) for name in ("one", "two", "three")], [1, 2, 1])
        self.assertEqual(len({call.key for call in self.peer.of("/two")}), 1)
        self.assertEqual(len({call.trace for call in self.peer.calls}), 1)

    def test_another_run_does_not_take_it_up(self):
        self.peer.on("/slow", hang)
        slow = self.file(workflow("slow", http("slow", f"{self.peer.url}/slow")))
        process = subprocess.Popen([PAWL, "run", slow], cwd=self.folder, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=clean_environment())
        try:
            self.peer.wait_calls("/slow")
        finally:
            process.kill()
            process.wait()
        other = self.file(workflow("other", http("x", f"{self.peer.url}/x")))
        self.assertEqual(cli("run", other, cwd=self.folder).returncode, 0)
        self.assertEqual(len(self.peer.of("/slow")), 1)

    def test_a_folder_that_another_process_holds_is_refused(self):
        self.peer.on("/slow", hang)
        slow = self.file(workflow("slow", http("slow", f"{self.peer.url}/slow")))
        process = subprocess.Popen([PAWL, "run", slow], cwd=self.folder, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=clean_environment())
        try:
            self.peer.wait_calls("/slow")
            second = cli("run", slow, cwd=self.folder)
            self.assertEqual(second.returncode, 4, second.stdout + second.stderr)
        finally:
            process.kill()
            process.wait()


if __name__ == "__main__":
    unittest.main()
