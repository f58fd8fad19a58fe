"""The crash harness: `./dev kill`. A real server is killed, started again, and judged by what stood outside of it.

    strace   at every write-class system call of two scenarios, one experiment a call
    random   at random moments under load
    stops    it is not killed: it and all that it has started get TERM, in either order, as by a service manager
"""

import argparse
import collections
import concurrent.futures
import json
import pathlib
import random
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from kill import exact, random_kills, stops  # noqa: E402
from kill.scenarios import SCENARIOS  # noqa: E402
from support.pawl import PAWL  # noqa: E402

POINTS = 600  # of the server that are tried, and a tenth as many of its guard; --long tries all
AT_LEAST = 500  # distinct ones that a whole run has to hit
CYCLES = 208
SEGMENT = 26  # kills of one server before it is judged
STOPS = 40  # in each order
STOPS_SEGMENT = 10  # of one server


class Progress:
    """A line on standard error every few seconds."""

    def __init__(self):
        self.begin = self.said = time.monotonic()
        self.text = lambda: ""

    def tell(self, *_):
        if time.monotonic() - self.said > 5:
            self.say(self.text())

    def say(self, text):
        self.said = time.monotonic()
        print(f"kill: {self.said - self.begin:4.0f} s  {text}", file=sys.stderr, flush=True)


def show_violation(result, progress):
    name = result.get("point") or f"random kills, --seed {result['seed']} --cycles {SEGMENT}"
    progress.say(f"VIOLATION at {name}")
    for sentence in result["violations"][:10]:
        print(f"    {sentence}", file=sys.stderr)
    if result.get("trace"):
        print("    strace: " + "\n            ".join(result["trace"].splitlines()[-12:]), file=sys.stderr)
    if result.get("kept"):
        print(f"    its folder is {result['kept']}", file=sys.stderr)
    sys.stderr.flush()


class Tally:
    """What the experiments have come to so far."""

    def __init__(self, progress):
        self.progress = progress
        self.hit, self.bad = {}, []  # the names of the victims; results with violations
        self.tried = self.kills = self.waiting = 0
        progress.text = lambda: (f"{self.tried} of {self.tried + self.waiting} points tried, {len(self.hit)} distinct "
                                 f"ones hit, {len(self.bad)} with violations")

    def add(self, result):
        self.tried += 1
        self.kills += result["reached"]
        if result["victim"]:
            scenario, phase = result["point"].split(":")[:2]
            self.hit.setdefault((scenario, phase, *result["victim"]), result["point"])
        if result["violations"]:
            self.bad.append(result)
            show_violation(result, self.progress)

    def tell(self, waiting):
        self.waiting = waiting
        self.progress.tell()

    def guard(self):
        return sum(key[1] == "guard" for key in self.hit)

    def server(self):
        return len(self.hit) - self.guard()

    def table(self):
        found = collections.Counter()
        for scenario, phase, _thread, syscall, group, _ordinal in self.hit:
            found[phase == "guard", group, syscall, scenario] += 1
        return [[*key, count] for key, count in sorted(found.items())]


