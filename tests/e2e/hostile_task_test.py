"""Tasks that take all they can, look where they must not, and harm those who watch them."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from support.definitions import script, workflow
from support.pawl import PAWL, Server, clean_environment, cli, tasks_of, wait_until

NOBODY = 65534


class Hostile(unittest.TestCase):
    ARGUMENTS = ()

    def setUp(self):
        self.server = Server(self.ARGUMENTS)
        self.addCleanup(self.server.close)

    def run_script(self, text, name="hostile", **more):
        """The run and its only task, when it is over."""
        self.server.apply(workflow(name, script("work", text, **more)), name=name)
        run = self.server.wait_run(self.server.start_run(name)["id"])
        return run, tasks_of(run["attempts"][-1])["main/work"]

    def printed(self, run):
        return self.server.task_log(run["id"], "main/work")


class Output(Hostile):
    def setUp(self):
        super().setUp()
        self.server.start()

    def memory(self):
        status = pathlib.Path(f"/proc/{self.server.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) >> 10

    def test_a_hundred_megabytes_in_one_line_leave_the_server_small(self):
        before = self.memory()
        run, task = self.run_script("head -c 100000000 /dev/zero | tr '\\0' x; echo; echo end >&2")
        self.assertEqual(task["status"], "success")
        self.assertLess(self.memory() - before, 64)
        self.assertLess(len(self.printed(run)), 11 << 20)

    def test_bytes_of_every_kind_are_kept_and_answers_stay_valid_json(self):
        run, task = self.run_script("printf 'a\\0b\\377\\x1b]0;title\\a\\x1b[2J\\x1b[31mred\\x1b[0m\\r\\n'; exit 3")
        self.assertEqual(task["error"]["code"], "task_failed")
        raw, _ = self.server.open("GET", f"runs/{run['id']}/tasks/main/work/logs")
        self.assertIn(b"a\0b", raw)
        items = json.loads(self.server.cli("logs", run["id"], "--json").stdout)["items"]
        self.assertTrue(any("red" in item["text"] for item in items))

    def test_what_a_task_prints_moves_no_terminal(self):
        run, _ = self.run_script("printf '\\x1b]0;title\\a\\x1b[2J\\x1b[31mred\\u202e\\n'; exit 3")
        for command in (("logs", run["id"]), ("show", run["id"])):
            shown = self.server.cli(*command).stdout
            self.assertFalse({"\x1b", "\a", "\u202e"} & set(shown), shown)
        self.assertIn("\\x1b]0;title\\x07", self.server.cli("logs", run["id"]).stdout)

    def test_an_output_file_of_a_gigabyte_is_refused_and_not_read(self):
        before = self.memory()
        _, task = self.run_script("truncate -s 1G $PAWL_OUTPUT")
        self.assertEqual(task["error"]["code"], "output_too_large")
        self.assertLess(self.memory() - before, 64)

    def test_an_output_file_that_leads_to_the_server_is_not_read(self):
        _, task = self.run_script(f"ln -sf {self.server.data}/admin.token $PAWL_OUTPUT")
        self.assertEqual(task["error"]["code"], "output_invalid")
        self.assertNotIn(self.server.token, json.dumps(task))


class Limits(Hostile):
    ARGUMENTS = ("--task-processes", "50", "--task-memory", "100M", "--task-file-size", "1M", "--task-open-files", "64")

    def setUp(self):
        super().setUp()
        self.server.start()

    # Never more than 120 processes, and none lives for long: a fault here does no harm.
    BOMB = "for i in $(seq 120); do sleep 20 & done; sleep 20"

    def test_too_many_processes_fail_the_task_and_the_server_goes_on(self):
        _, task = self.run_script(self.BOMB)
        self.assertEqual(task["error"]["code"], "process_limit")
        self.assertIn("50 processes", task["error"]["message"])
        self.assertEqual(self.run_script("echo fine")[1]["status"], "success")

    def test_too_much_memory_fails_the_task(self):
        _, task = self.run_script("held = [bytearray(8 << 20) for _ in range(40)]", shell="python3")
        self.assertEqual(task["error"]["code"], "memory_limit")

    def test_files_are_limited(self):
        run, _ = self.run_script("ulimit -n; (head -c 2M /dev/zero > big) || true; stat -c %s big")
        self.assertEqual(self.printed(run).split()[0], "64")
        self.assertEqual(self.printed(run).split()[-1], str(1 << 20))

    def test_no_cgroup_is_left_when_the_server_is_killed(self):
        def ours():
            found = [path for root in ("pids", "memory", "") for path in pathlib.Path("/sys/fs/cgroup", root).glob("pawl-*-[0-9]*")]
            return {str(path) for path in found}

        before = ours()
        self.server.apply(workflow("sleeper", script("work", "echo up; sleep 1000")))
        run = self.server.start_run("sleeper")["id"]
        wait_until(lambda: self.server.task_log(run, "main/work"), 10, "the task")
        self.server.kill()
        wait_until(lambda: not ours() - before, 10, "the cgroups to go")


class Secrets(Hostile):
    def test_a_task_sees_neither_the_token_nor_the_database(self):
        self.server.start()
        run, task = self.run_script(f"""set +e
            cat {self.server.data}/admin.token {self.server.data}/pawl.db && echo read
            cp {self.server.data}/pawl.db x && echo copied
            echo mine > {self.server.data}/admin.token && echo written
            echo kept > $PAWL_WORKSPACE/x; cat $PAWL_WORKSPACE/x""")
        self.assertEqual(task["status"], "success")
        printed = self.printed(run)
        self.assertIn("kept", printed)
        for word in ("read\n", "copied", "written", self.server.token):
            self.assertNotIn(word, printed)

    @unittest.skipUnless(os.geteuid() == 0, "only root can become another user")
    def test_tasks_run_as_another_user(self):
        self.server.folder.chmod(0o755)
        self.server.arguments += ["--run-as", "nobody"]
        self.server.start()
        run, task = self.run_script(f"set +e; id -un; cat {self.server.data}/admin.token; kill -9 {self.server.process.pid}; touch x; stat -c %U x")
        self.assertEqual(task["status"], "success")
        lines = [line for line in self.printed(run).splitlines() if "denied" not in line and "permitted" not in line]
        self.assertEqual(lines, ["nobody", "nobody"])

    def test_a_user_that_is_none_is_told_at_the_start(self):
        done = cli("serve", "--data", self.server.data, "--listen", "127.0.0.1:0", "--run-as", "no-such-user")
        self.assertEqual(done.returncode, 2)
        self.assertIn("no-such-user", done.stderr)

    def test_the_start_says_how_tasks_are_held(self):
        self.server.start()
        self.assertIn("how tasks are held", self.server.log_text())
        if os.geteuid() == 0:
            self.assertIn("the same rights as this server", self.server.log_text())


@unittest.skipUnless(os.geteuid() == 0, "only root can start a server of another user")
class UnprivilegedServer(unittest.TestCase):
    """A server that is not root: no cgroups of its own, no mounts; Landlock if the kernel has it."""

    def setUp(self):
        self.server = Server(["--task-processes", "50"])
        self.addCleanup(self.server.close)
        # A binary that this user can run, and a folder of its own.
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="pawl-nobody-"))
        self.addCleanup(shutil.rmtree, self.base, ignore_errors=True)
        binary = self.base / "pawl"
        shutil.copy(PAWL, binary)
        binary.chmod(0o755)
        for folder in (self.base, self.base / "work"):
            folder.mkdir(exist_ok=True)
            os.chown(folder, NOBODY, NOBODY)
        self.server.data = self.base / "data"
        self.log = open(self.server.output, "ab")
        self.addCleanup(self.log.close)
        self.server.process = subprocess.Popen(
            [binary, "serve", "--data", self.server.data, "--listen", f"127.0.0.1:{self.server.port}", *self.server.arguments],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, cwd=self.base, user=NOBODY, group=NOBODY, extra_groups=[],
            env=clean_environment(SECRET_OF_THE_SERVER="do not tell", HOME=str(self.base)))
        self.server.wait_ready()

    def run_script(self, text):
        self.server.apply(workflow("hostile", script("work", text)), name="hostile")
        run = self.server.wait_run(self.server.start_run("hostile")["id"])
        return self.server.task_log(run["id"], "main/work"), tasks_of(run["attempts"][-1])["main/work"]

    def test_its_tasks_work_and_see_none_of_its_secrets(self):
        pid = self.server.process.pid
        printed, task = self.run_script(f"""set +e
            cat {self.server.data}/admin.token {self.server.data}/pawl.db && echo read
            tr '\\0' '\\n' < /proc/{pid}/environ && echo environment
            parent=$PPID
            while [ $parent -gt 1 ]; do
              tr '\\0' '\\n' < /proc/$parent/environ
              parent=$(awk '{{print $4}}' /proc/$parent/stat)
            done
            kill -9 {pid} && echo killed
            kill -9 $PPID && echo killed
            echo kept > {self.base}/work/x; cat {self.base}/work/x""")
        self.assertEqual(task["status"], "success", task)
        self.assertIn("kept", printed)
        for word in ("read\n", "environment", "killed", "SECRET_OF_THE_SERVER", self.server.token):
            self.assertNotIn(word, printed)

    def test_too_many_processes_are_counted_without_cgroups(self):
        _, task = self.run_script(Limits.BOMB)
        self.assertEqual(task["error"]["code"], "process_limit")


if __name__ == "__main__":
    unittest.main()
