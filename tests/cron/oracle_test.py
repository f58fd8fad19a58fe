"""The scheduler's fire times against those of oracle.py: another tenth at every run, chosen by PAWL_ORACLE_SEED or by chance.
`PAWL_ORACLE_SHARE=1` compares all of them."""

import json
import os
import pathlib
import random
import subprocess
import unittest
import zoneinfo

import oracle

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("PAWL_CRON_ORACLE", ROOT / "build/release/pawl_cron_oracle"))


def ask(questions):
    lines = "".join("\t".join(map(str, question)) + "\n" for question in questions)
    done = subprocess.run([PROGRAM], input=lines, capture_output=True, text=True, check=True)
    answers = done.stdout.splitlines()
    if len(answers) != len(questions):
        raise AssertionError(f"{len(questions)} questions and {len(answers)} answers: {done.stderr}")
    return answers


class Oracle(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.kept = json.loads(oracle.FILE.read_text())
        cls.seed = int(os.environ.get("PAWL_ORACLE_SEED") or random.SystemRandom().randrange(1 << 32))
        cls.share = float(os.environ.get("PAWL_ORACLE_SHARE") or 0.1)

    def test_a_part_of_all_fire_times_is_the_same(self):
        dice = random.Random(self.seed)
        expressions = self.kept["expressions"]
        pairs = [(name, number) for name in self.kept["zones"] for number in range(len(expressions))]
        chosen = sorted(dice.sample(pairs, max(1, round(len(pairs) * self.share))))
        answers = ask([("times", name, oracle.instant_of(expressions[number][1]),
                        oracle.instant_of(expressions[number][2] + 1), expressions[number][0])
                       for name, number in chosen])
        stale = {name for name, _ in chosen if oracle.rules(name) != self.kept["zones"][name]["rules"]}
        if stale:
            print(f"\nthe zone files here ({oracle.tzdata_version()}) have other rules than those of {self.kept['tzdata']} for "
                  f"{', '.join(sorted(stale))}: computed anew")
        wrong = []
        for (name, number), found in zip(chosen, answers):
            text, first, last = expressions[number]
            if name in stale:
                wanted = oracle.answer(name, text, first, last)
            else:
                wanted = self.kept["zones"][name]["answers"][number * oracle.DIGITS:(number + 1) * oracle.DIGITS]
            if found[:oracle.DIGITS] != wanted:
                wrong.append(f"{name} `{text}` {first}-{last}: {found}, not {wanted}")
        self.assertEqual(wrong, [], f"PAWL_ORACLE_SEED={self.seed}\n" + "\n".join(wrong[:20]))

    def test_the_hashes_are_what_the_oracle_says(self):
        dice = random.Random(self.seed)
        for _ in range(5):
            name, number = dice.choice(oracle.ZONES), dice.randrange(len(self.kept["expressions"]))
            text, first, last = self.kept["expressions"][number]
            kept = self.kept["zones"][name]
            if kept["rules"] != oracle.rules(name):
                continue
            with self.subTest(zone=name, expression=text, seed=self.seed):
                self.assertEqual(kept["answers"][number * oracle.DIGITS:(number + 1) * oracle.DIGITS],
                                 oracle.answer(name, text, first, last))

    def test_the_file_belongs_to_the_script(self):
        self.assertEqual([tuple(one) for one in self.kept["expressions"]], oracle.all_expressions())
        self.assertEqual(sorted(self.kept["zones"]), sorted(oracle.ZONES))
        for name, zone in self.kept["zones"].items():
            self.assertEqual(len(zone["answers"]), oracle.DIGITS * len(self.kept["expressions"]), name)

    def test_every_zone_has_the_rules_that_zoneinfo_has(self):
        names = [name for name in sorted(zoneinfo.available_timezones())
                 if name[0].isupper() and name != "Factory"]
        chosen = random.Random(self.seed).sample(names, max(1, round(len(names) * self.share)))
        begin, end = oracle.stretches("UTC")[0][:2]
        for name, found in zip(chosen, ask([("rules", name, begin, end) for name in chosen])):
            with self.subTest(zone=name, seed=self.seed):
                self.assertEqual(found.split(), [f"{at}:{offset}" for at, _, offset in oracle.stretches(name)])


if __name__ == "__main__":
    unittest.main()
