"""The kill loop that is exact to the system call: one experiment a point.

    start   the server under strace from its first instruction on; A: in an empty folder, B: as a recovery
    run     each of its threads by itself, from the scenario's first request on, so that none hides another
    guard   the guard and the keepers of the tries; the server lives on

In each, the N-th call of each kind kills, N = 1, 2, 3 … until it is not reached any more.
"""

import collections
import concurrent.futures
import os
import pathlib
import shutil
import signal
import threading
import time
import traceback

from kill import checks, tracing
from kill.scenarios import SCENARIOS
from kill.world import Broken, World
from support.pawl import wait_until

PHASES = ("start", "run", "guard")
KEPT = pathlib.Path(os.environ.get("PAWL_KILL_KEPT", "/tmp/pawl-kill"))


class Point:
    """Where an experiment kills: the `when`-th `syscall` of `thread` (None: of whichever is first)."""

    def __init__(self, scenario, phase, thread, syscall, when):
        self.scenario, self.phase, self.thread, self.syscall, self.when = scenario, phase, thread, syscall, when

    def __str__(self):
        return f"{self.scenario}:{self.phase}:{self.thread or '*'}:{self.syscall}:{self.when}"

    @classmethod
    def parse(cls, text):
        scenario, phase, thread, syscall, when = text.split(":")
        return cls(scenario, phase, None if thread == "*" else thread, syscall, int(when))

    def at(self, when):
        return Point(self.scenario, self.phase, self.thread, self.syscall, when)


class Experiment:
    """One world, one point (or none: then all calls are written down), one verdict."""

    def __init__(self, binary, scenario, phase, point=None):
        self.phase, self.point = phase, point
        self.world = World(binary)
        self.play = SCENARIOS[scenario](self.world)
        self.log = self.world.folder / "strace.txt"
        every = tracing.GUARD_CLASS if phase == "guard" else tracing.WRITE_CLASS
        self.calls = [point.syscall] if point else every
        self.inject = (point.syscall, point.when) if point else None
        self.names = {}

    def launch(self):
        """The server as a child of strace."""
        server = self.world.server
        with open(server.output, "ab") as output:
            server.process = self.world.tracer = tracing.spawn(
                [server.binary, "serve", "--data", server.data, "--listen", f"{server.listen}:{server.port}"],
                self.log, self.calls, self.inject, stdout=output, stderr=output, env=server.environment,
                cwd=server.folder)

    def attach(self):
        world = self.world
        if self.phase == "guard":
            if world.guard() is None:  # it begins with the first shell task of its server
                self.play.warm("wake")
            guard = wait_until(world.guard, what="a guard")
            self.names = {str(guard): "guard"}
            world.tracer = tracing.attach([guard], self.log, self.calls, self.inject,
                                          children=self.point is None or self.point.thread == "keeper")
            # One victim is enough: the keepers that follow would be killed at the same place.
            threading.Thread(target=self.detach, daemon=True).start()
            return
        # Some begin with their first work.
        threads = wait_until(lambda: self.found(tracing.threads(world.server.process.pid)), what="the thread")
        chosen = [threads[self.point.thread]] if self.point else list(threads.values())
        self.names = {str(thread): name for name, thread in threads.items()}
        world.tracer = tracing.attach(chosen, self.log, self.calls, self.inject)

    def found(self, threads):
        return threads if self.point is None or self.point.thread in threads else None

    def detach(self):
        if self.point and tracing.wait_killed(self.log, self.world.tracer):
            self.world.tracer.send_signal(signal.SIGTERM)

    def run(self):
        world, found = self.world, []
        begin = time.monotonic()
        try:
            self.play.prepare()
            if self.phase != "guard" and self.point:
                world.deaths_allowed = 1
            if self.phase == "start":
                world.launch = self.launch
            world.start()
            if self.phase == "start" and self.point is None:
                return {"calls": tracing.read_calls(self.read()), "names": {}, "violations": []}
            if self.play.name == "A":
                self.play.warm_up()
            if self.phase != "start":
                self.attach()
            self.play.play()
            found += checks.violations(self.play.story())
            if self.point is None:
                return {"calls": tracing.read_calls(self.read()), "names": self.names, "violations": found}
        except (Broken, TimeoutError) as error:
            found.append(f"progress: {error}")
        except Exception:
            found.append(f"driver: {traceback.format_exc()}")
        finally:
            self.end()
        if self.point is None:
            return {"violations": found}
        try:
            found += world.damage()
        except Exception as error:
            found.append(f"database: {error}")
        trace = self.read()
        if self.two_victims(trace):
            found = [sentence for sentence in found if not sentence.startswith(checks.nothing_is_left.__name__)]
        victim = tracing.victim(trace, self.point.syscall, self.point.when, world.server.data, world.server.port)
        result = {"point": str(self.point), "reached": "killed by SIGKILL" in trace, "violations": found,
                  "seconds": time.monotonic() - begin, "victim": None}
        if victim:
            thread, group, ordinal, writes = victim
            name = self.point.thread or "any"
            result["victim"] = [name, self.point.syscall, group, ordinal] if writes else None
        if found:
            result |= {"kept": str(self.keep()), "trace": trace[-2000:]}
        world.close(keep=bool(found))
        return result

    def two_victims(self, trace):
        """Keeper and guard, both before strace could be called back: what the task had detached is lost sight of then,
        as docs/adr/0005-guard-process.md says."""
        killed = tracing.killed(trace, self.point.syscall)
        return len(killed) > 1 and any(self.names.get(pid) == "guard" for pid in killed)

    def read(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def end(self):
        """The end of all processes, also of a server that is strace's child."""
        world = self.world
        if self.phase == "start" and world.tracer and world.tracer.poll() is None:
            for pid in tracing.children(world.tracer.pid):
                os.kill(pid, signal.SIGKILL)
            world.tracer.wait(10)
        elif world.tracer and world.tracer.poll() is None:
            world.tracer.terminate()
            world.tracer.wait(10)
        world.server.kill()
        if self.point is None:
            world.close()

    def keep(self):
        KEPT.mkdir(parents=True, exist_ok=True)
        place = KEPT / str(self.point).replace(":", "-").replace("*", "any")
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self.world.folder, place, symlinks=True)
        return place


