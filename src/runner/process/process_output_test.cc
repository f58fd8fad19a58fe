#include "runner/process/process_runner.h"

#include "runner/process/testing/fixture.h"

namespace pawl::runner::testing {
namespace {

using ProcessOutput = ProcessRunnerTest;

TEST_F(ProcessOutput, OutputsAreReadFromTheOutputFile) {
  const Outcome outcome =
      run("echo a=1 >> $PAWL_OUTPUT; printf 'b<<X\\n1\\n2\\nX\\n' >> $PAWL_OUTPUT; stat -c %a $PAWL_OUTPUT");
  ASSERT_EQ(outcome.end, End::completed) << outcome.failure.message;
  EXPECT_EQ(to_text(outcome.process->outputs), R"({"a":"1","b":"1\n2"})");
  EXPECT_EQ(outcome.process->stdout_text, "600\n");
  EXPECT_TRUE(fs::is_empty(run_folder() + "/.pawl")) << "script and output are removed";
}

TEST_F(ProcessOutput, WithoutOutputsTheObjectIsEmpty) {
  EXPECT_EQ(to_text(run("true").process->outputs), "{}");
  EXPECT_EQ(to_text(run("rm $PAWL_OUTPUT").process->outputs), "{}");
}

TEST_F(ProcessOutput, AnOutputFileThatIsNoneFailsTheTry) {
  const auto code_of = [&](std::string text) {
    const Outcome outcome = run(std::move(text));
    EXPECT_EQ(outcome.end, End::failed);
    return outcome.failure.code;
  };
  EXPECT_EQ(code_of("ln -sf /etc/passwd $PAWL_OUTPUT"), "output_invalid");
  EXPECT_EQ(code_of("rm $PAWL_OUTPUT; mkdir $PAWL_OUTPUT"), "output_invalid");
  EXPECT_EQ(code_of("rm $PAWL_OUTPUT; mkfifo $PAWL_OUTPUT"), "output_invalid");
  EXPECT_EQ(code_of("echo 'no sign' >> $PAWL_OUTPUT"), "output_invalid");
  EXPECT_EQ(code_of("(printf a=; head -c 1M /dev/zero) > $PAWL_OUTPUT"), "output_too_large");
}

TEST_F(ProcessOutput, AFailedTaskKeepsItsExitCodeWhateverItWroteToTheOutputFile) {
  const Outcome outcome = run("echo 'no sign' >> $PAWL_OUTPUT; exit 3");
  ASSERT_EQ(outcome.end, End::completed);
  EXPECT_EQ(outcome.process->exit_code, 3);
  EXPECT_EQ(to_text(outcome.process->outputs), "{}");
}

TEST_F(ProcessOutput, EndlessOutputIsCutInTheLogAndInMemoryAndTheTaskGoesOn) {
  const Outcome outcome = run("(yes || true) | head -c 100M; echo done >&2");
  ASSERT_EQ(outcome.end, End::completed) << outcome.failure.message;
  EXPECT_EQ(outcome.process->exit_code, 0);
  EXPECT_EQ(outcome.process->stdout_text.size(), max_output_value);
  EXPECT_TRUE(outcome.process->stdout_cut);
  EXPECT_EQ(outcome.process->stderr_tail, "done\n");
  EXPECT_EQ(log_.size(LogSink::Stream::out) + log_.size(LogSink::Stream::err), max_log);
  EXPECT_EQ(log_.text(LogSink::Stream::note), "log cut at 10 MiB");
}

TEST_F(ProcessOutput, OutputThatNobodyWantsAsAValueIsPreviewed) {
  ProcessInput input = script("head -c 64M /dev/zero | tr '\\0' x");  // one line
  input.want_stdout = false;
  const Outcome outcome = run(input);
  EXPECT_EQ(outcome.process->stdout_text, std::string(preview_bytes, 'x'));
  EXPECT_TRUE(outcome.process->stdout_cut);
}

TEST_F(ProcessOutput, OutputBecomesTextAndTheLogKeepsItsBytes) {
  const Outcome outcome = run("printf 'a\\0b\\377c\\r\\n'; printf '\\377' >&2");
  EXPECT_EQ(outcome.process->stdout_text, std::string("a\0b\xef\xbf\xbd"
                                                      "c\r\n",
                                                      9));
  EXPECT_EQ(outcome.process->stderr_tail, "\xef\xbf\xbd");
  EXPECT_EQ(log_.text(LogSink::Stream::out), std::string("a\0b\xff"
                                                         "c\r\n",
                                                         7));
}

TEST_F(ProcessOutput, ATaskMayCloseItsOutput) {
  EXPECT_EQ(run("exec >&- 2>&-; sleep 0.05; exit 4").process->exit_code, 4);
}

TEST_F(ProcessOutput, ALogThatIsNotDurableFailsTheTry) {
  log_.durable = false;
  const Outcome outcome = run("true");
  EXPECT_EQ(outcome.end, End::failed);
  EXPECT_EQ(outcome.failure.code, "log_unavailable");
}

}  // namespace
}  // namespace pawl::runner::testing
