#include <gtest/gtest.h>

#include "base/hash.h"
#include "base/random.h"
#include "expression/test_world.h"

namespace pawl::expression {
namespace {

TEST(Functions, ContainsLooksIntoListsAndTexts) {
  expect_values({{"contains(['a', 'b'], 'b')", "true"},
                 {"contains([1, 2], 2.0)", "true"},
                 {"contains([[1]], [1])", "true"},
                 {"contains([1], '1')", "false"},
                 {"contains(inputs.list, null)", "true"},
                 {"contains('abc', 'bc')", "true"},
                 {"contains('abc', '')", "true"},
                 {"contains('abc', 'C')", "false"},
                 {"contains(keys(inputs), 'tag')", "true"}});
  expect_errors(
      {{"contains(inputs.nothing, 'a')", "contains: `inputs.nothing` is null, not a list or a string: write ?? []"},
       {"contains('abc', 1)", "contains: `1` is a number, not a string"},
       {"contains({a: 1}, 'a')", "contains(keys(…), name)"}});
}

TEST(Functions, StartsWithAndEndsWithCompareTexts) {
  expect_values({{"startsWith('release-1', 'release')", "true"},
                 {"startsWith('a', 'ab')", "false"},
                 {"endsWith('a.png', '.png')", "true"},
                 {"endsWith('', '')", "true"}});
  expect_errors({{"startsWith(1, 'a')", "startsWith: `1` is a number, not a string"},
                 {"endsWith('a', null)", "endsWith: `null` is null, not a string: write ?? ''"}});
}

TEST(Functions, FormatPutsValuesIntoText) {
  expect_values({{"format('{0} of {1}', 3, 'x')", R"("3 of x")"},
                 {"format('{1}{0}{1}', 'a', 'b')", R"("bab")"},
                 {"format('{{0}} {0}', true)", R"("{0} true")"},
                 {"format('{0}', [1, 'a'])", R"("[1,\"a\"]")"},
                 {"format('{0}', 1.5)", R"("1.5")"},
                 {"format('plain')", R"("plain")"}});
  expect_errors({{"format('{0} {1}', 1)", "there is no value for {1}: 1 given"},
                 {"format('{0}', inputs.nothing)", "`inputs.nothing` is null"},
                 {"format('{', 1)", "a lone '{'"},
                 {"format('}', 1)", "a lone '}'"},
                 {"format('{a}', 1)", "a lone '{'"},
                 {"format('{-1}', 1)", "a lone '{'"},
                 {"format('{99999999999999999999}', 1)", "a lone '{'"},
                 {"format(1)", "not a string"}});
}

TEST(Functions, JoinAndSplitAreOpposites) {
  expect_values({{"join(['a', 1, true, 2.5], '-')", R"("a-1-true-2.5")"},
                 {"join([])", R"("")"},
                 {"join(['a', 'b'])", R"("a,b")"},
                 {"join([['x']], '')", R"("[\"x\"]")"},
                 {"split('a,b,,c', ',')", R"(["a","b","","c"])"},
                 {"split('', ',')", R"([""])"},
                 {"split('a--b-', '--')", R"(["a","b-"])"},
                 {"compact(split('', ','))", "[]"},
                 {"join(split('a, b, c', ', '), ', ')", R"("a, b, c")"}});
  expect_errors({{"join(inputs.list)", "element 2 of `inputs.list` is null: compact(list)"},
                 {"join('abc')", "join: `'abc'` is a string, not a list"},
                 {"split('a', '')", "the separator is empty"},
                 {"split(null, ',')", "is null, not a string"}});
}

TEST(Functions, LengthCountsCharactersElementsAndMembers) {
  expect_values({{"length('한글')", "2"}, {"length('')", "0"}, {"length([1, 2])", "2"}, {"length({a: 1})", "1"}});
  expect_errors({{"length(null)", "length: `null` is null, not a string, list or object"}, {"length(5)", "a number"}});
}

TEST(Functions, KeysKeepTheirOrder) {
  expect_values({{"keys({b: 1, a: 2})", R"(["b","a"])"}, {"keys({})", "[]"}});
  expect_errors({{"keys([])", "keys: `[]` is a list, not an object"}});
}

TEST(Functions, DefaultTakesTheOtherForNullOnly) {
  expect_values(
      {{"default(inputs.nothing, 5)", "5"}, {"default(inputs.empty, 5)", R"("")"}, {"default(1, 1 / 0)", "1"}});
}

TEST(Functions, JsonGoesThereAndBack) {
  expect_values({{"toJSON({a: [1, null, 'x']})", R"("{\"a\":[1,null,\"x\"]}")"},
                 {"toJSON('a')", R"("\"a\"")"},
                 {"fromJSON('[1, 2.0]')", "[1,2.0]"},
                 {"json('{\"a\": 1}').a", "1"},
                 {"fromJSON(toJSON(inputs)) == inputs", "true"}});
  expect_errors({{"fromJSON('{a}')", "fromJSON: `'{a}'` is no JSON: JSON: line 1, column 2"},
                 {"json('')", "json: `''` is no JSON"},
                 {"fromJSON(1)", "not a string"}});
  const std::string deep = "fromJSON('" + std::string(30'000, '[') + "')";
  EXPECT_NE(value_of(deep).find("nested deeper than 100"), std::string::npos);
}

Json random_value(SplitMix& random, int depth) {
  switch (random.below(depth > 0 ? 7 : 5)) {
    case 0: return nullptr;
    case 1: return random.chance(0.5);
    case 2: return static_cast<std::int64_t>(random.next());
    case 3: return (random.fraction() - 0.5) * 1e10;
    case 4: {
      std::string text;
      for (std::uint64_t n = random.below(6); n > 0; --n) text += static_cast<char>(random.below(0x80));
      return Json(text);
    }
    case 5: {
      json::array list;
      for (std::uint64_t n = random.below(4); n > 0; --n) list.push_back(random_value(random, depth - 1));
      return list;
    }
    default: {
      json::object object;
      for (std::uint64_t n = random.below(4); n > 0; --n)
        object[std::to_string(random.below(9))] = random_value(random, depth - 1);
      return object;
    }
  }
}

TEST(Functions, EveryValueSurvivesTheWayThroughJson) {
  SplitMix random(11);
  World world;
  const Expression round_trip = parsed("fromJSON(toJSON(x)) == x && hash(x) == hash(fromJSON(toJSON(x)))");
  for (int i = 0; i < 2'000; ++i) {
    world.value = json::object{{"x", random_value(random, 4)}};
    ASSERT_EQ(evaluate(round_trip, world), Json(true)) << to_text(world.value);
  }
}

TEST(Functions, HashIsThatOfTheTextOrOfTheJson) {
  EXPECT_EQ(value_of("hash('abc')"), '"' + sha256_hex("abc") + '"');
  EXPECT_EQ(value_of("hash({a: [1]})"), '"' + sha256_hex(R"({"a":[1]})") + '"');
}

TEST(Functions, NowAndDateAreUtcOfTheContext) {
  expect_values({{"now()", R"("2026-11-23T07:34:56.789Z")"},
                 {"date('%Y-%m-%d %H:%M:%S')", R"("2026-11-23 07:34:56")"},
                 {"date('%F %T %j %u %s', '2026-01-02T03:04:05Z')", R"("2026-01-02 03:04:05 002 5 1767323045")"},
                 {"date('%F', '2026-03-05')", R"("2026-03-05")"},
                 {"date('%F %T', '2026-01-01T00:30:00+09:00')", R"("2025-12-31 15:30:00")"},
                 {"date('%L %p %I %y %e', now())", R"("789 AM 07 26 23")"},
                 {"date('%I %p', '2026-01-01T00:00:00Z')", R"("12 AM")"},
                 {"date('%a %A %b %B %w', '2026-11-22')", R"("Sun Sunday Nov November 0")"},
                 {"date('%G-W%V', '2027-01-01')", R"("2026-W53")"},
                 {"date('%G-W%V', '2024-12-30')", R"("2025-W01")"},
                 {"date('100%% %z %Z')", R"("100% +0000 UTC")"},
                 {"date('%s', '1969-12-31T23:59:59Z')", R"("-1")"},
                 {"date('')", R"("")"}});
  expect_errors({{"date('%Q')", "'%Q' has no meaning: known are %Y"},
                 {"date('%')", "'%' has no meaning"},
                 {"date('%F', 'yesterday')", "date: `'yesterday'` is not a time such as"},
                 {"date('%F', 5)", "date: `5` is a number, not a string"},
                 {"date('%F', null)", "is null"}});
}

TEST(Functions, AddDurationGoesBothWays) {
  expect_values({{"addDuration('2026-11-23T08:00:00Z', '1h30m')", R"("2026-11-23T09:30:00.000Z")"},
                 {"addDuration('2026-03-01', '-1d')", R"("2026-02-28T00:00:00.000Z")"},
                 {"addDuration(now(), '500ms')", R"("2026-11-23T07:34:57.289Z")"}});
  expect_errors({{"addDuration(now(), '90')", "addDuration: `'90'` is not a duration"},
                 {"addDuration(now(), '--1h')", "not a duration"},
                 {"addDuration('9999-12-31', '1d')", "leaves the years 0 to 9999"},
                 {"addDuration('0000-01-01', '-1ms')", "leaves the years"}});
}

TEST(Functions, CompactDropsNullsAndEmptyTexts) {
  expect_values({{"compact(inputs.list)", R"(["a","b"])"},
                 {"compact([0, false, [], {}])", "[0,false,[],{}]"},
                 {"compact({a: null, b: '', c: 0})", R"({"c":0})"}});
  expect_errors({{"compact(null)", "compact: `null` is null, not a list: write ?? []"}});
}

}  // namespace
}  // namespace pawl::expression
