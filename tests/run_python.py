"""Runs Python unittest files and says, test by test, what came of them.

    run_python.py [--json FILE] PATH…        PATH: a *_test.py file, or a folder of them

The counts go to FILE as {"passed": [id…], "failed": [id…], "skipped": [[id, reason]…]}, so that whoever started this
process need not read its text, and sees nothing if it died.
"""

import argparse
import importlib.util
import json
import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))


class Result(unittest.TestResult):
    """Prints one line a test, and the traceback of a failure at once."""

    def __init__(self):
        super().__init__()
        self.passed, self.broken, self.left_out = [], [], []

    def startTest(self, test):
        super().startTest(test)
        self.started = time.monotonic()
        self.verdict = None

    def stopTest(self, test):
        super().stopTest(test)
        if self.verdict is None:
            self.passed.append(test.id())
            self._say("ok", test)

    def _say(self, word, test, detail=""):
        seconds = time.monotonic() - getattr(self, "started", time.monotonic())
        print(f"  {word:7} {test.id()} ({seconds:.1f} s){detail}", flush=True)

    def _fail(self, test, error):
        self.verdict = "failed"
        self.broken.append(test.id())
        self._say("FAILED", test)
        print(self._exc_info_to_string(error, test), flush=True)

    def addError(self, test, err):
        super().addError(test, err)
        self._fail(test, err)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._fail(test, err)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._fail(subtest, err)
            self.verdict = "failed"

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.verdict = "skipped"
        self.left_out.append([test.id(), reason])
        self._say("skipped", test, f": {reason}")


def load(path):
    """The tests of one file, under its own name."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    return unittest.defaultTestLoader.loadTestsFromModule(module)


def main():
    parser = argparse.ArgumentParser(description="run Python unittest files")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE")
    parser.add_argument("-k", metavar="TEXT", default="", help="only tests whose name contains TEXT")
    parser.add_argument("paths", nargs="+", type=pathlib.Path)
    options = parser.parse_args()

    files = []
    for path in options.paths:
        files += sorted(path.glob("*_test.py")) if path.is_dir() else [path]
    result = Result()
    for file in files:
        try:
            suite = load(file)
        except Exception as error:  # a file that cannot be read is a failed test, not the end of the others
            print(f"  FAILED  {file}: {type(error).__name__}: {error}", flush=True)
            result.broken.append(str(file))
            continue
        if options.k:
            suite = unittest.TestSuite(test for cases in suite for test in cases if options.k in test.id())
        suite.run(result)
    if options.json:
        counts = {"passed": result.passed, "failed": result.broken, "skipped": result.left_out}
        options.json.write_text(json.dumps(counts))
    print(f"  {len(result.passed)} passed, {len(result.broken)} failed, {len(result.left_out)} skipped", flush=True)
    return 1 if result.broken or not result.passed else 0


if __name__ == "__main__":
    sys.exit(main())
