// An open file, closed at the end of its owner's life, and errors of the system as errors of ours.
#pragma once

#include <unistd.h>

#include <string>
#include <string_view>

#include "base/result.h"

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

// "cannot `what` `path`: …" of an errno: overloaded where room (its name is no_room) or descriptors are short,
// otherwise unavailable.
std::unexpected<Error> system_error(int error, std::string_view what, const std::string& path);

// Makes the entries of a folder durable: files that were created or renamed in it.
Result<void> sync_folder(const std::string& path);

}  // namespace pawl::store
