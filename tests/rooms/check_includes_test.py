import pathlib
import tempfile
import unittest

import check_includes

ROOT = pathlib.Path(__file__).resolve().parents[2]


def problems(**files):
    """What the check says of a tree of these files; __ stands for / and the text is the includes' lines."""
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, text in files.items():
            path = root / (name.replace("__", "/") + ".cc")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return check_includes.check(root)[0]


class Includes(unittest.TestCase):
    def test_every_include_of_the_project_is_allowed(self):
        found, seen = check_includes.check(ROOT)
        self.assertGreater(seen, 100, "hardly anything was looked at")
        self.assertEqual(found, [], "\n" + "\n".join(found))

    def test_every_folder_of_src_is_a_room_of_the_table(self):
        rooms = {path.name for path in (ROOT / "src").iterdir() if path.is_dir()}
        self.assertLessEqual(rooms, set(check_includes.ROOMS))

    def test_what_the_table_does_not_name_is_found_with_file_and_line(self):
        self.assertEqual(problems(src__engine__decide='#include <vector>\n#include "store/store.h"\n'),
                         ["src/engine/decide.cc:2: store/store.h is not open to engine, which may include: "
                          "calendar, expression, model, base"])

    def test_the_inside_of_a_room_is_closed_to_others(self):
        self.assertIn("reaches into the inside", problems(src__driver__x='#include "store/sqlite/statement.h"\n')[0])
        self.assertIn("reaches into the inside", problems(src__cli__x='#include "store/sqlite/statement.h"\n')[0])
        self.assertEqual(problems(src__app__main='#include "store/sqlite/statement.h"\n'), [])
        self.assertEqual(problems(src__store__sqlite__x='#include "store/sqlite/statement.h"\n'), [])

    def test_only_the_named_part_of_a_face_is_open(self):
        self.assertEqual(problems(src__api__x='#include "driver/inbox.h"\n'), [])
        self.assertIn("is not the part of driver/", problems(src__api__x='#include "driver/driver.h"\n')[0])
        self.assertIn("is not the part of store/", problems(src__accounts__x='#include "store/store.h"\n')[0])

    def test_outside_libraries_stay_where_they_belong(self):
        self.assertIn("belongs to store/sqlite", problems(src__store__memory__x="#include <sqlite3.h>\n")[0])
        self.assertIn("belongs to net", problems(src__api__x="#include <boost/asio.hpp>\n")[0])
        self.assertIn("belongs to base/log", problems(src__base__json="#include <spdlog/spdlog.h>\n")[0])
        self.assertIn("does not know", problems(src__base__json="#include <nlohmann/json.hpp>\n")[0])
        self.assertEqual(problems(src__base__log="#include <spdlog/spdlog.h>\n"), [])

    def test_a_pure_room_includes_no_threads_files_or_clocks(self):
        for header in ("thread", "fstream", "unistd.h", "sys/stat.h", "random"):
            self.assertIn("pure room", problems(src__engine__x=f"#include <{header}>\n")[0])

    def test_tests_may_include_what_they_need(self):
        self.assertEqual(problems(src__engine__run_test='#include "definition/definition.h"\n#include <gtest/gtest.h>\n'),
                         [])
        self.assertIn("belongs to tests", problems(src__engine__run="#include <gtest/gtest.h>\n")[0])


if __name__ == "__main__":
    unittest.main()
