"""The largest things that the documentation allows, on the real server: `./dev sizes [--long] [CASE…]`.

Prints what each took; fails where something does not end well, needs more than 512 MiB, or where a server that was killed
has runs left to take up two seconds after it said that it is ready. Nothing else is timed: a table for people to read.
"""

import argparse
import concurrent.futures
import http.client
import json
import pathlib
import socket
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.pawl import Server, wait_until  # noqa: E402

MOST_MEMORY = 512  # MiB
READY_TO_TAKEN_UP = 2  # seconds


class Wrong(Exception):
    pass


def must(condition, what):
    if not condition:
        raise Wrong(what)


def peak(server):
    """MiB that were resident at most since the server's start."""
    status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


class Silent:
    """Takes calls and never answers: whatever is in flight stays there."""

    def __init__(self):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(4096)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.taken = []
        threading.Thread(target=self.take, daemon=True).start()

    def take(self):
        try:
            while True:
                self.taken.append(self.listener.accept()[0])
        except OSError:
            pass

    def close(self):
        self.listener.close()
        for one in self.taken:
            one.close()


class Client:
    """Many requests over few connections."""

    def __init__(self, server, connections=8):
        self.server = server
        self.local = threading.local()
        self.pool = concurrent.futures.ThreadPoolExecutor(connections)

    def start(self, name):
        if not hasattr(self.local, "connection"):
            self.local.connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        connection = self.local.connection
        connection.request("POST", f"/api/v1/workflows/{name}/runs", b"{}",
                           {"Authorization": f"Bearer {self.server.token}", "Content-Type": "application/json"})
        answer = connection.getresponse()
        body = answer.read()
        must(answer.status in (200, 201, 202), f"a start was answered {answer.status}: {body[:200]}")
        return json.loads(body)["id"]

    def start_many(self, name, count):
        return list(self.pool.map(lambda _: self.start(name), range(count)))


def apply(server, name, jobs, **more):
    server.apply(json.dumps({"name": name, "jobs": jobs} | more, separators=(",", ":")), name)


def tasks_in(run):
    return sum(len(job["task_runs"]) for job in run["attempts"][-1]["job_runs"])


def one_run(name, jobs, tasks, shown=None):
    """A run of this definition, to its end; then its answer, in which `shown` tasks stand; absent: all."""
    with Server().start() as server:
        begin = time.monotonic()
        apply(server, name, jobs)
        applied = time.monotonic()
        run = server.start_run(name)["id"]

        def ended():
            return server.get(f"runs?workflow={name}")["items"][0]["status"] not in ("queued", "running", "waiting")

        wait_until(ended, 570, f"the end of {name}", interval=0.1)
        done = time.monotonic()
        at_work = peak(server)
        whole = server.call("GET", f"runs/{run}", timeout=120)
        answered = time.monotonic()
        must(whole["status"] == "success", f"it ended as {whole['status']}: {json.dumps(whole.get('error'))}")
        must(tasks_in(whole) == (shown or tasks), f"{tasks_in(whole)} of {tasks} tasks are shown")
        return server, {"tasks": tasks, "applied_s": applied - begin, "run_s": done - applied,
                        "us_a_task": (done - applied) / tasks * 1e6, "answer_s": answered - done,
                        "peak_at_work_mib": at_work, "peak_mib": peak(server)}


