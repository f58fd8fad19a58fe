"""The command line: exit codes, --json, and where a definition is wrong."""

import json
import re
import unittest

from support.definitions import http, workflow
from support.peer import Peer, hang, status
from support.pawl import ROOT, Server, clean_environment, cli, free_port, tasks_of


class CommandLine(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server().start()
        cls.addClassCleanup(cls.server.close)

    def setUp(self):
        self.peer = Peer()
        self.addCleanup(self.peer.close)

    def file(self, text, name="flow.yaml"):
        path = self.server.folder / name
        path.write_text(text)
        return path

    def good(self, *arguments, **options):
        done = self.server.cli(*arguments, **options)
        self.assertEqual(done.returncode, 0, f"{arguments}: {done.stdout}{done.stderr}")
        return done.stdout

    def json(self, *arguments):
        return json.loads(self.good(*arguments, "--json"))

    def test_apply_start_show_logs_and_runs(self):
        path = self.file(workflow("cli", {"id": "say", "run": "echo hello"}, http("x", f"{self.peer.url}/x")))
        self.good("apply", path)
        self.good("apply", path)  # the same again is fine
        self.assertIn("cli", [card["name"] for card in self.json("list")["items"]])
        run = self.json("start", "cli", "--wait")
        self.assertEqual(run["status"], "success")
        self.assertEqual(self.json("show", run["id"])["id"], run["id"])
        shown = self.json("show", f"cli#{run['number']}")
        self.assertEqual([task["status"] for task in tasks_of(shown["attempts"][0]).values()], ["success", "success"])
        self.assertIn("hello", self.good("logs", run["id"], "main/say"))
        self.assertIn(run["id"], [item["id"] for item in self.json("runs", "cli")["items"]])
        self.assertIn("success", self.good("runs", "cli"))
        self.assertIn("success", self.good("show", run["id"]))

    def test_a_failed_run_that_is_waited_for_is_1(self):
        self.peer.on("/x", status(500))
        self.good("apply", self.file(workflow("fails", http("x", f"{self.peer.url}/x"))))
        self.assertEqual(self.server.cli("start", "fails", "--wait").returncode, 1)
        self.assertEqual(self.server.cli("start", "fails").returncode, 0)

    def test_inputs_and_key(self):
        self.good("apply", self.file(workflow("inputs", http("x", f"{self.peer.url}/x", http_json={"n": "${{ inputs.n }}"}),
                                              inputs={"n": {"type": "int"}})))
        one = self.json("start", "inputs", "-i", "n=7", "--key", "k1", "--wait")
        two = self.json("start", "inputs", "-i", "n=7", "--key", "k1", "--wait")
        self.assertEqual(one["id"], two["id"])
        self.assertEqual(self.peer.of("/x")[0].json, {"n": 7})
        self.assertEqual(self.server.cli("start", "inputs", "-i", "n=x").returncode, 1)

    def test_cancel_and_resume(self):
        self.peer.on("/x", lambda call: hang(call) if call.number == 1 else (200, {"success": True}))
        self.good("apply", self.file(workflow("act", http("x", f"{self.peer.url}/x"))))
        run = self.json("start", "act")["id"]
        self.peer.wait_calls("/x")
        self.assertEqual(self.server.cli("resume", run).returncode, 4)  # it is open
        self.good("cancel", run)
        self.server.wait_run(run, "cancelled")
        self.good("resume", run)
        self.assertEqual(self.server.wait_run(run, "success")["status"], "success")

    def test_wrong_usage_is_2(self):
        for arguments in (["no-such-command"], ["start"], ["start", "x", "--no-such-flag"], ["show"], ["validate"]):
            with self.subTest(arguments):
                self.assertEqual(self.server.cli(*arguments).returncode, 2)

    def test_a_server_that_is_not_there_is_3(self):
        environment = clean_environment(PAWL_SERVER=f"http://127.0.0.1:{free_port()}", PAWL_TOKEN="x",
                                        PAWL_DATA=str(self.server.folder / "none"))
        for arguments in (["runs"], ["list", "--json"], ["start", "x"]):
            with self.subTest(arguments):
                self.assertEqual(cli(*arguments, environment=environment).returncode, 3)

    def test_with_json_an_error_goes_to_standard_output_too(self):
        done = self.server.cli("show", "0192a000-0000-7000-8000-000000000000", "--json")
        self.assertNotEqual(done.returncode, 0)
        self.assertTrue(json.loads(done.stdout))

    def test_cron_needs_no_server_and_no_data_folder(self):
        done = cli("cron", "--json", "--tz", "Asia/Seoul", "--after", "1795392000", "-n", "2", "0 8 * * 1-5")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout), {"cron": "0 8 * * 1-5", "tz": "Asia/Seoul",
                                                   "description": "At 08:00, Monday to Friday",
                                                   "next": [1795474800, 1795561200]})
        done = cli("cron", "--json", "")
        self.assertEqual((done.returncode, sorted(json.loads(done.stdout)["error"])),
                         (1, ["code", "field", "message", "position"]))
        for zone, name in (("Asia/Seoul", "Asia/Seoul"), (":Europe/Berlin", "Europe/Berlin"), ("", "UTC")):
            done = cli("cron", "--json", "@daily", environment={"TZ": zone})
            self.assertEqual(json.loads(done.stdout)["tz"], name)

    def test_help_and_version(self):
        self.assertIn("serve", self.good("--help"))
        self.assertRegex(self.good("--version"), r"\d+\.\d+")
        for command in ("run", "serve", "validate", "apply", "start", "show", "logs", "resume", "cancel"):
            self.good(command, "--help")


