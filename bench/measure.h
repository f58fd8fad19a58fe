// What a measurement is made of: clocks, CPU time, the noise of other processes, and the line that tells the result.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace pawl::bench {

using Steady = std::chrono::steady_clock;

inline double seconds_since(Steady::time_point begin) {
  return std::chrono::duration<double>(Steady::now() - begin).count();
}
// CLOCK_MONOTONIC, which all processes of a machine share.
double monotonic_seconds();

// CPU seconds, user and system, that this process has used.
double own_cpu();
// … that another one and its descendants have used; 0 for one that is gone.
double tree_cpu(pid_t process);
// … that all processes of the machine have used.
double machine_cpu();
// Resident memory of a process and its descendants, shared pages counted once where the kernel says so, in MiB.
double tree_memory(pid_t process);

// Wall and CPU time of a stretch of work, and how many cores others took meanwhile.
class Stretch {
 public:
  Stretch() : begin_(Steady::now()), cpu_(own_cpu()), machine_(machine_cpu()) {}
  double wall() const { return seconds_since(begin_); }
  double cpu() const { return own_cpu() - cpu_; }
  // `helpers`: CPU seconds of our own other processes in the stretch.
  double others_cores(double helpers = 0) const {
    return std::max(0.0, (machine_cpu() - machine_ - cpu() - helpers) / wall());
  }

 private:
  Steady::time_point begin_;
  double cpu_, machine_;
};

// The value below which `share` (0 … 1) of all lie; sorts them. 0 of none.
double quantile(std::vector<double>& values, double share);

// A line of output: one JSON object. `limit` is what the machine gives in the same unit, `ratio` the share of it.
struct Line {
  std::string workload;
  double value = 0;
  std::string unit;
  double cpu_us_per_step = -1;  // below 0: does not apply
  double limit = -1;            // likewise
  bool less_is_better = false;  // the ratio is limit / value then
  json::object more;            // fields of its own
};
void print(const Line& line, std::string_view store = "sqlite");
void print_not_measured(std::string_view workload, std::string_view store, std::string_view reason);
// To standard error, as the work goes on.
void progress(std::string_view text);

// Ends the program with the error: a measurement that went wrong has no result.
[[noreturn]] void give_up(std::string_view what, const Error& error);
template <class Value>
Value need(Result<Value> result, std::string_view what) {
  if (!result) give_up(what, result.error());
  if constexpr (!std::is_void_v<Value>) return std::move(*result);
}
// Ends the program unless `good`: what was measured is not what should have been.
void must(bool good, std::string_view what);

// A new folder below $PAWL_BENCH_DIR or the build folder's file system, removed at the end.
class Folder {
 public:
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string operator/(std::string_view name) const { return path + "/" + std::string(name); }
  std::string path;
};

// This program again, as `pawl_bench ARGUMENTS`; standard output can be read line by line.
class Child {
 public:
  Child(const std::string& program, const std::vector<std::string>& arguments);
  explicit Child(const std::vector<std::string>& arguments);
  ~Child();  // kills it
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  pid_t pid() const { return pid_; }
  double started() const { return started_; }  // monotonic_seconds()
  // The next line, without its end; empty: it has closed its output.
  std::string line();
  void signal(int number) const;
  // Closes its standard input and waits for its end. Its exit code, or 128 + signal.
  int wait();

 private:
  pid_t pid_ = -1;
  int in_ = -1, out_ = -1;
  double started_ = 0;
  std::string buffer_;
};

}  // namespace pawl::bench
