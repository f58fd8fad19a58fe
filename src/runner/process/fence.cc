#include "runner/process/fence.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>

namespace pawl::runner {
namespace {

// The headers of Debian 12 end with version 2.
constexpr std::uint64_t access_truncate = 1ULL << 14;  // from version 3 on
constexpr std::uint64_t scope_signal = 1ULL << 1;      // from version 6 on

struct RulesetAttributes {
  std::uint64_t files = 0;
  std::uint64_t net = 0;     // from version 4 on
  std::uint64_t scoped = 0;  // from version 6 on
};

constexpr std::uint64_t file_rights = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | access_truncate;

// Listing and execution are not among them: they would have to be forbidden in `/` itself.
std::uint64_t handled_rights(int version) {
  std::uint64_t rights = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
                         LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR |
                         LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
                         LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM;
  // Without it no file can be moved from one folder to another: version 1 is as strict as that.
  if (version >= 2) rights |= LANDLOCK_ACCESS_FS_REFER;
  if (version >= 3) rights |= access_truncate;
  return rights;
}

// Uses the scopes that the kernel knows. Invalid, with errno set, if the kernel makes no ruleset.
Descriptor make_ruleset(RulesetAttributes& attributes) {
  const bool scopes = landlock_version() >= landlock_that_holds_signals;
  if (scopes) attributes.scoped = scope_signal;
  // An older kernel refuses a structure with fields that it does not know.
  const std::size_t size = scopes ? sizeof attributes : sizeof attributes.files;
  return Descriptor{static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, size, 0))};
}

class Builder {
 public:
  Builder(const Descriptor& ruleset, std::uint64_t rights, std::span<const std::string> hidden)
      : ruleset_(ruleset), rights_(rights), hidden_(hidden) {}

  // Allows all that is in `folder` now, but for the hidden folders. Goes as deep as these lie.
  void allow_inside(const std::string& folder) {
    DIR* const entries = ::opendir(folder.empty() ? "/" : folder.c_str());
    if (entries == nullptr) return allow_towards(folder);
    while (const dirent* entry = ::readdir(entries)) {
      const std::string_view name = entry->d_name;
      // A link leads to what has a rule of its own.
      if (name == "." || name == ".." || entry->d_type == DT_LNK) continue;
      consider(folder + "/" + std::string{name});
    }
    ::closedir(entries);
  }

  bool allow(const std::string& path) {
    const Descriptor file{::open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC)};
    if (!file.valid()) return false;
    landlock_path_beneath_attr rule{.allowed_access = rights_, .parent_fd = file.get()};
    if (add(rule)) return true;
    // What is no folder can have the rights of files only.
    rule.allowed_access &= file_rights;
    return errno == EINVAL && add(rule);
  }

 private:
  void consider(const std::string& path) {
    if (std::ranges::find(hidden_, path) != hidden_.end()) return;
    if (std::ranges::any_of(hidden_, [&](const std::string& one) { return one.starts_with(path + "/"); })) {
      allow_inside(path);
    } else {
      allow(path);
    }
  }

  // Of a folder that cannot be listed only the ways to the hidden ones are known.
  void allow_towards(const std::string& folder) {
    for (const std::string& one : hidden_) {
      if (!one.starts_with(folder + "/")) continue;
      const std::string next = one.substr(0, one.find('/', folder.size() + 1));
      if (std::ranges::find(hidden_, next) == hidden_.end()) allow_inside(next);
    }
  }

  bool add(const landlock_path_beneath_attr& rule) {
    return ::syscall(SYS_landlock_add_rule, ruleset_.get(), LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
  }

  const Descriptor& ruleset_;
  const std::uint64_t rights_;
  const std::span<const std::string> hidden_;
};

}  // namespace

int landlock_version() {
  const long version = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  return version < 0 ? 0 : static_cast<int>(version);
}

Descriptor make_fence(std::span<const std::string> hidden, const std::string& open) {
  RulesetAttributes attributes{.files = handled_rights(landlock_version())};
  Descriptor ruleset = make_ruleset(attributes);
  if (!ruleset.valid()) return ruleset;
  Builder builder(ruleset, attributes.files, hidden);
  builder.allow_inside("");
  if (!builder.allow(open)) return Descriptor{};
  return ruleset;
}

Descriptor make_isolation() {
  // Without scopes, Landlock refuses a ruleset that handles nothing. It handles these two rights and allows them
  // everywhere. An ordinary user may not make device files anyway.
  RulesetAttributes attributes;
  if (landlock_version() < landlock_that_holds_signals)
    attributes.files = LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_REFER;
  Descriptor ruleset = make_ruleset(attributes);
  if (!ruleset.valid() || attributes.files == 0) return ruleset;
  if (!Builder(ruleset, attributes.files, {}).allow("/")) return Descriptor{};
  return ruleset;
}

int enter_fence(const Descriptor& fence) {
  return ::syscall(SYS_landlock_restrict_self, fence.get(), 0) == 0 ? 0 : errno;
}

}  // namespace pawl::runner
