"""The main job of Pawl in under a minute: a chain of ten tasks runs against a worker, the server is killed in the middle
of the fifth, started again, and the run goes on. What is shown and judged at the end comes from the API's own account
of the run and from the worker's log of calls.

Exit code 0 only if every finished task was called once, and the cut-off one at most twice with the same key.
"""

import argparse
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unicodedata

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.pawl import ROOT, Server, cli, tasks_of, verdict, wait_until  # noqa: E402

EXAMPLE = ROOT / "examples/product-blog"
CHAIN = {  # path of the worker -> task
    "/keywords/search": "analyse/keyword",
    "/products/search": "analyse/search",
    "/products/match": "analyse/match",
    "/products/similarity": "analyse/similarity",
    "/products/crawl": "analyse/crawl",
    "/images/upload": "analyse/upload",
    "/products/select": "analyse/select",
    "/images/ocr": "analyse/ocr",
    "/blogs/write": "publish/write",
    "/blogs/publish": "publish/publish",
}
KILLED_IN = "/products/crawl"
PATIENCE = 30  # seconds for any one thing to happen


# ---- judging --------------------------------------------------------------------------------------------------------


def judge(run, lines, cut_off=KILLED_IN):
    """Everything that is wrong with how the run went, as sentences; none: all is as promised.

    run: what GET runs/{id} says. lines: the worker's log. cut_off: path of the call that was in flight at the kill.
    """
    problems = []

    def expect(good, sentence):
        if not good:
            problems.append(sentence)

    calls = [line for line in lines if line["event"] == "call"]
    cut_task = CHAIN[cut_off]
    chain = list(CHAIN.values())
    before, after = chain[: chain.index(cut_task)], chain[chain.index(cut_task) + 1 :]

    keys = {}
    for path, task in CHAIN.items():
        mine = [call for call in calls if call["path"] == path]
        keys[task] = {call["key"] for call in mine}
        if path == cut_off:
            expect(1 <= len(mine) <= 2, f"{task}, which was cut off, was called {len(mine)} times and not once or twice")
        else:
            expect(len(mine) == 1, f"{task} was called {len(mine)} times and not once")
        expect(len(keys[task]) == 1 and None not in keys[task], f"the calls of {task} carry the keys {keys[task]}")
    expect(len(set().union(*keys.values())) == len(CHAIN), "two tasks share an idempotency key")
    expect(not {call["path"] for call in calls} - set(CHAIN), "something was called that is no task of the chain")
    expect({call["trace"] for call in calls} == {run["trace_id"]},
           f"not every call carries the run's trace id {run['trace_id']}")

    expect(run["status"] == "success", f"the run is {run['status']} and not success")
    if len(run["attempts"]) != 2:
        return problems + [f"the run has {len(run['attempts'])} attempts and not two"]
    first, second = run["attempts"]
    error = first.get("error") or {}
    expect(first["status"] == "failed" and error.get("code") == "interrupted"
           and error.get("message") == "interrupted by system restart",
           f"attempt 1 is {first['status']}, {error}, and not failed: interrupted by system restart")
    expect(second["status"] == "success" and second["trigger"] == "recovery" and second["client"] == "system-recovery"
           and second["user_agent"] == "workflow-system-recovery",
           f"attempt 2 is {second['status']}, by {second['trigger']}, {second['client']}, {second['user_agent']}, and not a "
           "successful recovery by system-recovery, workflow-system-recovery")
    one, two = tasks_of(first), tasks_of(second)
    if list(one) != chain or list(two) != chain:
        return problems + [f"the attempts list other tasks than the chain: {list(one)}, {list(two)}"]

    def of(task_run):
        return f"{verdict(task_run)} with {len(task_run['tries'])} tries"

    for task in before:
        expect(of(one[task]) == "success with 1 tries", f"{task} is {of(one[task])} in attempt 1")
        expect(verdict(two[task]) == "skipped/done" and two[task].get("done_in_attempt") == 1,
               f"{task} is {of(two[task])} in attempt 2 and not done in attempt 1")
    expect(one[cut_task]["status"] == "failed" and [t["status"] for t in one[cut_task]["tries"]] == ["interrupted"],
           f"{cut_task} is {of(one[cut_task])} in attempt 1 and not failed with one interrupted try")
    for task in after:
        expect(of(one[task]) == "skipped/interrupted with 0 tries", f"{task} is {of(one[task])} in attempt 1")
    for task in [cut_task, *after]:
        expect(of(two[task]) == "success with 1 tries", f"{task} is {of(two[task])} in attempt 2")
    return problems


# ---- showing --------------------------------------------------------------------------------------------------------

COLOURS = {"green": 32, "red": 31, "yellow": 33, "grey": 90, "bold": 1}


def paint(text, colour):
    if not sys.stdout.isatty() or "NO_COLOR" in os.environ:
        return text
    return f"\033[{COLOURS[colour]}m{text}\033[0m"


def width(text):
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def pad(text, columns):
    return text + " " * max(0, columns - width(text))


