// The server's own log: one line an event, to standard error, text or JSON. A face over spdlog, which stays behind it
// because it costs seconds a unit to compile. Threads: all of it may be called from any thread.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace pawl::log {

enum class Level { debug, info, warning, error, off };
enum class Format { text, json };

// Before the first line; later calls change level and format for all threads.
void configure(Level level, Format format);

using Field = std::pair<std::string_view, std::string>;
// `message` is a fixed sentence; what varies goes into `fields`. Control characters are escaped.
void write(Level level, std::string_view message, std::initializer_list<Field> fields = {});

inline void debug(std::string_view message, std::initializer_list<Field> fields = {}) {
  write(Level::debug, message, fields);
}
inline void info(std::string_view message, std::initializer_list<Field> fields = {}) {
  write(Level::info, message, fields);
}
inline void warning(std::string_view message, std::initializer_list<Field> fields = {}) {
  write(Level::warning, message, fields);
}
inline void error(std::string_view message, std::initializer_list<Field> fields = {}) {
  write(Level::error, message, fields);
}

}  // namespace pawl::log
