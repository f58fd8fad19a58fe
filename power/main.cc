// Plays a workload, cuts the power after each of its file operations, builds what the disk may hold then, and checks that
// every promise is kept. See ./dev power.
#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <string_view>
#include <thread>
#include <unordered_set>

#include "base/check.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/number.h"
#include "power/check.h"
#include "power/image.h"
#include "power/workload.h"

namespace pawl::power {
namespace {

namespace fs = std::filesystem;

struct Arguments {
  std::uint64_t images = 6'000, first_seed = 1;
  int draws = 5;  // images of one cut, doubles included
  int every = 7;  // of so many cuts of a seed one is taken, with the next seed another one
  int planted = 0;  // a lie about syncs that must be found out: 1 … lies
};

// Each takes syncs out of the tape: as if a disk, or we, only said that they were done.
struct Lie {
  const char* text;
  bool (*about)(const Op& op, const std::string& path);
};
constexpr Lie lies[] = {
    {"the log of commits is not synced",
     [](const Op& op, const std::string& path) { return op.kind == Op::Kind::sync && path.ends_with("-wal"); }},
    {"the database is not synced before its log starts anew",
     [](const Op& op, const std::string& path) { return op.kind == Op::Kind::sync && path.ends_with("pawl.db"); }},
    {"what tasks print is not synced before their results",
     [](const Op& op, const std::string& path) { return op.kind == Op::Kind::sync && path.ends_with(".log"); }},
    {"folders are not synced", [](const Op& op, const std::string&) { return op.kind == Op::Kind::sync_folder; }},
};

void believe(Tape& tape, const Lie& lie, std::vector<std::size_t>& kept) {
  std::map<int, std::string> names;
  std::vector<Op> ops;
  kept.assign(1, 0);  // ops that are left of the first so many
  for (Op& op : tape.ops) {
    if (op.kind == Op::Kind::make) names[op.file] = op.path;
    if (op.kind == Op::Kind::rename)
      for (auto& [file, name] : names)
        if (name == op.path) name = op.to;
    if (!lie.about(op, op.file >= 0 ? names[op.file] : op.path)) ops.push_back(std::move(op));
    kept.push_back(ops.size());
  }
  tape.ops = std::move(ops);
}

void plant(Played& played, const Lie& lie) {
  std::vector<std::size_t> kept;
  believe(played.tape, lie, kept);
  for (auto& [at, count] : played.opened) at = kept[at];
  for (auto* places : {&played.begun, &played.acknowledged})
    for (std::size_t& at : *places) at = kept[at];
  for (auto& [run, all] : played.synced)
    for (auto& synced : all) synced.at = kept[synced.at];
  for (auto& [file, contents] : played.tape.index)
    for (auto& [at, content] : contents) at = kept[at];
}

struct Totals {
  std::uint64_t images = 0, doubles = 0, cuts = 0, missing = 0, torn = 0, violations = 0;
};

std::string digest(const Image& image) {
  std::string all;
  for (const auto& [path, content] : image.files) all += fmt::format("{} {}\n", path, content.size()) + content;
  return sha256_hex(all);
}

class Session {
 public:
  explicit Session(const Arguments& arguments) : arguments_(arguments) {
    const char* const memory = fs::is_directory("/dev/shm") ? "/dev/shm" : "/tmp";
    std::string name = fmt::format("{}/pawl-power-XXXXXX", memory);
    check(::mkdtemp(name.data()) != nullptr);
    folder_ = name;
  }
  ~Session() {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  Totals run() {
    for (std::uint64_t seed = arguments_.first_seed; totals_.images < arguments_.images && totals_.violations < 10;
         ++seed)
      play_seed(seed);
    return totals_;
  }

 private:
  // There is no sense in a hundred stories of one fault.
  bool enough() {
    const std::lock_guard lock(mutex_);
    return totals_.violations >= 10;
  }

  void play_seed(std::uint64_t seed) {
    const std::string place = fmt::format("{}/{}", folder_, seed);
    fs::create_directory(place);
    Played played = play(seed, place);
    fs::remove_all(place);
    if (arguments_.planted > 0) plant(played, lies[arguments_.planted - 1]);
    // The cuts of a seed are shared out among the threads; each goes along the tape by itself.
    const unsigned threads = std::max(1U, std::thread::hardware_concurrency());
    std::vector<std::jthread> workers;
    for (unsigned i = 0; i < threads; ++i) workers.emplace_back([&, i] { cut(played, seed, i, threads); });
    workers.clear();
    fmt::print(stderr, "\r{} images of {} seeds, {} violations ", totals_.images, seed - arguments_.first_seed + 1,
               totals_.violations);
  }

  void cut(const Played& played, std::uint64_t seed, unsigned worker, unsigned step) {
    Disk disk(played.tape);
    const std::string place = fmt::format("{}/image-{}", folder_, worker);
    const auto every = static_cast<std::uint64_t>(arguments_.every);
    for (std::size_t length = seed % every; length <= played.tape.ops.size(); length += every) {
      if (length / every % step != worker) continue;
      disk.go_to(length);
      SplitMix random(seed << 20 ^ length);
      for (int draw = 0; draw < arguments_.draws && !enough(); ++draw) {
        const Image image = disk.draw(random);
        const std::string name = digest(image);
        {
          const std::lock_guard lock(mutex_);
          totals_.cuts += draw == 0 ? 1 : 0;
          // The same image may stand after another cut, with more promised of it: it is counted once and checked again.
          if (!seen_.insert(fmt::format("{} {}", length, name)).second) continue;
          const bool fresh = distinct_.insert(name).second;
          ++(fresh ? totals_.images : totals_.doubles);
          totals_.missing += fresh && image.wal_missing && !image.wal_torn ? 1 : 0;
          totals_.torn += fresh && image.wal_torn ? 1 : 0;
        }
        fs::remove_all(place);
        fs::create_directory(place);
        write_image(image, place);
        const auto wrong = check_image(played, length, place, draw == 0);
        if (wrong.empty()) continue;
        const std::lock_guard lock(mutex_);
        ++totals_.violations;
        if (totals_.violations > 3) continue;
        fmt::print("seed {}, cut after {} of {} operations, image {}:\n", seed, length, played.tape.ops.size(), draw);
        for (const std::string& line : wrong) fmt::print("  {}\n", line);
      }
    }
  }

  const Arguments arguments_;
  std::string folder_;
  std::mutex mutex_;
  std::unordered_set<std::string> seen_, distinct_;  // of a cut, and of all
  Totals totals_;
};

int usage() {
  fmt::print(stderr, "usage: pawl_power [--images N] [--first-seed S] [--long] [--planted]\n");
  return 2;
}

int main_program(int count, char** values) {
  Arguments arguments;
  bool planted = false;
  for (int i = 1; i < count; ++i) {
    const std::string_view word = values[i];
    const bool more = i + 1 < count;
    if (word == "--planted") {
      planted = true;
    } else if (word == "--long") {
      arguments.every = 1;
      arguments.images = 200'000;
    } else if (more && word == "--images" && parse_number(values[i + 1], arguments.images)) {
      ++i;
    } else if (more && word == "--first-seed" && parse_number(values[i + 1], arguments.first_seed)) {
      ++i;
    } else {
      return usage();
    }
  }
  log::configure(log::Level::error, log::Format::text);
  const auto began = std::chrono::steady_clock::now();
  bool fine = true;
  if (planted) {
    for (int i = 1; i <= static_cast<int>(std::size(lies)); ++i) {
      arguments.planted = i;
      const Totals totals = Session(arguments).run();
      fmt::print("{}: {}\n", lies[i - 1].text, totals.violations > 0 ? "found out" : "NOT FOUND OUT");
      fine = fine && totals.violations > 0;
    }
  } else {
    const Totals totals = Session(arguments).run();
    fmt::print(
        "\n{} images after {} cuts ({} doubles removed); a frame of the WAL missing in {} %, torn in {} %; {} "
        "violations\n",
        totals.images, totals.cuts, totals.doubles, totals.missing * 100 / std::max<std::uint64_t>(totals.images, 1),
        totals.torn * 100 / std::max<std::uint64_t>(totals.images, 1), totals.violations);
    fine = totals.violations == 0;
  }
  fmt::print("{:.1f} s\n", std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
  return fine ? 0 : 1;
}

}  // namespace
}  // namespace pawl::power

int main(int count, char** values) { return pawl::power::main_program(count, values); }
