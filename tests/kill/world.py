"""What stands outside of a server that is killed: a peer and a folder that remember every effect, and a driver that
remembers every answer. What they know is the story that checks.py judges."""

import collections
import http.client
import json
import os
import pathlib
import shutil
import sqlite3
import subprocess
import time
import urllib.error
import urllib.parse

from support.pawl import Refused, Server, end, wait_until
from support.peer import Peer, reply

# Sourced by every shell task. It is told apart by its guard which server a process belongs to: each has one of its own,
# and the guard is the parent of the keeper, which is the parent of the task. Builtins only: a task should be quick.
SHELL = r"""
world=@WORLD@
field() {  # PID N: the N-th field of its stat behind the name; not of one that is dead
  local line fields
  { read -r line < "/proc/$1/stat"; } 2> /dev/null || return 1
  read -ra fields <<< "${line##*) }"
  [[ ${fields[0]} != [ZX] ]] || return 1
  REPLY=${fields[$2 - 1]}
}
register() {  # this process is at work
  field $$ 20
  printf '%s %s %s %s\n' "$$" "$REPLY" "$BORN" "$PAWL_RUN_ID/$PAWL_JOB/$PAWL_TASK" > "$world/pids/.$$"
  mv -- "$world/pids/.$$" "$world/pids/$BORN.$$.$PAWL_TRY"
}
leftovers() {  # nobody of an earlier server, and of an earlier try of this task, may be alive
  local file pid since born task
  [[ $BORN != 0 ]] || return 0
  for file in "$world"/pids/*; do
    { read -r pid since born task < "$file"; } 2> /dev/null || continue
    [[ $born != "$BORN" || $task == "$PAWL_RUN_ID/$PAWL_JOB/$PAWL_TASK" ]] || continue
    if field "$pid" 20 && [[ $REPLY == "$since" && $pid != $$ ]]; then
      printf '{"kind":"leftover","at":%s,"run":"%s","task":"%s","try":%s,"pid":%s,"of":"%s"}\n' "$EPOCHREALTIME" \
        "$PAWL_RUN_ID" "$PAWL_JOB/$PAWL_TASK" "$PAWL_TRY" "$pid" "$task" >> "$world/effects"
    fi
  done
}
effect() {
  if [[ -z ${BORN:-} ]]; then
    field "$PPID" 2 || REPLY=0
    export BORN=$REPLY
    local name=
    { read -r name < "/proc/$BORN/comm"; } 2> /dev/null || true
    # The guard or the keeper was killed a moment ago: whose processes the others are cannot be told then.
    [[ $name == pawl-guard ]] || BORN=0
  fi
  leftovers
  register
  printf '{"kind":"run","at":%s,"run":"%s","task":"%s","try":%s,"key":"%s","saw":"%s","mark":"%s"}\n' \
    "$EPOCHREALTIME" "$PAWL_RUN_ID" "$PAWL_JOB/$PAWL_TASK" "$PAWL_TRY" "$PAWL_IDEMPOTENCY_KEY" "${SAW:-}" "${MARK:-}" \
    >> "$world/effects"
}
made() { printf 'token=%s.%s\n' "$PAWL_JOB/$PAWL_TASK" "$PAWL_TRY" >> "$PAWL_OUTPUT"; }
lines() {
  local n
  for ((n = 1; n <= @LINES@; ++n)); do printf 'line %d of try %s\n' "$n" "$PAWL_TRY"; done
}
stray() {  # leaves a process behind in the hardest way there is, and one that lives beside it
  export world up=$world/pids/.up.$PAWL_RUN_ID.$PAWL_TRY
  (trap '' TERM HUP
    setsid bash -c '. "$world/effect.sh"; trap "" TERM HUP; register; : > "$up"; exec sleep 1000' \
      < /dev/null > /dev/null 2>&1 &)
  until [[ -e $up ]]; do sleep 0.005; done
}
"""
LINES = 12
PATIENCE = 90  # seconds for anything to happen; a machine may be busy with other work, and strace makes it slower


