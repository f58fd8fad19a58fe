// Files and folders that have to be ours: plain, of this process's user, and closed to others. Anything else that stands
// in their place is refused before it can do harm: a pipe would block the one who opens it, a link or a second name would
// lead to a file of somebody else, and another owner could change what we rely on.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>

#include "base/result.h"

namespace pawl {

struct OwnFileRules {
  bool any_owner = false;  // for one who only reads what others may have written
  bool more_names = false;  // hard links are no harm
  bool follow = false;  // nor is a link
  bool open_to_others = false;  // others may read it
};

// An open file, closed at the end of its owner's life.
class OwnFile {
 public:
  // Opens with `flags` (O_RDONLY, O_WRONLY or O_RDWR; O_CREAT and O_EXCL as needed), never waits for it and follows no
  // link. Rights of others are taken away, and the log says so; a file that is made is for us alone.
  // Errors: not_found   there is none, and it was not to be made
  //         refused     what stands there is no plain file, belongs to another user, or has a second name
  //         overloaded  no room (its name is no_room) or no descriptor · unavailable  the system's words
  static Result<OwnFile> open(const std::string& path, int flags, const OwnFileRules& rules = {});

  OwnFile(OwnFile&& other) noexcept : descriptor_(other.release()) {}
  OwnFile& operator=(OwnFile&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~OwnFile();

  int get() const { return descriptor_; }
  int release() { return std::exchange(descriptor_, -1); }

 private:
  explicit OwnFile(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

// As OwnFile::open(), for a file that somebody else will open. That there is none is fine.
Result<void> check_own_file(const std::string& path, const OwnFileRules& rules = {});

// What is there is a folder of ours, or a link to one. That there is none is fine; a link that leads nowhere is
// unavailable, for its disk may come. Rights of others but `allowed` (mode bits) are taken away, and the log says so.
// Errors: refused, unavailable.
Result<void> check_own_folder(const std::string& path, mode_t allowed);

// Tells a file from another that takes its name later. nullopt: there is none.
struct FileId {
  dev_t device = 0;
  ino_t inode = 0;
  bool operator==(const FileId&) const = default;
};
// Error: unavailable, nothing can be said.
Result<std::optional<FileId>> file_id(const std::string& path);

}  // namespace pawl