def strace(options, pool, progress):
    """All experiments, summed up as plain data."""
    points, rest, total = [], [], collections.Counter()
    exhaustive = bool(options.long or options.only)
    if options.point:
        points = [exact.Point.parse(text) for text in options.point]
    else:
        for name in options.scenario or SCENARIOS:
            for phase in exact.PHASES:
                progress.say(f"looking for the points of {name}:{phase}")
                calls, found = exact.survey(options.binary, name, phase)
                total[f"{name}:{phase}"] = calls
                points += [point for point in found if options.only in (None, point.syscall)]
        progress.say(f"{sum(total.values())} calls in {len(total)} surveys, {len(points)} points")
        if not exhaustive:
            rest = [point for point in points if point.phase != "guard"]
            points = exact.choose([point for point in points if point.phase == "guard"], options.points // 10)
            points += exact.choose(rest, options.points)
    tally, tried = Tally(progress), set()
    while points:
        tried |= set(map(str, points))
        for result in exact.loop(options.binary, pool, points, exhaustive, tally.tell):
            tally.add(result)
        # A point that is not reached, because threads ran in another order than in the survey, is made up for.
        short = AT_LEAST - tally.server() if is_whole(options) else 0
        rest = [point for point in rest if str(point) not in tried]
        points = exact.choose(rest, short + short // 4 + 1) if short > 0 else []
    return {"calls": dict(total), "tried": tally.tried, "kills": tally.kills, "distinct": tally.server(),
            "guard": tally.guard(), "exhaustive": exhaustive, "table": tally.table(),
            "violations": [kept(result, "point") for result in tally.bad]}


def is_whole(options):
    """Whether so much is asked for that there have to be enough points."""
    return not (options.only or options.point or options.scenario) and options.points >= POINTS


def kept(result, name):
    return {name: result[name], "sentences": result["violations"], "kept": result.get("kept")}


def random_loop(options, pool, progress):
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(2**32)
    progress.say(f"random kills with --seed {seed}")
    sizes = [min(SEGMENT, options.cycles - begun) for begun in range(0, options.cycles, SEGMENT)]
    work = [pool.submit(random_kills.segment, options.binary, seed + n, size) for n, size in enumerate(sizes)]
    totals, figures, bad, done = collections.Counter(), [], [], 0
    progress.text = lambda: f"{totals['kills']} of {options.cycles} random kills, {len(bad)} servers with violations"
    waiting = set(work)
    while waiting:
        finished, waiting = concurrent.futures.wait(waiting, timeout=5, return_when=concurrent.futures.FIRST_COMPLETED)
        for future in finished:
            result = future.result()
            done += 1
            for name in ("kills", "runs", "effects", "in_start_up"):
                totals[name] += result[name]
            figures += result["figures"]
            if result["violations"]:
                bad.append(result)
                show_violation(result, progress)
        progress.tell()
    return {"seed": seed, "cycles": totals["kills"], "wanted": options.cycles, "in_start_up": totals["in_start_up"],
            "runs": totals["runs"], "effects": totals["effects"],
            "ready_to_call_ms": spread([figure[0] for figure in figures]),
            "kill_to_call_ms": spread([figure[1] for figure in figures]),
            "violations": [kept(result, "seed") for result in bad]}


def stop_loop(options, pool, progress):
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(2**32)
    progress.say(f"stops of server and tasks with --seed {seed}")
    work = [pool.submit(stops.segment, options.binary, seed + n, order, STOPS_SEGMENT)
            for order in stops.ORDERS for n in range(STOPS // STOPS_SEGMENT)]
    totals, bad = {order: collections.Counter() for order in stops.ORDERS}, []
    progress.text = lambda: (f"{sum(total['stops'] for total in totals.values())} of {STOPS * len(totals)} stops, "
                             f"{len(bad)} servers with violations")
    for future in concurrent.futures.as_completed(work):
        result = future.result()
        for name in ("stops", "runs", "interrupted"):
            totals[result["order"]][name] += result[name]
        if result["violations"]:
            bad.append(result)
            show_violation(result | {"point": f"stops, {result['order']}, --seed {result['seed']}"}, progress)
        progress.tell()
    return {"seed": seed, "orders": {order: dict(total) for order, total in totals.items()},
            "violations": [kept(result, "seed") for result in bad]}


def spread(values):
    """{"p50", "p99", "max"} in milliseconds."""
    if not values:
        return None
    values = sorted(values)

    def at(share):
        return round(1000 * values[min(len(values) - 1, int(share * len(values)))], 1)

    return {"p50": at(0.5), "p99": at(0.99), "max": at(1), "of": len(values)}


def table_text(table):
    """Points by file and call, a column a scenario."""
    scenarios = sorted({row[3] for row in table})
    lines = []
    for guard, title in ((False, "the server, killed as it was about to"),
                         (True, "the guard or a keeper, killed as it was about to")):
        cells = {(group, syscall): {} for of_guard, group, syscall, *_ in table if of_guard == guard}
        if not cells:
            continue
        for of_guard, group, syscall, scenario, count in table:
            if of_guard == guard:
                cells[group, syscall][scenario] = count
        lines.append(f"{title:<52}" + "".join(f"{name:>7}" for name in scenarios))
        for (group, syscall), counts in cells.items():
            lines.append(f"  {syscall:<18} {group:<31}" + "".join(f"{counts.get(name, ''):>7}" for name in scenarios))
    return "\n".join(lines)


def report(result):
    lines = []
    if found := result.get("strace"):
        lines += [table_text(found["table"]), ""]
        of = f" of {sum(found['calls'].values())} calls" if found["calls"] else ""
        lines.append(f"exact: {found['distinct']} distinct points of the server, {found['guard']} of its guard and "
                     f"keepers{of}; {found['tried']} tried, {found['kills']} kills, {len(found['violations'])} with violations")
    if found := result.get("random"):
        lines.append(f"random: {found['cycles']} kills (seed {found['seed']}), {found['in_start_up']} of them before "
                     f"the server was ready; {found['runs']} runs, {found['effects']} effects, "
                     f"{len(found['violations'])} servers with violations")
        for name, title in (("ready_to_call_ms", "ready"), ("kill_to_call_ms", "the kill")):
            if times := found[name]:
                lines.append(f"  from {title} to the next call: p50 {times['p50']} ms, p99 {times['p99']} ms, "
                             f"max {times['max']} ms")
    if found := result.get("stops"):
        for order, total in found["orders"].items():
            lines.append(f"stops, {order}: {total['stops']} (seed {found['seed']}), {total['runs']} runs, "
                         f"{total['interrupted']} tries interrupted")
    lines.append(f"{result['seconds']:.0f} s, {result['violations']} violations")
    return "\n".join(lines)


def judge(result):
    """[(what was asked, whether it holds)]: these are the cases that `./dev test` counts."""
    cases = []
    if found := result.get("strace"):
        phases = {":".join(violation["point"].split(":")[:2]) for violation in found["violations"]}
        cases += [(f"kill at calls of {name}", name not in phases) for name in found["calls"]]
        if not found["calls"]:
            cases.append(("kill at the points given", not found["violations"]))
        if result["whole"]:
            cases.append((f"at least {AT_LEAST} distinct points of the server", found["distinct"] >= AT_LEAST))
    if found := result.get("random"):
        good = not found["violations"] and found["cycles"] >= found["wanted"]
        cases.append((f"{found['wanted']} random kills", good))
    if found := result.get("stops"):
        for order, total in found["orders"].items():
            # A stop that met nobody at work shows nothing.
            good = not found["violations"] and total["stops"] >= STOPS and total["interrupted"] >= STOPS
            cases.append((f"{STOPS} stops of server and tasks, {order}", good))
    return cases


def main():
    parser = argparse.ArgumentParser(prog="./dev kill", description="kill a server and see that it keeps its promises")
    parser.add_argument("what", nargs="?", choices=("strace", "random", "stops", "all"), default="all")
    parser.add_argument("--exact", action="store_const", dest="what", const="strace", help="the same as strace")
    parser.add_argument("--scenario", action="append", choices=sorted(SCENARIOS), help="only this one")
    parser.add_argument("--only", metavar="SYSCALL", help="only points at this call, all of them")
    parser.add_argument("--point", action="append", metavar="POINT", help="only this one, by the name in a violation")
    parser.add_argument("--points", type=int, default=POINTS, metavar="N",
                        help=f"about so many of the server's, the same ones each time ({POINTS})")
    parser.add_argument("--long", action="store_true", help="every point, and each row of calls until its end")
    parser.add_argument("--cycles", type=int, default=CYCLES, metavar="N", help=f"random kills ({CYCLES})")
    parser.add_argument("--seed", type=int, metavar="N", help="of the random kills and stops; default: another one each time")
    parser.add_argument("--workers", type=int, default=3, metavar="N", help="servers at once (3)")
    parser.add_argument("--json", action="store_true", help="the summary as JSON")
    parser.add_argument("--binary", type=pathlib.Path, default=PAWL, help="what is killed")
    options = parser.parse_args()
    progress, begin, result = Progress(), time.monotonic(), {}
    with concurrent.futures.ProcessPoolExecutor(options.workers) as pool:
        if options.what in ("strace", "all"):
            result["strace"] = strace(options, pool, progress)
        if options.what in ("random", "all") and not options.point and not options.only:
            result["random"] = random_loop(options, pool, progress)
        if options.what in ("stops", "all") and not options.point and not options.only:
            result["stops"] = stop_loop(options, pool, progress)
    result["seconds"] = time.monotonic() - begin
    result["violations"] = sum(len(part["violations"]) for part in result.values() if isinstance(part, dict))
    result["whole"] = is_whole(options)
    cases = judge(result)
    result["cases"] = cases
    print(json.dumps(result, ensure_ascii=False) if options.json else report(result), flush=True)
    failed = [name for name, good in cases if not good]
    for name in failed:
        print(f"FAILED: {name}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
