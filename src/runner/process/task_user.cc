#include "runner/process/task_user.h"

#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <sys/fsuid.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

namespace pawl::runner {

Result<TaskUser> find_user(const std::string& name) {
  if (::geteuid() != 0) {
    return fail(Code::invalid, fmt::format("tasks can run as user {} only if the server is started by root", name));
  }
  std::vector<char> buffer(64 << 10);
  passwd entry{};
  passwd* found = nullptr;
  ::getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (found == nullptr) return fail(Code::invalid, fmt::format("there is no user {} for tasks to run as", name));

  TaskUser user{.identity = {.uid = entry.pw_uid, .gid = entry.pw_gid}, .name = name, .home = entry.pw_dir};
  int count = Identity::most_groups;
  if (::getgrouplist(name.c_str(), entry.pw_gid, user.identity.groups.data(), &count) < 0) {
    return fail(Code::invalid,
                fmt::format("user {} is in {} groups; tasks can be given {}", name, count, Identity::most_groups));
  }
  user.identity.group_count = static_cast<std::uint32_t>(count);
  return user;
}

int become(const Identity& identity) {
  // The groups first: afterwards we may not.
  if (::setgroups(identity.group_count, identity.groups.data()) != 0) return errno;
  if (::setresgid(identity.gid, identity.gid, identity.gid) != 0) return errno;
  if (::setresuid(identity.uid, identity.uid, identity.uid) != 0) return errno;
  return 0;
}

ActingAs::ActingAs(const Identity* identity) : active_(identity != nullptr) {
  if (!active_) return;
  ::setfsgid(identity->gid);
  ::setfsuid(identity->uid);
}

ActingAs::~ActingAs() {
  if (!active_) return;
  ::setfsuid(::geteuid());
  ::setfsgid(::getegid());
}

}  // namespace pawl::runner
