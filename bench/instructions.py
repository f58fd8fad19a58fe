"""Instructions that two fixed small workloads take, against a stored baseline: a change that makes the engine dearer is
seen even on a machine whose clock tells nothing.

    instructions.py [--rebase] [--program FILE]      compare (exit code 1 if one has grown too much), or store anew

Counted by callgrind over the whole program, of which the start takes some 6 million. Three runs of one binary gave the
same number to the last digit; another folder for the store, or another path of the program, moved it by less than
0.02 %. Valgrind shows every x86-64 machine with AVX2 as the same processor, so the C library takes the same ways on all
of them. Another compiler or other versions of the libraries give other numbers: the baseline says what it was made
with, and a difference there is named beside the result.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "build/release/pawl_instructions"
BASELINE = pathlib.Path(__file__).resolve().parent / "instructions.json"
WORKLOADS = {"chain": ["chain"], "language": ["language", "examples/product-blog/workflow.yaml"]}
TOLERANCE = 5  # percent
LIBRARIES = ("libc6", "libsqlite3-0", "libstdc++6")


class Failure(Exception):
    """The workload could not be counted; the text says why."""


def read_count(text):
    """The instructions in a file that callgrind wrote."""
    match = re.search(r"^summary: (\d+)", text, re.MULTILINE)
    if not match:
        raise Failure("callgrind wrote no summary")
    return int(match.group(1))


def count(program, arguments):
    # Memory rather than a disk: what counts is the same, and it is done sooner.
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir()
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "callgrind.out"
        # An environment of our own: its size moves the stack, and with it what copying costs.
        answer = subprocess.run(
            ["valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={out}", str(program), *arguments],
            cwd=ROOT, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "PAWL_BENCH_DIR": place}, capture_output=True,
            text=True, errors="replace")
        if answer.returncode != 0:
            raise Failure(f"exit code {answer.returncode}: {answer.stdout}{answer.stderr}".strip())
        return read_count(out.read_text(errors="replace"))


def made_with():
    """The compiler, and the libraries whose instructions are counted too."""
    compiler = subprocess.run(["g++", "--version"], capture_output=True, text=True).stdout.split("\n")[0]
    try:
        libraries = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Version}\n", *LIBRARIES],
                                   capture_output=True, text=True).stdout.split("\n")
    except FileNotFoundError:
        libraries = []
    return compiler, sorted(line for line in libraries if line)


def judge(name, counted, stored):
    """(whether it passes, a sentence) for one workload; `stored` is None where the baseline does not know it."""
    if not stored:
        return False, f"{name}: {counted:,} instructions, and no baseline; `./dev bench --rebase` writes one"
    change = counted / stored - 1
    sentence = f"{name}: {counted:,} instructions, {change:+.2%} against the baseline of {stored:,}"
    if 100 * counted > (100 + TOLERANCE) * stored:
        return False, sentence + (f": more than {TOLERANCE} % above it. Make it cheaper, or say in the commit why it"
                                  " has to cost more and store the new count: `./dev bench --rebase`")
    if 100 * counted < (100 - TOLERANCE) * stored:
        return True, sentence + ": cheaper than it says; `./dev bench --rebase` would hold the gain"
    return True, sentence


def compare(program=PROGRAM, say=print):
    """[(workload, passed)], each with a sentence for `say`."""
    baseline = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    compiler, libraries = made_with()
    verdicts = []
    for name, arguments in WORKLOADS.items():
        try:
            good, sentence = judge(name, count(program, arguments), baseline.get(name))
        except (Failure, OSError) as error:
            good, sentence = False, f"{name}: {error}"
        say(f"  {sentence}")
        verdicts.append((name, good))
    if baseline and (compiler, libraries) != (baseline.get("compiler"), baseline.get("libraries")):
        before = ", ".join([str(baseline.get("compiler")), *baseline.get("libraries", [])])
        say(f"  note: the baseline was made with {before}; this is {', '.join([compiler, *libraries])}")
    return verdicts


def rebase(program=PROGRAM):
    compiler, libraries = made_with()
    counts = {name: count(program, arguments) for name, arguments in WORKLOADS.items()}
    old = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    for name, counted in counts.items():
        before = f", was {old[name]:,} ({counted / old[name] - 1:+.2%})" if name in old else ""
        print(f"  {name}: {counted:,}{before}")
    BASELINE.write_text(json.dumps(counts | {
        "compiler": compiler,
        "libraries": libraries,
        "note": "instructions as callgrind counts them, release preset; written by `./dev bench --rebase`, the reason "
                "stands in the commit",
    }, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser(description="count the instructions of fixed small workloads")
    parser.add_argument("--rebase", action="store_true", help="store what is counted as the new baseline")
    parser.add_argument("--program", type=pathlib.Path, default=PROGRAM, help="default: the release build's")
    options = parser.parse_args()
    program = options.program.resolve()
    if options.rebase:
        try:
            rebase(program)
        except (Failure, OSError) as error:
            sys.exit(f"instructions.py: {error}")
        return 0
    return 0 if all(good for _, good in compare(program)) else 1


if __name__ == "__main__":
    sys.exit(main())
