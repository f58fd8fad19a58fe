#include "sim/machine.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "definition/definition.h"

namespace pawl::sim {

Machine::Machine(const Options& options) : options_(options), rng_(options.seed), checks_(disk_) {
  runner_.on_start = [this](const StartTask& command) {
    tell(
        fmt::format("start {}/{} try {} of {}", command.job, command.task, command.try_number, to_string(command.run)));
    stopped_.erase({command.run, command.ref, command.try_number});  // of other work, in another version
    const bool is_http = std::holds_alternative<HttpInput>(command.input);
    const auto beside = std::ranges::count_if(runner_.running(), [&](const auto& one) {
      return std::holds_alternative<HttpInput>(one.second.input) == is_http;
    });
    checks_.started(command, static_cast<int>(beside), is_http ? options_.http_slots : options_.process_slots);
    if (command.task.starts_with("poison")) poisoned_ = true;
  };
  runner_.on_stop = [this](const StopTask& stop) {
    checks_.stopped(stop);
    stopped_.insert({stop.run, stop.ref, stop.try_number});
  };
  boot();
}

void Machine::boot() {
  store_ = store::open_memory(disk_);
  auto reader = store_->reader();
  check(reader.has_value());
  reader_ = std::move(*reader);
  driver::CoreOptions options;
  options.process_slots = options_.process_slots;
  options.http_slots = options_.http_slots;
  plans_ = std::make_unique<driver::PlanCache>();
  core_ = std::make_unique<driver::Core>(options, *reader_, *plans_, runner_, rng_, nullptr);
  check(core_->start().has_value());
}

void Machine::crash(std::string_view where, Duration down) {
  tell(fmt::format("crash {}", where));
  ++crashes_;
  runner_.forget_all();
  stopped_.clear();
  touched_.clear();
  core_.reset();
  next_ = {};
  under_way_.reset();
  poisoned_ = draining_ = false;
  checks_.crashed();
  now += down;
  boot();
}

void Machine::turn(std::size_t most, bool overlap) {
  core_->decide(next_, now, most);
  if (!under_way_) {
    if (next_.changes.empty()) {
      return core_->committed(std::exchange(next_, {}));
    }
    under_way_ = std::exchange(next_, {});
    if (overlap) return;
  }
  if (dies(Point::before_commit)) return;
  const store::CommitFault drawn = disk_->faults().next_commit = fault();
  const auto result = store_->commit(under_way_->changes);
  disk_->faults() = {};
  if (!result) {
    tell(fmt::format("commit failed: {}", result.error().message));
    if (drawn == store::CommitFault::none) checks_.commit_refused(result.error());
    std::vector<driver::Batch> batches;
    batches.push_back(std::move(*under_way_));
    batches.push_back(std::exchange(next_, {}));
    under_way_.reset();
    return core_->dropped(std::move(batches), result.error(), now);
  }
  tell(fmt::format("commit of {} changes", under_way_->changes.size()));
  for (const Changeset& changes : under_way_->changes)
    if (changes.record)
      for (const char c : changes.record->body) hash_ = hash_ * 1'099'511'628'211ULL + static_cast<unsigned char>(c);
  checks_.committed(under_way_->changes);
  if (dies(Point::after_commit)) return;
  for (const driver::Batch::Item& item : under_way_->items)
    if (item.run) touched_.insert(*item.run);
  driver::Batch done = std::move(*under_way_);
  under_way_.reset();
  core_->committed(std::move(done));
  checks_.acted();
  if (poisoned_ || dies(Point::acted)) return;
  if (!next_.items.empty()) return;  // decided, and not durable yet
  for (const RunId id : std::exchange(touched_, {}))
    if (const auto* live = core_->live(id)) checks_.compare(*live);
  look_around();
}

void Machine::look_around() {
  if (under_way_ || draining_ || !core_->recovered() || core_->has_work(now)) return;
  // What waits for room on the disk is owed too.
  if (const auto due = core_->next_due(); due && *due <= now + std::chrono::seconds(1)) return;
  checks_.quiet(core_->tries_in_flight());
}

void Machine::hand_in(TaskFinished result) {
  checks_.handed_in(result);
  core_->push(std::move(result));
}

void Machine::submit(const std::string& text, std::function<void(const Result<Answer>&)> told) {
  auto parsed = definition::parse(text);
  if (!parsed) {
    fmt::print(stderr, "{}\n{}\n", text, definition::to_text(parsed.error().front(), "drawn"));
    check(false, "a drawn workflow is valid");
  }
  tell("submit\n" + text);
  core_->push(WorkflowSubmitted{std::make_shared<const Workflow>(std::move(parsed->workflow)),
                                text,
                                WorkflowSubmitted::Mode::create_or_replace,
                                {}},
              [told = std::move(told)](const Result<Answer>& answer) {
                if (told) told(answer);
              });
}

void Machine::drain(bool cut_off) {
  tell("stop on request");
  draining_ = true;
  core_->drain();
  if (cut_off) core_->cut_off();
}

}  // namespace pawl::sim
