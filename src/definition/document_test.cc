#include "definition/document.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>

#include "base/random.h"

namespace pawl::definition {
namespace {

using testing::HasSubstr;

std::string repeat(std::string_view part, std::size_t bytes) {
  std::string text;
  while (text.size() + part.size() <= bytes) text += part;
  return text;
}

std::string first_message(const std::expected<Parsed, std::vector<Problem>>& parsed) {
  return parsed ? "" : parsed.error().empty() ? "no problem" : parsed.error()[0].message;
}

TEST(Source, PlacesAreCountedInCharacters) {
  const Source source("añ\nb상c\r\nd");
  EXPECT_EQ(source.position(0).column, 1);
  EXPECT_EQ(source.position(3).column, 3);
  EXPECT_EQ(source.position(8).line, 2);
  EXPECT_EQ(source.position(8).column, 3);
  EXPECT_EQ(source.position(11).line, 3);
  EXPECT_EQ(source.offset_of_character(2), 3U);
  EXPECT_EQ(source.offset_of_character(5), 8U);
}

TEST(Source, AnOffsetAndItsCharacterAreInverseInALongText) {
  std::string text;
  for (int i = 0; i < 500; ++i) text += i % 7 == 0 ? "상" : i % 31 == 0 ? "\n" : "x";
  const Source source(text);
  std::size_t index = 0;
  for (std::size_t offset = 0; offset < text.size(); ++offset) {
    if ((static_cast<unsigned char>(text[offset]) & 0xC0) == 0x80) continue;
    ASSERT_EQ(source.offset_of_character(index++), offset);
  }
  EXPECT_EQ(source.offset_of_character(index), text.size());
}

TEST(Document, PlainScalarsFollowTheCoreSchema) {
  using Kind = Node::Kind;
  for (const std::string_view text :
       {"yes", "no", "on", "off", "1_000", "0b1", "1e", "1.2.3", "-", "+", ".", "0o8", "0xg", "tRUE", "nULL", "12:30"})
    EXPECT_EQ(resolve_plain(text), Kind::string) << text;
  for (const std::string_view text : {"0", "-1", "+7", "007", "0o17", "0xFf"})
    EXPECT_EQ(resolve_plain(text), Kind::integer) << text;
  for (const std::string_view text : {"1.5", ".5", "5.", "-1e9", "1.5E-3", ".inf", "-.INF", ".nan"})
    EXPECT_EQ(resolve_plain(text), Kind::number) << text;
  for (const std::string_view text : {"true", "False", "TRUE"}) EXPECT_EQ(resolve_plain(text), Kind::boolean) << text;
  for (const std::string_view text : {"", "~", "null", "NULL"}) EXPECT_EQ(resolve_plain(text), Kind::null) << text;
}

TEST(Document, ATextIsFoundAgainWhereItStands) {
  constexpr std::string_view text =
      "a: plain X\nb: 'it''s X'\nc: \"\\t\\u00e9\\x41 X\"\nd: |2-\n    two\n\n  X\ne: &n !!str X\n";
  const auto document = Document::read(text);
  ASSERT_TRUE(document);
  std::size_t place = 0;
  for (const auto& [key, value] : document->root().entries) {
    place = text.find('X', place + 1);
    EXPECT_EQ(document->offset_in(*value, value->text.find('X')), place) << key->text;
  }
}

TEST(Hostile, LaughsAreNotMultiplied) {
  std::string laughs = "x-a: &a [" + repeat("ha,", 60) + "]\n";
  for (char c = 'b'; c < 'k'; ++c) {
    laughs += std::string("x-") + c + ": &" + c + " [";
    for (int i = 0; i < 10; ++i) laughs += std::string("*") + static_cast<char>(c - 1) + ",";
    laughs += "]\n";
  }
  EXPECT_THAT(first_message(parse(laughs)), HasSubstr("aliases followed"));
  const std::string long_text = "x-a: &a " + std::string(500'000, 'x') + "\nx-b: [" + repeat("*a , ", 400'000) + "]\n";
  EXPECT_THAT(first_message(parse(long_text)), HasSubstr("aliases followed"));
  std::string merges = "x-a: &a {";
  for (int i = 0; i < 20'000; ++i) merges += "k" + std::to_string(i) + ": 1,";
  EXPECT_THAT(first_message(parse(merges + "}\nx-b:\n" + repeat("- <<: *a\n", 500'000))), HasSubstr("followed"));
}

TEST(Hostile, DepthIsBounded) {
  EXPECT_THAT(first_message(parse(repeat("{", max_text))), HasSubstr("levels deep"));
  EXPECT_THAT(first_message(parse(repeat("[", max_text))), HasSubstr("levels deep"));
  EXPECT_THAT(first_message(parse(repeat("- ", max_text))), HasSubstr("levels deep"));
  EXPECT_THAT(first_message(parse(repeat("? ", max_text))), HasSubstr("levels deep"));
  EXPECT_THAT(first_message(parse(repeat("{\"a\":", max_text))), HasSubstr("levels deep"));
  std::string chain = "x-a0: &a0 [1]\n";
  for (int i = 1; i < 150; ++i)
    chain += "x-a" + std::to_string(i) + ": &a" + std::to_string(i) + " [*a" + std::to_string(i - 1) + "]\n";
  EXPECT_THAT(first_message(parse(chain)), HasSubstr("levels deep"));
}

TEST(Hostile, WhatIsNoTextIsRefused) {
  EXPECT_THAT(first_message(parse(std::string("name: a\0b", 9))), HasSubstr("U+0000"));
  EXPECT_THAT(first_message(parse("name: a\x1b[0m")), HasSubstr("U+001B"));
  EXPECT_THAT(first_message(parse("name: \xff\xfe")), HasSubstr("not UTF-8"));
  EXPECT_THAT(first_message(parse("name: \xed\xa0\x80")), HasSubstr("not UTF-8"));
  EXPECT_THAT(first_message(parse("\xff\xfen\0a\0m\0e\0")), HasSubstr("not UTF-8"));
  EXPECT_THAT(first_message(parse("%TAG ! tag:x,2000:\n---\na: !b c\n")), HasSubstr("%TAG"));
  EXPECT_THAT(first_message(parse("!!python/object/apply:os.system {}\n")), HasSubstr("!!python"));
  EXPECT_THAT(first_message(parse(std::string(max_text + 1, ' '))), HasSubstr("bytes"));
  EXPECT_THAT(first_message(parse("name: a\njobs: {j: {tasks: [{run: \"a\\0b\"}]}}")), HasSubstr("U+0000"));
}

// Whatever a mebibyte holds, the answer comes soon. The bound is far above what is usual, for slow machines and sanitizers.
TEST(Hostile, AMebibyteOfAnythingIsReadSoon) {
  std::vector<std::string> texts;
  for (const std::string_view part :
       {"a: b\n",       "- a\n", "{a: b},",  "a,",    "&a ",   "*a ",      "!a ",       "%TAG !a! b\n",
        "%YAML 1.1\n",  "#\n",   "'",        "\"",    "\\",    "|\n",      ">\n ",      "? ",
        ": ",           "- ",    "${{",      "}}",    "\t",    "\r",       " \n",       "\xc2\x85",
        "\xe2\x80\xa8", "@",     "`",        "---\n", "...\n", "<<: *a\n", "a: !b c\n", "a: b #${{\n",
        "x\n\n",        "상",    "a\xcc\x81"}) {
    texts.push_back(repeat(part, max_text));
    texts.push_back("[" + repeat(part, max_text - 1));
  }
  const auto numbered = [](std::string text, std::string_view before, std::string_view after) {
    for (int i = 0; text.size() + before.size() + after.size() + 8 < max_text; ++i)
      text += std::string(before) + std::to_string(i) + std::string(after);
    return text;
  };
  texts.push_back(numbered("", "k", ": 1\n"));
  texts.push_back(numbered("name: a\njobs:\n", " j", ":\n"));
  texts.push_back(numbered("name: a\njobs:\n", " j", ": {tasks: [{run: x}]}\n"));
  texts.push_back(numbered("name: a\njobs:\n", " j", ": {needs: j1, tasks: [{run: '${{ inputz.x }}'}]}\n"));
  texts.push_back(numbered("name: a\njobs: {j: {tasks: [{run: x, env: {", "A", ": '${{ x }}',"));
  texts.push_back(numbered("name: a\njobs: {j: {tasks: [{run: x, env: {", "A", ": '${{ inputs }}',") + "}}]}}");
  texts.push_back(
      numbered("name: a\ninputs:\n", " i", ": {pattern: '(\\p{L}{1,300}){1,3}', default: aaaaaaaaaaaaaaaaaaaaaaaa}\n"));
  texts.push_back(numbered("", "a: &a", " b\n"));
  texts.push_back("name: a\njobs: {j: {tasks: [{run: \"" + repeat("${{ run.id }}'", max_text - 100) + "\"}]}}");
  texts.push_back("name: a\njobs: {j: {tasks: [{run: \"" + repeat("[[ ${{ run.id }}", max_text - 100) + "\"}]}}");
  texts.push_back("name: a\njobs: {j: {tasks: [{run: '" + repeat("<<A $(", max_text - 100) + "'}]}}");
  for (const std::string& text : texts) {
    ASSERT_LE(text.size(), max_text);
    // The processor's time: what else runs on the machine is no fault of ours.
    const std::clock_t start = std::clock();
    const auto parsed = parse(text);
    EXPECT_LT(static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC, 8.0) << text.substr(0, 100);
    if (!parsed) {
      EXPECT_FALSE(parsed.error().empty());
    }
  }
}

TEST(Hostile, AChangedDefinitionNeverStopsTheProcess) {
  constexpr std::string_view seed = R"(name: a
on: {schedule: [{id: m, cron: "0 8 * * *", inputs: {n: 3}}], webhook: {scheme: github, secret: "${{ secrets.S }}"}}
inputs: {n: {type: int, default: 3, min: 1}, c: {options: [a, b], default: a}}
vars: &v {u: "${{ env.U ?? 'http://a' }}", n: 3}
defaults: {retry: {max: 2, delay: 5s}, timeout: 30s}
jobs:
  a:
    tasks:
      - {id: x, http: {url: "${{ vars.u }}/a", json: {n: ["${{ inputs.n }}"]}, success-when: response.status == 200}, outputs: {k: response.json.k}}
      - id: "y\u00e9"
        run: |
          cat <<EOF $(echo "${{ tasks.x.outputs.k }}")
          ${{ inputs.c }}
          EOF
        env: {A: '${{ secrets.A }}', <<: *v}
  b: {needs: [a], if: always() && !inputs.n, tasks: [{command: [ls, "${{ jobs.a.tasks.x.outputs.k }}"]}]}
)";
  constexpr std::string_view spice =
      "{}[]:,-?&*!|>'\"%@`#$\\ \n\t\xc3\xff"
      "abn0<";
  SplitMix random(2026);
  for (int round = 0; round < 4000; ++round) {
    std::string text(seed);
    for (auto changes = random.below(6) + 1; changes > 0 && !text.empty(); --changes) {
      const std::size_t at = random.below(text.size());
      const std::size_t size = std::min<std::size_t>(random.below(12), text.size() - at);
      switch (random.below(5)) {
        case 0: text[at] = spice[random.below(spice.size())]; break;
        case 1: text.insert(at, 1, spice[random.below(spice.size())]); break;
        case 2: text.erase(at, size); break;
        case 3: text.insert(random.below(text.size()), std::string(text, at, size)); break;
        default: text.resize(at + 1);
      }
    }
    const auto parsed = parse(text);
    if (parsed) {
      (void)to_json(parsed->workflow);
      continue;
    }
    ASSERT_FALSE(parsed.error().empty()) << text;
    for (const Problem& problem : parsed.error())
      ASSERT_TRUE(problem.line >= 1 && problem.column >= 1 && !problem.message.empty()) << text;
    const auto place = [](const Problem& problem) { return std::pair(problem.line, problem.column); };
    ASSERT_TRUE(std::ranges::is_sorted(parsed.error(), {}, place)) << text;
  }
}

}  // namespace
}  // namespace pawl::definition
