#include <gtest/gtest.h>

#include <array>

#include "base/random.h"
#include "expression/test_world.h"

namespace pawl::expression {
namespace {

struct Wrong {
  std::string_view text;
  std::size_t offset;
  std::string_view says, hint;
};

void expect_problems(std::initializer_list<Wrong> cases) {
  for (const Wrong& c : cases) {
    const auto expression = Expression::parse(c.text);
    ASSERT_FALSE(expression) << c.text;
    EXPECT_EQ(expression.error().offset, c.offset) << c.text << ": " << expression.error().message;
    EXPECT_NE(expression.error().message.find(c.says), std::string::npos)
        << c.text << ": " << expression.error().message;
    EXPECT_NE(expression.error().hint.find(c.hint), std::string::npos) << c.text << ": " << expression.error().hint;
  }
}

std::string repeated(std::string_view text, std::size_t times) {
  std::string all;
  for (std::size_t i = 0; i < times; ++i) all += text;
  return all;
}

TEST(Parser, ReadsLiterals) {
  expect_values({{"null", "null"},
                 {"true", "true"},
                 {"false", "false"},
                 {"0", "0"},
                 {"42", "42"},
                 {"9223372036854775807", "9223372036854775807"},
                 {"18446744073709551615", "18446744073709551615"},
                 {"-9223372036854775808", "-9223372036854775808"},
                 {"1.5", "1.5"},
                 {"1e3", "1000.0"},
                 {"2E-1", "0.2"},
                 {"'a'", R"("a")"},
                 {"\"a\"", R"("a")"},
                 {"''", R"("")"},
                 {"'it''s'", R"("it's")"},
                 {"\"say \"\"hi\"\"\"", R"("say \"hi\"")"},
                 {R"('a\n\t\\\'\"\/\u00e9\ud83d\ude00')", "\"a\\n\\t\\\\'\\\"/é😀\""},
                 {"[]", "[]"},
                 {"[1, 'a', [null]]", R"([1,"a",[null]])"},
                 {"{}", "{}"},
                 {"{a: 1, 'b c': {d: 2}, \"e\": null, f-g: 3}", R"({"a":1,"b c":{"d":2},"e":null,"f-g":3})"},
                 {" \t\r\n1\n", "1"}});
}

TEST(Parser, ADashBetweenLettersOrDigitsBelongsToTheName) {
  expect_values({{"tasks.cool-down.outputs.x", R"("cool")"},
                 {"inputs.a-b", R"("dashed")"},
                 {"inputs.n - 1", "2"},
                 {"inputs.n -1", "2"},
                 {"inputs.n- 1", "2"},
                 {"inputs.n-1", "null"},
                 {"3-1", "2"},
                 {"(inputs.n)-1", "2"}});
}

TEST(Parser, KnowsWhatBindsTighter) {
  expect_values({{"1 + 2 * 3", "7"},
                 {"(1 + 2) * 3", "9"},
                 {"10 - 2 - 3", "5"},
                 {"100 / 10 / 5", "2"},
                 {"-2 * -3", "6"},
                 {"- -2", "2"},
                 {"1 + 1 == 2", "true"},
                 {"1 < 2 == true", "true"},
                 {"true || false && false", "true"},
                 {"!false && true", "true"},
                 {"!(true && false)", "true"},
                 {"false ? 1 : true ? 2 : 3", "2"},
                 {"true ? false ? 1 : 2 : 3", "2"},
                 {"1 == 2 || 2 == 2 ? 'yes' : 'no'", R"("yes")"},
                 {"null ?? 2 > 1", "true"},
                 {"5 ?? 1 + 2", "5"},
                 {"5 ?? 1 / 0", "5"},
                 {"1 + 2 ?? 5", "3"},
                 {"null ?? 1 == 1", "true"},
                 {"null ?? true && false", "false"},
                 {"null ?? null ?? 3", "3"},
                 {"null ?? -3", "-3"},
                 {"!null ?? false", "true"},
                 {"null ?? false ? 1 : 2", "2"}});
}

TEST(Parser, KeepsParenthesesThatChangeWhatAPathMeans) {
  expect_values({{"tasks.top.outputs.items.*.tags[0]", "[1,null,null,null]"},
                 {"(tasks.top.outputs.items.*.tags)[0]", "[1,2]"},
                 {"(inputs.object).y.z[1]", "20"},
                 {"(inputs).object['y'].z[0]", "10"}});
}

TEST(Parser, SaysWhereAndHowToWriteIt) {
  expect_problems({{"", 0, "empty", ""},
                   {"  ", 0, "empty", ""},
                   {"a = 1", 2, "'='", "=="},
                   {"a === 1", 2, "'==='", "=="},
                   {"a !== 1", 2, "'!=='", "!="},
                   {"a <> 1", 2, "'<>'", "!="},
                   {"a & b", 2, "'&'", "&&"},
                   {"a | b", 2, "'|'", "||"},
                   {"a and b", 2, "'and'", "&&"},
                   {"a or b", 2, "'or'", "||"},
                   {"not a", 4, "'a'", "!"},
                   {"a in b", 2, "'in'", "contains"},
                   {"a is null", 2, "'is'", "=="},
                   {"a?.b", 1, "'?.'", "dot"},
                   {"a =~ 'x'", 2, "'=~'", "contains"},
                   {"2 ** 3", 2, "'**'", "power"},
                   {"${{ a }}", 0, "${{", "leave out"},
                   {"$a", 0, "'$'", "$"},
                   {"a }}", 2, "'}'", ""},
                   {"'abc", 0, "no end", "close it"},
                   {"x == \"abc", 5, "no end", "close it"},
                   {"'a\\d'", 2, "escape", "\\\\"},
                   {"'\\ud800'", 1, "surrogate", ""},
                   {"'\\u12'", 1, "hex", ""},
                   {"'abc\\", 4, "backslash", ""},
                   {"a b", 2, "'b'", ""},
                   {"'a' 'b'", 4, "", "join"},
                   {"a.b()", 3, "'('", "stand alone"},
                   {"(a", 2, "ends where ')'", ""},
                   {"a)", 1, "')'", ""},
                   {"a.", 2, "ends where a name", ""},
                   {"a.0", 2, "digit", "[0]"},
                   {"a[*]", 2, "'[*]'", ".*"},
                   {"a[", 2, "ends where a value", ""},
                   {"a ? b", 5, "ends where ':'", ""},
                   {"a +", 3, "ends where a value", ""},
                   {"+1", 0, "'+'", ""},
                   {"f(a", 3, "')'", ""},
                   {"f(a,)", 4, "')'", ""},
                   {"[1,]", 3, "']'", ""},
                   {"{a 1}", 3, "'1' stands where ':'", ""},
                   {"{1: 2}", 1, "the name of a member", ""},
                   {"{a: 1, b: 2, a: 3}", 13, "'a' is given twice", ""},
                   {"5m", 0, "letters follow a number", "'5m'"},
                   {"007", 0, "zero", "'007'"},
                   {"18446744073709551616", 0, "64 bits", ""},
                   {"1e999", 0, "range", ""},
                   {"\xe2\x80\x98"
                    "a\xe2\x80\x99",
                    0, "", "straight"},
                   {"a\xff", 1, "UTF-8", ""},
                   {"a # b", 2, "'#'", ""},
                   {"a \x01", 2, "control character", ""}});
}

TEST(Parser, BoundsDepthLengthAndParts) {
  const auto problem_of = [](const std::string& text) {
    const auto expression = Expression::parse(text);
    return expression ? std::string("fine") : expression.error().message;
  };
  EXPECT_EQ(problem_of(repeated("(", 60) + "1" + repeated(")", 60)), "fine");
  for (const std::string& deep :
       {repeated("(", 30000) + "1", repeated("[", 30000), repeated("{a:", 20000), repeated("!", 60000) + "a",
        repeated("-", 60000), repeated("f(", 30000), repeated("a[", 30000), repeated("a?", 30000) + "b",
        repeated("a?b:", 15000) + "c", "a" + repeated(".*", 30000)})
    EXPECT_EQ(problem_of(deep), "an expression is nested at most 64 deep") << deep.substr(0, 10);
  EXPECT_EQ(problem_of("1" + repeated("+1", 4000)), "fine");
  EXPECT_EQ(problem_of("1" + repeated("??1", 4000)), "fine");
  EXPECT_EQ(problem_of(repeated("a ?? -", 10000) + "1"), "an expression has at most 10000 parts");
  EXPECT_EQ(problem_of("[1" + repeated(",1", 20000) + "]"), "an expression has at most 10000 parts");
  EXPECT_EQ(problem_of("a" + repeated(".a", 20000)), "an expression has at most 10000 parts");
  EXPECT_EQ(problem_of("'" + repeated("a", max_text) + "'"), "an expression has at most 65536 bytes");
}

TEST(Parser, NeverCrashesOnRandomTexts) {
  constexpr auto pieces = std::to_array<std::string_view>(
      {"a",   "tasks", ".",    "*",    "[",      "]",       "(",     ")",   "{",   "}",  "'", "\"",   "\\", "1",
       "2.5", "+",     "-",    "/",    "%",      "==",      "<",     "&&",  "||",  "??", "?", ":",    ",",  " ",
       "!",   "null",  "true", "omit", "format", "length(", "now()", "'x'", "${{", "}}", "é", "\xff", "\0", "0"});
  SplitMix random(7);
  const World world;
  std::size_t fine = 0;
  for (int round = 0; round < 30'000; ++round) {
    std::string text;
    for (std::uint64_t n = random.below(12) + 1; n > 0; --n) text += pieces[random.below(pieces.size())];
    const auto expression = Expression::parse(text);
    if (!expression) {
      EXPECT_LE(expression.error().offset, text.size()) << text;
      EXPECT_FALSE(expression.error().message.empty());
      continue;
    }
    ++fine;
    const auto once = evaluate(*expression, world), twice = evaluate(*expression, world);
    ASSERT_EQ(once.has_value(), twice.has_value()) << text;
    if (once) {
      EXPECT_EQ(to_text(*once), to_text(*twice)) << text;
    } else {
      EXPECT_EQ(once.error().message, twice.error().message) << text;
    }
    (void)Template::parse(text);
    (void)Template::parse("${{" + text + "}}");
  }
  EXPECT_GT(fine, 1000u);
}

}  // namespace
}  // namespace pawl::expression
