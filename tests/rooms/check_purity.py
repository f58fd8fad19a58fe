"""Pure rooms compute and do nothing else: looks at what their libraries ask of the world (`nm -C -u`).

    check_purity.py LIBRARY…     prints `library(object): symbol: why` for each forbidden symbol; exit code 1 then
"""

import re
import subprocess
import sys

ROOMS = ("model", "expression", "definition", "calendar", "engine")

# What may not be asked for, by kind. Each pattern has to match the whole symbol, without its version and arguments.
FORBIDDEN = {
    "a clock": r"clock_\w+|time|gettimeofday|localtime(_r)?|gmtime(_r)?|mktime|timegm|times|ftime|tzset|strftime"
               r"|std::chrono::.*::now|nanosleep|u?sleep|timer_\w+|setitimer|alarm",
    "a thread or lock": r"pthread_(?!self).*|std::(jthread|thread|this_thread|condition_variable|mutex|__async)\b.*"
                        r"|std::_V2::condition_variable_any.*|std::__atomic_futex.*|std::__future_base::.*|sem_\w+|fork"
                        r"|vfork|posix_spawn\w*|exec[lv]\w*|system|popen|kill|raise|signal|sigaction|thrd_\w+|mtx_\w+",
    "a file or socket": r"f?open(at)?(64)?|creat(64)?|fdopen|freopen(64)?|tmpfile(64)?|mkstemp\w*|read|write"
                        r"|p(read|write)v?(64)?|readv|writev|fread|fwrite|fput[cs]|fget[cs]|f?getc|f?putc|puts|putchar"
                        r"|v?f?printf|v?f?scanf|__v?f?printf_chk|__open(at)?(64)?_2|__(p?read(64)?|fread|fgets|poll|recv)_chk"
                        r"|close|unlink(at)?|rename(at)?|mkdir(at)?|stat(64)?|[fl]stat(64)?|fsync|fdatasync|mmap(64)?"
                        r"|socket|connect|bind|listen|accept4?|send(to|msg)?|recv(from|msg)?|poll|select|epoll_\w+|opendir"
                        r"|readdir(64)?|std::(__cxx11::)?basic_([io]?fstream|filebuf)\b.*|std::filesystem::.*"
                        r"|std::w?(cout|cerr|clog|cin)|stdout|stderr|stdin",
    "the environment": r"getenv|secure_getenv|setenv|putenv|environ|__environ|getpid|gettid|getuid|geteuid|gethostname"
                       r"|uname|sysconf|setlocale|syscall",
    "randomness": r"s?rand(om)?(_r)?|[dlejm]rand48(_r)?|getrandom|getentropy|arc4random\w*|std::random_device.*"
                  r"|randombytes\w*|uuid_generate\w*",
    "an effect of base": r"pawl::log::.*|pawl::load_curl.*|dlopen|dlsym",
}
PATTERNS = [(why, re.compile(pattern)) for why, pattern in FORBIDDEN.items()]
# `U` is undefined; `w` and `v` are weak, which libstdc++ uses to ask whether the program has threads at all.
LINE = re.compile(r"^\s+U (.+)$")


def reason(symbol):
    """Why a pure room may not ask for `symbol`; None if it may."""
    name = symbol.split("@")[0]
    plain = re.sub(r"\(.*$", "", name)  # arguments: std::chrono::…::now() -> std::chrono::…::now
    for why, pattern in PATTERNS:
        if pattern.fullmatch(name) or pattern.fullmatch(plain):
            return why
    return None


def check(library):
    """(problems, how many symbols were looked at) of one static library or object file."""
    output = subprocess.run(["nm", "-C", "-u", str(library)], capture_output=True, text=True, check=True).stdout
    problems, seen, part = [], 0, ""
    for line in output.splitlines():
        if line.endswith(":"):
            part = line[:-1]
        elif match := LINE.match(line):
            seen += 1
            if why := reason(match.group(1)):
                problems.append(f"{library}({part}): {match.group(1)}: {why}")
    return problems, seen


def main():
    found = [problem for library in sys.argv[1:] for problem in check(library)[0]]
    print("\n".join(found) if found else "pure")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
