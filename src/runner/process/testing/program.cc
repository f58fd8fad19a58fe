// For the tests of the process runner:
//   process_test_program __guard                          what `pawl __guard` is
//   process_test_program server WORKSPACE LOCK SCRIPT     a server with one task, which lives until it is killed
#include <unistd.h>

#include <cstdlib>
#include <string_view>

#include "base/log.h"
#include "runner/process/process_runner.h"

namespace {

using namespace pawl;
using namespace pawl::runner;

class Nobody : public Results, public LogSink {
 public:
  void finished(TaskFinished) override {}
  void write(const StartTask&, Stream, Instant, std::string_view) override {}
  bool sync(const StartTask&) override { return true; }
};

int serve(const char* program, const char* workspace, const char* lock, const char* script) {
  log::configure(log::Level::off, log::Format::text);
  Nobody nobody;
  ProcessOptions options;
  options.workspace = workspace;
  options.guard_lock = lock;
  options.program = program;
  const auto made = make_process_runner(options, nobody, nobody);
  if (!made) return 1;
  ProcessInput input;
  input.script = script;
  input.shell = "bash";
  StartTask task;
  task.workflow = "w";
  task.job = "server";
  task.task = "t";
  task.input = std::move(input);
  (*made)->start(std::move(task));
  while (true) ::pause();
}

}  // namespace

int main(int count, char** arguments) {
  const std::string_view word = count > 1 ? arguments[1] : "";
  // As `pawl` leaves: what a library would do at the end of a program is not worth a moment of the next server's.
  if (word == "__guard") ::_exit(guard_main({arguments + 2, arguments + count}));
  if (word == "server" && count == 5) return serve(arguments[0], arguments[2], arguments[3], arguments[4]);
  return 2;
}
