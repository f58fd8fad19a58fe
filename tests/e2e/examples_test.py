"""The examples do what their READMEs promise, with the commands that stand there; and what docs/definition.md shows is
what the binary takes."""

import json
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

from support.pawl import ROOT, Server, clean_environment, cli, tasks_of, verdict, wait_until
from support.peer import Peer

EXAMPLES = ROOT / "examples"


def definition(name):
    return EXAMPLES / name / "workflow.yaml"


class Alone(unittest.TestCase):
    """`pawl run` in a folder of its own."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="pawl-example-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def pawl(self, *arguments, code=0, **environment):
        done = cli(*arguments, cwd=self.folder, environment=clean_environment(**environment))
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def test_all_of_them_are_valid_without_a_warning(self):
        answer = json.loads(self.pawl("validate", "--json", EXAMPLES))
        self.assertEqual(len(answer["files"]), 4)
        self.assertEqual([file["warnings"] for file in answer["files"]], [[]] * 4)

    def test_pipeline_measures_sums_up_and_shows_what_a_failure_does(self):
        said = self.pawl("run", definition("pipeline"))
        for instance in ("by=lines,text=even", "by=words,text=even", "by=bytes,text=even", "by=lines,text=odd",
                         "by=words,text=odd"):
            self.assertIn(f"measure[{instance}]/count success", said)
        self.assertNotIn("by=bytes,text=odd", said)
        self.assertIn("report/sum | sum=4745", said)
        self.assertIn("on-failure skipped: condition", said)
        self.assertIn("always/sweep success", said)
        said = self.pawl("run", definition("pipeline"), "-i", "lines=5000")
        self.assertIn("sum=124445", said)
        said = self.pawl("run", definition("pipeline"), "-i", "broken=true", code=1)
        self.assertIn("measure[by=words,text=odd]/count failed", said)
        self.assertEqual(said.count("/count success"), 4, "the others finish")
        self.assertIn("report skipped: upstream", said)
        self.assertIn("on-failure/tell | run 3 has failed: job measure", said)
        self.assertIn("always/sweep success", said)

    def test_careful_chain_simply_runs_without_a_crash(self):
        said = self.pawl("run", definition("careful-chain"), "-i", "seconds=0")
        self.assertIn("sell/hand-over | handed over: R-1-100", said)

    def test_backup_packs_and_asks_nobody_while_there_is_nothing_to_delete(self):
        source = self.folder / "notes"
        source.mkdir()
        (source / "one").write_text("1")
        said = self.pawl("run", definition("backup"), PAWL_VAR_BACKUP_SOURCE=str(source),
                         PAWL_VAR_BACKUP_TARGET=str(self.folder / "target"))
        self.assertIn("thin/ask skipped: condition", said)
        self.assertEqual([path.suffix for path in (self.folder / "target").iterdir()], [".gz"])

    def test_product_blog_publishes_by_ten_calls_with_a_worker_that_is_out_of_order_at_times(self):
        log = self.folder / "calls.jsonl"
        worker = subprocess.Popen(
            [sys.executable, EXAMPLES / "product-blog/worker.py", "--port", "0", "--log", log, "--while-stdin-is-open",
             "--fail", "/blogs/write=1:false"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(worker.wait)
        self.addCleanup(worker.stdout.close)
        self.addCleanup(worker.stdin.close)
        url = worker.stdout.readline().split()[-1]
        said = self.pawl("run", definition("product-blog"), WORKER_URL=url)
        self.assertIn("publish/publish success", said)
        calls = [json.loads(line) for line in log.read_text().splitlines()]
        calls = [call for call in calls if call["event"] == "call"]
        self.assertEqual(len(calls), 11)
        self.assertEqual([call["path"] for call in calls][-3:], ["/blogs/write", "/blogs/write", "/blogs/publish"])
        self.assertEqual(len({call["key"] for call in calls}), 10)
        ocr = next(call for call in calls if call["path"] == "/images/ocr")
        self.assertNotIn("translation_language", ocr["body"])
        crawl = next(call for call in calls if call["path"] == "/products/crawl")
        self.assertNotIn("", crawl["body"]["product_urls"])


class OnAServer(unittest.TestCase):
    def setUp(self):
        self.server = Server()
        self.addCleanup(self.server.close)

    def pawl(self, *arguments, code=0):
        done = self.server.cli(*arguments)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def run_of(self, name):
        workflow, number = name.split("#")
        return self.server.get(f"workflows/{workflow}/runs/{number}")

    def wait_for(self, name, what):
        """The run once it waits for that, or has that status."""
        return wait_until(lambda: (run := self.run_of(name)) and what in (run["status"], run.get("waits_for")) and run,
                          20, lambda: f"{what}: {self.run_of(name)}")

    def cut_off_the_charge(self):
        """The run's name, when its charge was begun and the server was killed and started again."""
        self.pawl("apply", definition("careful-chain"))
        run = self.server.start_run("careful-chain", {"seconds": 1})
        wait_until(lambda: self.begun(run) == 1, 20, "the charge to begin")
        self.server.kill()
        self.server.start()
        name = f"careful-chain#{run['number']}"
        self.wait_for(name, "release")
        return name

    def ledger(self, run):
        found = list(self.server.data.glob(f"**/{run['id']}/ledger"))
        return found[0].read_text() if found else ""

    def begun(self, run):
        return self.ledger(run).count("charging")

    def test_careful_chain_is_held_after_kill_9_and_released_as_done_as_rerun_and_as_failed(self):
        self.server.start()
        name = self.cut_off_the_charge()
        shown = self.pawl("show", name)
        self.assertIn("release", shown)
        self.pawl("release", name, "sell/charge", "done", "-o", "receipt=4711", "-m", "it is on the statement")
        run = self.wait_for(name, "success")
        self.assertEqual(len(run["attempts"]), 2)
        log = self.server.task_log(run["id"], "sell/hand-over")  # it prints the ledger, which goes with the run's folder
        self.assertEqual(log.count("charging"), 1)
        self.assertIn("handed over: 4711", log)
        self.pawl("release", name, "sell/charge", "done", code=4)

        name = self.cut_off_the_charge()
        self.pawl("release", name, "sell/charge", "done")
        run = self.wait_for(name, "success")
        self.assertIn("handed over: receipt by hand", self.server.task_log(run["id"], "sell/hand-over"))

        name = self.cut_off_the_charge()
        self.pawl("release", name, "sell/charge", "rerun")
        run = self.wait_for(name, "success")
        log = self.server.task_log(run["id"], "sell/hand-over")
        self.assertEqual((log.count("charging"), log.count(": charged")), (2, 1))
        self.assertEqual(len(set(re.findall(r"key (\w+):", log))), 1)
        self.assertIn(f"handed over: R-{run['number']}-100", log)

        name = self.cut_off_the_charge()
        self.pawl("release", name, "sell/charge", "fail")
        run = self.wait_for(name, "failed")
        self.assertIn("the reservation is given back", self.server.task_log(run["id"], "on-failure/undo"))
        self.assertEqual(list(self.server.data.glob(f"**/{run['id']}/reservation")), [])
        self.assertEqual(verdict(tasks_of(run["attempts"][-1])["sell/reserve"]), "skipped/done")

    def test_backup_asks_before_it_deletes_and_runs_of_one_folder_wait_for_each_other(self):
        source, target = self.server.folder / "notes", self.server.folder / "target"
        source.mkdir()
        (source / "one").write_text("1")
        with Peer() as peer:
            self.server.environment |= {"PAWL_VAR_BACKUP_SOURCE": str(source), "PAWL_VAR_BACKUP_TARGET": str(target),
                                        "PAWL_VAR_NOTIFY_URL": f"{peer.url}/tell"}
            self.server.start()
            self.pawl("apply", definition("backup"))
            self.pawl("start", "backup", "-i", "keep=1", "--wait")
            self.assertRegex(peer.of("/tell")[0].json["text"], r"backup-\d+T\d+Z-1\.tar\.gz: \d+ files, \d+ bytes")
            first = list(target.iterdir())

            self.pawl("start", "backup", "-i", "keep=1")
            asked = tasks_of(self.wait_for("backup#2", "approval")["attempts"][-1])["thin/ask"]
            self.assertEqual(asked["message"], f"Delete 1 old archives in {target}?")
            self.pawl("start", "backup", "-i", "keep=1")
            self.wait_for("backup#3", "group")
            self.server.kill()
            self.server.start()
            self.assertEqual(len(list(target.iterdir())), 2)
            self.pawl("approve", "backup#2", "thin/ask")
            self.wait_for("backup#2", "success")
            self.assertEqual(len(set(target.iterdir()) & set(first)), 0, "the older one is gone")

            self.wait_for("backup#3", "approval")
            self.pawl("approve", "backup#3", "thin/ask", "--reject", "-m", "keep them")
            self.wait_for("backup#3", "failed")
            self.assertEqual(len(list(target.iterdir())), 2)
            self.assertIn("failed", peer.of("/tell")[-1].json["text"])
            self.assertIn("keep them", peer.of("/tell")[-1].json["text"])

    def test_pipeline_on_a_server(self):
        self.server.start()
        self.pawl("apply", definition("pipeline"))
        self.assertIn("sum=4745", self.pawl("start", "pipeline", "--follow"))


