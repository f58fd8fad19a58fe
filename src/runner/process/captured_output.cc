#include "runner/process/captured_output.h"

#include <algorithm>

#include "base/utf8.h"

namespace pawl::runner {
namespace {

constexpr std::size_t tail_bytes = 4 << 10;
constexpr int tail_lines = 20;

bool continues(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

// Without the begun character at its end, which is whole in what was cut off.
std::string_view without_begun_character(std::string_view bytes) {
  for (std::size_t back = 1; back <= std::min<std::size_t>(3, bytes.size()); ++back) {
    const auto lead = static_cast<unsigned char>(bytes[bytes.size() - back]);
    if (continues(static_cast<char>(lead))) continue;
    const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
    return length > back ? bytes.substr(0, bytes.size() - back) : bytes;
  }
  return bytes;
}

}  // namespace

void CapturedOutput::out(std::string_view bytes) {
  const std::size_t taken = std::min(bytes.size(), limit_ - out_.size());
  out_.append(bytes.substr(0, taken));
  if (taken < bytes.size()) out_cut_ = true;
}

void CapturedOutput::err(std::string_view bytes) {
  // Twice the tail, so that bytes are not moved at each call.
  if (bytes.size() > tail_bytes) {
    err_.clear();
    err_cut_ = true;
    bytes.remove_prefix(bytes.size() - tail_bytes);
  }
  err_.append(bytes);
  if (err_.size() > 2 * tail_bytes) {
    err_.erase(0, err_.size() - tail_bytes);
    err_cut_ = true;
  }
}

CapturedOutput::Text CapturedOutput::out_text() const {
  // A byte that is no UTF-8 grows to three.
  const std::string text = to_utf8_lossy(out_cut_ ? without_begun_character(out_) : std::string_view{out_});
  const std::string_view kept = cut_utf8(text, limit_);
  return {.text = std::string{kept}, .cut = out_cut_ || kept.size() < text.size()};
}

std::string CapturedOutput::err_tail() const {
  std::string_view tail = err_;
  bool cut = err_cut_;
  const auto shorten = [&](std::size_t limit) {
    if (tail.size() <= limit) return;
    tail.remove_prefix(tail.size() - limit);
    cut = true;
  };
  shorten(tail_bytes);
  int lines = 0;
  for (std::size_t i = tail.size(); i > 0; --i) {
    // The line break at the very end ends the last line and begins none.
    if (tail[i - 1] == '\n' && i != tail.size() && ++lines == tail_lines) {
      tail.remove_prefix(i);
      cut = false;
      break;
    }
  }
  for (int i = 0; cut && i < 3 && !tail.empty() && continues(tail.front()); ++i) tail.remove_prefix(1);
  std::string text = to_utf8_lossy(tail);
  if (text.size() <= tail_bytes) return text;
  std::size_t start = text.size() - tail_bytes;
  while (start < text.size() && continues(text[start])) ++start;
  return text.substr(start);
}

}  // namespace pawl::runner
