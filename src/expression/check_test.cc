#include <gtest/gtest.h>

#include "expression/test_world.h"

namespace pawl::expression {
namespace {

// name[.name…]@offset, with a + when more than the path may be read.
std::string references_of(std::string_view text) {
  std::string all;
  for (const Reference& r : parsed(text).references()) {
    if (!all.empty()) all += ' ';
    for (std::size_t i = 0; i < r.path.size(); ++i) all += (i > 0 ? "." : "") + r.path[i];
    all += "@" + std::to_string(r.offset) + (r.whole ? "" : "+");
  }
  return all;
}

std::string problems_of(std::string_view text, const Names& names = {}) {
  std::string all;
  for (const Problem& p : check(parsed(text), names))
    all += std::to_string(p.offset) + " " + p.message + "; " + p.hint + "\n";
  return all;
}

TEST(References, AreTheStaticPartsOfPaths) {
  EXPECT_EQ(references_of("1 + 2"), "");
  EXPECT_EQ(references_of("stdout"), "stdout@0");
  EXPECT_EQ(references_of("tasks.a.outputs.x"), "tasks.a.outputs.x@0");
  EXPECT_EQ(references_of("a.b['c-d'][\"e\"]"), "a.b.c-d.e@0");
  EXPECT_EQ(references_of("a.b[0].c"), "a.b@0+");
  EXPECT_EQ(references_of("a.*.url"), "a@0+");
  EXPECT_EQ(references_of("a[b.c].d"), "a@0+ b.c@2");
  EXPECT_EQ(references_of("(a.b).c"), "a.b.c@1");
  EXPECT_EQ(references_of("(a.*).c"), "a@1+");
  EXPECT_EQ(references_of("x ? f(a, [b]) : {k: c ?? -d}"), "x@0 a@6 b@10 c@20 d@26");
  EXPECT_EQ(references_of("a.null.true.omit"), "a.null.true.omit@0");
}

TEST(References, FindStatusFunctions) {
  EXPECT_EQ(parsed("success() || !(failure())").status_functions(),
            (std::vector{StatusFunction::success, StatusFunction::failure}));
  EXPECT_TRUE(parsed("inputs.success").status_functions().empty());
}

TEST(Check, FindsUnknownFunctionsAndTheNearest) {
  EXPECT_EQ(problems_of("lenght(a)"), "0 there is no function 'lenght'; did you mean length?\n");
  EXPECT_EQ(problems_of("1 + tojson(a)"), "4 there is no function 'tojson'; did you mean toJSON?\n");
  EXPECT_EQ(problems_of("startswith(a, b)"), "0 there is no function 'startswith'; did you mean startsWith?\n");
  EXPECT_EQ(problems_of("canceled()"), "0 there is no function 'canceled'; did you mean cancelled?\n");
  EXPECT_EQ(problems_of("zzzzzz(a)"), "0 there is no function 'zzzzzz'; \n");
}

TEST(Check, CountsArguments) {
  EXPECT_EQ(problems_of("length()"), "0 length takes 1 argument, not 0; write length(list)\n");
  EXPECT_EQ(problems_of("contains(a)"),
            "0 contains takes 2 arguments, not 1; write contains(list, value) or contains(text, part)\n");
  EXPECT_EQ(problems_of("join(a, b, c)"), "0 join takes 1 to 2 arguments, not 3; write join(list, ', ')\n");
  EXPECT_EQ(problems_of("format()"), "0 format takes at least 1 argument, not 0; write format('{0} of {1}', a, b)\n");
  EXPECT_EQ(problems_of("now(1)"), "0 now takes no arguments, not 1; write now()\n");
  EXPECT_EQ(problems_of("omit(1)"), "0 omit takes no arguments; write omit\n");
  EXPECT_EQ(problems_of("omit() ?? omit"), "");
  EXPECT_EQ(problems_of("json(stdout)"), "");
}

TEST(Check, AllowsStatusFunctionsOnlyWhereTheyMeanSomething) {
  EXPECT_EQ(problems_of("always()"), "0 always() has no meaning here; it looks at what ran before: use it in an if\n");
  EXPECT_EQ(problems_of("always()", {.reference = {}, .status_functions = true}), "");
}

TEST(Check, AsksAboutEveryReference) {
  const Names names{.reference = [](const Reference& r) -> std::optional<Problem> {
                      if (r.path[0] == "inputs") return std::nullopt;
                      return Problem{r.offset, "unknown " + r.path[0],
                                     r.path[0] == "input" ? "did you mean inputs?" : ""};
                    },
                    .status_functions = false};
  EXPECT_EQ(problems_of("inputs.a == input.a && nope(b)", names),
            "12 unknown input; did you mean inputs?\n23 there is no function 'nope'; \n28 unknown b; \n");
  EXPECT_EQ(problems_of("count-1", names),
            "0 unknown count-1; a '-' inside a name belongs to it: a minus needs spaces\n");
}

TEST(Nearest, IsWhatAPersonMayHaveMeant) {
  const std::vector<std::string> known{"inputs", "tasks", "jobs", "needs", "retry", "timeout"};
  EXPECT_EQ(nearest("input", known), "inputs");
  EXPECT_EQ(nearest("taks", known), "tasks");
  EXPECT_EQ(nearest("TASKS", known), "tasks");
  EXPECT_EQ(nearest("timeuot", known), "timeout");
  EXPECT_EQ(nearest("x", known), "");
  EXPECT_EQ(nearest("", known), "");
  EXPECT_EQ(nearest("something", known), "");
  EXPECT_EQ(nearest(std::string(100'000, 'a'), known), "");
  EXPECT_EQ(nearest("a", std::vector<std::string>{"b"}), "");
  EXPECT_EQ(nearest("b", std::vector<std::string>{}), "");
}

}  // namespace
}  // namespace pawl::expression
