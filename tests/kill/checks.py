"""What has to hold of a story, whatever was killed in it. Each check yields sentences, one a violation.

A story is plain data: answers (`acks`), effects, what was seen on the way (`seen`), and how things stand in the end.
"""

import collections
import datetime

FINAL = ("success", "failed", "cancelled")
SLACK = 0.003  # seconds: the API rounds times to milliseconds
LATE = 0.5  # seconds from a call's start to the moment when the peer had time to look at its clock


def plain(task):
    """`test[db=x]/hit` -> `test/hit`: the name under which the definition has it."""
    job, _, name = task.rpartition("/")
    return job.split("[")[0] + "/" + name


def seconds(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def task_rows(run):
    """(attempt, "job/task", task run) of all attempts, oldest first."""
    for attempt in run["attempts"]:
        for job in attempt["job_runs"]:
            for task in job["task_runs"]:
                yield attempt, f"{job['job']}/{task['task']}", task


class Known:
    """A story with its effects sorted by run and task."""

    def __init__(self, story):
        self.story = story
        self.runs = story["runs"]
        by_trace = {run["trace_id"]: run["id"] for run in self.runs.values()}
        self.effects = collections.defaultdict(list)
        self.strangers, self.leftovers = [], []
        for effect in story["effects"]:
            run = effect.get("run") or by_trace.get(effect.get("trace"))
            if effect["kind"] == "leftover":
                self.leftovers.append(effect)
            elif run in self.runs:
                self.effects[run, effect["task"]].append(effect)
            else:
                self.strangers.append(effect)
        self.tries = collections.defaultdict(list)  # (task run, try)
        self.done_at = {}  # when a task was first recorded as success
        self.tokens = collections.defaultdict(dict)  # what it handed on -> when that was recorded
        for run in self.runs.values():
            for _, task, row in task_rows(run):
                self.tries[run["id"], task] += [(row, a_try) for a_try in row["tries"]]
                if row["status"] == "success":
                    at = seconds(row["finished_at"])
                    self.done_at.setdefault((run["id"], task), at)
                    if (row.get("outputs") or {}).get("token"):
                        self.tokens[run["id"], task].setdefault(row["outputs"]["token"], at)

    def rule(self, run, task):
        return self.story["workflows"][self.runs[run]["workflow"]].get(plain(task), {})

    def acks(self, what):
        return [ack for ack in self.story["acks"] if ack["what"] == what]


def accepted_is_durable(known):
    """I1, P1, I10: what was answered is there, as it was answered, once."""
    by_key, numbers = {}, {}
    for ack in known.acks("start"):
        run = known.runs.get(ack["run"])
        if run is None:
            yield f"run {ack['run']} was accepted and is not in the store"
            continue
        for name in ("workflow", "version", "number"):
            if run[name] != ack[name]:
                yield f"run {ack['run']}: {name} was answered as {ack[name]} and is {run[name]}"
        for name, value in ack["inputs"].items():
            if run["inputs"].get(name) != value:
                yield f"run {ack['run']}: input {name} was {value!r} and is {run['inputs'].get(name)!r}"
        if by_key.setdefault((ack["workflow"], ack["key"]), ack["run"]) != ack["run"]:
            first = by_key[ack["workflow"], ack["key"]]
            yield f"key {ack['key']} of {ack['workflow']} gave two runs: {first}, {ack['run']}"
        if numbers.setdefault((ack["workflow"], ack["number"]), ack["run"]) != ack["run"]:
            yield f"number {ack['number']} of {ack['workflow']} belongs to two runs"
    for ack in known.acks("apply"):
        if ack["version"] not in known.story["versions"][ack["workflow"]]:
            yield f"version {ack['version']} of {ack['workflow']} was accepted and is not in the store"
    for run in set(known.story["listed"]) - set(known.runs):
        yield f"run {run} exists and nobody asked for it"


def answers_hold(known):
    """I1: a cancel, an approval, a resume or a rerun that was answered has happened."""
    for ack in known.story["acks"]:
        run = known.runs.get(ack.get("run"))
        if run is None or ack["what"] in ("start", "apply"):
            continue
        if ack["what"] == "cancel" and not any(attempt["status"] == "cancelled" for attempt in run["attempts"]):
            yield f"run {run['id']}: the cancel was accepted and no attempt is cancelled"
        triggers = [attempt["trigger"] for attempt in run["attempts"]]
        if ack["what"] in ("resume", "rerun") and ack["what"] not in triggers:
            yield f"run {run['id']}: the {ack['what']} was accepted and there is no attempt of it"
        if ack["what"] == "approve" and not any(task["status"] == "success" and task.get("response")
                                                for _, _, task in task_rows(run)):
            yield f"run {run['id']}: the approval was accepted and no task shows it"


def done_is_done(known):
    """I2, P2: after a recorded success no try and no effect of that generation."""
    for (run, task), tries in known.tries.items():
        done = {}
        for row, a_try in tries:
            generation = row["generation"]
            if generation in done:
                yield f"run {run}: {task} was done in try {done[generation]} and started again as try {a_try['try']}"
            if a_try["status"] == "success":
                done[generation] = a_try["try"]
        generations = len({row["generation"] for row, _ in tries})
        at = known.done_at.get((run, task))
        late = [effect for effect in known.effects[run, task] if at is not None and effect["at"] > at + LATE]
        if late and generations == 1:
            yield f"run {run}: {task} was recorded as done {late[-1]['at'] - at:.3f} s before its last effect"


def effects_have_tries(known):
    """P3, P10, I12: no effect without a committed start; one effect a try; a stable key; only kills repeat work."""
    for effect in known.strangers:
        yield f"effect of a run that does not exist: {effect}"
    for (run, task), effects in list(known.effects.items()):
        tries = known.tries.get((run, task), [])
        if len(effects) > len(tries):
            yield f"run {run}: {task} had {len(effects)} effects in {len(tries)} tries"
        numbers = [effect["try"] for effect in effects if effect["kind"] == "run"]
        for number in set(numbers):
            if numbers.count(number) > 1:
                yield f"run {run}: try {number} of {task} had {numbers.count(number)} effects"
            if number not in [a_try["try"] for _, a_try in tries]:
                yield f"run {run}: try {number} of {task} had an effect and is not in the store"
        keys = {effect["key"] for effect in effects}
        generations = {row["generation"] for row, _ in tries}
        if len(keys) > len(generations):
            yield f"run {run}: {task} used {len(keys)} keys in {len(generations)} generations"
    for (run, task), tries in list(known.tries.items()):
        if [a_try["try"] for _, a_try in tries] != list(range(1, len(tries) + 1)):
            yield f"run {run}: the tries of {task} are numbered {[a_try['try'] for _, a_try in tries]}"
        cut = sum(a_try["status"] == "interrupted" for _, a_try in tries)
        if cut > len(known.story["kills"]):
            yield f"run {run}: {task} was interrupted {cut} times by {len(known.story['kills'])} kills"
        if known.rule(run, task).get("effect", True):
            numbers = {effect["try"] for effect in known.effects[run, task]}
            for _, a_try in tries:
                if a_try["status"] == "success" and None not in numbers and a_try["try"] not in numbers:
                    yield f"run {run}: try {a_try['try']} of {task} is recorded as success and had no effect"


def outputs_are_committed(known):
    """P3, I6: a task sees what the one before handed on, once that is committed; and what is committed was answered."""
    for (run, task), effects in list(known.effects.items()):
        rule = known.rule(run, task)
        for effect in effects:
            if "saw" in rule:
                job, before = task.rpartition("/")[0], rule["saw"]
                if plain(task).split("/")[0] == before.split("/")[0]:  # of the same instance
                    before = f"{job}/{before.split('/')[1]}"
                at = known.tokens[run, before].get(effect["saw"])
                if at is None:
                    handed_on = list(known.tokens[run, before])
                    yield f"run {run}: {task} saw {effect['saw']!r}; {before} handed on {handed_on}"
                elif effect["at"] < at - SLACK:
                    early = at - effect["at"]
                    yield f"run {run}: {task} acted {early:.3f} s before the output that it saw was committed"
            for name in rule.get("after", []):
                instances = [task for (of, task) in known.tries if of == run and plain(task) == name]
                for upstream in instances:
                    at = known.done_at.get((run, upstream))
                    if at is None or effect["at"] < at - SLACK:
                        yield f"run {run}: {task} acted before {upstream} was done"
        if rule.get("hands_on") and any(effect["kind"] == "http" for effect in effects):
            given = {effect["token"] for effect in effects}
            for token in known.tokens[run, task]:
                if token not in given:
                    yield f"run {run}: {task} has the output {token!r}, which was never answered: {sorted(given)}"


def nothing_stays_open(known):
    """P5, I4, I11: every run ends as it has to, no row of an attempt stays open, one attempt a recovery."""
    cut_off_by = "stop" if any("how" in kill for kill in known.story["kills"]) else "restart"
    for run_id, status in known.story["expected"].items():
        run = known.runs.get(run_id)
        if run and run["status"] != status:
            yield f"run {run_id} of {run['workflow']} is {run['status']}, not {status}"
    for run in known.runs.values():
        attempts = run["attempts"]
        if [attempt["attempt"] for attempt in attempts] != list(range(1, len(attempts) + 1)):
            yield f"run {run['id']}: its attempts are numbered {[attempt['attempt'] for attempt in attempts]}"
        for attempt in attempts:
            if attempt["status"] not in FINAL:
                yield f"run {run['id']}: attempt {attempt['attempt']} is {attempt['status']}"
            for job in attempt["job_runs"]:
                rows = [(job["job"], job)] + [(f"{job['job']}/{task['task']}", task) for task in job["task_runs"]]
                rows += [(f"{job['job']}/{task['task']} try {a_try['try']}", a_try) for task in job["task_runs"]
                         for a_try in task["tries"]]
                for name, row in rows:
                    if row["status"] in ("pending", "running", "waiting", "queued"):
                        yield f"run {run['id']}: attempt {attempt['attempt']}: {name} is {row['status']}"
        recoveries = 0
        for before, after in zip(attempts, attempts[1:]):
            if after["trigger"] != "recovery":
                continue
            recoveries += 1
            error = before["error"] or {}
            found = (before["status"], error.get("code"), error.get("message"))
            if found != ("failed", "interrupted", f"interrupted by system {cut_off_by}"):
                yield f"run {run['id']}: attempt {before['attempt']}, which was cut off, says {found}"
        if recoveries > len(known.story["kills"]):
            yield f"run {run['id']}: {recoveries} recoveries after {len(known.story['kills'])} kills"


def cancel_is_final(known):
    """P8, I5: after the answer to a cancel nothing starts but clean-up, until a person resumes."""
    for ack in known.acks("cancel"):
        run = known.runs.get(ack["run"])
        if run is None:
            continue
        asked = [seconds(attempt["created_at"]) for attempt in run["attempts"]
                 if attempt["trigger"] in ("resume", "rerun")]
        until = next((at for at in asked if at > ack["at"] - 1), float("inf"))
        for (of, task), tries in known.tries.items():
            if of != ack["run"] or known.rule(of, task).get("cleanup"):
                continue
            for _, a_try in tries:
                if ack["at"] + SLACK < seconds(a_try["started_at"]) < until - SLACK:
                    late = seconds(a_try["started_at"]) - ack["at"]
                    yield f"run {of}: {task} was started {late:.3f} s after the cancel's answer"
            for effect in known.effects[of, task]:
                if ack["at"] + LATE < effect["at"] < until - SLACK:
                    yield f"run {of}: {task} had an effect {effect['at'] - ack['at']:.3f} s after the cancel's answer"


def definition_is_kept(known):
    """P9, I15: all that a run does is of the version that it was started with."""
    for (run, task), effects in known.effects.items():
        for effect in effects:
            version = known.runs[run]["version"]
            if effect["mark"] and effect["mark"] != str(version):
                yield f"run {run} of version {version}: {task} did the work of version {effect['mark']}"


def logs_are_whole(known):
    """P11, I9: what a task printed before its success was recorded is there, in order, once."""
    wanted = set()
    for (run, task), tries in known.tries.items():
        if known.rule(run, task).get("lines"):
            wanted |= {(run, task, a_try["try"]) for _, a_try in tries if a_try["status"] == "success"}
    for run, task, number in sorted(wanted):
        text = known.story["logs"].get(f"{run} {task} {number}")
        whole = "".join(f"line {n} of try {number}\n" for n in range(1, known.story["lines"] + 1))
        if text != whole:
            yield f"run {run}: the log of try {number} of {task} is {text!r}"


def nothing_is_left(known):
    """I16: no process of a dead server, or of an earlier try, lives when a task starts."""
    for effect in known.leftovers:
        yield (f"run {effect['run']}: process {effect['pid']} of {effect['of']} was alive when try {effect['try']} of "
               f"{effect['task']} began")


def nothing_is_taken_back(known):
    """I4, I17: a final status that was shown once stays."""
    for seen in known.story["seen"]:
        run = known.runs.get(seen["run"])
        if run is None:
            yield f"run {seen['run']} was shown and is gone"
            continue
        attempt = next((one for one in run["attempts"] if one["attempt"] == seen["attempt"]), None)
        if attempt is None:
            yield f"run {seen['run']}: attempt {seen['attempt']} was shown and is gone"
            continue
        if seen["final"] and attempt["status"] != seen["final"]:
            yield f"run {seen['run']}: attempt {seen['attempt']} was {seen['final']} and is {attempt['status']}"
        rows = {f"{job['job']}/{task['task']}": task["status"] for job in attempt["job_runs"]
                for task in job["task_runs"]}
        for task, status in seen["tasks"].items():
            if rows.get(task) != status:
                yield f"run {seen['run']}: {task} of attempt {seen['attempt']} was {status} and is {rows.get(task)}"


CHECKS = (accepted_is_durable, answers_hold, done_is_done, effects_have_tries, outputs_are_committed,
          nothing_stays_open, cancel_is_final, definition_is_kept, logs_are_whole, nothing_is_left,
          nothing_is_taken_back)


def violations(story):
    """All sentences of all checks, each with the name of its check."""
    known = Known(story)
    return [f"{check.__name__}: {sentence}" for check in CHECKS for sentence in dict.fromkeys(check(known))]
