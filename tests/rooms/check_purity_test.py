import os
import pathlib
import subprocess
import tempfile
import unittest

import check_purity

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIBRARIES = pathlib.Path(os.environ.get("PAWL_LIBRARIES", ROOT / "build/release/src"))

# One small effect of each kind, as a careless hand might write it in a pure room.
IMPURE = {
    "clock_gettime": "#include <ctime>\nlong f() { timespec t; clock_gettime(CLOCK_REALTIME, &t); return t.tv_sec; }",
    "system_clock": "#include <chrono>\nlong f() { return std::chrono::system_clock::now().time_since_epoch().count(); }",
    "steady_clock": "#include <chrono>\nlong f() { return std::chrono::steady_clock::now().time_since_epoch().count(); }",
    "time": "#include <ctime>\nlong f() { return time(nullptr); }",
    "localtime": "#include <ctime>\nint f(time_t t) { return localtime(&t)->tm_hour; }",
    "thread": "#include <thread>\nvoid f() { std::thread([] {}).join(); }",
    "mutex": "#include <mutex>\nvoid f(std::mutex& m) { m.lock(); }",
    "condition": "#include <condition_variable>\nvoid f(std::condition_variable& c) { c.notify_all(); }",
    "async": "#include <future>\nint f() { return std::async([] { return 1; }).get(); }",
    "fstream": "#include <fstream>\nbool f() { return std::ifstream(\"x\").good(); }",
    "fopen": "#include <cstdio>\nvoid* f() { return fopen(\"x\", \"r\"); }",
    "open": "#include <fcntl.h>\nint f() { return open(\"x\", 0); }",
    "read": "#include <unistd.h>\nlong f(char* b) { return read(0, b, 1); }",
    "checked read": "#include <unistd.h>\nlong f(unsigned n) { char b[8]; return read(0, b, n) + b[0]; }",
    "cout": "#include <iostream>\nvoid f() { std::cout << 1; }",
    "printf": "#include <cstdio>\nvoid f(int n) { printf(\"%d\", n); }",
    "filesystem": "#include <filesystem>\nbool f() { return std::filesystem::exists(\"x\"); }",
    "getenv": "#include <cstdlib>\nconst char* f() { return getenv(\"X\"); }",
    "rand": "#include <cstdlib>\nint f() { return rand(); }",
    "random_device": "#include <random>\nunsigned f() { return std::random_device{}(); }",
    "getrandom": "#include <sys/random.h>\nlong f(char* b) { return getrandom(b, 1, 0); }",
    "log": "namespace pawl::log { void write(int); }\nvoid f() { pawl::log::write(1); }",
}
PURE = """
#include <algorithm>
#include <charconv>
#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>
std::string f(const std::map<std::string, std::variant<int, std::string>>& m, std::chrono::sys_days d) {
  std::vector<std::string> names;
  for (const auto& [name, value] : m) names.push_back(name + std::to_string(value.index()));
  std::ranges::sort(names);
  auto shared = std::make_shared<std::string>(std::to_string(d.time_since_epoch().count()));
  static const std::string nothing = "nothing";
  return names.empty() ? nothing + *shared : names.at(0);
}
"""


def library_of(folder, name, source):
    """A static library of one source, made the way a release build makes it."""
    base = pathlib.Path(folder) / name
    base.with_suffix(".cc").write_text(source)
    subprocess.run(["g++", "-std=c++23", "-O2", "-D_FORTIFY_SOURCE=2", "-fstack-protector-strong", "-c",
                    base.with_suffix(".cc"), "-o", base.with_suffix(".o")], check=True)
    subprocess.run(["ar", "rcs", base.with_suffix(".a"), base.with_suffix(".o")], check=True)
    return base.with_suffix(".a")


class Purity(unittest.TestCase):
    def test_every_effect_is_found(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, source in IMPURE.items():
                with self.subTest(name):
                    problems, _ = check_purity.check(library_of(folder, name, source))
                    self.assertTrue(problems, f"{name} was not seen")

    def test_plain_computation_passes(self):
        with tempfile.TemporaryDirectory() as folder:
            problems, seen = check_purity.check(library_of(folder, "pure", PURE))
            self.assertGreater(seen, 5)
            self.assertEqual(problems, [])

    def test_every_pure_room_is_pure(self):
        looked_at = []
        for room in check_purity.ROOMS:
            if not any(path for path in (ROOT / "src" / room).rglob("*.cc") if not path.stem.endswith("_test")):
                continue  # a room of later work, or one of headers alone
            with self.subTest(room):
                library = LIBRARIES / f"libpawl_{room}.a"
                self.assertTrue(library.exists(), f"{library} is not built: ./dev build")
                problems, _ = check_purity.check(library)
                self.assertEqual(problems, [], "\n" + "\n".join(problems))
            looked_at.append(room)
        self.assertIn("engine", looked_at)


if __name__ == "__main__":
    unittest.main()
