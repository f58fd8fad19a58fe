// An open file, closed by the destructor.
#pragma once

#include <unistd.h>

#include <string>

#include "base/result.h"
#include "base/system_error.h"

namespace pawl::store {

class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return value_; }
  explicit operator bool() const { return value_ >= 0; }

 private:
  int value_;
};

// Makes the entries of a folder durable: files that were created or renamed in it.
Result<void> sync_folder(const std::string& path);

}  // namespace pawl::store