def wide(size):
    """A matrix with ten tasks in each of its instances."""
    axes = {"a": list(range(size // 1000)), "b": list(range(100))}
    steps = [{"id": f"t{n}", "wait": "1ms"} for n in range(10)]
    return one_run("wide", {"all": {"matrix": axes, "max-parallel": 10_000, "tasks": steps}}, size)


def deep(size):
    """A chain of jobs, each of which needs the one before."""
    jobs = {f"j{n}": {"tasks": [{"wait": "1ms"}]} | ({"needs": [f"j{n - 1}"]} if n else {}) for n in range(size)}
    return one_run("deep", jobs, size)


def long_job(size):
    """One job with all the tasks that a definition may have."""
    return one_run("long", {"all": {"tasks": [{"id": f"t{n}", "wait": "1ms"} for n in range(size)]}}, size, 1000)


def fan_in(size):
    """Instances of matrices, and one job that needs all of them."""
    parts = 5
    axes = {"a": list(range(size // parts // 100)), "b": list(range(100))}
    jobs = {f"m{n}": {"matrix": axes, "max-parallel": 10_000, "tasks": [{"wait": "1ms"}]} for n in range(parts)}
    jobs["all"] = {"needs": list(jobs), "tasks": [{"wait": "1ms"}]}
    return one_run("fan-in", jobs, size + 1)


def cut_off(size):
    """Runs that are open when the server is killed, as many of them in the middle of a call as there are places."""
    silent = Silent()
    try:
        with Server().start() as server:
            apply(server, "open", {"main": {"tasks": [{"http": {"url": silent.url}}]}})
            begin = time.monotonic()
            runs = Client(server).start_many("open", size)
            started = time.monotonic()
            in_flight = min(size, 4096)
            wait_until(lambda: len(silent.taken) >= min(in_flight, 1000), 60, "calls")
            sample = runs[:: max(1, size // 200)]
            cut = [run for run in sample if server.run(run)["status"] == "running"]
            must(len(cut) > 10, "hardly any run is in the middle of something")
            before = peak(server)
            server.kill()
            killed = time.monotonic()
            server.start()
            ready = time.monotonic()
            for run in cut:
                attempts = server.run(run)["attempts"]
                must(len(attempts) == 2 and attempts[0]["error"]["code"] == "interrupted", f"{run} was left behind")
            taken = time.monotonic()
            must(taken - ready <= READY_TO_TAKEN_UP, f"seen to be taken up {taken - ready:.1f} s after it was ready")
            return server, {"runs": size, "started_s": started - begin, "kill_to_ready_s": ready - killed,
                            "ready_to_seen_s": taken - ready, "seen": len(cut), "peak_before_mib": before,
                            "peak_mib": peak(server)}
    finally:
        silent.close()


def parked(size):
    """Runs that wait: nearly all for tomorrow, the last ones for some seconds, over a kill."""
    with Server().start() as server:
        empty = peak(server)
        apply(server, "tomorrow", {"main": {"tasks": [{"wait": "1d"}]}})
        apply(server, "soon", {"main": {"tasks": [{"wait": "5s"}]}})
        begin = time.monotonic()
        Client(server).start_many("tomorrow", size)
        started = time.monotonic()
        before = peak(server)
        soon = Client(server).start_many("soon", 20)
        server.kill()
        killed = time.monotonic()
        server.start()
        ready = time.monotonic()
        for run in soon:
            server.wait_run(run, "success")
        must(server.get("runs?workflow=tomorrow&limit=1")["items"][0]["status"] == "waiting", "a waiting run does not wait")
        return server, {"runs": size, "started_s": started - begin, "starts_a_second": size / (started - begin),
                        "kill_to_ready_s": ready - killed, "kib_a_run_before": (before - empty) * 1024 / size,
                        "kib_a_run": (peak(server) - empty) * 1024 / size, "peak_before_mib": before,
                        "peak_mib": peak(server)}


CASES = {  # (what, size in CI, whole size)
    "wide": (wide, 20_000, 100_000),
    "deep": (deep, 2_000, 10_000),
    "long": (long_job, 2_000, 10_000),
    "fan-in": (fan_in, 10_000, 50_000),
    "cut-off": (cut_off, 2_000, 10_000),
    "parked": (parked, 3_000, 100_000),
}


def main():
    parser = argparse.ArgumentParser(prog="./dev sizes", description="the largest things on the real server")
    parser.add_argument("--long", action="store_true", help="the whole sizes")
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"only these: {' '.join(CASES)}")
    options = parser.parse_args()
    bad = 0
    for name in options.cases or CASES:
        if name not in CASES:
            parser.error(f"no case {name!r}; there are: {' '.join(CASES)}")
        case, small, whole = CASES[name]
        try:
            _, told = case(whole if options.long else small)
            must(max(told.get("peak_before_mib", 0), told["peak_mib"]) <= MOST_MEMORY, f"it took {told['peak_mib']:.0f} MiB")
            verdict = ""
        except (Wrong, TimeoutError, OSError) as error:
            told, verdict, bad = {}, f" FAILED: {str(error)[:500]}", bad + 1
        shown = (f"{key}={value:.3g}" if isinstance(value, float) else f"{key}={value}" for key, value in told.items())
        print(f"{name:8}{verdict} {' '.join(shown)}", flush=True)
    print(f"{len(options.cases or CASES)} cases, {bad} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
