// The token of the local admin, in a file that the user of the server may read, replace and remove while it runs.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/thread_annotations.h"

namespace pawl::app {

class AdminToken {
 public:
  // Reads the file, or makes one with a token of 256 random bits.
  // Errors: refused, it is no plain file of ours, or holds no token · overloaded, unavailable: it cannot be written.
  static Result<std::unique_ptr<AdminToken>> open(std::string path);

  // The one that counts. Empty: none, as long as the file cannot be used. Threads: any.
  std::string current() const;

  // Looks whether the file is still the one that was read. A new one counts from here on; in place of one that was removed
  // another is made. What becomes of it is logged. Reads nothing when nothing has changed. Threads: one.
  void look();

 private:
  // What tells one content of the file from another without reading it.
  struct Stamp {
    std::uint64_t device = 0, inode = 0;
    std::int64_t size = -1, modified_ns = 0, changed_ns = 0;
    bool operator==(const Stamp&) const = default;
  };

  explicit AdminToken(std::string path) : path_(std::move(path)) {}
  Stamp stamp() const;
  Result<std::string> read() const;
  Result<std::string> make() const;
  void set(std::string value);

  const std::string path_;
  Stamp seen_;
  std::string told_;  // why there is no token, as it was logged last
  mutable Mutex mutex_;
  std::string value_ GUARDED_BY(mutex_);
};

}  // namespace pawl::app
