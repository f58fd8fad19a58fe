// The N-th call that fails: of the functions of the C library that write, sync, make or read files below a folder, or of
// those that give memory. Only what the code under test asks for counts and fails; what a harness does beside it does not.
// Threads: one.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "power/file_calls.h"

namespace pawl::faults {

enum class What : std::uint8_t {
  none,
  write,
  sync,
  entry,
  read,
  memory
};  // entry: of a folder, and the length of a file

struct Fault {
  What what = What::none;
  int error = 0;  // what errno says
  std::uint64_t at = 0;  // the call that fails, from 1 on
  bool lasting = false;  // … and all after it
  bool torn = false;  // the first half of a write is made, before one that fails
};

class Injector final : public power::FileCalls {
 public:
  // What lies below `folder` is meant. Of several injectors the last one begun is at work.
  void begin(const Fault& fault, const std::string& folder);
  void lift();  // nothing fails any more
  std::uint64_t hits() const { return hits_; }
  // A sync of the database or of its log of commits has failed since the last call of this.
  bool take_failed_sync() { return std::exchange(failed_sync_, false); }

  int open(const char* path, int flags, mode_t mode) override;
  ssize_t read(int descriptor, void* bytes, std::size_t size, off_t offset) override;
  ssize_t write(int descriptor, const void* bytes, std::size_t size, off_t offset) override;
  int cut(int descriptor, off_t size) override;
  int sync(int descriptor, bool data_only) override;
  int make_folder(const char* path, mode_t mode) override;
  int rename(const char* from, const char* to) override;
  int remove(const char* path) override;
  bool memory_fails();

 private:
  bool fails(What what);
  bool fails(What what, int descriptor);
  bool fails(What what, const char* path);
  bool is_inside(const std::string& path) const { return path.starts_with(folder_); }
  int refuse() const;

  Fault fault_;
  std::string folder_;
  std::uint64_t calls_ = 0, hits_ = 0;
  bool torn_now_ = false;  // half a write was made
  bool failed_sync_ = false;
};

// While one lives the code under test is at work …
class Armed {
 public:
  Armed();
  ~Armed();
  Armed(const Armed&) = delete;
  Armed& operator=(const Armed&) = delete;
};
// … and while one of these lives it is not.
class Paused {
 public:
  Paused();
  ~Paused();
  Paused(const Paused&) = delete;
  Paused& operator=(const Paused&) = delete;

 private:
  int before_;
};

}  // namespace pawl::faults
