"""Makes a store with a run in every state, as a released version leaves it when it is killed: `make.py NAME`.

The store goes to NAME.tar.xz beside this file. Every later version has to open it and end its runs (store_test.py). Make one
with each version that changes what is stored, before the change; never make an old one again.
"""

import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from support.definitions import script, workflow  # noqa: E402
from support.pawl import Server, wait_until  # noqa: E402

# Nothing listens there when the store is opened again, so that the call that is under way now is refused then.
SILENT = 1

# Each task that is not to end now ends at once in a later try.
AT_WORK = '[[ $PAWL_TRY != 1 ]] || sleep 1000'


def silent_peer():
    """Takes calls and answers none."""
    listener = socket.create_server(("127.0.0.1", SILENT))

    def take():
        while True:
            calls.append(listener.accept())

    calls = []
    threading.Thread(target=take, daemon=True).start()
    return calls


def definitions():
    chain = [script("first", "echo name=Kim >> $PAWL_OUTPUT; echo one"), script("second", AT_WORK), script("third", "true")]
    yield workflow("chain", *chain, inputs={"word": {"type": "string", "default": "café"}})
    yield workflow("call", {"id": "call", "http": {"url": f"http://127.0.0.1:{SILENT}/"}})
    yield workflow("done", script("only", "echo done; echo value=1 >> $PAWL_OUTPUT"))
    yield workflow("broken", script("only", "echo no >&2; exit 3"))
    yield workflow("stopped", script("only", "sleep 1000"))
    yield workflow("retrying", script("only", '[[ -e ../second ]] || { touch ../second; exit 1; }', retry={"max": 1, "delay": "2s"}))
    yield workflow("waiting", {"id": "nap", "wait": "2s"}, script("after", "true"))
    yield workflow("asking", {"id": "ask", "approval": {"message": "Go on?"}}, script("after", "true"))
    yield workflow("held", script("charge", AT_WORK, on_crash="hold"), script("after", "true"))
    yield workflow("first-in", script("only", AT_WORK), concurrency={"group": "place", "limit": 1})
    yield workflow("limited", script("only", "true"))
    yield workflow("wide", jobs={"test": {"matrix": {"os": ["a", "b", "c"]}, "fail-fast": False, "tasks": [
        script("unit", '[[ ${{ matrix.os }} != b ]]')]}, "late": {"needs": "test", "tasks": [script("never", "true")]}})
    yield workflow("failing-over", script("only", "exit 1"), on_failure=[script("tell", AT_WORK)])
    yield workflow("scheduled", script("only", "true"), on={"schedule": [
        {"id": "yearly", "cron": "0 0 1 1 *", "timezone": "Asia/Seoul"}, {"id": "off", "cron": "@daily"}]})
    yield workflow("deleted", {"id": "nap", "wait": "2s"}, script("after", "true"))


def make(server):
    for text in definitions():
        server.apply(text)
    done = server.start_run("done", key="the key of a start")["id"]
    server.wait_run(done)
    broken = server.start_run("broken")["id"]
    server.wait_run(broken)
    server.post(f"runs/{broken}/resume")  # a second attempt, which fails as well
    server.wait_run(broken)
    again = server.start_run("done")["id"]
    server.wait_run(again)
    server.post(f"runs/{again}/rerun", {"from": "main/only"})
    server.wait_run(again)
    server.wait_run(server.start_run("wide")["id"])
    stopped = server.start_run("stopped")["id"]
    server.wait_run(stopped, "running")
    server.post(f"runs/{stopped}/cancel")
    server.wait_run(stopped)
    schedules = {one["name"]: one["id"] for one in server.get("workflows/scheduled/schedules")["items"]}
    server.call("PATCH", f"schedules/{schedules['off']}", {"enabled": False})
    server.post(f"schedules/{schedules['yearly']}/backfill", {"from": "2023-06-01T00:00:00Z", "to": "2025-06-01T00:00:00Z"})
    wait_until(lambda: len(server.get("runs?workflow=scheduled&status=success")["items"]) == 2, what="the backfill")
    for name in ("waiting", "asking", "retrying", "deleted"):
        server.start_run(name)
    server.call("DELETE", "workflows/deleted")
    # These five hold all places of processes; the rest of the runs waits for one, or for the group.
    for name in ("chain", "held", "failing-over", "first-in"):
        server.start_run(name, {"word": "naïve"} if name == "chain" else {})
    server.start_run("call")
    for name in ("first-in", "limited"):
        server.start_run(name)


def state(server):
    """{"workflow#number": its status and what it waits for}."""
    runs = server.get("runs?limit=200")["items"]
    return {f"{run['workflow']}#{run['number']}": run["status"] + (f" for {run['waits_for']}" if run.get("waits_for") else "")
            for run in runs}


WANTED = {
    "asking#1": "waiting for approval", "broken#1": "failed", "call#1": "running", "chain#1": "running", "deleted#1": "waiting for timer",
    "done#1": "success", "done#2": "success", "failing-over#1": "running", "first-in#1": "running", "first-in#2": "queued for group",
    "held#1": "running", "limited#1": "waiting for limit", "retrying#1": "waiting for retry", "scheduled#1": "success",
    "scheduled#2": "success", "stopped#1": "cancelled", "waiting#1": "waiting for timer", "wide#1": "failed"}


def main():
    name = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        calls = silent_peer()
        server = Server(["--max-processes", "4", "--egress-allow", "loopback"], data=pathlib.Path(folder) / "data")
        server.start()
        make(server)
        last = {}

        def reached():
            last.update(state(server))
            return calls and last == WANTED

        wait_until(reached, 20, lambda: f"every state; there are {json.dumps(last, indent=1)}")
        server.kill()
        # What belongs to this machine or this process alone is made again.
        subprocess.run(["tar", "-cJf", HERE / f"{name}.tar.xz", "--sort=name", "--owner=0", "--group=0", "--numeric-owner",
                        "--exclude=*.lock", "--exclude=admin.token", "--exclude=pawl.db-shm", "-C", folder, "data"], check=True)
        server.close()


if __name__ == "__main__":
    main()