class Validate(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()  # only for its folder: validate needs no server
        cls.addClassCleanup(cls.server.close)

    def check(self, text):
        path = self.server.folder / "flow.yaml"
        path.write_text(text)
        return path, cli("validate", path), cli("validate", "--json", path)

    def test_the_examples_are_fine(self):
        files = sorted((ROOT / "examples").rglob("*.yaml"))
        self.assertTrue(files)
        for path in files:
            with self.subTest(path.name):
                done = cli("validate", path)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def expect(self, text, line, column, part):
        path, plain, as_json = self.check(text)
        said = plain.stdout + plain.stderr
        self.assertEqual((plain.returncode, as_json.returncode), (1, 1), said)
        self.assertTrue(re.search(rf"{re.escape(str(path))}:{line}:{column}: .*{part}", said), said)
        self.assertRegex(as_json.stdout, rf'"line":\s*{line}\b')

    def test_an_unknown_key_has_a_place_and_a_suggestion(self):
        self.expect("name: x\njobs:\n  a:\n    task:\n      - run: echo\n", 4, 5, "tasks")

    def test_an_unknown_name_in_an_expression(self):
        self.expect("name: x\njobs:\n  a:\n    tasks:\n      - id: one\n        run: echo hi\n      - id: two\n"
                    "        http: {url: \"http://x/${{ tasks.on.outputs.stdout }}\"}\n", 8, r"\d+", "on")

    def test_a_cycle(self):
        self.expect("name: x\njobs:\n  a:\n    needs: b\n    tasks: [{run: echo}]\n  b:\n    needs: a\n"
                    "    tasks: [{run: echo}]\n", r"\d+", r"\d+", "(wait for each other|cycle)")

    def test_broken_yaml(self):
        self.expect("name: x\njobs:\n  a: [\n", r"\d+", r"\d+", "")

    def test_what_is_not_built_is_refused_and_not_ignored(self):
        self.expect("name: x\njobs:\n  a:\n    tasks:\n      - id: ask\n        mail: {to: a}\n", 6, 9, "mail")

    def test_all_problems_are_reported_at_once(self):
        _, plain, _ = self.check("name: x\nfoo: 1\njobs:\n  a:\n    bar: 2\n    tasks: [{run: echo}]\n")
        said = plain.stdout + plain.stderr
        self.assertIn("flow.yaml:2:", said)
        self.assertIn("flow.yaml:5:", said)


if __name__ == "__main__":
    unittest.main()
