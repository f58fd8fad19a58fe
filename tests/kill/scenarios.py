"""The two scenarios of the kill loop: their workflows, what the driver does, and what every task is held to.

A rule of a task: `saw`, the task whose token it has to have seen; `after`, tasks that have to be done before it starts;
`hands_on`, its output token is compared with what others saw; `lines`, its log is read; `cleanup`, it may start after a
cancel. `effect: False`: it leaves none.
"""

from support.definitions import NEVER_POISON, http, script, workflow

FINE = "${{ response.json.data.token }}"
AGAIN = {"max": 9, "delay": "10ms"}
WARM = "warm"


def call(task, peer, full, saw=None, mark="", path=None, **more):
    """An HTTP task that tells the peer who it is and what it saw."""
    body = {"task": full, "saw": f"${{{{ {saw} }}}}" if saw else None, "mark": mark}
    more.setdefault("retry", AGAIN)
    return http(task, f"{peer.url}/{path or task}", http_json=body, outputs={"token": FINE}, **more)


def shell(task, world, *then, saw=None, mark="", **more):
    """A shell task that writes its effect down outside of the server, and then does more."""
    env = {"MARK": mark} | ({"SAW": f"${{{{ {saw} }}}}"} if saw else {})
    more.setdefault("retry", AGAIN)
    return script(task, "\n".join([f". {world.folder}/effect.sh", "effect", *then]), env=env, **more)


def token(job, task):
    return f"jobs.{job}.tasks.{task}.outputs.token"


class Scenario:
    def __init__(self, world):
        self.world = world
        self.rules, self.expected = {}, {}

    def define(self, name, rules, **definition):
        self.rules[name] = rules
        return self.world.apply(name, workflow(name, **definition, **NEVER_POISON))

    def warm_up(self):
        """Everything that a server does once has been done after this: threads, guard, connections."""
        self.define(WARM, {"main/ask": {"hands_on": True}, "main/write": {"saw": "main/ask"}}, jobs={"main": {"tasks": [
            call("ask", self.world.peer, "main/ask", path="warm"),
            shell("write", self.world, saw="tasks.ask.outputs.token")]}})
        self.warm("warm")

    def warm(self, key):
        run = self.world.begin(WARM, key)
        self.expected[run] = "success"
        self.world.wait_final(run)

    def prepare(self):
        """What happens before the server that is to be killed is started."""

    def finish(self):
        for run, status in self.expected.items():
            self.world.wait_final(run, status)
        for ack in [ack for ack in self.world.acks if ack["what"] == "start"]:
            again = self.world.begin(ack["workflow"], ack["key"], ack["inputs"])
            self.expected[again] = self.expected[ack["run"]]

    def story(self):
        return self.world.story(self.rules, self.expected)


class A(Scenario):
    """Two jobs side by side and one that needs both; HTTP and shell tasks, retries, a definition changed in mid-run."""

    name = "A"

    def apply(self, mark):
        world, peer = self.world, self.world.peer
        peer.on("/fetch", peer.slow).on("/flaky", peer.out_of_order_once)
        jobs = {
            "left": {"tasks": [
                call("fetch", peer, "left/fetch", mark=mark),
                shell("append", world, "lines", "made", saw="tasks.fetch.outputs.token", mark=mark),
                call("flaky", peer, "left/flaky", saw="tasks.append.outputs.token", mark=mark),
                shell("leave", world, "stray", "lines", saw="tasks.flaky.outputs.token", mark=mark)]},
            "right": {"tasks": [
                shell("one", world, "lines", "made", '[[ $PAWL_TRY != 1 ]]', mark=mark),
                call("two", peer, "right/two", saw="tasks.one.outputs.token", mark=mark)]},
            "join": {"needs": ["left", "right"], "tasks": [
                shell("write", world, "lines", saw=token("right", "two"), mark=mark),
                call("last", peer, "join/last", saw=token("left", "flaky"), mark=mark)]},
        }
        rules = {
            "left/fetch": {"hands_on": True},
            "left/append": {"hands_on": True, "lines": True, "saw": "left/fetch"},
            "left/flaky": {"hands_on": True, "saw": "left/append"},
            "left/leave": {"lines": True, "saw": "left/flaky"},
            "right/one": {"hands_on": True, "lines": True},
            "right/two": {"hands_on": True, "saw": "right/one"},
            "join/write": {"lines": True, "saw": "right/two", "after": ["left/leave"]},
            "join/last": {"saw": "left/flaky", "after": ["join/write"]},
        }
        return self.define("a", rules, jobs=jobs)

    def play(self):
        world = self.world
        first = self.apply("1")["version"]
        runs = {world.begin("a", f"a-{n}"): str(first) for n in range(2)}
        second = self.apply("2")["version"]
        runs[world.begin("a", "a-2", {})] = str(second)
        self.expected |= dict.fromkeys(runs, "success")
        self.finish()


