#include "runner/process/environment.h"

#include <fmt/format.h>
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

#include <array>
#include <map>
#include <string_view>

#include "runner/trace.h"

namespace pawl::runner {
namespace {

bool has_nul(std::string_view text) { return text.find('\0') != std::string_view::npos; }

std::string home_folder() {
  if (const char* home = ::getenv("HOME"); home != nullptr && *home != '\0') return home;
  std::array<char, 4096> buffer;
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwuid_r(::geteuid(), &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr) {
    return found->pw_dir;
  }
  return "/";
}

}  // namespace

ServerEnvironment server_environment() {
  const char* path = ::getenv("PATH");
  return {
      .path = path != nullptr && *path != '\0' ? path : "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      .home = home_folder()};
}

Result<std::vector<std::string>> task_environment(const StartTask& task, const ServerEnvironment& server,
                                                  const TaskPaths& paths) {
  const auto& input = std::get<ProcessInput>(task.input);
  std::map<std::string, std::string> variables = {
      {"PATH", server.path},
      {"HOME", server.home},
      {"LANG", "C.UTF-8"},
      {"TRACEPARENT", traceparent(task)},
  };
  for (const auto& [name, value] : input.env) {
    if (name.empty() || name.find('=') != std::string::npos || has_nul(name)) {
      return fail(Code::invalid, fmt::format("`{}` cannot be the name of an environment variable", name));
    }
    variables[name] = value;
  }
  variables["PAWL_RUN_ID"] = to_string(task.run);
  variables["PAWL_RUN_NUMBER"] = std::to_string(task.run_number);
  variables["PAWL_TRACE_ID"] = task.trace_id;
  variables["PAWL_WORKFLOW"] = task.workflow;
  variables["PAWL_JOB"] = task.job;
  variables["PAWL_TASK"] = task.task;
  variables["PAWL_TRY"] = std::to_string(task.try_number);
  variables["PAWL_WORKSPACE"] = paths.workspace;
  variables["PAWL_IDEMPOTENCY_KEY"] = task.idempotency_key;
  variables["PAWL_OUTPUT"] = paths.output;

  std::vector<std::string> result;
  for (const auto& [name, value] : variables) {
    if (has_nul(value)) {
      return fail(Code::invalid,
                  fmt::format("environment variable {} holds a NUL byte, which no process can take", name));
    }
    result.push_back(name + "=" + value);
  }
  return result;
}

Result<std::vector<std::string>> task_arguments(const ProcessInput& input, const TaskPaths& paths) {
  if (!input.command.empty()) {
    for (std::size_t i = 0; i < input.command.size(); ++i) {
      if (has_nul(input.command[i])) {
        return fail(Code::invalid,
                    fmt::format("argument {} of the command holds a NUL byte, which no process can take", i));
      }
    }
    return input.command;
  }
  if (has_nul(input.shell)) return fail(Code::invalid, "the name of the shell holds a NUL byte");
  if (input.shell.empty() || input.shell == "bash") {
    return std::vector<std::string>{"bash", "--noprofile", "--norc", "-euo", "pipefail", paths.script};
  }
  if (input.shell == "sh") return std::vector<std::string>{"sh", "-eu", paths.script};
  return std::vector<std::string>{input.shell, paths.script};
}

}  // namespace pawl::runner
