// One process at a time: an advisory lock (flock) on a file of its own, which dies with the process that holds it.
#pragma once

#include <string>
#include <utility>

#include "base/result.h"

namespace pawl::store {

// Held from take() until destruction. The file stays: removing it would let two processes lock two files of one name.
class LockFile {
 public:
  // Errors: conflict "`what` is in use by process 1234", even if that is this process, or the file was just replaced
  //         · refused it is not a plain file of ours · overloaded no room for the file · unavailable it cannot be made.
  static Result<LockFile> take(const std::string& path, const std::string& what);

  // Whether the path still names this file. If not, another process could lock a new file. True if that cannot be
  // checked.
  bool stands() const;
  const std::string& path() const { return path_; }

  LockFile(LockFile&& other) noexcept;
  LockFile& operator=(LockFile&& other) noexcept;
  ~LockFile();

 private:
  LockFile(int descriptor, std::string path) : descriptor_(descriptor), path_(std::move(path)) {}
  int descriptor_;
  std::string path_;
};

}  // namespace pawl::store
