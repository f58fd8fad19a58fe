// Files and folders that must be ours: plain, owned by this process's user, and closed to others. Anything else in
// their place is refused before it can do harm. A pipe would block whatever opens it, a link or a second name could
// lead to somebody else's file, and another owner could change what we rely on.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>

#include "base/result.h"

namespace pawl {

struct OwnFileRules {
  bool any_owner = false;  // for reading only: others may have written it
  bool more_names = false;  // hard links are accepted
  bool follow = false;  // links are followed
  bool open_to_others = false;  // others may read it
};

// An open file, closed by the destructor.
class OwnFile {
 public:
  // Opens with `flags` (O_RDONLY, O_WRONLY or O_RDWR; O_CREAT and O_EXCL as needed). Never blocks and follows no link,
  // unless `rules` say so. Takes away rights of others and logs it; a file that is made is for us alone.
  // Errors: not_found   the file does not exist, and `flags` lack O_CREAT
  //         refused     it is not a plain file, belongs to another user, or has a second name
  //         overloaded  no room (its name is no_room) or no descriptor · unavailable  the system's words
  static Result<OwnFile> open(const std::string& path, int flags, const OwnFileRules& rules = {});

  // A folder, only to name what is in it (O_PATH). Error: the system's words.
  static Result<OwnFile> open_folder(const std::string& path);

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

// Checks as OwnFile::open() does, for a file that a library will open. A missing file is fine.
Result<void> check_own_file(const std::string& path, const OwnFileRules& rules = {});

// Checks that `path` is a folder of ours or a link to one. A missing folder is fine. A link that leads nowhere is
// unavailable, because its disk may be mounted later. Takes away rights of others except `allowed` (mode bits) and logs
// it.
// Errors: refused, unavailable.
Result<void> check_own_folder(const std::string& path, mode_t allowed);

// Identifies a file, so that a replacement under the same name is noticed.
struct FileId {
  dev_t device = 0;
  ino_t inode = 0;
  bool operator==(const FileId&) const = default;
};
// nullopt: there is no such file. Error: unavailable, the system cannot tell.
Result<std::optional<FileId>> file_id(const std::string& path);

}  // namespace pawl
