// One process at a time: an advisory lock (flock) on a file of its own, which dies with the process that holds it.
#pragma once

#include <string>

#include "base/result.h"

namespace pawl::store {

// Held from take() until destruction. The file stays: removing it would let two processes lock two files of one name.
class LockFile {
 public:
  // Error: conflict "`what` is in use by process 1234", also if that is this one · overloaded no room for the file
  //        · unavailable it cannot be made.
  static Result<LockFile> take(const std::string& path, const std::string& what);

  LockFile(LockFile&& other) noexcept;
  LockFile& operator=(LockFile&& other) noexcept;
  ~LockFile();

 private:
  explicit LockFile(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

}  // namespace pawl::store