class Reference(unittest.TestCase):
    """docs/definition.md against the schema that the binary prints."""

    def setUp(self):
        self.page = (ROOT / "docs/definition.md").read_text()
        self.schema = json.loads(cli("schema").stdout)

    def blocks(self):
        return [block for block in re.findall(r"```yaml\n(.*?)```", self.page, re.S) if block.startswith("name:")]

    def test_its_workflows_are_valid(self):
        blocks = self.blocks()
        self.assertGreaterEqual(len(blocks), 2)
        with tempfile.TemporaryDirectory() as folder:
            for number, block in enumerate(blocks):
                (pathlib.Path(folder) / f"{number}.yaml").write_text(block)
            done = cli("validate", folder)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_the_file_with_every_key_has_every_key_and_each_is_explained(self):
        whole = next(block for block in self.blocks() if "name: every key" in block)
        explained = self.page.replace(whole, "")
        for part, schema in self.schema["$defs"].items():
            for key in schema.get("properties", {}):
                if part == "without-tries":
                    continue
                self.assertTrue(re.search(rf"(?m)(^|[ {{\[-]){re.escape(key)}:", whole),
                                f"{part}.{key} is not in the file with every key")
                self.assertTrue(f"`{key}`" in explained, f"{part}.{key} is not explained")


if __name__ == "__main__":
    unittest.main()
