import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent


def sources():
    return sorted(path for path in (ROOT / "src").rglob("*.cc") if not path.name.endswith("_test.cc"))


class Planted(unittest.TestCase):
    """The bugs that are planted to test the simulator: the enum, the code and the catalogue name the same ones."""

    def setUp(self):
        enum = re.search(r"enum class Planted [^{]*\{(.*?)\};", (ROOT / "src/base/planted.h").read_text(), re.S)
        self.names = [name for name in re.findall(r"^  (\w+),", enum.group(1), re.M) if name != "none"]

    def test_there_are_many_and_none_is_named_twice(self):
        self.assertGreaterEqual(len(self.names), 28)
        self.assertEqual(len(self.names), len(set(self.names)))

    def test_each_stands_at_one_place_of_the_code(self):
        used = [name for path in sources() for name in re.findall(r"Planted::(\w+)", path.read_text())]
        self.assertEqual(sorted(used), sorted(self.names))

    def test_the_catalogue_lists_each_with_what_it_is_and_a_promise(self):
        listed = re.findall(r'PAWL_BUG\(\s*(\w+),\s*"[^"]+",\s*"[^"]+"\)', (ROOT / "sim/planted.cc").read_text())
        self.assertEqual(sorted(listed), sorted(self.names))

    def test_no_header_depends_on_them(self):
        # Tests and simulator are compiled once and linked to both builds.
        found = [str(path) for folder in ("src", "sim") for path in (ROOT / folder).rglob("*.h")
                 if re.search(r"\bplanted\(", path.read_text()) and path.name != "planted.h"]
        self.assertEqual(found, [])


if __name__ == "__main__":
    unittest.main()
