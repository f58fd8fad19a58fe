#include "runner/process/task_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/hash.h"
#include "base/utf8.h"
#include "runner/process/output_file.h"

namespace pawl::runner {
namespace {

constexpr const char* script_name = "script";
constexpr const char* output_name = "output";

std::unexpected<Error> cannot(std::string_view what, const std::string& path, int error) {
  return fail(Code::unavailable, fmt::format("cannot {} {}: {}", what, path, std::strerror(error)));
}

// The folder `name` in `parent`, made if it is not there.
Result<Descriptor> enter(const Descriptor& parent, const std::string& name, const std::string& path) {
  if (::mkdirat(parent.get(), name.c_str(), 0700) != 0 && errno != EEXIST) return cannot("make", path, errno);
  Descriptor folder{::openat(parent.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
  if (!folder.valid()) return cannot("open", path, errno);
  return folder;
}

// Makes the folder `name` in `parent`, which only we can change, for `user`.
Result<void> give(const Descriptor& parent, const std::string& name, const std::string& path, const Identity* user) {
  if (::mkdirat(parent.get(), name.c_str(), 0700) != 0 && errno != EEXIST) return cannot("make", path, errno);
  if (user != nullptr && ::fchownat(parent.get(), name.c_str(), user->uid, user->gid, AT_SYMLINK_NOFOLLOW) != 0) {
    return cannot("give away", path, errno);
  }
  return {};
}

Result<void> write_file(const Descriptor& folder, const char* name, const std::string& path, std::string_view text) {
  const Descriptor file{::openat(folder.get(), name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)};
  if (!file.valid()) return cannot("make", path, errno);
  while (!text.empty()) {
    const ssize_t written = ::write(file.get(), text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return cannot("write", path, errno);
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

}  // namespace

std::string folder_name(std::string_view name) {
  constexpr std::size_t longest = 100;  // three of them fit one file name of 255 bytes, and %XX may be needed for each
  std::string result;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    const bool plain =
        static_cast<unsigned char>(c) > ' ' && c != 0x7f && c != '/' && c != '%' && !(c == '.' && i == 0);
    if (plain) {
      result += c;
    } else {
      result += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  if (result.size() > longest) {
    result = std::string{cut_utf8(result, longest - 33)} + "%" + sha256_hex(name).substr(0, 32);
  }
  return result.empty() ? "%" : result;
}

Result<TaskFiles> TaskFiles::make(const std::string& workspace, const StartTask& task, const Identity* user) {
  const auto& input = std::get<ProcessInput>(task.input);
  const Descriptor top{::open(workspace.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!top.valid()) return cannot("open", workspace, errno);

  TaskFiles files;
  files.user_ = user;
  files.run_folder_ = workspace + "/" + to_string(task.run);
  // The workspace is ours; what is in the run's folder is for the task to change, and so it is entered as the task.
  if (const auto made = give(top, to_string(task.run), files.run_folder_, user); !made) {
    return std::unexpected(made.error());
  }
  const ActingAs acting(user);
  const auto run = enter(top, to_string(task.run), files.run_folder_);
  if (!run) return std::unexpected(run.error());

  const std::string job = folder_name(task.job);
  const std::string job_folder = files.run_folder_ + "/" + job;
  if (const auto made = enter(*run, job, job_folder); !made) return std::unexpected(made.error());
  const std::string& wanted = input.working_directory;
  files.start_folder_ = wanted.empty()            ? job_folder
                        : wanted.starts_with('/') ? wanted
                                                  : files.run_folder_ + "/" + wanted;

  const std::string hidden_folder = files.run_folder_ + "/.pawl";
  const auto hidden = enter(*run, ".pawl", hidden_folder);
  if (!hidden) return std::unexpected(hidden.error());
  // A server that died may have left the same try's folder; whatever is in it is not ours.
  const std::string base = fmt::format("{}-{}-{}", job, folder_name(task.task), task.try_number);
  for (int again = 0;; ++again) {
    const std::string name = again == 0 ? base : fmt::format("{}.{}", base, again);
    files.private_folder_ = hidden_folder + "/" + name;
    if (::mkdirat(hidden->get(), name.c_str(), 0700) != 0) {
      if (errno == EEXIST && again < 1000) continue;
      return cannot("make", files.private_folder_, errno);
    }
    auto folder = enter(*hidden, name, files.private_folder_);
    if (!folder) return std::unexpected(folder.error());
    files.private_ = std::move(*folder);
    break;
  }

  files.output_ = files.private_folder_ + "/" + output_name;
  files.script_ = files.private_folder_ + "/" + script_name;
  auto written = write_file(files.private_, output_name, files.output_, {});
  if (written && input.command.empty()) written = write_file(files.private_, script_name, files.script_, input.script);
  if (!written) {
    files.remove();
    return std::unexpected(written.error());
  }
  return files;
}

Result<json::object> TaskFiles::outputs() const {
  const ActingAs acting(user_);
  return read_outputs(private_.get(), output_name);
}

void TaskFiles::remove() {
  if (!private_.valid()) return;
  const ActingAs acting(user_);
  ::unlinkat(private_.get(), script_name, 0);
  ::unlinkat(private_.get(), output_name, 0);
  private_.reset();
  ::rmdir(private_folder_.c_str());
}

}  // namespace pawl::runner
