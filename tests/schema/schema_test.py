"""The JSON Schema of the workflow file, asked as an editor asks it: by a validator that is not ours."""

import json
import pathlib
import re
import shutil
import subprocess
import unittest

from support.pawl import PAWL, ROOT

HERE = pathlib.Path(__file__).resolve().parent
SCHEMA = ROOT / "docs/workflow.schema.json"
INSTALLED = ROOT / "build/npm/schema"


def install():
    """The packages of package.json in build/npm/schema, fetched once for each change of that file."""
    INSTALLED.mkdir(parents=True, exist_ok=True)
    done = INSTALLED / "installed.json"
    wanted = (HERE / "package.json").read_text()
    if not done.exists() or done.read_text() != wanted:
        (INSTALLED / "package.json").write_text(wanted)
        subprocess.run(["npm", "install", "--ignore-scripts", "--no-package-lock", "--no-audit", "--no-fund",
                        "--loglevel=error"], cwd=INSTALLED, check=True, timeout=300)
        done.write_text(wanted)
    shutil.copy(HERE / "check.mjs", INSTALLED)


def ask(files):
    """What the schema says of {name: text}: {name: (valid, errors)}."""
    given = json.dumps([{"name": name, "text": text} for name, text in files.items()])
    asked = subprocess.run(["node", "check.mjs", SCHEMA], cwd=INSTALLED, input=given, capture_output=True, text=True,
                           timeout=120)
    if asked.returncode != 0:
        raise AssertionError(asked.stderr)
    return {answer["name"]: (answer["valid"], answer["errors"]) for answer in json.loads(asked.stdout)}


def cases(name):
    """The files of a table of tests/definition, by their titles."""
    found = {}
    for part in re.split(r"^### ", (ROOT / "tests/definition" / name).read_text(), flags=re.M)[1:]:
        title, text = part.split("\n", 1)
        found[title] = re.split(r"^(?:>>>|~~~) ", text, maxsplit=1, flags=re.M)[0]
    return found


class Schema(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        install()

    def test_the_examples_are_valid(self):
        files = {str(path): path.read_text() for path in sorted((ROOT / "examples").rglob("*.yaml"))}
        self.assertGreaterEqual(len(files), 4)
        for name, (valid, errors) in ask(files).items():
            self.assertTrue(valid, f"{name}: {errors}")

    def test_what_is_right_and_odd_is_valid(self):
        for name, (valid, errors) in ask(cases("odd.txt")).items():
            self.assertTrue(valid, f"{name}: {errors}")

    def test_wrong_files_that_a_schema_can_see_are_refused(self):
        marked = {title: text for title, text in cases("wrong.txt").items() if title.endswith("(schema)")}
        self.assertGreaterEqual(len(marked), 20)
        passed = [name for name, (valid, _) in ask(marked).items() if valid]
        self.assertEqual(passed, [])

    def test_every_wrong_file_that_is_refused_is_marked(self):
        others = {title: text for title, text in cases("wrong.txt").items() if not title.endswith("(schema)")}
        refused = [name for name, (valid, errors) in ask(others).items()
                   if not valid and not errors[0].startswith("no YAML")]
        self.assertEqual(refused, [], "add (schema) to their titles")

    def test_the_command_prints_it(self):
        printed = subprocess.run([PAWL, "schema"], capture_output=True, text=True, check=True).stdout
        self.assertEqual(json.loads(printed), json.loads(SCHEMA.read_text()))


if __name__ == "__main__":
    unittest.main()
