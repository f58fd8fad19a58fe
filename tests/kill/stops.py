"""A service manager stops the server and sends TERM to all processes that the server has started, in either order, as systemd
does with KillMode=control-group. What this cuts off counts neither as a failure nor as a crash."""

import random
import shutil
import signal
import time
import traceback

from kill import checks
from kill.exact import KEPT
from kill.scenarios import Scenario, call, shell
from kill.world import PATIENCE, Broken, World
from support.definitions import workflow
from support.pawl import below, send

ORDERS = ("server first", "tasks first")
IN_FLIGHT = 6
LONGEST_LIFE = 0.4  # seconds from ready to the stop
LONGEST_GAP = 0.005  # seconds between the signals to server and tasks


class Work(Scenario):
    """Chains of shell tasks, and one beside HTTP calls. Retries and recoveries are off, because no try may fail and no recovery may count."""

    def define(self, name, rules, **definition):
        self.rules[name] = rules
        return self.world.apply(name, workflow(name, **definition, recover={"max": 0}))

    def apply_all(self):
        world, peer = self.world, self.world.peer
        peer.on("/link", peer.slow)

        def link(n):
            seen = {"saw": f"tasks.t{n - 1}.outputs.token"} if n else {}
            return shell(f"t{n}", world, "lines", "made", "sleep 0.1", retry={"max": 0}, **seen)

        rules = {f"main/t{n}": {"hands_on": True, "lines": True} | ({"saw": f"main/t{n - 1}"} if n else {}) for n in range(4)}
        self.define("chain", rules, jobs={"main": {"tasks": [link(n) for n in range(4)]}})
        calls = [call("c0", peer, "calls/c0", path="link", retry={"max": 0}),
                 call("c1", peer, "calls/c1", path="link", saw="tasks.c0.outputs.token", retry={"max": 0})]
        slow = shell("slow", world, "lines", "sleep 0.3", retry={"max": 0})
        end = shell("end", world, "lines", saw="jobs.calls.tasks.c1.outputs.token", retry={"max": 0})
        rules = {"calls/c0": {"hands_on": True}, "calls/c1": {"hands_on": True, "saw": "calls/c0"},
                 "slow/slow": {"lines": True}, "end/end": {"lines": True, "saw": "calls/c1", "after": ["slow/slow"]}}
        self.define("beside", rules, jobs={"calls": {"tasks": calls}, "slow": {"tasks": [slow]},
                                           "end": {"needs": ["calls", "slow"], "tasks": [end]}})


def stop_all(world, order, gap):
    server = [world.server.process.pid]
    rest = below(world.server.process.pid)
    first, then = (server, rest) if order == "server first" else (rest, server)
    send(signal.SIGTERM, first)
    time.sleep(gap)
    send(signal.SIGTERM, then)
    code = world.server.process.wait(PATIENCE)
    world.kills.append({"at": time.time(), "how": order})
    world.prune()
    if code != 0:
        raise Broken(f"the server was asked to stop and left with {code}:\n{world.server.log_text()[-3000:]}")


def segment(binary, seed, order, count, gap=None):
    """`count` stops of one server, then all that was begun is brought to its end and checked."""
    dice = random.Random(seed)
    world = World(binary)
    load = Work(world)
    found, runs, interrupted = [], [], 0
    try:
        world.start()
        load.apply_all()
        open_ones = []
        for _ in range(count):
            while len(open_ones) < IN_FLIGHT:
                runs.append(world.begin(dice.choice(("chain", "beside")), f"key-{len(runs)}"))
                open_ones.append(runs[-1])
            time.sleep(dice.uniform(0, LONGEST_LIFE))
            stop_all(world, order, dice.uniform(0, LONGEST_GAP) if gap is None else gap)
            world.start()
            open_ones = [run for run in open_ones if world.look(run)["status"] not in checks.FINAL]
        load.expected |= dict.fromkeys(runs, "success")
        load.finish()
        story = load.story()
        interrupted = sum(a_try["status"] == "interrupted" for run in story["runs"].values()
                          for _, _, task in checks.task_rows(run) for a_try in task["tries"])
        found += checks.violations(story)
    except (Broken, TimeoutError) as error:
        found.append(f"progress: {error}")
    except Exception:
        found.append(f"driver: {traceback.format_exc()}")
    world.server.kill()
    result = {"order": order, "seed": seed, "stops": len(world.kills), "runs": len(runs), "interrupted": interrupted,
              "violations": found}
    if found:
        KEPT.mkdir(parents=True, exist_ok=True)
        place = KEPT / f"stops-{order.replace(' ', '-')}-{seed}"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(world.folder, place, symlinks=True)
        result["kept"] = str(place)
    world.close()
    return result
