#include "runner/process/output_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string>

#include "base/utf8.h"
#include "runner/process/descriptor.h"
#include "runner/runner.h"

namespace pawl::runner {
namespace {

// Hands out one line after the other, without their ends.
class Lines {
 public:
  explicit Lines(std::string_view text) : rest_(text) {}
  std::optional<std::string_view> next() {
    if (rest_.empty()) return std::nullopt;
    ++number_;
    const auto end = std::min(rest_.find('\n'), rest_.size());
    const std::string_view line = rest_.substr(0, end);
    rest_.remove_prefix(std::min(end + 1, rest_.size()));
    return line;
  }
  int number() const { return number_; }

 private:
  std::string_view rest_;
  int number_ = 0;
};

std::size_t key_length(std::string_view line) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  if (line.empty() || !letter(line.front())) return 0;
  const auto end =
      std::ranges::find_if_not(line, [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '-'; });
  return static_cast<std::size_t>(end - line.begin());
}

std::unexpected<Error> malformed(std::string what) {
  return fail(Code::invalid, "$PAWL_OUTPUT: " + what, "output_invalid");
}

}  // namespace

Result<json::object> parse_outputs(std::string_view text) {
  json::object outputs;
  Lines lines{text};
  while (const auto line = lines.next()) {
    if (line->empty()) continue;
    const int number = lines.number();
    const std::size_t length = key_length(*line);
    const std::string_view key = line->substr(0, length);
    const std::string_view rest = line->substr(length);
    if (length > 0 && rest.starts_with('=')) {
      outputs[key] = to_utf8_lossy(rest.substr(1));
    } else if (length > 0 && rest.starts_with("<<") && rest.size() > 2) {
      const std::string_view mark = rest.substr(2);
      // The value is one piece of the text: from the next line to the mark.
      std::optional<std::string_view> first = lines.next();
      std::optional<std::string_view> inner = first;
      while (inner && *inner != mark) inner = lines.next();
      if (!inner) {
        return malformed(fmt::format("line {}: the block `{}` is not closed by a line `{}`", number, key,
                                     to_utf8_lossy(cut_utf8(mark, 100))));
      }
      std::string_view value;
      if (inner->data() != first->data()) {
        value = {first->data(), static_cast<std::size_t>(inner->data() - first->data()) - 1};
      }
      outputs[key] = to_utf8_lossy(value);
    } else {
      return malformed(fmt::format("line {}: expected `name=value` or `name<<END`, found `{}`", number,
                                   cut_utf8(to_utf8_lossy(line->substr(0, 200)), 100)));
    }
  }
  return outputs;
}

Result<json::object> read_outputs(int folder, const char* name) {
  // The task may have put anything in its place: a link to follow, a pipe to wait for.
  const Descriptor file{::openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)};
  if (!file.valid()) {
    if (errno == ENOENT) return json::object{};
    if (errno == ELOOP) return malformed("it was replaced by a symbolic link");
    return malformed(fmt::format("it cannot be read: {}", std::strerror(errno)));
  }
  struct stat info{};
  if (::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) return malformed("it is not a plain file any more");

  std::string text;
  std::string buffer(64 << 10, '\0');
  while (text.size() <= max_output_value) {
    const ssize_t got = ::read(file.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return malformed(fmt::format("it cannot be read: {}", std::strerror(errno)));
    if (got == 0) return parse_outputs(text);
    text.append(buffer, 0, static_cast<std::size_t>(got));
  }
  return fail(Code::invalid, "$PAWL_OUTPUT is longer than 1 MiB", "output_too_large");
}

}  // namespace pawl::runner
