// One process at a time: an advisory lock (flock) on a file of its own, which dies with the process that holds it.
#pragma once

#include <string>
#include <utility>

#include "base/result.h"

namespace pawl::store {

// Held from take() until destruction. The file stays: removing it would let two processes lock two files of one name.
class LockFile {
 public:
  // Error: conflict "`what` is in use by process 1234", also if that is this one · refused what stands there is no plain
  //        file of ours · overloaded no room for the file · unavailable it cannot be made.
  static Result<LockFile> take(const std::string& path, const std::string& what);

  // Whether the file still has its name. If not, others could lock a new one. True where that cannot be seen.
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
