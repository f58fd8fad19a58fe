"""Stores of earlier versions, each with a run in every state (make.py): this version opens them and ends their runs."""

import pathlib
import shutil
import subprocess
import tempfile
import unittest

from support.pawl import Refused, Server, tasks_of, verdict, wait_until

HERE = pathlib.Path(__file__).resolve().parent

# What becomes of each run, and in how many attempts.
ENDS = {
    "asking#1": ("success", 1), "broken#1": ("failed", 2), "call#1": ("failed", 2), "chain#1": ("success", 2),
    "deleted#1": ("success", 1), "done#1": ("success", 1), "done#2": ("success", 2), "failing-over#1": ("failed", 2),
    "first-in#1": ("success", 2), "first-in#2": ("cancelled", 1), "held#1": ("success", 2), "limited#1": ("success", 1),
    "retrying#1": ("success", 1), "scheduled#1": ("success", 1), "scheduled#2": ("success", 1), "stopped#1": ("cancelled", 1),
    "waiting#1": ("success", 1), "wide#1": ("failed", 1)}


class Stores(unittest.TestCase):
    def opened(self, store):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="pawl-store-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        subprocess.run(["tar", "-xJf", store, "-C", folder], check=True)
        server = Server(["--egress-allow", "loopback"], data=folder / "data")
        self.addCleanup(server.close)
        return server.start()

    def runs(self, server):
        return {f"{run['workflow']}#{run['number']}": run for run in server.get("runs?limit=200")["items"]}

    def test_every_version_opens_them_and_ends_their_runs(self):
        stores = sorted(HERE.glob("*.tar.xz"))
        self.assertTrue(stores)
        for store in stores:
            with self.subTest(store.name):
                self.ends_all(self.opened(store))

    def ends_all(self, server):
        runs = self.runs(server)
        self.assertEqual(sorted(runs), sorted(ENDS))
        server.post(f"runs/{runs['asking#1']['id']}/tasks/main/ask/approve", {})
        held = runs["held#1"]["id"]
        wait_until(lambda: server.run(held)["status"] == "waiting", what="the held task to wait for a person")
        server.post(f"runs/{held}/tasks/main/charge/release", {"answer": "done"})
        # It waited for its place in the group, and is at work for the first time now.
        second = runs["first-in#2"]["id"]
        server.wait_run(second, "running")
        server.post(f"runs/{second}/cancel")
        ended = {name: server.wait_run(run["id"]) for name, run in runs.items()}
        self.assertEqual({name: (run["status"], len(run["attempts"])) for name, run in ended.items()},
                         ENDS)

        chain = ended["chain#1"]
        self.assertEqual(chain["attempts"][0]["error"]["message"], "interrupted by system restart")
        self.assertEqual({name: verdict(task) for name, task in tasks_of(chain["attempts"][1]).items()},
                         {"main/first": "skipped/done", "main/second": "success", "main/third": "success"})
        self.assertEqual(tasks_of(chain["attempts"][0])["main/first"]["outputs"]["name"], "Kim")
        self.assertEqual(chain["inputs"], {"word": "naïve"})
        self.assertEqual(server.task_log(chain["id"], "main/first", attempt=1), "one\n")
        self.assertEqual(server.start_run("done", key="the key of a start")["id"], ended["done#1"]["id"])
        schedules = {one["name"]: one for one in server.get("workflows/scheduled/schedules")["items"]}
        self.assertEqual({name: one["enabled"] for name, one in schedules.items()}, {"yearly": True, "off": False})
        entries = server.get(f"schedules/{schedules['yearly']['id']}/ledger")["items"]
        self.assertGreaterEqual(len([one for one in entries if one["outcome"] == "fired"]), 2)
        with self.assertRaises(Refused) as refused:
            server.get("workflows/deleted")
        self.assertEqual(refused.exception.status, 404)


if __name__ == "__main__":
    unittest.main()
