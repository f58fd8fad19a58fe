"""Tasks that are processes: nothing of them lives on after their server, and what they printed can be read."""

import signal
import subprocess
import unittest

from support.definitions import NEVER_POISON, http, script, workflow
from support.peer import Peer, first, hang
from support.pawl import PAWL, Server, alive, clean_environment, cli, end, tasks_of, wait_until


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

    # Each way out of its task holds a lock that the next try must find free: the script's first line, or it is a witness.
    ESCAPES = {
        "double-fork": "(setsid bash -c '(setsid bash -c \"trap : TERM HUP; echo up >> $UP; while :; do sleep 1; done\" &) ; exit' &)",
        "nohup": "nohup setsid sh -c 'echo up >> $UP; while :; do sleep 1; done' > /dev/null 2>&1 &",
        "closed-stdio": "setsid sh -c 'exec < /dev/null > /dev/null 2>&1 0<&- 1>&- 2>&-; echo up >> $UP; while :; do sleep 1; done' &",
        "deaf": "(trap '' TERM HUP INT QUIT; echo up >> $UP; while :; do sleep 1; done) &",
        "many": "for i in 1 2 3 4 5; do setsid sh -c 'echo up >> $UP; while :; do sleep 1; done' & done",
        "again": "setsid bash -c 'trap \"\" TERM; echo up >> $UP; while :; do sleep 0.1 & wait $!; done' &",
    }

    def kills_and_starts_at_once(self, kill):
        folder = self.server.folder
        for name in self.ESCAPES:
            (folder / f"{name}.up").touch()
        self.server.start()
        jobs = {name: {"tasks": [script("work", f"""
            set +e
            export UP={folder}/{name}.up
            exec 9>> {folder}/{name}.lock
            if ! flock -n 9; then echo overlap >> {folder}/witness; fi
            if [ -s $UP ]; then exit 0; fi
            {escape}
            while :; do sleep 1; done""")]} for name, escape in self.ESCAPES.items()}
        self.server.apply(workflow("escapes", jobs=jobs, **NEVER_POISON))
        run = self.server.start_run("escapes")["id"]
        # As many at once as there are places; the others come when the first are done, and find nothing to escape from.
        at_once = wait_until(lambda: [name for name in self.ESCAPES if (folder / f"{name}.up").stat().st_size > 0] if
                             len([name for name in self.ESCAPES if (folder / f"{name}.up").stat().st_size > 0]) >= 2 else None,
                             20, "escapes")
        self.assertGreaterEqual(len(at_once), 2)
        for name in self.ESCAPES:
            (folder / f"{name}.up").write_text("up\n")
        kill()
        self.server.start()
        self.assertEqual(self.server.wait_run(run)["status"], "success")
        self.assertFalse((folder / "witness").exists(), "something of a try lived when the next one began")

    def test_the_next_try_finds_nothing_of_the_last_one(self):
        self.kills_and_starts_at_once(self.server.kill)

    def test_nor_when_guard_and_keepers_die_with_the_server(self):
        def kill():
            if 'processes_by="cgroup' not in self.server.log_text():
                self.skipTest("without cgroups nobody is left who could know")
            below = subprocess.run(["ps", "-e", "-o", "pid=,ppid=,comm="], capture_output=True, text=True, check=True).stdout
            rows = [line.split(None, 2) for line in below.splitlines()]
            ours, grown = {self.server.process.pid}, True
            while grown:
                more = {int(pid) for pid, parent, name in rows if int(parent) in ours and name.startswith("pawl")} - ours
                grown = bool(more)
                ours |= more
            self.assertGreater(len(ours), 2, "the guard and a keeper")
            for pid in sorted(ours):
                end(pid)
            self.server.process.wait()

        self.kills_and_starts_at_once(kill)

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
