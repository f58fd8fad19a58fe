// The functions of the C library that change files, with somebody in between: programs that link this put their own before
// the library's, also for shared libraries such as SQLite.
#pragma once

#include <sys/types.h>

#include <cstddef>

namespace pawl::power {

// One who looks on, or does something else than was asked. Results and errno are those of the functions of the C library.
// Each function asks the one below, and the lowest one the kernel. Threads: any.
class FileCalls {
 public:
  explicit FileCalls(FileCalls* below = nullptr) : below_(below) {}
  virtual ~FileCalls() = default;
  FileCalls(const FileCalls&) = delete;
  FileCalls& operator=(const FileCalls&) = delete;

  virtual int open(const char* path, int flags, mode_t mode);
  virtual ssize_t read(int descriptor, void* bytes, std::size_t size, off_t offset);
  virtual ssize_t write(int descriptor, const void* bytes, std::size_t size, off_t offset);
  virtual int cut(int descriptor, off_t size);
  virtual int sync(int descriptor, bool data_only);
  virtual int make_folder(const char* path, mode_t mode);
  virtual int rename(const char* from, const char* to);
  virtual int remove(const char* path);

  void put_before(FileCalls* below) { below_ = below; }

 private:
  FileCalls* below_;
};

// From now on `first` is asked; null: nobody.
void watch_files(FileCalls* first);

}  // namespace pawl::power
