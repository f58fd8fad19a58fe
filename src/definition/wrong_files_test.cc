// The tables tests/definition/wrong.txt and odd.txt: what each file there draws, and nothing else.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <charconv>
#include <fstream>
#include <span>

#include "definition/definition.h"

namespace pawl::definition {
namespace {

using testing::HasSubstr;

struct Expected {
  int line = 0, column = 0;
  std::string message, hint;
};

struct Case {
  std::string title;
  int at = 0;  // line in the table
  std::string text;
  std::vector<Expected> expected;
};

Expected read_expected(std::string_view written) {
  Expected expected;
  const char* const end = written.data() + written.size();
  auto next = std::from_chars(written.data(), end, expected.line).ptr;
  if (next != end) next = std::from_chars(next + 1, end, expected.column).ptr;
  std::string_view rest(next, static_cast<std::size_t>(end - next));
  if (rest.starts_with(' ')) rest.remove_prefix(1);
  const std::size_t bar = rest.find(" | ");
  expected.message = rest.substr(0, bar);
  if (bar != std::string_view::npos) expected.hint = rest.substr(bar + 3);
  return expected;
}

std::vector<Case> read_cases(const std::string& name, std::string_view mark) {
  std::ifstream file("tests/definition/" + name);
  EXPECT_TRUE(file) << "tests/definition/" << name << " is looked for from the project's root";
  std::vector<Case> cases;
  int at = 0;
  bool in_text = false;
  for (std::string line; std::getline(file, line);) {
    ++at;
    if (line.starts_with("### ")) {
      cases.push_back({line.substr(4), at, {}, {}});
      in_text = true;
    } else if (line.starts_with(mark) && !cases.empty()) {
      cases.back().expected.push_back(read_expected(std::string_view(line).substr(mark.size() + 1)));
      in_text = false;
    } else if (in_text) {
      cases.back().text += line + '\n';
    }
  }
  return cases;
}

void expect_all(const Case& wrong, std::span<const Problem> found) {
  std::string all;
  for (const Problem& problem : found) all += "  " + to_text(problem, "file") + '\n';
  EXPECT_EQ(found.size(), wrong.expected.size()) << all;
  for (std::size_t i = 0; i < std::min(found.size(), wrong.expected.size()); ++i) {
    const Expected& expected = wrong.expected[i];
    EXPECT_EQ(found[i].line, expected.line) << all;
    EXPECT_EQ(found[i].column, expected.column) << all;
    EXPECT_THAT(found[i].message, HasSubstr(expected.message));
    EXPECT_THAT(found[i].hint, HasSubstr(expected.hint)) << found[i].message;
  }
}

TEST(WrongFiles, EachDrawsWhatItsTableSaysAndNothingElse) {
  const std::vector<Case> cases = read_cases("wrong.txt", ">>>");
  EXPECT_GE(cases.size(), 60U);
  for (const Case& wrong : cases) {
    SCOPED_TRACE("tests/definition/wrong.txt:" + std::to_string(wrong.at) + ": " + wrong.title);
    const auto parsed = parse(wrong.text);
    EXPECT_FALSE(wrong.expected.empty());
    expect_all(wrong, parsed ? std::span<const Problem>() : std::span<const Problem>(parsed.error()));
  }
}

TEST(OddFiles, EachDrawsItsWarningsAndNothingElse) {
  const std::vector<Case> cases = read_cases("odd.txt", "~~~");
  EXPECT_FALSE(cases.empty());
  for (const Case& odd : cases) {
    SCOPED_TRACE("tests/definition/odd.txt:" + std::to_string(odd.at) + ": " + odd.title);
    const auto parsed = parse(odd.text);
    if (!parsed) {
      ADD_FAILURE() << to_text(parsed.error()[0], "file");
      continue;
    }
    expect_all(odd, parsed->warnings);
  }
}

}  // namespace
}  // namespace pawl::definition