# ---- all points -----------------------------------------------------------------------------------------------------


def survey(binary, scenario, phase):
    """The points of one phase, from a run in which all calls are written down and nobody is killed."""
    experiment = Experiment(binary, scenario, phase)
    found = experiment.run()
    if "calls" not in found or found["violations"]:
        raise RuntimeError(f"{scenario}:{phase} fails with nobody killed: {found['violations']}")
    counts, points = collections.Counter(), []
    for call in found["calls"]:
        counts[call.thread, call.name] += 1
        if not call.writes:
            continue
        thread = found["names"].get(call.thread, "keeper") if phase != "start" else None
        points.append((thread, call.name, counts[call.thread, call.name]))
    # In the phase `guard` all keepers look alike, in `start` the first thread to come to its N-th call is killed.
    return len(points), [Point(scenario, phase, *point) for point in dict.fromkeys(points)]


def choose(points, limit):
    """At most about `limit` points, the same ones each time: all that are rare, and every k-th of the others."""
    if limit is None or len(points) <= limit:
        return points
    groups = collections.defaultdict(list)
    for point in points:
        groups[point.scenario, point.phase, point.thread, point.syscall].append(point)
    low, high = 1, max(len(group) for group in groups.values())
    while low < high:  # the most of each group that fits
        middle = (low + high + 1) // 2
        fits = sum(min(len(group), middle) for group in groups.values()) <= limit
        low, high = (middle, high) if fits else (low, middle - 1)
    chosen = []
    for group in groups.values():
        count = min(len(group), low)
        chosen += [group[(2 * n + 1) * len(group) // (2 * count)] for n in range(count)]
    return chosen


def one(binary, text):
    point = Point.parse(text)
    try:
        return Experiment(binary, point.scenario, point.phase, point).run()
    except Exception:
        return {"point": text, "reached": False, "victim": None, "seconds": 0,
                "violations": [f"driver: {traceback.format_exc()}"]}


def loop(binary, pool, points, exhaustive, tell):
    """Runs them all; where `exhaustive`, each row of calls is followed until its end. Yields the results."""
    rows = {}
    for point in points:
        row = (point.scenario, point.phase, point.thread, point.syscall)
        rows[row] = max(rows.get(row, 0), point.when)
    open_ones = {pool.submit(one, binary, str(point)): point for point in points}
    while open_ones:
        done, _ = concurrent.futures.wait(open_ones, timeout=5, return_when=concurrent.futures.FIRST_COMPLETED)
        for future in done:
            point, result = open_ones.pop(future), future.result()
            row = (point.scenario, point.phase, point.thread, point.syscall)
            if exhaustive and result["reached"] and point.when == rows[row] and point.syscall != "openat":
                rows[row] += 1
                further = point.at(rows[row])
                open_ones[pool.submit(one, binary, str(further))] = further
            yield result
        tell(len(open_ones))
