// The token of the local admin, in a file that the server's user may read, replace and remove while it runs.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/own_file.h"
#include "base/result.h"
#include "base/thread_annotations.h"

namespace pawl::app {

class AdminToken {
 public:
  // Reads the file, or makes one with a token of 256 random bits.
  // Errors: refused, the file is not a plain file of ours or holds no usable token · overloaded, unavailable: it cannot
  // be read or written.
  static Result<std::unique_ptr<AdminToken>> open(std::string path);

  // The valid token. Empty, so that none is accepted, as long as the file cannot be used. Threads: any.
  std::string current() const;

  // Checks whether the file has changed. A replaced token is valid from here on; a removed file is made again with a
  // new token. Logs what happened. Does not read the file if nothing has changed. Threads: one.
  void look();

 private:
  // Shows a change of the file without reading it.
  struct Stamp {
    std::uint64_t device = 0, inode = 0;
    std::int64_t size = -1, modified_ns = 0, changed_ns = 0;
    bool operator==(const Stamp&) const = default;
  };

  AdminToken(std::string path, OwnFile folder);
  Stamp stamp() const;
  Result<std::string> read() const;
  Error by_its_name(Error error) const;
  Result<std::string> make() const;
  void set(std::string value);

  const std::string path_;  // for people
  // The folder as it was at the start, and the file in it: a task may move a parent of the data folder away and put a
  // folder with a token of its choice in that place.
  const OwnFile folder_;
  const std::string file_;
  Stamp seen_;
  std::string told_;  // the last logged reason for having no token
  mutable Mutex mutex_;
  std::string value_ GUARDED_BY(mutex_);
};

}  // namespace pawl::app
