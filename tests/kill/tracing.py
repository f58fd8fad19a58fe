"""strace as the killer: SIGKILL as a thread enters its N-th call of one kind, and what strace says of the call."""

import collections
import pathlib
import re
import subprocess
import time

# Every call that changes a file or sends bytes out of the process. openat only counts where it may create.
WRITE_CLASS = ("write", "pwrite64", "writev", "pwritev", "pwritev2", "fsync", "fdatasync", "sync_file_range", "msync",
               "ftruncate", "truncate", "fallocate", "rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir",
               "mkdir", "mkdirat", "creat", "openat", "link", "linkat", "symlink", "symlinkat", "fchmod", "fchmodat",
               "chmod", "fchown", "fchownat", "sendto", "sendmsg", "sendmmsg", "sendfile", "splice", "copy_file_range")
# The guard and the keepers write little; what they do is to watch, to fork and to kill.
GUARD_CLASS = (*WRITE_CLASS, "recvmsg", "clone", "wait4", "kill", "pidfd_send_signal", "exit_group")
LINE = re.compile(r"^(?:(\d+) +)?(\w+)\((.*)$")


class Call:
    """One line of strace's output."""

    def __init__(self, thread, name, rest):
        self.thread, self.name, self.rest = thread, name, rest

    @property
    def writes(self):
        return self.name != "openat" or "O_CREAT" in self.rest


def read_calls(text):
    """The calls in the order in which they were entered."""
    return [Call(match[1], match[2], match[3]) for match in map(LINE.match, text.splitlines()) if match]


def killed(text, syscall):
    """The numbers of the threads that strace has killed; short ones are padded. One that it let go of in the middle of the
    call has got its signal, too."""
    return re.findall(rf"^(\d+) +(?:\+\+\+ killed by SIGKILL|{syscall}\(.*<detached \.\.\.>$)", text, re.MULTILINE)


def file_class(call, data, port):
    """What a call writes to, in a word: `pawl.db-wal`, `run log`, `API socket` …"""
    rest = call.rest
    if match := re.match(r"\d+<(?:TCP|TCPv6):\[(.*?)\]>", rest):
        ends = match[1].split("->")
        if len(ends) == 2 and ends[0].endswith(f":{port}"):
            return "API socket"
        return "peer socket"
    if call.name not in WRITE_CLASS:
        return "processes"
    if re.match(r"\d+<UNIX-STREAM", rest):  # with which one thread wakes another
        return "wake-up"
    if re.match(r"\d+<UNIX", rest):
        return "guard socket"
    if "eventfd" in rest.split(",")[0]:
        return "wake-up"
    if "memfd:" in rest:
        return "task request"
    if re.match(r"\d+<(?:socket|pipe|NETLINK)", rest):
        return "other socket"
    # A name is taken from a folder (AT_FDCWD or a descriptor) unless it is absolute.
    named = re.search(r'"([^"]*)"', rest)
    folder = re.match(r"(?:\d+|AT_FDCWD)<([^>]*)>", rest)
    path = named[1] if named and named[1].startswith("/") else folder[1] if folder else ""
    if path.startswith(f"{data}/workspace"):
        return "workspace"
    if path.startswith("/sys/fs/cgroup"):
        return "cgroup"
    if path.startswith(f"{data}/logs"):
        return "run log"
    if path == str(data):
        return "data folder"
    if path.startswith(f"{data}/"):
        return re.sub(r"(admin\.token).*", r"\1", path[len(str(data)) + 1:])
    if path.endswith("server.log"):
        return "server's own log"
    return "other" if path else "other socket"


def victim(text, syscall, when, data, port):
    """(thread, file class, ordinal among the thread's calls to that class, whether it writes), or None."""
    if "+++ killed by SIGKILL +++" not in text:
        return None
    counts, classes = collections.Counter(), collections.Counter()
    for call in read_calls(text):
        if call.name != syscall:
            continue
        counts[call.thread] += 1
        group = file_class(call, data, port) if call.writes else "opened for reading"
        classes[call.thread, group] += 1
        if counts[call.thread] == when:
            return call.thread, group, classes[call.thread, group], call.writes
    return None


def spawn(binary_arguments, log, calls, inject=None, **options):
    """strace around a new server. Not around what it executes: guard and tasks run free (`-b execve`)."""
    command = ["strace", "-f", "-yy", "-s", "0", "-b", "execve", "-o", log, "-e", f"trace={','.join(calls)}"]
    if inject:
        command += ["-e", f"inject={inject[0]}:signal=SIGKILL:when={inject[1]}"]
    command += ["--", *binary_arguments]
    return subprocess.Popen([*map(str, command)], stdin=subprocess.DEVNULL, **options)


def attach(targets, log, calls, inject=None, children=False):
    """strace on threads that run already, back when it has all of them; `children`: on those they fork, too."""
    command = ["strace", "-yy", "-s", "0", "-o", log, "-e", f"trace={','.join(calls)}"]
    if children:
        command += ["-f", "-b", "execve"]
    if inject:
        command += ["-e", f"inject={inject[0]}:signal=SIGKILL:when={inject[1]}"]
    for target in targets:
        command += ["-p", target]
    process = subprocess.Popen([*map(str, command)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True)
    said = []
    for _ in targets:
        said.append(process.stderr.readline())
        if "attached" not in said[-1]:
            process.kill()
            raise RuntimeError(f"strace does not attach: {''.join(said)}")
    return process


def threads(pid):
    """{"pawl-writer": thread id}, in the order in which they were started; the second of one name is pawl-net-2."""
    found, counts = {}, collections.Counter()
    folders = sorted(pathlib.Path(f"/proc/{pid}/task").iterdir(), key=lambda path: int(path.name))
    for folder in folders:
        try:
            name = (folder / "comm").read_text().strip()
        except OSError:  # it has just ended
            continue
        counts[name] += 1
        found[f"{name}-{counts[name]}" if counts[name] > 1 else name] = int(folder.name)
    return found


def children(pid):
    found = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(stat.parent.name))
    return found


def wait_killed(log, process, seconds=60):
    """True once strace has killed somebody; False when it ended, or the time is over, without that."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if log.exists() and "killed by SIGKILL" in log.read_text(errors="replace"):
            return True
        if process.poll() is not None:
            return False
        time.sleep(0.005)
    return False
