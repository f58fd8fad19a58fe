import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "cmake"))
import batches  # noqa: E402

OWN = """#include <x>
#define LIMIT(a) \\
  a
namespace pawl {
namespace {
using namespace std::chrono_literals;
constexpr std::string_view months[] = {"a;b{", "c"};  // chain = 1
const Instant noon{5h};
using Bytes = std::vector<char>;
enum Color { red, green };
enum class Kind { inner };
template <typename T, typename U = std::map<int, T>>
struct Teller : Base {
  int member = 0;
};
std::optional<int> ask(const Teller& t) {
  int local = R"(namespace { int raw; )"[0] + '{';
  return local;
}
[[nodiscard]] bool operator==(const A& a, const B& b);
TEST_F(Retry, Waits) { ask(1); }
TEST(Retry, Ends) {}
}  // namespace
static int counted(int x) { return x; }
int shared(int x) { return x; }
}  // namespace pawl
"""


class OwnNames(unittest.TestCase):
    def test_what_a_file_keeps_to_itself_is_read_from_it(self):
        names = {name for name in batches.own_names(batches.bare(OWN)) if name.isidentifier()}
        self.assertEqual(names, {
            "LIMIT", "months", "noon", "Bytes", "Color", "red", "green", "Kind", "Teller", "ask", "Retry_Waits_Test",
            "Retry_Ends_Test", "counted"})

    def test_an_operator_is_a_name_too(self):
        self.assertIn("operator==", batches.own_names(batches.bare(OWN)))


class Batches(unittest.TestCase):
    def test_files_are_together_unless_a_name_of_one_occurs_in_the_other(self):
        chain = "namespace {\nconstexpr int chain = 1;\n}  // namespace\n"
        files = {"a.cc": chain, "b.cc": chain, "c.cc": "int f(int chain);\n", "d.cc": "int g();  // chain\n"}
        self.assertEqual(batches.batches(files), [["a.cc", "d.cc"], ["b.cc"], ["c.cc"]])

    def test_a_name_is_looked_for_in_files_before_and_after(self):
        files = {"a.cc": "int f(int chain);\n", "b.cc": "namespace {\nint chain() { return 1; }\n}  // namespace\n"}
        self.assertEqual(batches.batches(files), [["a.cc"], ["b.cc"]])

    def test_the_same_alias_is_no_clash(self):
        texts = [f"namespace {{\nusing {place}::Has;\n}}  // namespace\n" for place in ("testing", "testing", "std")]
        files = dict(zip(("a.cc", "b.cc", "c.cc"), texts)) | {"d.cc": "int Has;\n"}
        self.assertEqual(batches.batches(files), [["a.cc", "b.cc"], ["c.cc"], ["d.cc"]])

    def test_members_and_what_is_named_with_std_are_others(self):
        own = "namespace {\nint chain() { return 1; }\n}  // namespace\n"
        others = {"b.cc": "int b = a.chain();\n", "c.cc": "int c = std::ranges::chain();\n", "d.cc": "int d = x::chain();\n"}
        self.assertEqual(batches.batches({"a.cc": own} | others), [["a.cc", "b.cc", "c.cc"], ["d.cc"]])

    def test_a_macro_reaches_members_too(self):
        files = {"a.cc": "#define chain 1\n", "b.cc": "int b = a.chain;\n"}
        self.assertEqual(batches.batches(files), [["a.cc"], ["b.cc"]])

    def test_a_batch_has_an_end(self):
        text = "int f();\n" * (batches.LARGEST // 20)
        self.assertEqual(batches.batches({"a.cc": text, "b.cc": text, "c.cc": text}), [["a.cc", "b.cc"], ["c.cc"]])


if __name__ == "__main__":
    unittest.main()