class Broken(Exception):
    """The server does not do what any server has to; a violation by itself."""


class Recorder(Peer):
    """A peer that knows who calls it: the body names task and what it saw, the path only the behaviour.

    Every answer carries a token of its own, which the next task hands on.
    """

    def __init__(self):
        super().__init__()
        self.by_key = collections.Counter()
        self.healed = set()  # paths that are out of order no more

    def record(self, path, headers, body):
        with self.lock:
            call = super().record(path, headers, body)
            self.by_key[call.key] += 1
            call.of_key = self.by_key[call.key]
            call.wall = time.time()  # the server's clock: the other one drifts away from it when the machine's is set
        self.behaviours.setdefault(path, self.fine)
        return call

    def token(self, call):
        return f"{call.json['task']}.{call.of_key}.{call.key[:8]}"

    def fine(self, call):
        return reply(200, {"success": True, "data": {"token": self.token(call)}})

    def slow(self, call):
        def act(handler, peer):
            peer.closing.wait(0.03)
            return self.fine(call)(handler, peer)
        return act

    def out_of_order_once(self, call):
        return self.fine(call) if call.of_key > 1 else reply(500, {"success": False})

    def until_healed(self, path, otherwise):
        return self.on(path, lambda call: self.fine(call) if path in self.healed else otherwise(call))

    def effects(self):
        with self.lock:
            calls = list(self.calls)
        for call in calls:
            body = call.json
            yield {"kind": "http", "at": call.wall, "trace": call.trace, "task": body["task"], "try": None,
                   "key": call.key, "saw": body.get("saw"), "mark": body.get("mark", ""), "token": self.token(call)}


