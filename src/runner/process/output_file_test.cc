#include "runner/process/output_file.h"

#include <gtest/gtest.h>

#include "runner/process/captured_output.h"
#include "runner/process/environment.h"
#include "runner/process/task_files.h"

namespace pawl::runner {
namespace {

std::string parsed(std::string_view text) {
  const auto outputs = parse_outputs(text);
  return outputs ? to_text(Json(*outputs)) : outputs.error().name + ": " + outputs.error().message;
}

TEST(OutputFile, LinesBecomeTexts) {
  EXPECT_EQ(parsed("a=1\nb_c-d=x=y \n\n_e=\n"), R"({"a":"1","b_c-d":"x=y ","_e":""})");
}

TEST(OutputFile, TheLastLineNeedsNoEnd) { EXPECT_EQ(parsed("a=1\nb=2"), R"({"a":"1","b":"2"})"); }

TEST(OutputFile, OfAKeyGivenTwiceTheLastCounts) { EXPECT_EQ(parsed("a=1\na=2\n"), R"({"a":"2"})"); }

TEST(OutputFile, ABlockHoldsLinesUpToItsMark) {
  EXPECT_EQ(parsed("a<<END\none\n\nb=2\nEND \nEND\nc=3\n"), R"({"a":"one\n\nb=2\nEND ","c":"3"})");
  EXPECT_EQ(parsed("a<<END\nEND\n"), R"({"a":""})");
  EXPECT_EQ(parsed("a<<END\n\nEND"), R"({"a":""})");
  EXPECT_EQ(parsed("a<<END\n\n\nEND"), R"({"a":"\n"})");
}

TEST(OutputFile, AMalformedLineIsNamed) {
  EXPECT_EQ(parsed("a=1\nno sign\n"),
            "output_invalid: $PAWL_OUTPUT: line 2: expected `name=value` or `name<<END`, found `no sign`");
  EXPECT_TRUE(parsed("1a=1\n").starts_with("output_invalid: $PAWL_OUTPUT: line 1:"));
  EXPECT_TRUE(parsed("a<<\n").starts_with("output_invalid: $PAWL_OUTPUT: line 1:"));
  EXPECT_TRUE(parsed("=\n").starts_with("output_invalid: $PAWL_OUTPUT: line 1:"));
  EXPECT_EQ(parsed("x=1\na<<END\nfoo\n"),
            "output_invalid: $PAWL_OUTPUT: line 2: the block `a` is not closed by a line `END`");
  EXPECT_EQ(parsed("a<<END"), "output_invalid: $PAWL_OUTPUT: line 1: the block `a` is not closed by a line `END`");
}

TEST(OutputFile, BytesThatAreNoTextBecomeReplacementCharacters) {
  EXPECT_EQ(parsed("a=\xff\n"), "{\"a\":\"\xef\xbf\xbd\"}");
}

TEST(FolderName, StaysInsideItsFolderAndIsItsOwnForEachName) {
  EXPECT_EQ(folder_name("build"), "build");
  EXPECT_EQ(folder_name("test[db=x,os=a]"), "test[db=x,os=a]");
  EXPECT_EQ(folder_name(".."), "%2E.");
  EXPECT_EQ(folder_name(".pawl"), "%2Epawl");
  EXPECT_EQ(folder_name("a/../b"), "a%2F..%2Fb");
  EXPECT_EQ(folder_name("a%2Fb"), "a%252Fb");
  EXPECT_EQ(folder_name(""), "%");
  EXPECT_EQ(folder_name(std::string("a\0b", 3)), "a%00b");
  const std::string long_a = folder_name(std::string(300, 'x') + "a");
  EXPECT_LE(long_a.size(), 100u);
  EXPECT_NE(long_a, folder_name(std::string(300, 'x') + "b"));
}

TEST(CapturedOutput, KeepsTheFirstBytesAndSaysThatThereWereMore) {
  CapturedOutput captured{8};
  captured.out("123");
  EXPECT_EQ(captured.out_text().text, "123");
  EXPECT_FALSE(captured.out_text().cut);
  captured.out("456789");
  EXPECT_EQ(captured.out_text().text, "12345678");
  EXPECT_TRUE(captured.out_text().cut);
}

TEST(CapturedOutput, IsCutBetweenCharacters) {
  CapturedOutput captured{4};
  captured.out("abc\xc3\xa4");  // the last character is one byte too long
  EXPECT_EQ(captured.out_text().text, "abc");
  EXPECT_TRUE(captured.out_text().cut);
}

TEST(CapturedOutput, StaysInsideItsLimitWhenBytesGrow) {
  CapturedOutput captured{8};
  captured.out("\xff\xff\xff\xff");
  EXPECT_EQ(captured.out_text().text, "\xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_TRUE(captured.out_text().cut);
}

TEST(CapturedOutput, KeepsTheLastTwentyLinesOfErrors) {
  CapturedOutput captured{8};
  std::string expected;
  for (int i = 1; i <= 1000; ++i) {
    const std::string line = "line " + std::to_string(i) + "\n";
    captured.err(line);
    if (i > 980) expected += line;
  }
  EXPECT_EQ(captured.err_tail(), expected);
}

TEST(CapturedOutput, KeepsTheEndOfALongLineOfErrors) {
  CapturedOutput captured{8};
  for (int i = 0; i < 100; ++i) captured.err(std::string(1000, 'x'));
  captured.err("end");
  EXPECT_EQ(captured.err_tail(), std::string((4 << 10) - 3, 'x') + "end");
  captured.err(std::string(100'000, 'y'));
  EXPECT_EQ(captured.err_tail(), std::string(4 << 10, 'y'));
}

StartTask task_with(Pairs env) {
  StartTask task;
  task.workflow = "w";
  task.job = "j";
  task.task = "t";
  task.trace_id = "0af7651916cd43dd8448eb211c80319c";
  task.idempotency_key = "key";
  ProcessInput input;
  input.env = std::move(env);
  task.input = std::move(input);
  return task;
}

TEST(Environment, ATaskMayReplacePathButNotWhatPawlSays) {
  const auto variables =
      task_environment(task_with({{"PATH", "/mine"}, {"PAWL_TRY", "7"}, {"PAWL_E1", "x"}}),
                       {.path = "/bin", .home = "/h"}, {.workspace = "/w", .output = "/o", .script = ""});
  ASSERT_TRUE(variables);
  const std::vector<std::string> expected = {
      "HOME=/h", "LANG=C.UTF-8", "PATH=/mine", "PAWL_E1=x", "PAWL_IDEMPOTENCY_KEY=key", "PAWL_JOB=j", "PAWL_OUTPUT=/o",
      "PAWL_RUN_ID=00000000-0000-0000-0000-000000000000", "PAWL_RUN_NUMBER=0", "PAWL_TASK=t",
      "PAWL_TRACE_ID=0af7651916cd43dd8448eb211c80319c", "PAWL_TRY=1", "PAWL_WORKFLOW=w", "PAWL_WORKSPACE=/w",
      // The first 16 digits of the SHA-256 of "key".
      "TRACEPARENT=00-0af7651916cd43dd8448eb211c80319c-2c70e12b7a0646f9-01"};
  EXPECT_EQ(*variables, expected);
}

TEST(Environment, ANulByteIsRefusedByName) {
  const auto variables = task_environment(task_with({{"A", std::string("x\0y", 3)}}), {}, {});
  ASSERT_FALSE(variables);
  EXPECT_NE(variables.error().message.find("A holds a NUL byte"), std::string::npos);
  EXPECT_FALSE(task_environment(task_with({{"A=B", "x"}}), {}, {}));
  EXPECT_FALSE(task_environment(task_with({{"", "x"}}), {}, {}));
}

}  // namespace
}  // namespace pawl::runner
