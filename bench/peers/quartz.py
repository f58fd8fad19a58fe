"""Pawl and Quartz side by side at firing: `./dev bench peers fire` builds Pawl, installs the packages and calls this.

Quartz is measured on its store in memory and on JDBC, with its locks for a cluster and without. For JDBC a PostgreSQL
of its own is made in a temporary folder, on a free port of 127.0.0.1, with fsync on. The lines go to
build/bench/firing.jsonl and to standard output, with `engine`: pawl, quartz-ram, quartz-jdbc or quartz-cluster; in the
lines of Quartz `ratio` says how many times better Pawl was: in fires a second, or in the 99th percentile of lateness.
"""

import argparse
import contextlib
import json
import os
import pathlib
import pwd
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zipfile

from run import BENCH, PEERS, ROOT, Failure, busy, lines_of, say, wait_for_quiet

HERE = pathlib.Path(__file__).resolve().parent
OUT = ROOT / "build/bench/firing.jsonl"
JARS = [pathlib.Path("/usr/share/java") / f"{name}.jar" for name in
        ("quartz2", "slf4j-api", "slf4j-nop", "HikariCP", "postgresql")]
# what of our lines, what of QuartzFire, store, schedules, seconds, threads, triggers that Quartz takes at once
MEASUREMENTS = [
    ("burst", "due", "ram", 100_000, 0, 10, 1),
    ("burst", "due", "ram", 100_000, 0, 10, 100),
    ("burst", "due", "jdbc", 3_000, 0, 20, 100),
    ("burst", "due", "jdbc-cluster", 3_000, 0, 20, 100),
    ("at_200", "each", "ram", 200, 30, 10, 1),
    ("at_200_spread", "spread", "ram", 200, 30, 10, 1),
    ("at_200_spread", "spread", "jdbc", 200, 15, 20, 100),
    ("at_200_spread", "spread", "jdbc-cluster", 200, 15, 20, 100),
    ("at_5000", "each", "ram", 5_000, 20, 10, 100),
]


def installed_postgres():
    """The folder of PostgreSQL's programs, of the newest one; None: there is none."""
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    return found[-1].parent if found else None


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def postgres():
    """A PostgreSQL with the tables of Quartz; its port."""
    programs = installed_postgres()
    if not programs:
        raise Failure("no PostgreSQL: apt-get install postgresql")
    # Not memory, where a sync costs nothing. PostgreSQL does not run as root.
    folder = pathlib.Path(tempfile.mkdtemp(prefix="pawl-bench-", dir="/var/tmp"))
    user = {}
    if os.geteuid() == 0:
        postgres_user = pwd.getpwnam("postgres")
        os.chown(folder, postgres_user.pw_uid, postgres_user.pw_gid)
        user = {"user": postgres_user.pw_uid, "group": postgres_user.pw_gid, "extra_groups": []}

    def call(program, *arguments, text=None):
        done = subprocess.run([programs / program, *map(str, arguments)], cwd=folder, input=text, text=True,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **user)
        if done.returncode != 0:
            raise Failure(f"{program}: {done.stderr.strip()}")

    server = None
    try:
        call("initdb", "--pgdata", folder / "data", "--username", "quartz", "--auth", "trust", "--encoding", "UTF8",
             "--no-locale")
        port = free_port()
        settings = {"port": port, "listen_addresses": "127.0.0.1", "unix_socket_directories": folder, "fsync": "on",
                    "synchronous_commit": "on", "shared_buffers": "1GB", "max_connections": 200}
        with open(PEERS / "postgres.log", "w", encoding="utf-8") as log:
            command = [programs / "postgres", "-D", folder / "data"]
            for name, value in settings.items():
                command += ["-c", f"{name}={value}"]
            server = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **user)
        ready = [programs / "pg_isready", "--quiet", "--host", "127.0.0.1", "--port", str(port), "--timeout", "30"]
        for _ in range(100):
            if server.poll() is not None:
                raise Failure(f"PostgreSQL has ended: {PEERS / 'postgres.log'}")
            if subprocess.run(ready).returncode == 0:
                break
            time.sleep(0.1)
        here = ("--host", "127.0.0.1", "--port", port, "--username", "quartz")
        call("createdb", *here, "quartz")
        with zipfile.ZipFile(JARS[0]) as jar:
            tables = jar.read("org/quartz/impl/jdbcjobstore/tables_postgres.sql").decode()
        call("psql", *here, "--quiet", "--set", "ON_ERROR_STOP=1", "quartz", text=tables)
        yield port, server.pid
    finally:
        if server and server.poll() is None:
            server.send_signal(signal.SIGINT)  # ends sessions at once
            server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def compiled():
    """The class path with QuartzFire on it."""
    classes = PEERS / "quartz"
    classes.mkdir(parents=True, exist_ok=True)
    path = os.pathsep.join(map(str, [*JARS, classes]))
    if subprocess.run(["javac", "-cp", path, "-d", classes, HERE / "QuartzFire.java"]).returncode != 0:
        raise Failure("QuartzFire.java does not compile")
    return path