class World:
    """A server, its peer, and all that is known of both from outside."""

    def __init__(self, binary, arguments=()):
        self.server = Server(arguments=arguments, binary=binary)
        self.folder = self.server.folder
        (self.folder / "pids").mkdir()
        text = SHELL.replace("@WORLD@", str(self.folder)).replace("@LINES@", str(LINES))
        (self.folder / "effect.sh").write_text(text)
        self.peer = Recorder()
        self.acks, self.seen, self.kills = [], [], []
        self.deaths_allowed = 0  # how often the server may still die before that is a violation
        self.launch = None  # starts the server in place of a plain start, once
        self.tracer = None

    # ---- lives of the server ----

    def start(self, ready=True):
        if self.launch:
            launch, self.launch = self.launch, None
            launch()
        else:
            self.server.start(ready=False)
        self.started()
        if ready:
            self.wait_ready()

    def started(self):
        """Called after each start, before anybody knows whether it will be ready."""

    def wait_ready(self):
        """Ready, or killed while it started and then ready in its next life."""
        def ready_or_dead():
            return self.dead() or self.server.is_ready()

        wait_until(ready_or_dead, PATIENCE, lambda: f"a ready server:\n{self.server.log_text()[-3000:]}",
                   interval=0.004)
        if self.dead():
            self.revive()
        else:
            self.became_ready()

    def became_ready(self):
        """Called when a server that was started says that it is ready."""

    def dead(self):
        return self.server.process.poll() is not None

    def revive(self):
        """After the server broke off: takes note of its death and starts it again as a user would."""
        try:
            self.server.process.wait(5)
        except subprocess.TimeoutExpired:
            raise Broken("the server lives and does not answer") from None
        if self.deaths_allowed == 0:
            raise Broken(f"the server left with {self.server.process.returncode}, and nobody killed it:\n"
                         f"{self.server.log_text()[-3000:]}")
        self.deaths_allowed -= 1
        self.kills.append({"at": time.time()})
        self.prune()
        self.start()

    def kill(self):
        self.server.kill()
        self.kills.append({"at": time.time()})
        self.prune()

    def prune(self):
        """Only processes of the two newest servers are looked for, so that looking stays quick."""
        files = sorted((self.folder / "pids").glob("[0-9]*"), key=lambda file: file.stat().st_mtime)
        guards = list(dict.fromkeys(file.name.split(".")[0] for file in files))
        for file in files:
            if file.name.split(".")[0] not in guards[-2:]:
                file.unlink()

    def guard(self):
        """The process id of the server's guard, or None."""
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                text = stat.read_text()
            except OSError:
                continue
            if "(pawl-guard)" in text and int(text.rpartition(")")[2].split()[1]) == self.server.process.pid:
                return int(text.split()[0])
        return None

    # ---- asking, until there is an answer ----

    def call(self, method, path, body=None, **options):
        text = self.open(method, path, body, **options)
        return json.loads(text) if text else None

    def open(self, method, path, body=None, **options):
        """The bytes of the answer, from this server or from its next life. Refused if it is no success."""
        while True:
            try:
                return self.server.open(method, path, body, **options)[0]
            except (OSError, http.client.HTTPException, ValueError) as error:
                if isinstance(error, TimeoutError):
                    raise Broken(f"no answer to {method} {path}") from None
                self.revive()

    def ack(self, what, **details):
        self.acks.append({"at": time.time(), "what": what, **details})

    def apply(self, name, text):
        answer = self.call("PUT", f"workflows/{urllib.parse.quote(name)}", text.encode(),
                           headers={"Content-Type": "application/yaml"})
        self.ack("apply", workflow=name, version=answer["version"])
        return answer

    def begin(self, workflow, key, inputs=None):
        run = self.call("POST", f"workflows/{workflow}/runs", {"inputs": inputs or {}},
                        headers={"Idempotency-Key": key})
        self.ack("start", run=run["id"], workflow=workflow, key=key, inputs=inputs or {}, version=run["version"],
                 number=run["number"], trace=run["trace_id"])
        return run["id"]

    def act(self, what, run, path, body, done):
        """An act of a person that has no key: asked again only if the run does not show that it has been done."""
        while not done(self.look(run)):
            deaths = len(self.kills)
            try:
                before = self.look(run)
                self.server.call("POST", path, body)
                self.ack(what, run=run, attempt=before["attempts"][-1]["attempt"])
                return
            except Refused:
                if not done(self.look(run)):
                    raise
            except (OSError, http.client.HTTPException, ValueError):
                if len(self.kills) == deaths:
                    self.revive()

    def look(self, run):
        found = self.call("GET", f"runs/{run}")
        self.saw(found)
        return found

    def saw(self, run):
        """What was shown once must never be taken back."""
        for attempt in run["attempts"]:
            final = attempt["status"] if attempt["status"] in ("success", "failed", "cancelled") else None
            done = {f"{job['job']}/{task['task']}": task["status"] for job in attempt["job_runs"]
                    for task in job["task_runs"] if task["status"] in ("success", "failed")}
            self.seen.append({"run": run["id"], "attempt": attempt["attempt"], "final": final, "tasks": done})

    def wait(self, run, condition, what):
        found = {}

        def holds():
            found["run"] = self.look(run)
            return condition(found["run"])

        wait_until(holds, PATIENCE, lambda: f"{what}; the run is\n{json.dumps(found['run'], ensure_ascii=False)[:4000]}",
                   interval=0.02)
        return found["run"]

    def wait_final(self, run, *statuses):
        """Final; Broken if that is not one of the `statuses` wanted."""
        found = self.wait(run, lambda found: found["status"] in ("success", "failed", "cancelled"), f"the end of {run}")
        if statuses and found["status"] not in statuses:
            raise Broken(f"run {run} of {found['workflow']} is {found['status']}, not {' or '.join(statuses)}: "
                         f"{json.dumps(found['attempts'][-1], ensure_ascii=False)[:4000]}")
        return found

    def wait_call(self, path, run=None):
        """Until somebody has called `path`; the server may have to be brought back for that."""
        def called():
            if self.dead():
                self.revive()
            return self.peer.of(path)

        wait_until(called, PATIENCE, f"a call of {path}", interval=0.005)

    # ---- the end ----

    def story(self, workflows, expected):
        """All that is known, as plain data: checks.py says what has to hold of it."""
        runs, logs = {}, {}
        started = list(dict.fromkeys(ack["run"] for ack in self.acks if ack["what"] == "start"))
        for run_id in started:
            try:
                run = self.call("GET", f"runs/{run_id}")
            except Refused:
                continue
            runs[run_id] = run
            for name in dict.fromkeys(f"{job['job']}/{task['task']}" for attempt in run["attempts"]
                                      for job in attempt["job_runs"] for task in job["task_runs"]):
                if workflows[run["workflow"]].get(plain(name), {}).get("lines"):
                    logs |= self.logs(run, name)
        versions = {name: [item["version"] for item in self.call("GET", f"workflows/{name}/versions")["items"]]
                    for name in {ack["workflow"] for ack in self.acks if ack["what"] == "apply"}}
        listed = self.listed()
        story = {"acks": self.acks, "seen": self.seen, "kills": self.kills, "effects": self.effects(), "runs": runs,
                 "logs": logs, "versions": versions, "listed": listed, "workflows": workflows, "expected": expected,
                 "lines": LINES}
        (self.folder / "story.json").write_text(json.dumps(story, ensure_ascii=False, indent=1))
        return story

    def listed(self):
        found, cursor = [], ""
        while True:
            page = self.call("GET", f"runs?limit=200{cursor}")
            found += [item["id"] for item in page["items"]]
            if not page["next_cursor"]:
                return found
            cursor = "&cursor=" + urllib.parse.quote(page["next_cursor"])

    def logs(self, run, name):
        """{"run task try": text} of the tries of `name` that are recorded as success."""
        found = {}
        job_name, _, task_name = name.rpartition("/")
        place = f"runs/{run['id']}/tasks/{urllib.parse.quote(job_name, safe='')}/{task_name}"
        for attempt in run["attempts"]:
            for job in attempt["job_runs"]:
                for task in job["task_runs"]:
                    if f"{job['job']}/{task['task']}" != name:
                        continue
                    for a_try in task["tries"]:
                        if a_try["status"] == "success":
                            text = self.open("GET", f"{place}/logs?attempt={attempt['attempt']}&try={a_try['try']}")
                            found[f"{run['id']} {name} {a_try['try']}"] = text.decode()
        return found

    def effects(self):
        file = self.folder / "effects"
        lines = file.read_text().splitlines() if file.exists() else []
        return sorted([json.loads(line) for line in lines] + list(self.peer.effects()), key=lambda effect: effect["at"])

    def damage(self):
        """What SQLite finds wrong with the database of the dead server."""
        path = self.server.data / "pawl.db"
        with sqlite3.connect(path) as database:
            verdict = [row[0] for row in database.execute("PRAGMA integrity_check")]
        database.close()
        return [] if verdict == ["ok"] else [f"integrity_check: {line}" for line in verdict]

    def close(self, keep=False):
        if self.tracer and self.tracer.poll() is None:
            self.tracer.kill()
            self.tracer.wait()
        self.server.kill()
        for file in (self.folder / "pids").glob("[0-9]*"):  # the guard has killed them, if it was let
            pid = int(file.name.split(".")[1])
            try:
                if str(self.folder) in pathlib.Path(f"/proc/{pid}/environ").read_text(errors="replace"):
                    end(pid)
            except OSError:
                pass
        self.peer.close()
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)


def plain(task):
    """`test[db=x]/hit` -> `test/hit`: the name under which the definition has it."""
    job, _, name = task.rpartition("/")
    return job.split("[")[0] + "/" + name
