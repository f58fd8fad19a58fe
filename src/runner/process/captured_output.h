// What is kept in memory of a try's output, however much it prints: the first bytes of standard output and the last
// lines of standard error.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace pawl::runner {

class CapturedOutput {
 public:
  // Keeps the first `limit` bytes of standard output.
  explicit CapturedOutput(std::size_t limit) : limit_(limit) {}

  void out(std::string_view bytes);
  void err(std::string_view bytes);

  struct Text {
    std::string text;  // valid UTF-8, at most `limit` bytes
    bool cut = false;  // more was printed
  };
  Text out_text() const;
  // The last 20 lines, 4 KiB at most, valid UTF-8.
  std::string err_tail() const;

 private:
  std::size_t limit_;
  std::string out_, err_;
  bool out_cut_ = false, err_cut_ = false;
};

}  // namespace pawl::runner