def cpu_of(process):
    """CPU seconds of a program, of those it has started, and of those of them that have ended."""
    ticks = 0
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            head, _, tail = path.read_text().rpartition(")")
            fields = tail.split()
            if int(head.split()[0]) == process:
                ticks += sum(map(int, fields[11:15]))
            elif int(fields[1]) == process:
                ticks += sum(map(int, fields[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def of_quartz(path, port, server, measurement):
    what, how, store, schedules, seconds, threads, batch = measurement

    def used():
        java = resource.getrusage(resource.RUSAGE_CHILDREN)
        return java.ru_utime + java.ru_stime + cpu_of(server)

    begin, all_before, own_before = time.monotonic(), busy(), used()
    fire = lines_of(["java", "-Xmx2g", "-cp", path, "QuartzFire", how, store, schedules, seconds, threads, batch],
                    dict(os.environ, PGPORT=str(port)))[0]
    others = (busy() - all_before - used() + own_before) / (time.monotonic() - begin)
    burst = what == "burst"
    line = {"workload": "fire", "store": "memory" if store == "ram" else "postgres", "what": what,
            "engine": f"quartz-{store.rpartition('-')[2]}", "value": fire["fires_per_second" if burst else "p50_ms"],
            "unit": "fires/s" if burst else "ms", "schedules": schedules, "threads": threads, "at_once": batch, **fire}
    for name in ("p50_ms", "p99_ms", "most_ms") if burst else ("p50_ms",):
        del line[name]
    return line | {"others_cores": round(max(0.0, others), 2)}


def compared(line, ours):
    """The line of Quartz with how many times better Pawl was in the same round."""
    pawl = {other["what"]: other for other in ours}.get(line["what"])
    if not pawl:
        return line
    if line["unit"] == "fires/s":
        return line | {"ratio": round(pawl["value"] / line["value"], 2)}
    return line | {"ratio": round(line["p99_ms"] / pawl["p99_ms"], 2)}


def main():
    parser = argparse.ArgumentParser(prog="./dev bench peers fire", description="Pawl and Quartz side by side")
    parser.add_argument("--rounds", type=int, default=1, help="how often everything is measured (default 1)")
    parser.add_argument("--quiet", type=float, default=90, metavar="SECONDS",
                        help="how long to wait for a quiet machine before each (default 90)")
    parser.add_argument("--peer-only", action="store_true", help="leave Pawl out")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        path = compiled()
        with open(OUT, "w", encoding="utf-8") as out, postgres() as (port, server):

            def put(line, number):
                text = json.dumps(line | {"round": number}, ensure_ascii=False)
                print(text, flush=True)
                out.write(text + "\n")
                out.flush()

            for number in range(1, options.rounds + 1):
                ours = []
                if not options.peer_only:
                    wait_for_quiet(options.quiet)
                    ours = [line | {"engine": "pawl"} for line in lines_of([BENCH, "fire"])]
                    for line in ours:
                        put(line, number)
                for measurement in MEASUREMENTS:
                    wait_for_quiet(options.quiet)
                    say("Quartz " + " ".join(map(str, measurement)))
                    put(compared(of_quartz(path, port, server, measurement), ours), number)
    except Failure as error:
        say(str(error))
        return 1
    say(f"written to {OUT.relative_to(ROOT)}; `./dev bench report` draws them")
    return 0


if __name__ == "__main__":
    sys.exit(main())
