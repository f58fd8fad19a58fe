"""What keeps tasks away from the server, for an ordinary user and in unusual environments, and that tasks can still work."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import unittest

from support.definitions import script, workflow
from support.pawl import Refused, Server, clean_environment, tasks_of, wait_until

USER = "games"  # an account that each Debian system has, and that owns nothing
SSH_FOLDER = pathlib.Path("/etc/ssh/ssh_config.d")


class Fenced(unittest.TestCase):
    ARGUMENTS = ()
    USER = USER

    def setUp(self):
        self.server = Server(self.ARGUMENTS, user=self.USER)
        self.addCleanup(self.server.close)
        self.addCleanup(self.server.kill)  # what sleeps need not be waited for
        self.server.start()

    def run_script(self, text, name="fenced", **more):
        self.server.apply(workflow(name, script("work", text, **more)), name=name)
        run = self.server.wait_run(self.server.start_run(name)["id"])
        return run, tasks_of(run["attempts"][-1])["main/work"]

    def printed(self, text, **more):
        """What a task printed that ended well."""
        run, task = self.run_script(text, **more)
        text = self.server.task_log(run["id"], "main/work")
        self.assertEqual(task["status"], "success", text)
        return text

    def fence(self):
        return re.search(r"how tasks are held .*?fence=(\S+)", self.server.log_text()).group(1)


# Each line that is printed is a way in.
WAYS_IN = """set +e
    cat DATA/admin.token && echo token
    cp DATA/pawl.db copy && echo database
    ls DATA/logs/* && echo logs
    echo x > DATA/new && echo made
    rm -f DATA/admin.token && [[ -e DATA/admin.token ]] && echo removed
    for pid in SERVER OUTSIDE $PPID $(awk '{print $4}' /proc/$PPID/stat); do
      cat /proc/$pid/root/DATA/admin.token && echo "root of $pid"
      cat /proc/$pid/environ && echo "environment of $pid"
      head -c 1 /proc/$pid/mem && echo "memory of $pid"
      readlink /proc/$pid/fd/1 && echo "descriptors of $pid"
      nsenter --target $pid --user --mount true && echo "namespace of $pid"
    done
    umount DATA && echo lifted
    mount -t tmpfs none DATA && echo mounted
    true
"""


class AsAnOrdinaryUser(Fenced):
    def ways_in(self, text=WAYS_IN):
        outside = subprocess.Popen(["sleep", "1000"], **self.server.user)
        self.addCleanup(outside.wait)
        self.addCleanup(outside.kill)
        text = text.replace("DATA", str(self.server.data)).replace("SERVER", str(self.server.process.pid))
        run, _ = self.run_script(f"exec 2> errors\n{text.replace('OUTSIDE', str(outside.pid))}")
        return self.server.task_log(run["id"], "main/work")

    def test_the_data_folder_is_covered(self):
        self.assertEqual(self.fence(), "cover")

    def test_tasks_make_files_where_their_user_may(self):
        self.assertEqual(self.printed("echo 1 > ~/new; cat ~/new; rm ~/new; cd $(mktemp -d); echo 2 > $(mktemp)x; ls ~/.local/share"),
                         "1\npawl\n")

    def test_git_clones_and_rsync_copies_into_the_home_folder(self):
        self.assertEqual(self.printed("""
            cd; git init -q --bare bare; git clone -q bare clone 2> /dev/null; cd clone
            git config user.email a@example.test; git config user.name a
            echo 1 > a; git add a; git commit -qm a; git push -q origin HEAD; git gc -q
            cd ..; git clone -q bare again; rsync -a again/ copy/; cat copy/a; ls -A copy | sort | xargs
        """), "1\n.git a\n")

    def test_ssh_reads_the_configuration_of_the_system(self):
        SSH_FOLDER.mkdir(parents=True, exist_ok=True)
        ours = SSH_FOLDER / "pawl-test.conf"
        ours.write_text("Host pawl-test\n  Hostname pawl.test\n")
        self.addCleanup(ours.unlink)
        self.assertIn("hostname pawl.test\n", self.printed("ssh -G pawl-test"))

    def test_no_way_leads_to_token_database_or_memory(self):
        self.assertEqual(self.ways_in(), "")
        self.assertTrue((self.server.data / "admin.token").exists())

    def test_a_folder_that_is_planted_with_a_token_is_not_believed(self):
        """What holds the data folder is not covered, so a task can move that away; the server ends."""
        token = "pawl_" + "0" * 64
        self.server.apply(workflow("mover", script("work", f"""
            mkdir -m 700 ~/fake; (umask 077; echo {token} > ~/fake/admin.token)
            cd ~; mv .local .gone; mkdir -p .local/share; ln -s ~/fake .local/share/pawl; sleep 1000""")))
        self.server.start_run("mover")
        answers = set()

        def ended():
            try:
                self.server.get("workflows", token=token)
                answers.add(200)
            except Refused as refused:
                answers.add(refused.status)
            except OSError:
                pass
            return self.server.process.poll() is not None

        wait_until(ended, 30, "the end of the server", interval=0)
        self.assertEqual(answers, {401})
        self.assertEqual(self.server.process.returncode, 3, self.server.log_text())

    def test_a_task_keeps_its_user_and_has_no_capability(self):
        text = self.printed("id -un; grep -E 'Cap(Eff|Prm|Amb)|NoNewPrivs' /proc/self/status | tr '\\n\\t' '  '; stat -c %U .")
        self.assertEqual(text, f"{USER}\nCapPrm: {'0' * 16} CapEff: {'0' * 16} CapAmb: {'0' * 16} NoNewPrivs: 1 {USER}\n")

    def test_the_ways_in_are_ways_without_a_fence(self):
        self.server.stop()
        self.server.arguments = ["--fence", "off"]
        self.server.start()
        found = self.ways_in(WAYS_IN.replace("rm -f", "true").replace("echo x >", "true >"))
        self.assertIn("database\n", found)
        self.assertIn("root of", found)


# Each word that is printed is a change that went through. One of them is the task's own affair.
CHANGES = """
    change() { "${@:2}" > /dev/null 2>> errors && echo "$1"; true; }
    for pid in PIDS; do
      change file-size prlimit --pid $pid --fsize=0:0
      change descriptors prlimit --pid $pid --nofile=5:5
      change priority renice -n 7 -p $pid
      change group-priority renice -n 7 -g $(ps -o pgid= -p $pid)
      change scheduling chrt --batch -p 0 $pid
      change processors taskset -cp 0 $pid
      change io ionice -c 3 -p $pid
      change signal kill -0 $pid
    done
    change own-priority renice -n 3 -p $$
    change user-priority renice -n 7 -u $(id -u)
"""


class OtherProcesses(Fenced):
    """Server, guard, keepers and the tasks of other runs."""

    def pids(self):
        """Of the server, and of all below it."""
        found = [self.server.process.pid]
        for pid in found:
            children = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout
            found += map(int, children.split())
        return found

    def changes(self):
        self.server.apply(workflow("other", script("work", "echo up; exec sleep 1000")))
        other = self.server.start_run("other")["id"]
        wait_until(lambda: self.server.task_log(other, "main/work"), 20, "the other run's task")
        pids = self.pids()
        self.assertGreaterEqual(len(pids), 4, "server, guard, keeper, task")
        limits = [pathlib.Path(f"/proc/{pid}/limits").read_text() for pid in pids]
        text = self.printed(CHANGES.replace("PIDS", " ".join(map(str, pids))))
        if "descriptors" not in text:
            self.assertEqual([pathlib.Path(f"/proc/{pid}/limits").read_text() for pid in pids], limits)
        self.server.post(f"runs/{other}/cancel")
        return text.split()

    def test_no_task_changes_them(self):
        self.assertEqual(self.changes(), ["own-priority"])

    def test_nor_their_score_for_the_killer_of_the_kernel(self):
        self.server.apply(workflow("other", script("work", "echo up; exec sleep 1000")))
        other = self.server.start_run("other")["id"]
        wait_until(lambda: self.server.task_log(other, "main/work"), 20, "the other run's task")
        watchers = self.pids()[:3]  # server, guard, keeper
        self.assertEqual(self.printed(f"""
            for pid in {' '.join(map(str, watchers))}; do
              (echo 1000 > /proc/$pid/oom_score_adj) 2> /dev/null && echo $pid; true
            done"""), "")

    def test_what_a_task_starts_it_changes_as_ever(self):
        self.assertEqual(self.printed("""
            sleep 1000 & pid=$!
            renice -n 4 -p $pid > /dev/null; ionice -c 3 -p $pid; taskset -cp 0 $pid > /dev/null; chrt --batch -p 0 $pid
            prlimit --pid $pid --nofile=99; prlimit --pid $pid --nofile --noheadings -o SOFT; ps -o ni= -p $pid; kill $pid
            wait $pid || echo $?
        """).split(), ["99", "4", "143"])


class OtherProcessesWithLandlock(OtherProcesses):
    ARGUMENTS = ("--fence", "landlock")


class OtherProcessesWithoutFence(OtherProcesses):
    ARGUMENTS = ("--fence", "off")

    def test_no_task_changes_them(self):
        """The ways are ways: else the tests above would show nothing."""
        self.server.apply(workflow("other", script("work", "echo up; exec sleep 1000")))
        other = self.server.start_run("other")["id"]
        wait_until(lambda: self.server.task_log(other, "main/work"), 20, "the other run's task")
        found = self.printed(CHANGES.replace("PIDS", str(self.pids()[-1]))).split()
        self.assertEqual(found, ["file-size", "descriptors", "priority", "group-priority", "scheduling", "processors", "io",
                                 "signal", "own-priority", "user-priority"])

    test_nor_their_score_for_the_killer_of_the_kernel = None


class WithLandlock(AsAnOrdinaryUser):
    ARGUMENTS = ("--fence", "landlock")

    def test_the_data_folder_is_covered(self):
        self.assertTrue(self.fence().startswith('"landlock'), self.fence())

    def test_tasks_make_files_where_their_user_may(self):
        run, task = self.run_script("echo 1 > ~/new")
        self.assertEqual(task["status"], "failed")
        hint = task["error"]["hint"]
        self.assertIn(str(self.server.home), hint)
        self.assertIn("may be the reason", hint)
        self.assertNotIn("hint", task["error"]["cause"])
        self.assertIn(f"hint: {hint}", " ".join(self.server.cli("show", run["id"]).stdout.split()))
        self.assertNotIn("hint", self.run_script("exit 3")[1]["error"])

    def test_git_clones_and_rsync_copies_into_the_home_folder(self):
        inside = "mkdir home; export HOME=$PWD/home; cd; git init -q --bare bare; git clone -q bare clone 2> /dev/null; rsync -a clone/ copy/; ls -A copy"
        self.assertEqual(self.printed(inside), ".git\n")

    test_the_ways_in_are_ways_without_a_fence = None
    test_a_folder_that_is_planted_with_a_token_is_not_believed = None  # no task moves what holds the data folder


class InAChroot(unittest.TestCase):
    """The root of a chroot is no mount, so nothing can be mounted privately in it."""

    def setUp(self):
        self.server = Server()
        self.addCleanup(self.server.close)
        self.root = self.server.folder / "root"
        programs = {"pawl": self.server.binary} | {name: shutil.which(name) for name in ("bash", "cat", "ls")}
        for name, program in programs.items():
            self.bring(pathlib.Path(program), self.root / "bin" / name)
            for library in re.findall(r"(/\S+)", subprocess.run(["ldd", program], capture_output=True, text=True).stdout):
                self.bring(pathlib.Path(library), self.root / library[1:])
        for folder in ("proc", "dev", "tmp", "etc"):
            (self.root / folder).mkdir()
        shutil.copytree("/usr/share/zoneinfo", self.root / "usr/share/zoneinfo", symlinks=True)

    def bring(self, source, target):
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            shutil.copy(source.resolve(), target)

    def command(self, *arguments):
        inside = 'mount --bind /proc "$0/proc"; mount --bind /dev "$0/dev"; exec chroot "$0" /bin/pawl "$@"'
        return ["unshare", "--mount", "bash", "-ec", inside, str(self.root), *arguments]

    def start(self, *arguments):
        with open(self.server.output, "ab") as output:
            self.server.process = subprocess.Popen(
                self.command("serve", "--data", "/data", "--listen", f"127.0.0.1:{self.server.port}", *arguments),
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=clean_environment())
        self.server.data = self.root / "data"

    def test_what_holds_is_tried_and_tasks_run(self):
        self.start()
        self.server.wait_ready()
        self.server.apply(workflow("jailed", script("work", "cat /data/admin.token && echo read; echo 1 > x; cat x")))
        run = self.server.wait_run(self.server.start_run("jailed")["id"])
        self.assertEqual(run["status"], "success", json.dumps(run["error"]) + self.server.log_text())
        self.assertEqual(self.server.task_log(run["id"], "main/work").splitlines()[-1], "1")
        self.assertNotIn("read", self.server.task_log(run["id"], "main/work"))
        self.assertRegex(self.server.log_text(), r'fence="landlock \d+"')
        self.assertIn("cover: Invalid argument", self.server.log_text())

    def test_the_doctor_says_what_holds(self):
        told = subprocess.run(self.command("doctor", "--json", "--data", "/data"), capture_output=True, text=True, env=clean_environment())
        fence = next(one for one in json.loads(told.stdout)["checks"] if one["check"] == "fence")
        self.assertIn("Landlock", json.dumps(fence))
        self.assertIn("no cover: Invalid argument", json.dumps(fence))

    def test_a_fence_that_is_asked_for_and_does_not_hold_is_no_start(self):
        self.start("--fence", "cover")
        self.assertEqual(self.server.process.wait(20), 3)
        self.assertIn("--fence cover does not work on this machine (cover: Invalid argument)", self.server.log_text())


class AsRoot(Fenced):
    USER = None

    def test_tasks_make_files_beside_the_data_folder(self):
        self.assertEqual(self.printed(f"echo 1 > {self.server.folder}/beside; cat {self.server.folder}/beside; ls {self.server.data}"),
                         "1\nworkspace\n")
        self.assertEqual(self.fence(), "cover")


if __name__ == "__main__":
    unittest.main()
