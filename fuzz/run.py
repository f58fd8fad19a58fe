"""Runs the fuzz targets: `./dev fuzz [TARGET] [SECONDS]`. First the inputs that are kept and the seeds, once each, then
new ones for SECONDS (25). What was found lies in build/fuzz/found: make a named test of it.
"""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = ROOT / "build/fuzz"
TARGETS = ("cron", "definition", "expression")
SECONDS = 25
LONGEST = 16384  # bytes of an input; the unit tests try a mebibyte


def build(targets):
    if not (BUILD / "build.ninja").exists():
        subprocess.run(["cmake", "--preset", "fuzz"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", BUILD, *(f"{target}_fuzz" for target in targets)], check=True)


def fuzz(target, seconds):
    found = BUILD / "found"
    new = BUILD / "new" / target
    for folder in (found, new):
        folder.mkdir(parents=True, exist_ok=True)
    common = [BUILD / "fuzz" / f"{target}_fuzz", "-timeout=10", "-rss_limit_mb=2048", f"-max_len={LONGEST}",
              f"-artifact_prefix={found}/{target}-"]
    kept = [ROOT / "fuzz/corpus" / target, BUILD / "seeds" / target]
    files = [file for folder in kept for file in sorted(folder.iterdir())]
    for command in ([*common, *files], [*common, f"-max_total_time={seconds}", f"-dict={ROOT}/fuzz/{target}.dict",
                                        new, *kept]):
        done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, errors="replace")
        if done.returncode != 0:
            print(done.stdout[-8000:])
            print(f"fuzz: {target} broke on an input, which lies in {found}")
            return False
    print(f"fuzz: {target}: {len(files)} kept inputs and {seconds} s of new ones, nothing found", flush=True)
    return True


def main():
    words = sys.argv[1:]
    targets = [word for word in words if word in TARGETS] or list(TARGETS)
    numbers = [word for word in words if word.isdigit()]
    if len(words) > len(numbers) + len([word for word in words if word in TARGETS]) or len(numbers) > 1:
        print(f"usage: ./dev fuzz [{'|'.join(TARGETS)}] [SECONDS]", file=sys.stderr)
        return 2
    build(targets)
    subprocess.run([sys.executable, ROOT / "fuzz/seeds.py", BUILD / "seeds"], check=True)
    return 0 if all([fuzz(target, int(numbers[0]) if numbers else SECONDS) for target in targets]) else 1


if __name__ == "__main__":
    sys.exit(main())
