"""A server of Pawl and its command line, as a test or the demo needs them: started on a free port and a temporary data
folder, killed without mercy, started again in the same place."""

import contextlib
import grp
import json
import os
import pathlib
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAWL = pathlib.Path(os.environ.get("PAWL_BINARY", ROOT / "build/release/pawl"))


def wait_until(condition, seconds=20, what="it", interval=0.02):
    """The first true value of condition(), asked again and again; TimeoutError after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds} s for {what() if callable(what) else what}")
        time.sleep(interval)


def free_port():
    """A port to keep: below those that the kernel gives to outgoing connections, one of which could take it while the
    server that had it is down."""
    while True:
        port = random.SystemRandom().randrange(10_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port


def clean_environment(**more):
    """PATH and the like, but nothing that would change what pawl does."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PAWL_") and name != "WORKER_URL"}
    return kept | {"NO_COLOR": "1", "no_proxy": "127.0.0.1"} | more


def wrapped(folder, script):
    """A program in `folder` that is pawl by way of a script for sh, which ends with an `exec` of it."""
    program = pathlib.Path(folder) / "pawl"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


class Refused(Exception):
    """An answer of the API that is no success."""

    def __init__(self, status, problem):
        super().__init__(f"{status}: {problem}")
        self.status = status
        self.problem = problem if isinstance(problem, dict) else {}

    @property
    def code(self):
        return self.problem.get("code")


