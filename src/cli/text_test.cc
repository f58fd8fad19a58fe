#include "cli/text.h"

#include <gtest/gtest.h>

namespace pawl::cli {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(Width, AKoreanSyllableTakesTwoColumnsAndACombiningMarkNone) {
  EXPECT_EQ(display_width("abc"), 3);
  EXPECT_EQ(display_width("상품"), 4);
  EXPECT_EQ(display_width("e\u0301"), 1);
}

TEST(Width, WhatIsTooLongIsCutBetweenCharacters) {
  Console console;
  EXPECT_EQ(fit(console, "abcdef", 5), "ab...");
  console.unicode = true;
  EXPECT_EQ(fit(console, "abcdef", 6), "abcdef");
  EXPECT_EQ(fit(console, "상품분석", 6), "상품…");
  EXPECT_EQ(fit(console, "abc", 0), "");
}

TEST(Tables, WideNamesLineUp) {
  const Console console;
  EXPECT_EQ(table(console, {{{"NAME"}, {"N"}}, {{"상품 분석"}, {"1"}}, {{"b"}, {"2"}}}),
            "NAME       N\n"
            "상품 분석  1\n"
            "b          2\n");
}

TEST(Escaping, ControlCharactersBecomeVisible) {
  EXPECT_EQ(printable("a\x1b]0;title\a\r\x7f\tb"), "a\\x1b]0;title\\x07\\x0d\\x7f\tb");
  EXPECT_EQ(printable("\xC2\x9B 31m"), "\\x9b 31m");
  EXPECT_EQ(printable("\u202Egnp"), "\\u{202e}gnp");
  EXPECT_EQ(printable("\xff"), "\uFFFD");
}

TEST(Escaping, OnlyColoursPassAndOnlyWhereTheyAreWanted) {
  EXPECT_EQ(printable("\x1b[1;31mred", true), "\x1b[1;31mred\x1b[0m");
  EXPECT_EQ(printable("\x1b[1;31mred\x1b[m"), "red");
  EXPECT_EQ(printable("\x1b[2Jgone", true), "\\x1b[2Jgone");
  EXPECT_EQ(printable("\x1b[31", true), "\\x1b[31");
}

TEST(Escaping, LinesEndWithOrWithoutABreak) {
  EXPECT_EQ(printable_lines("a\r\nb\n"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(printable_lines("a\n\nb"), (std::vector<std::string>{"a", "", "b"}));
  EXPECT_TRUE(printable_lines("").empty());
}

TEST(Durations, AreAsPreciseAsTheyAreShort) {
  EXPECT_EQ(short_duration(milliseconds(-5)), "0 ms");
  EXPECT_EQ(short_duration(milliseconds(340)), "340 ms");
  EXPECT_EQ(short_duration(milliseconds(4'290)), "4.2 s");
  EXPECT_EQ(short_duration(seconds(42)), "42 s");
  EXPECT_EQ(short_duration(seconds(192)), "3m 12s");
  EXPECT_EQ(short_duration(seconds(7'530)), "2h 05m");
  EXPECT_EQ(short_duration(hours(76)), "3d 04h");
}

TEST(Shell, AWordThatIsNotPlainIsQuoted) {
  EXPECT_EQ(shell_word("./data"), "./data");
  EXPECT_EQ(shell_word("my 'data'"), "'my '\\''data'\\'''");
  EXPECT_EQ(shell_word(""), "''");
}

}  // namespace
}  // namespace pawl::cli
