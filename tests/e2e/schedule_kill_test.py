"""Schedules that fire every second, and a server that is killed again and again: one slot, one outcome."""

import collections
import math
import random
import time
import unittest

from support.definitions import NEVER_POISON, script, workflow
from support.pawl import wait_until
from support.schedules import ScheduleServer, seconds, what

SEED = random.SystemRandom().randrange(2**32)
KILLS = 56
FIRINGS = 500


class ScheduleKill(unittest.TestCase):
    def setUp(self):
        self.server = ScheduleServer()
        self.addCleanup(self.server.close)
        self.effects = self.server.folder / "effects"
        self.says = set()
        self.steps = {}  # workflow/name -> seconds between two slots

    def make(self, name, seconds_of_each, count, says=True, takes="0s", **more):
        """A workflow with so many schedules, whose tasks write down what they are for, if it says something."""
        said = "${{ schedule.id }} ${{ schedule.slot }} ${{ run.id }}"
        tasks = [script("say", f'echo "{said}" >> {self.effects}')] if says else []
        self.server.apply(workflow(name, *tasks, {"id": "last", "wait": takes}, **NEVER_POISON,
                                   inputs={"n": {"type": "number"}}))
        if says:
            self.says.add(name)
        for n in range(count):
            one = f"n{n}"
            self.server.add_schedule(name, f"*/{seconds_of_each} * * * * ?", name=one, inputs={"n": n}, **more)
            self.steps[f"{name}/{one}"] = seconds_of_each

    def kill_again_and_again(self, dice):
        for n in range(KILLS):
            kind = n % 3
            if kind == 0:  # somewhere in its start-up
                pause = dice.uniform(0, 0.15)
            elif kind == 1:  # about when a slot comes
                at = math.ceil(time.time() + 0.3) + dice.uniform(-0.01, 0.05)
                pause = at - time.time()
            else:
                pause = dice.uniform(0.1, 1.0)
            time.sleep(pause)  # the moment of the kill is what is tested
            self.server.kill()
            if n % 9 == 4:
                time.sleep(dice.uniform(0.8, 1.5))  # long enough to miss a slot
            self.server.start(ready=kind != 2)
        self.server.wait_ready()

    def test_each_slot_has_one_entry_and_no_slot_two_runs_whenever_the_server_is_killed(self):
        print(f"\n    seed of the kills: {SEED}", flush=True)
        self.server.start()
        # Processes are dear: a machine that is busy with them gets nowhere.
        self.make("second", 1, 3, overlap="allow")
        self.make("others", 2, 2, overlap="allow")
        self.make("third", 3, 1, overlap="allow")
        self.make("silent", 1, 10, says=False, overlap="allow")
        self.make("slow", 1, 1, takes="1500ms", overlap="skip")
        self.make("line", 1, 1, takes="1200ms", overlap="queue")
        self.make("missed", 1, 2, says=False, overlap="allow", misfire="skip", misfire_threshold="150ms")
        created = {which: seconds(self.server.schedule(which)["created_at"]) for which in self.steps}
        self.kill_again_and_again(random.Random(SEED))

        end = math.floor(time.time())
        for which, step in self.steps.items():
            self.server.wait_past(which, end // step * step, limit=60)
        flows = sorted({which.split("/")[0] for which in self.steps})
        for name in flows:
            self.server.switch_workflow(name, False)
        ledgers = {which: self.server.ledger(which) for which in self.steps}
        for name in flows:
            for open_one in (run for run in self.server.runs_of(name) if run["status"] != "success"):
                self.server.wait_run(open_one["id"], "success", seconds=60)
        runs = [run for name in flows for run in self.server.runs_of(name)]
        ids = {which: self.server.schedule(which)["id"] for which in self.steps}

        self.check_ledgers(ledgers, created, end)
        fired = {(ids[which], entry["slot"]): entry for which, entries in ledgers.items() for entry in entries
                 if entry["outcome"] == "fired"}
        self.check_runs(runs, fired, flows)
        said = {ids[which] for which in self.steps if which.split("/")[0] in self.says}
        self.check_effects([run for run in runs if run["workflow"] in self.says],
                           {slot: entry for slot, entry in fired.items() if slot[0] in said})
        told = collections.Counter(what(entry) for entries in ledgers.values() for entry in entries)
        repeated = sum(run["attempt"] > 1 for run in runs)
        print(f"    {KILLS} kills, {dict(told)}, {repeated} runs taken up again", flush=True)
        self.assertGreaterEqual(len(fired), FIRINGS)
        self.assertGreater(told["skipped/overlap"], 0)
        self.assertGreater(told["misfired"], 0)
        self.assertLessEqual(set(told), {"fired", "misfired", "skipped/overlap"})

    def check_ledgers(self, ledgers, created, end):
        """Every slot from the beginning to the end is covered once."""
        for which, entries in ledgers.items():
            step = self.steps[which]
            expected = math.floor(created[which]) // step * step + step
            for entry in entries:
                first, last = int(seconds(entry["from"])), int(seconds(entry["to"]))
                self.assertEqual(first, expected, f"{which}: lost or twice: {entry}")
                self.assertEqual(entry["count"], (last - first) // step + 1, f"{which}: {entry}")
                self.assertEqual(entry["run"] is not None, entry["outcome"] == "fired", f"{which}: {entry}")
                expected = last + step
            self.assertGreater(expected, end // step * step, which)

    def check_runs(self, runs, fired, flows):
        """Every run has its entry, and every entry its run."""
        of_slots = collections.defaultdict(set)
        for run in runs:
            self.assertEqual(run["trigger"], "schedule", run)
            of_slots[run["schedule"]["id"], run["schedule"]["slot"]].add((run["id"], run["number"]))
        self.assertEqual({slot: found for slot, found in of_slots.items() if len(found) > 1}, {}, "slots with two runs")
        self.assertEqual({slot: {(entry["run"], entry["run_number"])} for slot, entry in fired.items()}, dict(of_slots))
        for name in flows:
            numbers = sorted(run["number"] for run in runs if run["workflow"] == name)
            self.assertEqual(numbers, list(range(1, len(numbers) + 1)), name)

    def check_effects(self, runs, fired):
        """What the tasks did, whatever the server says: all slots that have fired and no others, for one run each, and no
        more often than that run was taken up."""
        done = collections.Counter(tuple(line.split()) for line in self.effects.read_text().splitlines())
        by_slot = collections.defaultdict(set)
        for schedule, slot, run in done:
            by_slot[schedule, slot].add(run)
        self.assertEqual(dict(by_slot), {slot: {entry["run"]} for slot, entry in fired.items()})
        attempts = {run["id"]: self.server.run(run["id"])["attempt"] for run in runs if run["id"] in
                    {run for (_, _, run), times in done.items() if times > 1}}
        for (_, _, run), times in done.items():
            if times > 1:
                self.assertLessEqual(times, attempts[run], f"run {run} did more than it was taken up for")


if __name__ == "__main__":
    unittest.main()