class Server:
    """`pawl serve` on a folder and a port of its own, which it keeps over restarts."""

    def __init__(self, arguments=(), environment=None, data=None, binary=PAWL, listen="127.0.0.1", user=None):
        self.binary = pathlib.Path(binary)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pawl-test-"))
        self.data = pathlib.Path(data) if data else self.folder / "data"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.listen = listen
        self.arguments = list(arguments)
        self.environment = clean_environment(**(environment or {}))
        self.output = self.folder / "server.log"
        self.process = None
        self.user = {}  # the user that it runs as, as arguments of subprocess.Popen
        if user:
            self.run_as_user(user)

    def run_as_user(self, name):
        """Runs as an ordinary user with a home of its own and one more group. Copies the binary, whose folder may be closed to others."""
        entry = pwd.getpwnam(name)
        self.user = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": [grp.getgrnam("users").gr_gid]}
        self.home = self.folder / "home"
        self.home.mkdir()
        self.data = self.home / ".local/share/pawl"
        self.binary = pathlib.Path(shutil.copy(self.binary, self.folder / "pawl"))
        self.environment |= {"HOME": str(self.home), "USER": name, "LOGNAME": name}
        for path in (self.folder, self.home):
            os.chown(path, entry.pw_uid, entry.pw_gid)

    # ---- its life ----

    def start(self, ready=True):
        with open(self.output, "ab") as output:
            self.process = subprocess.Popen(
                [self.binary, "serve", "--data", self.data, "--listen", f"{self.listen}:{self.port}", *self.arguments],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=self.environment, cwd=self.folder, **self.user)
        if ready:
            self.wait_ready()
        return self

    def is_ready(self):
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as answer:
                return answer.status == 200
        except (OSError, urllib.error.HTTPError):
            return False

    def wait_ready(self, seconds=20):
        def ready_or_dead():
            if self.process.poll() is not None:
                raise RuntimeError(f"the server left with {self.process.returncode}:\n{self.log_text()[-4000:]}")
            return self.is_ready()

        wait_until(ready_or_dead, seconds, lambda: f"a ready server:\n{self.log_text()[-4000:]}", interval=0.005)

    def kill(self):
        """kill -9, and gone when this returns."""
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            self.process.wait()

    def stop(self, seconds=60):
        """SIGTERM; its exit code."""
        self.process.terminate()
        return self.process.wait(seconds)

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self if self.process else self.start()

    def __exit__(self, *_):
        self.close()

    def log_text(self):
        return self.output.read_text(errors="replace") if self.output.exists() else ""

    # ---- its API ----

    @property
    def token(self):
        return (self.data / "admin.token").read_text().strip()

    def call(self, method, path, body=None, headers=None, token=None, timeout=20):
        """The decoded answer of /api/v1/`path`, or of `path` itself if it begins with a slash."""
        text = self.open(method, path, body, headers, token, timeout)[0]
        return json.loads(text) if text else None

    def open(self, method, path, body=None, headers=None, token=None, timeout=20):
        """(bytes, headers) of the answer; Refused if it is no success."""
        address = self.url + (path if path.startswith("/") else f"/api/v1/{path}")
        sent = {"Authorization": f"Bearer {token or self.token}"}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        request = urllib.request.Request(address, body, sent | (headers or {}), method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.read(), answer.headers
        except urllib.error.HTTPError as error:
            text = error.read()
            try:
                problem = json.loads(text)
            except ValueError:
                problem = text.decode(errors="replace")
            raise Refused(error.code, problem) from None

    def get(self, path, **options):
        return self.call("GET", path, **options)

    def post(self, path, body=None, **options):
        return self.call("POST", path, {} if body is None else body, **options)

    def apply(self, text, name=None):
        """Sends a definition; with a name it replaces the one that is there."""
        method, path = ("PUT", f"workflows/{urllib.parse.quote(name)}") if name else ("POST", "workflows")
        return self.call(method, path, text.encode(), headers={"Content-Type": "application/yaml"})

    def start_run(self, workflow, inputs=None, key=None):
        headers = {"Idempotency-Key": key} if key else None
        return self.post(f"workflows/{urllib.parse.quote(workflow)}/runs", {"inputs": inputs or {}}, headers=headers)

    def run(self, run_id):
        return self.get(f"runs/{run_id}")

    def wait_run(self, run_id, *statuses, seconds=40):
        """The run once it has one of these statuses; default: a final one."""
        wanted = statuses or ("success", "failed", "cancelled")
        found = {}

        def reached():
            found["run"] = self.run(run_id)
            return found["run"]["status"] in wanted

        wait_until(reached, seconds, lambda: f"{wanted}, last seen {json.dumps(found.get('run'), ensure_ascii=False)}")
        return found["run"]

    def task_log(self, run_id, task, **query):
        """All that `job/task` printed, page by page."""
        text, offset = "", 0
        while True:
            ask = urllib.parse.urlencode(query | {"offset": offset})
            page, headers = self.open("GET", f"runs/{run_id}/tasks/{task}/logs?{ask}")
            if not page:
                return text
            text += page.decode()
            offset = int(headers["Pawl-Next-Offset"])

    # ---- its command line ----

    def cli(self, *arguments, **options):
        """`pawl ARGUMENTS…` told of this server, as a person in a shell would have it."""
        environment = self.environment | {"PAWL_SERVER": self.url, "PAWL_DATA": str(self.data)}
        return cli(*arguments, binary=self.binary, environment=environment, **options)


def cli(*arguments, binary=PAWL, environment=None, timeout=60, cwd=None):
    return subprocess.run([binary, *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          env=environment or clean_environment(), timeout=timeout, cwd=cwd)


# ---- reading runs ---------------------------------------------------------------------------------------------------


def tasks_of(attempt):
    """{"job/task": task run} of one attempt, in its order."""
    return {f"{job['job']}/{task['task']}": task for job in attempt["job_runs"] for task in job["task_runs"]}


def verdict(thing):
    """`success`, or `skipped/done` where there is a reason."""
    return thing["status"] + (f"/{thing['reason']}" if thing.get("reason") else "")


def alive(pid):
    """Whether a process runs; one that is dead and only not yet waited for does not."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def below(pid):
    """All descendants of this process. For a server: the guard, its keepers, and the tasks with what they started."""
    children = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            children.setdefault(int(stat.read_text().rpartition(")")[2].split()[1]), []).append(int(stat.parent.name))
    found, rest = [], [pid]
    while rest:
        rest += (new := children.get(rest.pop(), []))
        found += new
    return found


def send(number, pids):
    """Sends the signal to each process, as a service manager does to all processes of a unit."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def end(pid):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
