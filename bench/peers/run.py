"""Pawl and Restate side by side: the workloads of docs/performance.md on one machine, one after the other, so that both
see the same hour. `./dev bench peers` builds Pawl and the rest, then calls this.

Restate comes from npm in the versions of package.json, into build/bench/peers; where Node is too old for its SDK, a
newer one comes from npm too. The lines go to build/bench/side-by-side.jsonl and to standard output, each with `engine`:
pawl, restate-24 or restate-2 (the number of its partitions). `others_cores` says how many cores other programs took
meanwhile: repeat what was measured in company.
"""

import argparse
import json
import os
import pathlib
import platform
import shutil
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD = ROOT / "build"
PEERS = BUILD / "bench/peers"
BENCH = BUILD / "release/pawl_bench"
OUT = BUILD / "bench/side-by-side.jsonl"
NODE = 22  # the oldest that Restate's SDK runs on
NEWER_NODE = "24.21.0"
PARTITIONS = ("24", "2")  # Restate's default, and what suits two cores
AT_ONCE = {"W1": ("128", "512"), "W5": ("128",)}


class Failure(Exception):
    pass


def say(text):
    print(f"peers: {text}", file=sys.stderr, flush=True)


def lines_of(command, environment=None):
    """What a program prints as JSON lines; its progress goes where ours goes. It ends with us."""
    process = subprocess.Popen([str(word) for word in command], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, text=True)
    try:
        text, _ = process.communicate()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if process.returncode != 0:
        raise Failure(f"{' '.join(map(str, command))}: exit code {process.returncode}")
    return [json.loads(line) for line in text.splitlines()]


# ---- installing -----------------------------------------------------------------------------------------------------


def npm(folder, *packages):
    folder.mkdir(parents=True, exist_ok=True)
    command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", *packages]
    if subprocess.run(command, cwd=folder, stdout=sys.stderr).returncode != 0:
        raise Failure(f"npm install failed in {folder}")


def node_version(node):
    try:
        text = subprocess.run([node, "--version"], capture_output=True, text=True).stdout
        return int(text.strip().lstrip("v").split(".")[0])
    except (OSError, ValueError):
        return 0


def install():
    """Path of a Node that is new enough, with the packages of the drivers beside them in build/bench/peers."""
    for tool in ("npm", "wrk"):
        if not shutil.which(tool):
            raise Failure(f"{tool} is missing; `./dev bench peers` installs it")
    PEERS.mkdir(parents=True, exist_ok=True)
    wanted = (HERE / "package.json").read_text()
    installed = PEERS / "node_modules/.package-lock.json"
    present = PEERS / "package.json"
    if not installed.exists() or not present.exists() or present.read_text() != wanted:
        say("installing Restate from npm")
        present.write_text(wanted)
        npm(PEERS)
    # Node looks for packages from where a program lies.
    for source in HERE.glob("*.mjs"):
        shutil.copy(source, PEERS)
    if node_version("node") >= NODE:
        return "node"
    machine = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine())
    if not machine:
        raise Failure(f"Node {NODE} or newer is needed")
    package = f"node-linux-{machine}"
    node = PEERS / "node/node_modules" / package / "bin/node"
    if node_version(node) < NODE:
        say(f"Node here is too old for Restate's SDK: installing {NEWER_NODE} from npm")
        (PEERS / "node").mkdir(exist_ok=True)
        (PEERS / "node/package.json").write_text('{"private": true}\n')
        npm(PEERS / "node", f"{package}@{NEWER_NODE}")
    return str(node)


# ---- measuring ------------------------------------------------------------------------------------------------------


def busy():
    """CPU seconds that all programs of this machine have used."""
    fields = pathlib.Path("/proc/stat").read_text().split("\n")[0].split()
    user, nice, system, _, _, irq, softirq = map(int, fields[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def wait_for_quiet(patience):
    """Until others use next to nothing, or patience is at its end; `others_cores` of the line then says so."""
    end = time.monotonic() + patience
    while patience > 0:
        begin, before = time.monotonic(), busy()
        time.sleep(1.5)
        if (busy() - before) / (time.monotonic() - begin) < 0.25:
            return
        if time.monotonic() > end:
            say("the machine does not become quiet")
            return


def measurements(workloads, node, seconds, runs):
    """(what, command, environment, fields to add) of everything to measure once, Pawl and the peer in turn."""
    for workload in workloads:
        yield f"Pawl {workload}", [BENCH, workload], None, {"engine": "pawl"}
        for partitions in PARTITIONS:
            for at_once in AT_ONCE.get(workload, ("128",)):
                command = [node, PEERS / "restate.mjs", workload, "--folder", PEERS / "data", "--partitions",
                           partitions, "--at-once", at_once, "--seconds", seconds, "--bench", BENCH]
                if runs:
                    command += ["--runs", runs]
                many = f", {at_once} at once" if workload in AT_ONCE else ""
                yield f"Restate {workload}, {partitions} partitions{many}", command, os.environ, {}


def main():
    parser = argparse.ArgumentParser(prog="./dev bench peers", description="Pawl and Restate side by side")
    parser.add_argument("workloads", nargs="*", metavar="W1 … W5", help="default: all")
    parser.add_argument("--rounds", type=int, default=1, help="how often everything is measured (default 1)")
    parser.add_argument("--seconds", type=int, default=12, help="of Restate's W1 and W5 (default 12)")
    parser.add_argument("--runs", type=int, help="of Restate's W2 and W3 (default 400 and 10,000)")
    parser.add_argument("--quiet", type=float, default=90, metavar="SECONDS",
                        help="how long to wait for a quiet machine before each (default 90)")
    parser.add_argument("--peer-only", action="store_true", help="leave Pawl out")
    options = parser.parse_args()
    workloads = options.workloads or ["W1", "W2", "W3", "W4", "W5"]
    for workload in workloads:
        if workload not in ("W1", "W2", "W3", "W4", "W5"):
            parser.error(f"no workload {workload!r}; there are W1 W2 W3 W4 W5")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    failed = False
    try:
        node = install()
        with open(OUT, "w", encoding="utf-8") as out:
            for number in range(1, options.rounds + 1):
                for what, command, environment, fields in measurements(workloads, node, options.seconds, options.runs):
                    if options.peer_only and fields:
                        continue
                    wait_for_quiet(options.quiet)
                    say(what)
                    try:
                        found = lines_of(command, environment)
                    except Failure as error:
                        say(str(error))  # the others may still be worth having
                        failed = True
                        continue
                    for line in found:
                        text = json.dumps(line | fields | {"round": number}, ensure_ascii=False)
                        print(text, flush=True)
                        out.write(text + "\n")
                        out.flush()
    except Failure as error:
        say(str(error))
        return 1
    finally:
        shutil.rmtree(PEERS / "data", ignore_errors=True)
    say(f"written to {OUT.relative_to(ROOT)}; `./dev bench report` draws them")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
