#include "base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <memory>

#include "base/check.h"
#include "base/json.h"
#include "base/time.h"

namespace pawl::log {
namespace {

std::atomic<Level> least{Level::info};
std::atomic<Format> format{Format::text};

spdlog::logger& sink() {
  static const std::shared_ptr<spdlog::logger> logger = [] {
    auto made = std::make_shared<spdlog::logger>("pawl", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern("%v");
    made->set_level(spdlog::level::trace);
    made->flush_on(spdlog::level::trace);
    return made;
  }();
  return *logger;
}

std::string_view name(Level level) {
  switch (level) {
    case Level::debug: return "debug";
    case Level::info: return "info";
    case Level::warning: return "warning";
    case Level::error: return "error";
    case Level::off: return "off";
  }
  unreachable();
}

}  // namespace

void configure(Level level, Format new_format) {
  least = level;
  format = new_format;
}

void write(Level level, std::string_view message, std::initializer_list<Field> fields) {
  if (level < least.load(std::memory_order_relaxed) || level == Level::off) return;
  const auto now = std::chrono::floor<Duration>(std::chrono::system_clock::now());
  std::string line;
  if (format == Format::json) {
    line = "{\"time\":\"" + to_rfc3339(now) + "\",\"level\":\"";
    line += name(level);
    line += "\",\"message\":";
    append_json_string(line, message);
    for (const auto& [key, value] : fields) {
      line += ',';
      append_json_string(line, key);
      line += ':';
      append_json_string(line, value);
    }
    line += '}';
  } else {
    line = to_rfc3339(now);
    line += ' ';
    line += name(level);
    line += ' ';
    line += message;
    for (const auto& [key, value] : fields) {
      line += ' ';
      line += key;
      line += '=';
      if (value.find_first_of(" \"=\n\r\t\x1b") == std::string::npos && !value.empty())
        line += value;
      else
        append_json_string(line, value);
    }
  }
  sink().log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace pawl::log
