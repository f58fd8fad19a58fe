"""kill -9 at random moments, of a server with tens of runs in flight, again and again on the same folder."""

import random
import shutil
import threading
import time
import traceback

from kill import checks
from kill.exact import KEPT
from kill.scenarios import A, call, shell
from kill.world import Broken, World

IN_FLIGHT = 30
SETTLED = 0.01  # seconds in which the peer may still see calls of the server that was killed
LONGEST_LIFE = 0.4  # seconds from ready to the kill, where a start takes a tenth of a second


class Load(A):
    """Three workflows: the one of scenario A, a chain of calls, and a matrix of calls and shells."""

    def apply_all(self):
        world, peer = self.world, self.world.peer
        self.apply("1")
        peer.on("/link", peer.slow)
        links = [call("t0", peer, "main/t0", path="link")]
        links += [call(f"t{n}", peer, f"main/t{n}", path="link", saw=f"tasks.t{n - 1}.outputs.token")
                  for n in range(1, 8)]
        rules = {f"main/t{n}": {"hands_on": True} | ({"saw": f"main/t{n - 1}"} if n else {}) for n in range(8)}
        self.define("chain", rules, jobs={"main": {"tasks": links}})
        rules = {"each/hit": {"hands_on": True}, "each/write": {"lines": True, "saw": "each/hit"}, "end/end": {}}
        self.define("fan", rules, jobs={"each": {"matrix": {"n": [1, 2, 3]}, "tasks": [
                        call("hit", peer, "each[n=${{ matrix.n }}]/hit"),
                        shell("write", world, "lines", saw="tasks.hit.outputs.token")]},
                        "end": {"needs": "each", "tasks": [call("end", peer, "end/end")]}})


class Killer:
    """Kills the newest server, as long as there are kills left: one in four as it starts, the others at work."""

    def __init__(self, world, dice, cycles):
        self.world, self.dice, self.left = world, dice, cycles
        self.timer = None
        self.lives = []
        world.started, world.became_ready = self.started, self.became_ready

    def started(self):
        self.lives.append({"start": time.monotonic(), "ready": None, "kill": None})
        took = [life["ready"] - life["start"] for life in self.lives if life["ready"]]
        if took and self.dice.random() < 0.25:
            self.arm(self.dice.uniform(0, took[-1]))

    def became_ready(self):
        self.lives[-1]["ready"] = self.lives[-1]["ready"] or time.monotonic()
        if self.timer is None and self.lives[-1]["kill"] is None:
            # Where all is slow, lives are longer, so that work gets done in them.
            took = self.lives[-1]["ready"] - self.lives[-1]["start"]
            self.arm(self.dice.uniform(0, max(LONGEST_LIFE, 4 * took)))

    def arm(self, delay):
        if self.left == 0:
            return
        self.left -= 1
        life, process = self.lives[-1], self.world.server.process

        def shoot():
            life["kill"] = time.monotonic()
            self.timer = None
            process.kill()

        self.timer = threading.Timer(delay, shoot)
        self.timer.start()

    def over(self):
        """Whether there is nobody left to be killed."""
        return self.left == 0 and self.timer is None

    def figures(self, calls):
        """For each start after a kill that was followed by a call: seconds from ready, and from the kill, to that."""
        found = []
        for before, life in zip(self.lives, self.lives[1:]):
            end = life["kill"] or float("inf")
            following = next((at for at in calls if life["start"] + SETTLED < at < end), None)
            if before["kill"] and life["ready"] and following:
                found.append((max(0.0, following - life["ready"]), following - before["kill"]))
        return found


def segment(binary, seed, cycles):
    """`cycles` kills of one server, then all that was begun is brought to its end and checked."""
    begin = time.monotonic()
    dice = random.Random(seed)
    world = World(binary)
    load = Load(world)
    killer = None
    found, figures, runs, effects = [], [], [], 0
    try:
        world.start()
        load.warm_up()
        load.apply_all()
        world.kill()
        world.deaths_allowed = cycles
        killer = Killer(world, dice, cycles)
        world.start()
        open_ones = []
        while not killer.over():
            if len(open_ones) < IN_FLIGHT:
                key = f"key-{len(runs)}"
                runs.append(world.begin(dice.choices(("a", "chain", "fan"), (1, 3, 2))[0], key))
                open_ones.append(runs[-1])
            else:
                seen = dice.choice(open_ones)
                if world.look(seen)["status"] in checks.FINAL:
                    open_ones.remove(seen)
        load.expected |= dict.fromkeys(runs, "success")
        load.finish()
        figures = killer.figures([call.at for call in world.peer.calls])
        story = load.story()
        effects = len(story["effects"])
        found += checks.violations(story)
    except (Broken, TimeoutError) as error:
        found.append(f"progress: {error}")
    except Exception:
        found.append(f"driver: {traceback.format_exc()}")
    if killer and (timer := killer.timer):
        timer.cancel()
    world.server.kill()
    lives = killer.lives if killer else []
    try:
        found += world.damage()
    except Exception as error:
        found.append(f"database: {error}")
    result = {"seed": seed, "kills": sum(life["kill"] is not None for life in lives), "runs": len(runs),
              "in_start_up": sum(life["kill"] is not None and life["ready"] is None for life in lives),
              "effects": effects, "figures": figures, "violations": found, "seconds": time.monotonic() - begin}
    if found:
        KEPT.mkdir(parents=True, exist_ok=True)
        place = KEPT / f"random-{seed}"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(world.folder, place, symlinks=True)
        result["kept"] = str(place)
    world.close()
    return result
