#include "expression/shell.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pawl::expression {
namespace {

using testing::HasSubstr;

auto script_of(std::string_view text, std::string_view shell) { return shell_script(*Template::parse(text), shell); }

std::string made(std::string_view script) {
  const auto result = script_of(script, "bash");
  if (result) return result->text;
  std::string all;
  for (const Problem& problem : result.error()) all += problem.message + "; " + problem.hint + "\n";
  return "problem: " + all;
}

TEST(Shell, OutsideOfQuotesAnExpressionIsOneQuotedWord) {
  EXPECT_EQ(made("echo ${{ run.id }}"), "echo \"${PAWL_E1}\"");
  EXPECT_EQ(made("a=${{ run.id }}/${{ run.number }}"), "a=\"${PAWL_E1}\"/\"${PAWL_E2}\"");
  EXPECT_EQ(made("(cd ${{ run.id }}; ls)"), "(cd \"${PAWL_E1}\"; ls)");
}

TEST(Shell, InDoubleQuotesItNeedsNone) {
  EXPECT_EQ(made("echo \"a ${{ run.id }} b\""), "echo \"a ${PAWL_E1} b\"");
  EXPECT_EQ(made("echo \"it's \\\" ${{ run.id }}\""), "echo \"it's \\\" ${PAWL_E1}\"");
  EXPECT_EQ(made("echo $\"${{ run.id }}\""), "echo $\"${PAWL_E1}\"");
}

TEST(Shell, SubstitutionsBeginANewContext) {
  EXPECT_EQ(made("echo \"$(cat ${{ run.id }} | x \"${{ run.number }}\")${{ run.id }}\""),
            "echo \"$(cat \"${PAWL_E1}\" | x \"${PAWL_E2}\")${PAWL_E1}\"");
  EXPECT_EQ(made("echo \"`cat ${{ run.id }}` ${{ run.id }}\""), "echo \"`cat \"${PAWL_E1}\"` ${PAWL_E1}\"");
  EXPECT_EQ(made("x=$( (a) ; b ${{ run.id }}) \"${{ run.id }}\""), "x=$( (a) ; b \"${PAWL_E1}\") \"${PAWL_E1}\"");
  EXPECT_EQ(made("echo \"${x:-'} ${{ run.id }}\""), "echo \"${x:-'} ${PAWL_E1}\"");
}

TEST(Shell, TheSameExpressionIsOneVariable) {
  const auto script = script_of("echo ${{ run.id }} ${{ run.id }}", "/bin/sh");
  ASSERT_TRUE(script);
  EXPECT_EQ(script->variables.size(), 1U);
}

TEST(Shell, HereDocumentsExpandUnlessTheirEndIsQuoted) {
  EXPECT_EQ(made("cat <<A; cat <<-B\n\"${{ run.id }}'\nA\n\t${{ run.id }}\n\tB\necho ${{ run.id }}"),
            "cat <<A; cat <<-B\n\"${PAWL_E1}'\nA\n\t${PAWL_E1}\n\tB\necho \"${PAWL_E1}\"");
  for (const std::string_view end : {"'A'", "\"A\"", "\\A"})
    EXPECT_THAT(made("cat <<" + std::string(end) + "\n${{ run.id }}\nA\n"),
                HasSubstr("here-document with a quoted end"))
        << end;
  EXPECT_EQ(made("cat <<'A'\nx '\nA\necho ${{ run.id }}"), "cat <<'A'\nx '\nA\necho \"${PAWL_E1}\"");
  EXPECT_EQ(made("cat <<< ${{ run.id }}\necho 'x'"), "cat <<< \"${PAWL_E1}\"\necho 'x'");
}

TEST(Shell, CommentsKeepTheirText) {
  EXPECT_EQ(made("# it's ${{ run.id }}\necho ${{ run.id }}#'${{ run.id }}"),
            "problem: an expression cannot stand in single quotes: the shell expands nothing there; write env: {ID: "
            "\"${{ run.id }}\"} beside it and \"$ID\" in the script\n");
  EXPECT_EQ(made("# it's ${{\nrun.id }}\necho ${{ run.id }}"), "# it's ${{ run.id }}\necho \"${PAWL_E1}\"");
}

TEST(Shell, WhereNothingIsExpandedOrValuesAreEvaluatedItIsRefused) {
  EXPECT_THAT(made("echo '${{ run.id }}'"), HasSubstr("single quotes"));
  EXPECT_THAT(made("echo $'a\\'${{ run.id }}'"), HasSubstr("single quotes"));
  EXPECT_THAT(made("echo $(( ${{ run.id }} + 1 ))"), HasSubstr("arithmetic"));
  EXPECT_THAT(made("(( x = ${{ run.id }} ))"), HasSubstr("arithmetic"));
  EXPECT_THAT(made("echo ${a[${{ run.id }}]}"), HasSubstr("inside of `${…}`"));
  EXPECT_THAT(made("echo \\${{ run.id }}"), HasSubstr("backslash"));
  EXPECT_THAT(made("if [[ ${{ inputs.n }} -gt 3 ]]; then x; fi"), HasSubstr("-eq"));
  EXPECT_EQ(made("if [ ${{ inputs.n }} -gt 3 ]; then x; fi"), "if [ \"${PAWL_E1}\" -gt 3 ]; then x; fi");
  EXPECT_EQ(made("[[ ${{ inputs.n }} == a ]]"), "[[ \"${PAWL_E1}\" == a ]]");
  EXPECT_EQ(made("echo $((1 + (2)))$(( 3 )) ${{ run.id }}"), "echo $((1 + (2)))$(( 3 )) \"${PAWL_E1}\"");
}

TEST(Shell, OtherShellsTakeNoExpressions) {
  const auto script = script_of("print(${{ inputs.dry-run }})", "/usr/bin/python3");
  ASSERT_FALSE(script);
  EXPECT_EQ(script.error()[0].offset, 9U);
  EXPECT_EQ(script.error()[0].hint,
            "write env: {DRY_RUN: \"${{ inputs.dry-run }}\"} beside it and os.environ[\"DRY_RUN\"] in the script");
  EXPECT_EQ(script_of("print(1)", "python3")->text, "print(1)");
}

TEST(Shell, ADoubledDollarIsLiteral) {
  EXPECT_EQ(made("echo '$${{ x }}' ${{ run.id }}"), "echo '${{ x }}' \"${PAWL_E1}\"");
}

}  // namespace
}  // namespace pawl::expression
