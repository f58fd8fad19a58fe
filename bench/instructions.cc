// pawl_instructions: two small workloads that take the same steps every time, for counting instructions
// (bench/instructions.py). One thread plays the driver's turns by hand; clock and random numbers are made up, so that
// what is left to vary is the code. The store is the real one.
#include <fmt/format.h>

#include <deque>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/random.h"
#include "bench/measure.h"
#include "definition/definition.h"
#include "driver/core.h"
#include "driver/histories.h"
#include "store/sqlite/sqlite_store.h"

namespace {

using namespace pawl;
using bench::must;
using bench::need;

class FixedRng final : public driver::Rng {
 public:
  std::uint64_t next() override { return random_.next(); }

 private:
  SplitMix random_{1};
};

// Does all work at once; the results wait for whoever plays the turns.
class InstantRunner final : public runner::Runner {
 public:
  explicit InstantRunner(std::function<Outcome(const StartTask&)> work) : work_(std::move(work)) {}
  void start(StartTask command) override {
    done_.push_back({command.run, command.ref, command.try_number, work_(command)});
  }
  void stop(StopTask) override { must(false, "nothing is to be stopped"); }
  std::deque<TaskFinished> take() { return std::exchange(done_, {}); }

 private:
  std::function<Outcome(const StartTask&)> work_;
  std::deque<TaskFinished> done_;
};

// A server without threads.
class Server {
 public:
  explicit Server(std::function<Outcome(const StartTask&)> work)
      : store_(need(store::open_sqlite({.path = folder_ / "pawl.db"}), "store")),
        reader_(need(store_->reader(), "reader")),
        runner_(std::move(work)),
        core_({.process_seats = 1'000}, *reader_, plans_, runner_, rng_, nullptr) {
    need(core_.start(), "start");
  }

  void submit(const Workflow& workflow, std::string text) {
    core_.push(WorkflowSubmitted{std::make_shared<const Workflow>(workflow), std::move(text),
                                 WorkflowSubmitted::Mode::create, Who{.at = now_}},
               [](Result<Answer> answer) { need(std::move(answer), "workflow"); });
  }
  void request(const std::string& workflow) {
    core_.push(RunRequested{workflow, json::object{}, {}, Who{.at = now_}}, [this](Result<Answer> answer) {
      runs_.push_back(std::get<RunAccepted>(need(std::move(answer), "start of a run")).run);
    });
  }

  // Turn by turn until nothing happens any more.
  void play() {
    for (;;) {
      for (TaskFinished& result : runner_.take()) {
        ++tasks_;
        core_.push(std::move(result));
      }
      if (!core_.has_work(now_)) return;
      driver::Batch batch;
      core_.decide(batch, now_, 64);
      if (!batch.changes.empty()) need(store_->commit(batch.changes), "commit");
      core_.committed(std::move(batch));
      now_ += std::chrono::milliseconds(1);
    }
  }

  // Every run, as a person would look at it.
  void read_histories() {
    const auto histories = driver::make_histories(*store_, plans_);
    for (const RunId id : runs_) {
      const RunHistory history = need(histories->history(id), "history");
      must(history.attempts.size() == 1, "a run had more than one attempt");
    }
  }

  // Prints what was done, as the store has it. The exit code: 0 if it is as much as it should be.
  int account(std::size_t runs, std::size_t tasks, std::size_t records) {
    std::size_t stored = 0;
    for (const RunId id : runs_) {
      const auto run = need(reader_->run(id), "run");
      must(run && run->status == RunStatus::success, "a run did not succeed");
      stored += need(reader_->records(id), "records").size();
    }
    fmt::print("tasks {}, records {}\n", tasks_, stored);
    if (runs_.size() == runs && tasks_ == tasks && stored == records) return 0;
    fmt::print(stderr, "pawl_instructions: {} runs, {} tasks and {} records were expected\n", runs, tasks, records);
    return 1;
  }

 private:
  bench::Folder folder_;
  Instant now_{std::chrono::sys_days(std::chrono::year(2026) / 11 / 23)};
  FixedRng rng_;
  driver::PlanCache plans_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<store::Reader> reader_;
  InstantRunner runner_;
  driver::Core core_;
  std::vector<RunId> runs_;
  std::size_t tasks_ = 0;
};

Workflow parse(const std::string& text) {
  auto parsed = definition::parse(text);
  must(parsed.has_value(), parsed ? "" : parsed.error().front().message);
  return std::move(parsed->workflow);
}

// 400 runs of ten trivial tasks: what a step costs from result to commit.
int chain() {
  constexpr std::size_t runs = 400, tasks = 10;
  std::string text = "name: chain\njobs:\n  steps:\n    tasks:\n";
  for (std::size_t i = 0; i < tasks; ++i) text += "      - run: ':'\n";
  Server server([](const StartTask&) {
    Outcome outcome;
    outcome.process = ProcessExit{.outputs = json::object{{"result", json::string(80, 'x')}}};
    return outcome;
  });
  server.submit(parse(text), text);
  for (std::size_t i = 0; i < runs; ++i) server.request("chain");
  server.play();
  return server.account(runs, runs * tasks, runs * (tasks + 1));
}

// What the worker of examples/product-blog answers, by path.
std::map<std::string, std::string, std::less<>> answers() {
  std::string products, matched, crawled;
  for (int i = 1; i <= 8; ++i)
    products += fmt::format(R"({}{{"id":{},"title":"보온 텀블러 {}호","price":{},"url":"{}"}})", i == 1 ? "" : ",", i,
                            i, 10'000 + 1'234 * i, i % 4 == 0 ? "" : fmt::format("https://shop.example/items/{}", i));
  for (int i = 1; i <= 5; ++i)
    matched += fmt::format(R"({}{{"id":{},"title":"보온 텀블러 {}호","price":{},"url":"{}","similarity":0.9{}}})",
                           i == 1 ? "" : ",", i, i, 10'000 + 1'234 * i,
                           i % 4 == 0 ? "" : fmt::format("https://shop.example/items/{}", i), 6 - i);
  for (int i = 1; i <= 4; ++i)
    crawled +=
        fmt::format(R"({}{{"url":"https://shop.example/items/{}","title":"상품 {}","images":["{}.jpg","{}b.jpg"]}})",
                    i == 1 ? "" : ",", i, i, i, i);
  const auto answer = [](std::string_view data) { return fmt::format(R"({{"success":true,"data":{{{}}}}})", data); };
  const std::string_view info =
      R"({"keyword":"보온 텀블러","text":"보온 텀블러: 가볍고 오래 갑니다.","language":"ko"})";
  return {
      {"/keywords/search", answer(R"("keyword":"보온 텀블러")")},
      {"/products/search", answer(fmt::format(R"("search_results":[{}])", products))},
      {"/products/match", answer(fmt::format(R"("matched_products":[{}])", products))},
      {"/products/similarity", answer(fmt::format(R"("top_products":[{}])", matched))},
      {"/products/crawl", answer(fmt::format(R"("crawled_products":[{}])", crawled))},
      {"/images/upload", answer(R"("uploaded_count":11,"folder":"product-images/3114")")},
      {"/products/select", answer(R"("selected_product":{"id":7,"criteria":"image_count_priority"})")},
      {"/images/ocr", answer(fmt::format(R"("product_info":{})", info))},
      {"/blogs/write", answer(R"("post_title":"보온 텀블러 추천","post_content":"<p>가볍고 오래 갑니다.</p>",)"
                              R"("post_tags":["보온 텀블러","추천","후기"])")},
      {"/blogs/publish", answer(R"("post_url":"https://blog.example/naver/3777")")},
  };
}

// The product-blog example, read 30 times and run 40 times, and its histories read back: definition, expressions,
// outputs that go from task to task, and the fold.
int language(const char* path) {
  constexpr std::size_t readings = 30, runs = 40, tasks = 10;
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  must(!text.empty(), fmt::format("{} cannot be read", path));
  const auto bodies = answers();
  Server server([&bodies](const StartTask& command) {
    const auto& input = std::get<HttpInput>(command.input);
    const auto body = bodies.find(std::string_view(input.url).substr(std::string_view("http://127.0.0.1:8000").size()));
    must(body != bodies.end(), "no answer for " + input.url);
    Outcome outcome;
    outcome.reply = HttpReply{.status = 200, .text = body->second};
    if (input.want_json) outcome.reply->json = need(parse_json(body->second), "answer");
    return outcome;
  });
  for (std::size_t i = 1; i < readings; ++i) parse(text);
  server.submit(parse(text), text);
  for (std::size_t i = 0; i < runs; ++i) server.request("product-blog");
  server.play();
  server.read_histories();
  return server.account(runs, runs * tasks, runs * (tasks + 1));
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view workload = argc > 1 ? argv[1] : "";
  if (workload == "chain" && argc == 2) return chain();
  if (workload == "language" && argc == 3) return language(argv[2]);
  fmt::print(stderr, "usage: pawl_instructions chain\n       pawl_instructions language DEFINITION\n");
  return 2;
}
