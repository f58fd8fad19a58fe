"""`pawl validate`, `schema` and `doctor` from outside: files that mean ill, folders, standard input."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

from support.pawl import PAWL, ROOT, Server, clean_environment, free_port

GOOD = "name: good\njobs: {j: {tasks: [{run: x}]}}\n"
MOST_SECONDS = 1.0
MOST_MEMORY = 256 << 20  # of the whole process, its libraries included


# A process that is started counts what its starter held as its own, until it runs its program: so a small one starts it.
STARTER = """
import json, os, resource, subprocess, sys
done = subprocess.run(sys.argv[2:], stdout=2)
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
os.write(int(sys.argv[1]), json.dumps([done.returncode, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024]).encode())
"""


def measured(*arguments, stdin=None):
    """Exit code, output, and the seconds of a processor and the most memory that the command took."""
    read, write = os.pipe()
    with open(read) as figures, tempfile.TemporaryFile() as out:
        subprocess.run([sys.executable, "-c", STARTER, str(write), PAWL, *map(str, arguments)], check=True, pass_fds=[write],
                       stdin=stdin or subprocess.DEVNULL, stderr=out, env=clean_environment())
        os.close(write)
        out.seek(0)
        code, seconds, memory = json.load(figures)
        return code, out.read().decode(errors="replace"), seconds, memory


def hostile():
    """Name and bytes of files that would cost a careless reader dearly."""
    laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12))
    chain = "".join(f"k{i}: &k{i} {{<<: *k{i - 1}, x{i}: 1}}\n" if i else "k0: &k0 {x: 1}\n" for i in range(4000))
    task = "name: a\njobs: {j: {tasks: [{run: x, env: {A: \"${{ %s }}\"}}]}}\n"
    yield "laughs", laughs.encode()
    yield "merges", chain.encode()
    yield "depth", b"[" * 500_000
    yield "blocks", b"- " * 500_000
    yield "json depth", b'{"a":' * 150_000
    yield "keys twice", b"name: a\n" * 100_000
    yield "NUL", b"name: a\0b\n" + GOOD.encode()
    yield "no UTF-8", b"name: \xff\xfe\n"
    yield "UTF-16", GOOD.encode("utf-16")
    yield "tags", b"name: !!python/object/apply:os.system [id]\n"
    yield "an own tag", b"%TAG ! tag:evil,2000:\n---\nname: !x a\n"
    yield "parentheses", (task % ("(" * 60_000)).encode()
    yield "operators", (task % ("1" + "+1" * 30_000)).encode()
    yield "stars", (task % ("inputs" + ".*" * 30_000)).encode()
    yield "negations", (task % ("!" * 60_000 + "true")).encode()
    yield "functions", (task % ("join(" * 10_000 + ")" * 10_000)).encode()
    yield "axes", (b"name: a\njobs: {j: {matrix: {" + b", ".join(b"a%d: [%s]" % (i, b", ".join(
        b"%d" % n for n in range(1000))) for i in range(10)) + b"}, tasks: [{run: x}]}}\n")
    yield "exclusions", (b"name: a\njobs: {j: {matrix: {a: [1, 2], exclude: [" + b"{a: 1}, " * 100_000 +
                         b"]}, tasks: [{run: x}]}}\n")
    yield "a pattern", b"name: a\ninputs: {i: {pattern: '" + b"(a{1,1000}){1,1000}" * 50 + b"'}}\n"


class Hostile(unittest.TestCase):
    def check(self, name, done):
        code, text, seconds, memory = done
        self.assertEqual(code, 1, f"{name}: {text[:1000]}")
        self.assertLess(seconds, MOST_SECONDS, name)
        self.assertLess(memory, MOST_MEMORY, name)
        return text

    def test_each_is_an_error_within_a_second_and_bounded_memory(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, data in hostile():
                with self.subTest(name):
                    path = pathlib.Path(folder) / "file.yaml"
                    path.write_bytes(data)
                    self.assertRegex(self.check(name, measured("validate", path)), r"file\.yaml:\d+:\d+: ")

    def test_a_file_of_100_megabytes_is_not_read_whole(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "large.yaml"
            with path.open("wb") as file:
                file.truncate(100_000_000)
            done = measured("validate", path)
            self.assertIn("is larger than a definition may be", self.check("large", done))
            self.assertLess(done[3], 64 << 20)
            with path.open("rb") as file:
                said = self.check("standard input", measured("validate", "-", stdin=file))
                self.assertIn("<stdin>:1:1: is larger", said)

    def test_a_device_without_an_end_is_left_alone(self):
        self.assertIn("is larger than", self.check("device", measured("validate", "/dev/zero")))

    def test_a_folder_that_holds_itself_is_looked_at_once(self):
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "a.yaml").write_text(GOOD)
            (pathlib.Path(folder) / "loop").symlink_to(folder)
            code, text, _, _ = measured("validate", folder)
            self.assertEqual((code, text.count(": fine")), (0, 1), text)


class Files(unittest.TestCase):
    def test_all_examples_are_fine(self):
        code, text, _, _ = measured("validate", ROOT / "examples")
        self.assertEqual(code, 0, text)
        self.assertNotIn("warning", text)

    def test_no_file_at_all_is_wrong_usage(self):
        self.assertEqual(measured("validate")[0], 2)

    def test_json_names_every_file(self):
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "a.yaml").write_text(GOOD)
            (pathlib.Path(folder) / "b.yaml").write_text("name: b\n")
            code, text, _, _ = measured("validate", "--json", folder)
            answer = json.loads(text)
            self.assertEqual((code, answer["valid"], answer["problems"]), (1, False, 1))
            self.assertEqual([file["valid"] for file in answer["files"]], [True, False])


class Doctor(unittest.TestCase):
    def ask(self, *arguments):
        done = subprocess.run([PAWL, "doctor", "--json", *map(str, arguments)], capture_output=True, text=True,
                              env=clean_environment(), timeout=60)
        answer = json.loads(done.stdout)
        self.assertEqual(done.returncode, 0 if answer["fine"] else 1)
        return answer["fine"], {check["check"]: check for check in answer["checks"]}

    def test_an_empty_folder_will_do(self):
        with tempfile.TemporaryDirectory() as folder:
            good, checks = self.ask("--data", folder, "--listen", f"127.0.0.1:{free_port()}")
            self.assertTrue(good, checks)
            self.assertIn("none yet", checks["database"]["message"])
            self.assertEqual(os.listdir(folder), [])

    def test_a_server_that_runs_is_seen(self):
        with Server() as server:
            good, checks = self.ask("--data", server.data, "--listen", f"127.0.0.1:{server.port}")
            self.assertTrue(good, checks)
            self.assertIn(str(server.process.pid), checks["lock"]["message"])
            self.assertIn("answers", checks["port"]["message"])
            self.assertIn("schema", checks["database"]["message"])
            server.stop()
            good, checks = self.ask("--data", server.data, "--listen", f"127.0.0.1:{server.port}")
            self.assertTrue(good, checks)
            self.assertEqual(checks["lock"]["message"], "free")

    def test_what_is_no_database_is_said_so(self):
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "pawl.db").write_bytes(b"not a database " * 1000)
            good, checks = self.ask("--data", folder, "--listen", f"127.0.0.1:{free_port()}")
            self.assertFalse(good)
            self.assertEqual(checks["database"]["state"], "failed")


if __name__ == "__main__":
    unittest.main()