class B(Scenario):
    """Matrix, wait, approval, on-failure, always, cancel, resume, rerun; what is killed begins with a recovery."""

    name = "B"

    def prepare(self):
        """A first server, killed while a run is in every state that a recovery knows."""
        world = self.world
        world.deaths_allowed = 0
        world.start()
        self.warm_up()
        self.apply()
        self.begin()
        world.wait_call("/hold")
        world.wait_call("/breaks")
        world.kill()

    def apply(self):
        world, peer = self.world, self.world.peer
        peer.until_healed("/hold", lambda _call: hang)
        peer.until_healed("/breaks", lambda _call: (500, {"success": False}))
        name = "test[db=${{ matrix.db }}]"
        self.define("b", {
            "prep/prep": {"hands_on": True},
            "test/hit": {"hands_on": True, "saw": "prep/prep"},
            "test/write": {"lines": True, "saw": "test/hit"},
            "gate/rest": {"effect": False, "after": ["test/write"]},
            "gate/ask": {"effect": False},
            "gate/after": {"saw": "prep/prep", "after": ["gate/ask", "test/write"]},
            "always/sum": {"after": ["gate/after"]},
        }, inputs={"who": {"type": "string", "default": "nobody"}}, always=[call("sum", peer, "always/sum")], jobs={
            "prep": {"tasks": [call("prep", peer, "prep/prep")]},
            "test": {"needs": "prep", "matrix": {"db": ["x", "y"]}, "tasks": [
                call("hit", peer, f"{name}/hit", saw=token("prep", "prep")),
                shell("write", world, "lines", saw="tasks.hit.outputs.token")]},
            "gate": {"needs": "test", "tasks": [
                {"id": "rest", "wait": "30ms"}, {"id": "ask", "approval": {"message": "go on?", "expires": "1h"}},
                call("after", peer, "gate/after", saw=token("prep", "prep"))]}})
        self.define("c", {
            "main/before": {"hands_on": True}, "main/hold": {"hands_on": True, "saw": "main/before"},
            "main/later": {"saw": "main/hold"}, "main/undo": {"cleanup": True}, "always/tidy": {"cleanup": True},
        }, always=[call("tidy", peer, "always/tidy")], jobs={"main": {"tasks": [
            call("before", peer, "main/before"), call("hold", peer, "main/hold", saw="tasks.before.outputs.token"),
            call("later", peer, "main/later", saw="tasks.hold.outputs.token"),
            call("undo", peer, "main/undo", **{"if": "cancelled()"})]}})
        self.define("d", {
            "main/first": {"hands_on": True}, "main/breaks": {"hands_on": True, "saw": "main/first"},
            "main/shell": {"lines": True, "saw": "main/breaks"}, "on-failure/tell": {}, "always/sum": {},
        }, on_failure=[call("tell", peer, "on-failure/tell")], always=[call("sum", peer, "always/sum")],
            jobs={"main": {"tasks": [
                call("first", peer, "main/first"),
                call("breaks", peer, "main/breaks", saw="tasks.first.outputs.token", retry={"max": 2, "delay": "60ms"}),
                shell("shell", world, "lines", saw="tasks.breaks.outputs.token")]}})

    def begin(self):
        world = self.world
        self.c = world.begin("c", "c-1")
        self.b = world.begin("b", "b-1", {"who": "me"})
        self.d = world.begin("d", "d-1")

    def play(self):
        world, peer = self.world, self.world.peer
        more = world.begin("b", "b-2", {"who": "you"})
        self.expected |= dict.fromkeys((self.b, self.c, self.d, more), "success")

        world.act("cancel", self.c, f"runs/{self.c}/cancel", {},
                  lambda run: any(attempt["cancel_requested"] for attempt in run["attempts"]))
        world.wait(self.d, lambda run: run["status"] in ("failed", "success"), "the failure of d")
        peer.healed |= {"/hold", "/breaks"}
        world.act("rerun", self.d, f"runs/{self.d}/rerun", {"from": "main/breaks"}, asked("rerun"))
        for run in (self.b, more):
            world.wait(run, lambda found: task_of(found, "gate", "ask")["status"] in ("waiting", "success"),
                       "the question")
            world.act("approve", run, f"runs/{run}/tasks/gate/ask/approve", {"comment": "yes"},
                      lambda found: task_of(found, "gate", "ask")["status"] in ("success", "skipped"))
        world.wait_final(self.c, "cancelled", "success")
        world.act("resume", self.c, f"runs/{self.c}/resume", {}, asked("resume"))
        self.finish()


def hang(_handler, peer):
    peer.closing.wait(300)
    return False


def asked(trigger):
    return lambda run: any(attempt["trigger"] == trigger for attempt in run["attempts"])


def task_of(run, job, task):
    for job_run in run["attempts"][-1]["job_runs"]:
        for task_run in job_run["task_runs"]:
            if (job_run["job"], task_run["task"]) == (job, task):
                return task_run
    raise KeyError(f"{job}/{task}")


SCENARIOS = {"A": A, "B": B}
