// What happens in a play, each thing on a stream of random numbers of its own: whether it happens at a step, and how, does
// not hang on what else happened. So each single one can be left out and the others stay, which is how a play that broke a
// promise is made small (shrink.h).
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/result.h"

namespace pawl::sim {

enum class What : std::uint8_t {
  // Faults, which a seed may switch off as a class.
  crash,
  crash_before_commit,
  crash_after_commit,  // nobody has heard of it
  lost_ack,  // a commit is applied and its outcome is unknown
  lost_commit,  // … or it is not applied
  full,
  conflict,
  failing_read,
  failing_start,  // the store cannot be read when the server starts
  failure,  // of a try
  timeout,
  refusal,  // the runner cannot start a try
  stuck,  // a try ends only when it is told to, or by its timeout
  twice,  // its result comes twice …
  late,  // … or again after a long time
  stop,  // on request
  seats,  // it starts again with different numbers of seats
  absence,  // it is down for hours or days
  // … of one of many nodes (cluster.h)
  pause,  // it is stopped and goes on later with what it had in hand
  partition,  // nothing comes from it to the store and nothing back
  one_way,  // what it asks is done, and it never hears so
  delay,  // a commit arrives later than it would wait
  // What is asked of it, and what goes on by itself.
  submit,
  request,
  person,
  schedule,  // a person does something about schedules, or enables, disables or deletes a workflow
  finish,
  time,  // passes
  due,  // … up to the next instant at which something is due
  clear,  // of a run that is gone, what lay outside the store is removed
  turn,
  // Another fault. It comes last, because the position of the others determines their random streams.
  unit_stop,  // a service manager stops the server and ends its tasks with TERM, in either order
};
constexpr std::size_t what_count = static_cast<std::size_t>(What::unit_stop) + 1;
constexpr bool is_fault(What what) { return what < What::submit || what == What::unit_stop; }
std::string_view to_string(What what);

struct Happening {
  std::uint32_t step = 0;
  What what = What::crash;
  std::uint16_t nth = 0;  // of its kind in this step
  auto operator<=>(const Happening&) const = default;
};

// All that may happen in a play, and the parts of which its workflows may be made (shapes.h).
struct Kept {
  std::set<Happening> happenings;
  std::set<std::string> parts;
};
// `crash:57;turn:3-9,12.1;parts:w0@0/j1,w0@0/j1/retry`, and back. Error: invalid.
std::string to_text(const Kept& kept);
Result<Kept> parse_kept(std::string_view text);

class Events {
 public:
  // `kept` may be null: all may happen. It must outlive this.
  Events(std::uint64_t seed, const Kept* kept) : seed_(seed), kept_(kept) {}

  void begin_step(std::uint32_t step);
  std::uint32_t step() const { return step_; }
  // Whether it happens here, now; then the stream that says how.
  std::optional<SplitMix> happens(What what, double rate);
  // A stream that nothing else draws from: for what cannot be left out.
  SplitMix stream(std::uint64_t name) const;
  bool may_have(const std::string& part) const { return !kept_ || kept_->parts.contains(part); }

  const std::vector<Happening>& happened() const { return happened_; }

 private:
  std::uint64_t seed_;
  const Kept* kept_;
  std::uint32_t step_ = 0;
  std::map<What, std::uint16_t> nth_;
  std::vector<Happening> happened_;
};

}  // namespace pawl::sim
