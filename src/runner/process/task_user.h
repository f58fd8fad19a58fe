// The user that tasks run as, when it is not the server's own.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <string>

#include "base/result.h"

namespace pawl::runner {

// Plain, so that it can be sent as it is.
struct Identity {
  static constexpr std::uint32_t most_groups = 64;
  uid_t uid = 0;
  gid_t gid = 0;
  std::uint32_t group_count = 0;
  std::array<gid_t, most_groups> groups{};
};

struct TaskUser {
  Identity identity;
  std::string name, home;
};

// Looks up a user by name. Error: invalid if there is none, if this process is not root and so cannot become another, or if
// the user is in more groups than can be sent.
Result<TaskUser> find_user(const std::string& name);

// Makes the calling process that user, with no way back. Returns an errno, or 0.
int become(const Identity& identity);

// While it lives, the calling thread opens, makes and removes files as that user would: no link that a task has planted
// leads it to what the user may not touch. Other threads are not changed.
class ActingAs {
 public:
  explicit ActingAs(const Identity* identity);  // null: as ourselves
  ~ActingAs();
  ActingAs(const ActingAs&) = delete;
  ActingAs& operator=(const ActingAs&) = delete;

 private:
  const bool active_;
};

}  // namespace pawl::runner
