"""Who may include whom: compares every #include in src/, sim/ and tests/ with the table below (ARCHITECTURE.md).

    check_includes.py [ROOT]       prints `file:line: …` for each include that the table does not allow; exit code 1 then

A room is a folder below src/. The files at its root are its face; a subfolder is its inside, and only the room itself,
app, sim and tests include from it. Where the table names a file, only that part of the face is open to the room.
"""

import pathlib
import re
import sys

# room: what it may include beside itself; `room` is a whole face, `room/file.h` one file of it.
ROOMS = {
    "base": [],
    "model": ["base"],
    "expression": ["base"],
    "calendar": ["model", "base"],
    "definition": ["calendar", "expression", "model", "base"],
    "zones": ["calendar", "expression", "base"],
    "engine": ["calendar", "expression", "model", "base"],
    "store": ["model", "base"],
    "runner": ["expression", "model", "base"],
    "driver": ["engine", "definition", "store/store.h", "store/reader.h", "store/log_store.h", "runner/runner.h", "calendar",
               "zones", "model", "base"],
    "accounts": ["driver/inbox.h", "store/reader.h", "model", "base"],
    "net": ["base"],
    "api": ["driver/inbox.h", "store/reader.h", "store/log_store.h", "accounts", "definition", "calendar", "zones", "net",
            "model", "base"],
    "cli": ["faces"],
    "app": ["everything"],
    "sim": ["driver", "engine", "store", "store/memory", "runner", "runner/fake", "definition", "expression", "model",
            "base"],
    "tests": ["everything"],
}
PURE = ("model", "expression", "definition", "calendar", "engine")

# Outside libraries: beginning of the include -> where it may stand (a room, a folder or a file without its ending).
LIBRARIES = {
    "boost/json": ["everything"],
    "fmt/": ["everything"],
    "boost/asio": ["net"],
    "boost/beast": ["net"],
    "boost/": ["net"],
    "spdlog/": ["base/log"],
    "curl/": ["base/curl"],
    "dlfcn.h": ["base/curl"],
    "seccomp.h": ["runner/process/call_filter"],
    "sodium": ["base", "api"],
    "sqlite3.h": ["store/sqlite"],
    "yaml.h": ["definition"],
    "absl/time/": ["zones"],
    "re2/": ["expression", "definition"],
    "CLI/": ["cli"],
    "gtest/": ["tests"],
    "gmock/": ["tests"],
    "rapidcheck": ["tests"],
}
# Headers of the system that live in folders; all others without a folder are the standard library's or POSIX's.
SYSTEM_FOLDERS = ("sys/", "netinet/", "arpa/", "net/", "linux/", "asm/", "experimental/", "sanitizer/")
# What a pure room has no use for, whatever it calls.
IMPURE = {"thread", "mutex", "shared_mutex", "condition_variable", "future", "semaphore", "stop_token", "fstream",
          "filesystem", "iostream", "random", "unistd.h", "fcntl.h", "pthread.h", "signal.h", "csignal", "time.h",
          "stdlib.h"}

INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')


def place(path, root):
    """(room, inner path) of a source file: the room whose rules it follows, and its path in src/ or from the root."""
    relative = path.relative_to(root)
    inner = pathlib.PurePosixPath(*relative.parts[1:]) if relative.parts[0] == "src" else pathlib.PurePosixPath(relative)
    room = inner.parts[0]
    helper = path.stem.startswith("test_") or {"contract_tests", "testing"} & set(relative.parts)
    if path.stem.endswith("_test") or helper:
        room = "tests"  # a test may use whatever it needs to put its room to the proof
    return room, inner


def room_problem(room, inner, included):
    """Why `inner`, a file of `room`, may not include `included`; None if it may."""
    target = pathlib.PurePosixPath(included)
    if len(target.parts) < 2:
        return "is no path below src/ (write \"room/file.h\")"
    other = target.parts[0]
    if other == inner.parts[0] or room == "tests":
        return None
    if other not in ROOMS:
        return f"names no room ({other})"
    if room not in ROOMS:
        return f"stands in a room that the table does not know ({room})"
    allowed = ROOMS[room]
    if "everything" in allowed:
        return None
    if str(target) in allowed or str(target.parent) in allowed and len(target.parts) > 2:
        return None
    if len(target.parts) > 2:
        return f"reaches into the inside of {other}/"
    if "faces" in allowed or other in allowed:
        return None
    files = [entry for entry in allowed if entry.startswith(other + "/") and entry.endswith(".h")]
    if files:
        return f"is not the part of {other}/ that {room} may see ({', '.join(files)})"
    return f"is not open to {room}, which may include: {', '.join(allowed) or 'no other room'}"


def library_problem(room, inner, included):
    for beginning, places in LIBRARIES.items():
        if included.startswith(beginning):
            where = str(inner.with_suffix(""))
            if "everything" in places or room == "tests" or room in places:
                return None
            if any(where == entry or where.startswith(entry + "/") for entry in places):
                return None
            return f"belongs to {', '.join(places)} alone"
    if "/" in included and not included.startswith(SYSTEM_FOLDERS):
        return "is an outside library that the table does not know"
    if room in PURE and (included in IMPURE or included.startswith(SYSTEM_FOLDERS)):
        return f"has no place in {room}, a pure room"
    return None


def check(root):
    """Every forbidden include below `root` as `file:line: <include> why`, and how many includes were looked at."""
    problems, seen = [], 0
    for top in ("src", "sim", "tests"):
        for path in sorted((root / top).rglob("*")):
            if path.suffix not in (".h", ".cc") or not path.is_file():
                continue
            room, inner = place(path, root)
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                match = INCLUDE.match(line)
                if not match:
                    continue
                seen += 1
                own, outside = match.groups()
                problem = room_problem(room, inner, own) if own else library_problem(room, inner, outside)
                if problem:
                    problems.append(f"{path.relative_to(root)}:{number}: {own or outside} {problem}")
    return problems, seen


def main():
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parents[2]
    problems, seen = check(root)
    print("\n".join(problems) if problems else f"{seen} includes, all allowed")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