def table(run, lines):
    """The chain of attempts, task by task, as lines of text."""
    calls = [line for line in lines if line["event"] == "call"]
    paths = {task: path for path, task in CHAIN.items()}
    attempts = [tasks_of(attempt) for attempt in run["attempts"]]
    heads = ["task", "", "calls", "key"] + [f"attempt {attempt['attempt']}" for attempt in run["attempts"]]
    columns = [12, 18, 6, 12] + [23] * len(attempts)
    shown = ["  " + "".join(pad(head, columns[i]) for i, head in enumerate(heads)).rstrip()]
    shown.append("  " + "─" * (sum(columns)))
    for task in CHAIN.values():
        mine = [call for call in calls if call["path"] == paths[task]]
        keys = {call["key"] for call in mine}
        key = (keys.pop() or "none")[:8] + ("" if len(mine) < 2 else " =") if len(keys) == 1 else "differ"
        row = [task.split("/")[1], next((a[task].get("name") or "" for a in attempts if task in a), ""), str(len(mine)), key]
        line = "  " + "".join(pad(cell, columns[i]) for i, cell in enumerate(row))
        for n, attempt in enumerate(attempts):
            task_run = attempt.get(task, {"status": "?", "tries": []})
            said = verdict(task_run)
            if said == "skipped/done":
                said = f"done in attempt {task_run.get('done_in_attempt')}"
            elif any(t["status"] == "interrupted" for t in task_run["tries"]):
                said = "interrupted"
            elif said == "skipped/interrupted":
                said = "not begun"
            colour = {"success": "green", "interrupted": "red", "failed": "red", "not begun": "grey"}.get(said, "yellow")
            line += paint(pad(said, columns[4 + n]), colour)
        shown.append(line.rstrip())
    shown.append("")
    for attempt in run["attempts"]:
        error = attempt.get("error") or {}
        why = f": {error.get('message')}" if error else ""
        shown.append(f"  attempt {attempt['attempt']}  {attempt['status']}{why}  (by {attempt['trigger']}, "
                     f"{attempt['user_agent']})")
    return shown


class Story:
    """Says what happens, and when."""

    def __init__(self):
        self.begin = time.monotonic()

    def __call__(self, text, colour=None):
        stamp = paint(f"{time.monotonic() - self.begin:5.1f} s", "grey")
        print(f"  {stamp}  {paint(text, colour) if colour else text}", flush=True)


# ---- the demo -------------------------------------------------------------------------------------------------------


def read_log(path):
    """The whole lines of the worker's log."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return [json.loads(line) for line in text.split("\n")[:-1]]


def start_worker(log):
    # It stops when its standard input ends, and so with this process, however that ends.
    worker = subprocess.Popen(
        [sys.executable, EXAMPLE / "worker.py", "--port", "0", "--log", log, "--delay", "0.15", "--delay",
         f"{KILLED_IN}=2.5", "--while-stdin-is-open"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    first = worker.stdout.readline()
    if not first:
        raise RuntimeError("the worker did not start")
    return worker, first.split()[-1]


def play(pawl, folder, say):
    """(run, worker's log) after the whole story."""
    log = folder / "calls.jsonl"
    worker, address = start_worker(log)
    server = Server(["--pass-env", "WORKER_URL"], {"WORKER_URL": address}, binary=pawl)
    try:
        say(f"a worker with ten services listens on {address}")
        server.start()
        say(f"pawl serve is ready on {server.url} (process {server.process.pid})")

        applied = server.cli("apply", EXAMPLE / "workflow.yaml")
        if applied.returncode != 0:
            raise RuntimeError(f"pawl apply: {applied.stdout}{applied.stderr}")
        started = server.cli("start", "product-blog", "--json")
        if started.returncode != 0:
            raise RuntimeError(f"pawl start: {started.stdout}{started.stderr}")
        run_id = json.loads(started.stdout)["id"]
        say(f"pawl start product-blog: run {run_id}")

        def in_flight():
            lines = read_log(log)
            call = next((line for line in lines if line["event"] == "call" and line["path"] == KILLED_IN), None)
            return call and not any(line["event"] == "answer" and line["call"] == call["call"] for line in lines)

        wait_until(in_flight, PATIENCE, f"the call of {KILLED_IN}")
        server.kill()
        say(f"kill -9 {server.process.pid}, in the middle of {CHAIN[KILLED_IN]}, the fifth of ten", "red")

        server.start()
        say(f"the same command again: ready (process {server.process.pid}); nobody asked for the run to go on", "green")
        run = server.wait_run(run_id, seconds=PATIENCE)
        say(f"the run is {run['status']}", "green" if run["status"] == "success" else "red")
        return run, read_log(log)
    except Exception:
        print(f"\nThe server's own log:\n{server.log_text()[-4000:]}", file=sys.stderr)
        raise
    finally:
        server.close()
        worker.stdin.close()
        worker.wait(10)


def main():
    parser = argparse.ArgumentParser(prog="./dev demo", description="a chain of ten tasks survives kill -9")
    parser.add_argument("--pawl", type=pathlib.Path, default=ROOT / "build/release/pawl", help=argparse.SUPPRESS)
    pawl = parser.parse_args().pawl
    if not pawl.exists():
        print(f"demo: {pawl} is not built: ./dev build", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that `finally` cleans up then too

    version = cli("--version", binary=pawl).stdout.strip()
    print(paint(f"\n  {version or 'pawl'}: ten tasks, one kill -9, no task done twice\n", "bold"))
    folder = pathlib.Path(tempfile.mkdtemp(prefix="pawl-demo-"))
    try:
        run, lines = play(pawl, folder, Story())
    except (RuntimeError, TimeoutError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)

    print("\n" + "\n".join(table(run, lines)) + "\n")
    problems = judge(run, lines)
    for problem in problems:
        print(paint(f"  ✗ {problem}", "red"))
    if not problems:
        calls = sum(line["event"] == "call" for line in lines)
        print(paint(f"  ✓ {calls} calls for ten tasks: each finished task once, the one that was cut off again with the "
                    "same key; one trace id throughout", "green"))
    print()
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
