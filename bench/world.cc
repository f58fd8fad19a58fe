#include "bench/world.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "bench/measure.h"
#include "definition/definition.h"
#include "engine/record_codec.h"
#include "runner/http/http_runner.h"
#include "store/sqlite/sqlite_store.h"

namespace pawl::bench {

Result<void> CountingStore::commit(std::span<const Changeset> changes) {
  commits_.fetch_add(1, std::memory_order_relaxed);
  changesets_.fetch_add(changes.size(), std::memory_order_relaxed);
  auto done = inner_->commit(changes);
  if (done && on_durable) on_durable(changes);
  return done;
}

void InstantRunner::stop(StopTask command) {
  Outcome outcome;
  outcome.end = Outcome::End::stopped;
  results_->finished({command.run, command.ref, command.try_number, std::move(outcome)});
}

Outcome success(std::size_t output_bytes) {
  Outcome outcome;
  outcome.process = ProcessExit{};
  outcome.process->outputs = json::object{{"result", json::string(std::string(output_bytes, 'x'))}};
  return outcome;
}

class World::Runners final : public runner::Runner {
 public:
  explicit Runners(InstantRunner::MakeOutcome outcome) : instant_(std::move(outcome)) {}
  void open(driver::Driver& results, bool http) {
    instant_.deliver_to(results);
    if (http) http_ = runner::make_http_runner({}, results);
  }
  void close() {
    if (http_) http_->shutdown();
  }
  void start(StartTask command) override {
    if (http_ && std::holds_alternative<HttpInput>(command.input))
      http_->start(std::move(command));
    else
      instant_.start(std::move(command));
  }
  void stop(StopTask command) override {
    if (http_)
      http_->stop(command);
    else
      instant_.stop(command);
  }

 private:
  InstantRunner instant_;
  std::unique_ptr<runner::HttpRunner> http_;
};

World::World(WorldOptions options)
    : waits_(options.waits),
      store_(need(store::open_sqlite({.path = options.folder + "/pawl.db"}), "store")),
      runners_(std::make_unique<Runners>(std::move(options.outcome))),
      histories_(driver::make_histories(store_, plans_)) {
  driver::DriverOptions driver_options;
  driver_options.batch = options.batch;
  driver_options.inbox = 1'000'000;
  driver_options.core.process_seats = 1'000'000;  // no process is started
  driver_ = driver::make_driver(
      std::move(driver_options),
      {store_, *runners_, clock_, rng_, plans_, this, [](const Error& error) { give_up("the store is lost", error); }});
  runners_->open(*driver_, options.http);
}

World::~World() { stop(); }

void World::start() { need(driver_->start(), "start"); }

void World::stop() {
  waits_ ? driver_->stop() : driver_->stop_now();
  runners_->close();
}

void World::submit(const std::string& yaml) {
  auto parsed = definition::parse(yaml);
  must(parsed.has_value(), parsed ? "" : parsed.error().front().message);
  submit(std::move(parsed->workflow), yaml);
}

void World::submit(Workflow workflow) {
  std::string text = fmt::format("name: {}", workflow.name);
  submit(std::move(workflow), std::move(text));
}

void World::submit(Workflow workflow, std::string text) {
  post_and_wait(WorkflowSubmitted{std::make_shared<const Workflow>(std::move(workflow)),
                                  std::move(text),
                                  WorkflowSubmitted::Mode::create_or_replace,
                                  {}},
                "workflow");
}

void World::request(const std::string& workflow) {
  need(driver_->post(RunRequested{workflow, json::object{}, {}, {}}, {}), "start of a run");
}

void World::request_and_wait(const std::string& workflow) {
  post_and_wait(RunRequested{workflow, json::object{}, {}, {}}, "start of a run");
}

void World::post_and_wait(Event event, std::string_view what) {
  std::atomic<bool> done = false;
  const auto reply = [&](Result<Answer> answer) {
    need(std::move(answer), what);
    done = true;
    done.notify_one();
  };
  need(driver_->post(std::move(event), reply), what);
  done.wait(false);
}

void World::committed(const Changeset& changes, const Record&) {
  const auto& run = changes.run ? changes.run : changes.new_run;
  if (on_end && run && is_final(run->status)) on_end(*run);
}

void drive(World& world, const std::string& workflow, std::size_t runs, std::size_t at_once) {
  std::atomic<std::size_t> requested = std::min(runs, at_once), ended = 0;
  world.on_end = [&](const Run& run) {
    must(run.status == RunStatus::success, "a run ended as " + std::string(to_string(run.status)));
    if (requested < runs) {
      ++requested;
      world.request(workflow);
    }
    if (++ended == runs) ended.notify_all();
  };
  for (std::size_t i = std::min(runs, at_once); i > 0; --i) world.request(workflow);
  for (std::size_t seen; (seen = ended.load()) < runs;) ended.wait(seen);
  world.on_end = nullptr;
}

std::string chain(std::size_t tasks, std::string_view name) {
  std::string yaml = fmt::format("name: {}\njobs:\n  steps:\n    tasks:\n", name);
  for (std::size_t i = 0; i < tasks; ++i) yaml += "      - run: ':'\n";
  return yaml;
}

Counted count_rows(store::Store& store) {
  Counted counted;
  const auto reader = need(store.reader(), "reader");
  std::string cursor;
  do {
    const auto page = need(reader->runs({}, 200, cursor), "runs");
    for (const Run& run : page.items) {
      counted.runs += run.status == RunStatus::success;
      const auto records = need(reader->records(run.id), "records");
      counted.records += records.size();
      for (const RecordRow& row : records)
        for (const Change& change : need(engine::decode(row.body), "record"))
          if (const auto* ended = std::get_if<TryEnded>(&change)) counted.steps += ended->status == TryStatus::success;
    }
    cursor = page.next_cursor;
  } while (!cursor.empty());
  return counted;
}

}  // namespace pawl::bench
