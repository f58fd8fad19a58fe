#include "sim/machine.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "definition/definition.h"

namespace pawl::sim {

Machine::Machine(const Options& options)
    : options_(options),
      rng_(options.seed),
      disk_(options.disk ? options.disk : store::make_memory_disk()),
      checks_(options.checks ? options.checks : std::make_shared<Checks>(disk_)) {
  runner_.inner.on_start = [this](const StartTask& command) {
    tell(fmt::format("the runner starts {}/{}, try {}, of {}", command.job, command.task, command.try_number,
                     to_string(command.run)));
    stopped_.erase({command.run, command.ref, command.try_number});  // of other work, in another version
    const bool is_http = std::holds_alternative<HttpInput>(command.input);
    const auto beside = std::ranges::count_if(runner_.inner.running(), [&](const auto& one) {
      return std::holds_alternative<HttpInput>(one.second.input) == is_http;
    });
    checks_->started(command, static_cast<int>(beside), is_http ? options_.http_seats : options_.process_seats);
    if (command.task.starts_with("poison")) poisoned_ = true;
    began({command.run, command.ref, command.try_number}, command);
  };
  runner_.inner.on_stop = [this](const StopTask& stop) {
    owed_.erase({stop.run, stop.ref, stop.try_number});
    stopped_.insert({stop.run, stop.ref, stop.try_number});
    if (auto result = held_.release(stop)) deliver(std::move(*result));
  };
  boot();
}

void Machine::boot() {
  for (;;) {
    store_ = options_.epoch ? store::open_memory(disk_, *options_.epoch) : store::open_memory(disk_);
    auto reader = store_->reader();
    check(reader.has_value());
    reader_ = std::move(*reader);
    driver::CoreOptions options;
    options.process_seats = options_.process_seats;
    options.http_seats = options_.http_seats;
    options.forget_run = [this](RunId id) { remains_.insert(id); };
    plans_ = std::make_unique<driver::PlanCache>();
    core_ = std::make_unique<driver::Core>(options, *reader_, *plans_, runner_, rng_, nullptr);
    if (const auto good = failing_start()) disk_->faults() = {.good_reads = *good, .failing_reads = 1};
    const auto started = core_->start();
    disk_->faults() = {};
    if (started) break;
    // Whoever looks after the server starts it again.
    tell("the start fails: " + started.error().message);
    ++crashes_;
    core_.reset();
  }
  // As the cleaner does at its start.
  remains_ = disk_->gone();
}

void Machine::set_seats(int process, int http) {
  options_.process_seats = process;
  options_.http_seats = http;
}

void Machine::crash(std::string_view where, Duration down) {
  tell(fmt::format("the server dies {}, and is down for {}", where, to_text(down)));
  ++crashes_;
  runner_.inner.forget_all();
  owed_.clear();
  stopped_.clear();
  held_ = {};
  touched_.clear();
  core_.reset();
  next_ = {};
  under_way_.reset();
  remains_.clear();
  is_durable_ = false;
  poisoned_ = draining_ = lost_store_ = false;
  checks_->crashed();
  now += down;
  downtime_ += down;
  boot();
}

void Machine::note_commit(const std::vector<Changeset>& changes) {
  for (const Changeset& one : changes)
    if (one.record)
      for (const char c : one.record->body) hash_ = hash_ * 1'099'511'628'211ULL + static_cast<unsigned char>(c);
  checks_->committed(changes);
  owed_ = checks_->take_owed();
}

void Machine::drop_batches(const Error& error) {
  std::vector<driver::Batch> batches;
  batches.push_back(std::move(*under_way_));
  batches.push_back(std::exchange(next_, {}));
  under_way_.reset();
  core_->dropped(std::move(batches), error, now);
}

void Machine::turn(std::size_t most, bool overlap) {
  for (TaskFinished& result : held_.due(now.time_since_epoch())) deliver(std::move(result));
  if (is_durable_) {
    act();
    touched_.clear();  // others may have gone on meanwhile
    return;
  }
  if (const auto good = failing_read()) disk_->faults() = {.good_reads = *good, .failing_reads = 1};
  core_->decide(next_, now, most);
  disk_->faults() = {};
  if (!under_way_) {
    if (next_.changes.empty()) {
      return core_->committed(std::exchange(next_, {}));
    }
    under_way_ = std::exchange(next_, {});
    if (overlap) return;
  }
  if (dies(Point::before_commit)) return;
  const store::CommitFault drawn = disk_->faults().next_commit = fault();
  const std::uint64_t before = disk_->commits();
  const auto result = store_->commit(under_way_->changes);
  disk_->faults() = {};
  if (!result) {
    const bool is_applied = disk_->commits() != before;
    tell(fmt::format("the commit fails ({}){}", to_string(result.error().code), is_applied ? ", and is applied" : ""));
    if (drawn == store::CommitFault::none && result.error().name != "fenced") checks_->commit_refused(result.error());
    if (is_applied) note_commit(under_way_->changes);
    drop_batches(result.error());
    lost_store_ = result.error().code == Code::unavailable;
    return;
  }
  note_commit(under_way_->changes);
  if (dies(Point::after_commit)) return;
  is_durable_ = true;
  if (halts()) return;
  act();
  if (poisoned_ || dies(Point::acted)) return;
  if (!next_.items.empty()) return;  // decided, and not durable yet
  for (const RunId id : std::exchange(touched_, {}))
    if (const auto* live = core_->live(id)) checks_->compare(*live);
  look_around();
}

void Machine::act() {
  is_durable_ = false;
  for (const driver::Batch::Item& item : under_way_->items)
    if (item.run) touched_.insert(*item.run);
  driver::Batch done = std::move(*under_way_);
  under_way_.reset();
  core_->committed(std::move(done));
  checks_->untold(std::exchange(owed_, {}));
}

void Machine::look_around() {
  if (under_way_ || draining_ || !core_->recovered() || core_->has_work(now)) return;
  // What waits for room on the disk is owed too.
  if (const auto due = core_->next_due(); due && *due <= now + std::chrono::seconds(1)) return;
  checks_->quiet(core_->tries_in_flight(), now);
}

void Machine::hand_in(TaskFinished result) {
  if (!runner::ended_as_by_stop(result.outcome)) return deliver(std::move(result));
  if (auto now_known = held_.take(std::move(result), now.time_since_epoch())) deliver(std::move(*now_known));
}

void Machine::deliver(TaskFinished result) {
  checks_->handed_in(result);
  core_->push(std::move(result));
}

bool Machine::clear_one() {
  if (remains_.empty()) return false;
  const RunId id = *remains_.begin();
  remains_.erase(remains_.begin());
  tell("what lay outside the store of " + to_string(id) + " is removed");
  // As the cleaner does: again, if that could not be noted, or if not all of its records have been taken yet.
  core_->push(RemainsRemoved{id}, [this, id](const Result<Answer>&) {
    if (disk_->gone().contains(id)) remains_.insert(id);
  });
  return true;
}

void Machine::submit(const std::string& text, std::function<void(const Result<Answer>&)> told) {
  auto parsed = definition::parse(text);
  if (!parsed) {
    fmt::print(stderr, "{}\n{}\n", text, definition::to_text(parsed.error().front(), "drawn"));
    check(false, "a drawn workflow is valid");
  }
  tell("somebody submits:\n" + text);
  core_->push(WorkflowSubmitted{std::make_shared<const Workflow>(std::move(parsed->workflow)),
                                text,
                                WorkflowSubmitted::Mode::create_or_replace,
                                {}},
              [told = std::move(told)](const Result<Answer>& answer) {
                if (told) told(answer);
              });
}

void Machine::drain(bool cut_off) {
  tell("somebody stops the server");
  draining_ = true;
  core_->drain();
  for (TaskFinished& result : held_.server_stops(now.time_since_epoch())) deliver(std::move(result));
  if (cut_off) core_->cut_off();
}

}  // namespace pawl::sim
