"""All tests, stage by stage: `./dev test [--format] [STAGE…]`.

A stage that fails hides no other. The last line is `N passed, N failed, N skipped`, counted in test cases; the exit
code is 1 if anything failed or if a stage ran no test at all.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "bench"))
sys.path.insert(0, str(ROOT / "tests"))
import instructions  # noqa: E402
from kill import run as harness  # noqa: E402

BUILD = ROOT / "build"
SEEDS = 1500
FUZZ_SECONDS = 5  # of new inputs, for each target
PROGRAM_TIMEOUT = 900  # seconds for one test program; a hang then counts as a failure


class Counts:
    """What one stage found: names of the tests, by verdict."""

    def __init__(self):
        self.passed, self.failed, self.skipped = [], [], []  # skipped: (name, reason)

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def check(self, name, good):
        (self.passed if good else self.failed).append(name)

    def __str__(self):
        return f"{len(self.passed)} passed, {len(self.failed)} failed, {len(self.skipped)} skipped"


def say(text=""):
    print(text, flush=True)


def run(command, **options):
    """Runs a command in the open, its output going where ours goes. True if it succeeded."""
    sys.stdout.flush()
    return subprocess.run([str(word) for word in command], cwd=ROOT, **options).returncode == 0


# ---- building -------------------------------------------------------------------------------------------------------


def build(preset, *targets):
    folder = BUILD / preset
    if not (folder / "build.ninja").exists() and not run(["cmake", "--preset", preset]):
        return False
    # -k 0: what can be built is built, so that one broken program does not hide the tests of the others.
    return run(["ninja", "-C", folder, "-k", "0", *targets])


# ---- GoogleTest programs --------------------------------------------------------------------------------------------

# Not anchored: a test may have printed something without a line end before it.
VERDICT = re.compile(r"\[ +(OK|FAILED|SKIPPED) +\] (\S+?)(?:,.*)? \(\d+ ms\)$")
START = re.compile(r"^\[ +RUN +\] (\S+)$")


def read_gtest_list(text):
    """The names in the output of --gtest_list_tests, without disabled ones (they count as skipped elsewhere)."""
    names, suite = [], ""
    for line in text.splitlines():
        word = line.split("#")[0].rstrip()
        if not word:
            continue
        if not line.startswith(" "):
            suite = word.strip()
        else:
            names.append(suite + word.strip())
    return names


def read_gtest_output(expected, text):
    """Verdicts of the tests in `expected` from what a program printed. A test without one was never finished."""
    counts = Counts()
    verdicts, reasons, current, lines = {}, {}, None, []
    for line in text.splitlines():
        if match := START.match(line):
            current, lines = match.group(1), []
        elif match := VERDICT.search(line):
            verdicts[match.group(2)] = match.group(1)
            reasons[match.group(2)] = " ".join(lines)
            current, lines = None, []
        elif current:
            lines.append(line.strip())
    for name in expected:
        if name.split(".")[0].startswith("DISABLED_") or ".DISABLED_" in name:
            counts.skipped.append((name, "disabled in its source"))
        elif verdicts.get(name) == "OK":
            counts.passed.append(name)
        elif verdicts.get(name) == "SKIPPED":
            counts.skipped.append((name, reasons[name] or "no reason given"))
        else:
            counts.failed.append(name)
    return counts


def run_program(program, environment):
    """One test program in a process group of its own; its counts, seconds and output."""
    begin = time.monotonic()
    counts = Counts()
    if not program.exists():
        counts.failed.append(f"{program.name}: was not built")
        return program, counts, 0.0, ""
    listing = subprocess.run([program, "--gtest_list_tests"], cwd=ROOT, env=environment, capture_output=True, text=True,
                             errors="replace")
    expected = read_gtest_list(listing.stdout) if listing.returncode == 0 else []
    if not expected:
        counts.failed.append(f"{program.name}: lists no tests")
        return program, counts, time.monotonic() - begin, listing.stdout + listing.stderr
    with tempfile.TemporaryFile(mode="w+", errors="replace") as output:
        process = subprocess.Popen([program, "--gtest_color=no"], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL,
                                   stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        note = ""
        try:
            process.wait(timeout=PROGRAM_TIMEOUT)
        except subprocess.TimeoutExpired:
            note = f"\n{program.name} was still running after {PROGRAM_TIMEOUT} s and was killed\n"
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        output.seek(0)
        text = output.read() + note
    counts = read_gtest_output(expected, text)
    if process.returncode != 0 and not counts.failed:
        # A sanitizer's verdict at the end of the process, such as a leak, belongs to no test.
        counts.failed.append(f"{program.name}: exit code {process.returncode}")
    return program, counts, time.monotonic() - begin, text


def programs(preset, which):
    path = BUILD / preset / f"test_{which}.txt"
    return [pathlib.Path(line) for line in path.read_text().split("\n") if line] if path.exists() else []


def gtest_stage(preset, target, which, variables):
    counts = Counts()
    if not build(preset, target):
        counts.failed.append(f"build of {target} ({preset})")
    environment = os.environ | variables
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        work = [pool.submit(run_program, program, environment) for program in programs(preset, which)]
        for done in concurrent.futures.as_completed(work):
            program, found, seconds, text = done.result()
            say(f"  {program.name:24} {found} ({seconds:.1f} s)")
            if found.failed:
                say(text[-20000:])
            counts.add(found)
    return counts


def unit():
    return gtest_stage("release", "unit_tests", "programs", {})


def asan():
    return gtest_stage("asan", "unit_tests", "programs",
                       {"ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1",
                        "UBSAN_OPTIONS": "print_stacktrace=1"})


def tsan():
    return gtest_stage("tsan", "threaded_tests", "threaded", {"TSAN_OPTIONS": "halt_on_error=0:second_deadlock_stack=1"})


# ---- the other stages -----------------------------------------------------------------------------------------------


def release():
    """The whole release build; every later stage finds its programs there."""
    counts = Counts()
    if not build("release") or not (BUILD / "release" / "pawl").exists():
        counts.failed.append("release build")
    return counts


def python_stage(*paths):
    counts = Counts()
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / "counts.json"
        run([sys.executable, "tests/run_python.py", "--json", report, *paths])
        if not report.exists():
            counts.failed.append(f"{' '.join(map(str, paths))}: the test process died")
            return counts
        found = json.loads(report.read_text())
    counts.passed, counts.failed = found["passed"], found["failed"]
    counts.skipped = [tuple(entry) for entry in found["skipped"]]
    return counts


def simulator():
    counts = Counts()
    for name, arguments in (("pawl_sim", ["--seeds", str(SEEDS), "--rows"]), ("pawl_sim", ["--exhaustive"]),
                            ("pawl_sim_planted", ["--planted"])):
        binary = next((path for path in BUILD.glob(f"release/**/{name}") if path.is_file()), None)
        counts.check(f"{name} {' '.join(arguments)}", binary is not None and run([binary, *arguments]))
        if binary is None:
            say(f"  {name} was not built")
    return counts


def played_and_planted(program):
    """A program that plays what may go wrong, and then that it finds what is planted."""
    counts = Counts()
    if not build("release", program):
        counts.failed.append(f"build of {program} (release)")
        return counts
    for arguments in ([], ["--planted"]):
        counts.check(f"{program} {' '.join(arguments)}", run([BUILD / "release" / program, *arguments]))
    return counts


def cron():
    """Fire times against those of the second implementation."""
    if not build("release", "pawl_cron_oracle"):
        counts = Counts()
        counts.failed.append("build of pawl_cron_oracle (release)")
        return counts
    return python_stage("tests/cron")


def fuzz():
    """The kept inputs once, and a few seconds of new ones."""
    counts = Counts()
    for target in ("cron", "definition", "expression"):
        counts.check(f"fuzz {target}", run([sys.executable, "fuzz/run.py", target, str(FUZZ_SECONDS)]))
    return counts


def sizes():
    counts = Counts()
    counts.check("sizes", run([sys.executable, "tests/sizes.py"]))
    return counts


def kill():
    """The judges of the crash harness, then the harness: at least 500 exact points and 200 random kills."""
    counts = python_stage("tests/kill")
    with tempfile.TemporaryFile(mode="w+") as output:
        run([sys.executable, "tests/kill/run.py", "all", "--json", "--binary", BUILD / "release" / "pawl"], stdout=output)
        output.seek(0)
        text = output.read()
    if not text:
        counts.failed.append("kill: the harness died")
        return counts
    result = json.loads(text)
    for name, good in result.pop("cases"):
        counts.check(name, good)
    say("  " + harness.report(result).replace("\n", "\n  "))
    return counts


def demo():
    counts = Counts()
    counts.check("demo", run([sys.executable, "tests/demo.py", "--pawl", BUILD / "release" / "pawl"]))
    return counts


def instruction_counts():
    """What two fixed workloads cost, against bench/instructions.json. Only of the release build: others count more."""
    counts = Counts()
    if not build("release", "pawl_instructions"):
        counts.failed.append("build of pawl_instructions (release)")
        return counts
    for name, good in instructions.compare(say=say):
        counts.check(f"instructions of {name}", good)
    return counts


def format_check():
    counts = Counts()
    files = sorted(str(path) for room in ("src", "sim", "bench", "power", "faults", "tests", "fuzz") for path in (ROOT / room).rglob("*")
                   if path.suffix in (".h", ".cc"))
    counts.check("format of C++ files", run(["clang-format-19", "--dry-run", "-Werror", *files]))
    return counts


STAGES = {
    "build": release,
    "unit": unit,
    "rooms": lambda: python_stage("tests/rooms"),
    "tools": lambda: python_stage("tests"),
    "sim": simulator,
    "power": lambda: played_and_planted("pawl_power"),
    "faults": lambda: played_and_planted("pawl_faults"),
    "schema": lambda: python_stage("tests/schema"),
    "cron": cron,
    "e2e": lambda: python_stage("tests/e2e", "tests/stores"),
    "sizes": sizes,
    "kill": kill,
    "demo": demo,
    "instructions": instruction_counts,
    "asan": asan,
    "tsan": tsan,
    "fuzz": fuzz,
    "format": format_check,
}


def main():
    parser = argparse.ArgumentParser(prog="./dev test", description="run the tests")
    parser.add_argument("--format", action="store_true", help="check the format of the C++ files too")
    parser.add_argument("stages", nargs="*", metavar="STAGE", help=f"only these: {' '.join(STAGES)}")
    options = parser.parse_args()
    chosen = options.stages or [name for name in STAGES if name != "format"]
    if options.format and "format" not in chosen:
        chosen.append("format")
    for name in chosen:
        if name not in STAGES:
            parser.error(f"no stage {name!r}; there are: {' '.join(STAGES)}")

    total, times, empty = Counts(), [], []
    for name in chosen:
        say(f"\n==== {name}")
        begin = time.monotonic()
        try:
            counts = STAGES[name]()
        except Exception as error:  # a fault of this script is a failure of the stage, and hides no other stage
            counts = Counts()
            counts.failed.append(f"stage {name}: {type(error).__name__}: {error}")
        times.append((name, time.monotonic() - begin, counts))
        if name != "build" and not (counts.passed or counts.failed):
            empty.append(name)
        total.add(counts)

    say("\n==== summary")
    for name, seconds, counts in times:
        say(f"  {name:12} {seconds:7.1f} s   {counts}")
    for name, reason in total.skipped:
        say(f"  skipped  {name}: {reason}")
    for name in total.failed:
        say(f"  FAILED   {name}")
    for name in empty:
        say(f"  FAILED   stage {name} ran no test")
    say(str(total))
    return 1 if total.failed or empty else 0


if __name__ == "__main__":
    sys.exit(main())
