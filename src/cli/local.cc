// `pawl run`, and `pawl resume` of a run of its: an engine in this process.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <filesystem>

#include "api/run_json.h"
#include "base/log.h"
#include "base/thread_annotations.h"
#include "base/utf8.h"
#include "cli/commands.h"
#include "cli/render.h"
#include "cli/server.h"
#include "cli/steps.h"

namespace pawl::cli {
namespace {

using Time = std::chrono::steady_clock;
constexpr auto log_tick = std::chrono::milliseconds(100);  // how late output of a task may be shown
constexpr auto draw_pause = std::chrono::milliseconds(100);

// --- what wakes the loop: commits, answers, signals ----------------------------------------------------------------

// One of the process, made with the first engine and never closed: a signal may come at any time.
int bell() {
  static const int descriptor = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  return descriptor;
}

void ring() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(bell(), &one, sizeof one);
}

std::atomic<int> interrupts = 0;    // Ctrl-C so far
std::atomic<int> terminations = 0;  // SIGTERM, SIGHUP
static_assert(std::atomic<int>::is_always_lock_free);

void on_signal(int number) {
  const int saved = errno;
  ++(number == SIGINT ? interrupts : terminations);
  ring();
  errno = saved;
}

class Signals {
 public:
  Signals() {
    bell();
    interrupts = terminations = 0;
    struct sigaction action{};
    action.sa_flags = SA_RESTART;
    action.sa_handler = &on_signal;
    for (std::size_t i = 0; i < caught.size(); ++i) ::sigaction(caught[i], &action, &before_[i]);
    // A reader of our output that has gone away does not end the run.
    action.sa_handler = SIG_IGN;
    ::sigaction(SIGPIPE, &action, &pipe_before_);
  }
  ~Signals() {
    for (std::size_t i = 0; i < caught.size(); ++i) ::sigaction(caught[i], &before_[i], nullptr);
    ::sigaction(SIGPIPE, &pipe_before_, nullptr);
  }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

 private:
  static constexpr std::array caught{SIGINT, SIGTERM, SIGHUP};
  std::array<struct sigaction, caught.size()> before_{};
  struct sigaction pipe_before_{};
};

class Commits final : public driver::Observer {
 public:
  void committed(const Changeset&, const Record&) override {
    news_ = true;
    ring();
  }
  bool take() { return news_.exchange(false); }

 private:
  std::atomic<bool> news_ = true;
};

// Until something rings, or for `longest`.
void sleep_until_news(std::chrono::milliseconds longest) {
  pollfd descriptor{bell(), POLLIN, 0};
  ::poll(&descriptor, 1, static_cast<int>(longest.count()));
  std::uint64_t count = 0;
  [[maybe_unused]] const auto got = ::read(bell(), &count, sizeof count);
}

// --- showing it -----------------------------------------------------------------------------------------------------

// Draws lines over the ones it drew before.
class Screen {
 public:
  explicit Screen(Console& console) : console_(console) {}
  void draw(const std::vector<std::string>& lines) {
    std::string frame = drawn_ > 0 ? fmt::format("\x1b[{}F\x1b[J", drawn_) : "";
    for (const std::string& line : lines) frame += line + '\n';
    drawn_ = lines.size();
    console_.print(frame);
    std::fflush(console_.out);
  }

 private:
  Console& console_;
  std::size_t drawn_ = 0;
};

enum class Show { nothing, lines, tree };

class Progress {
 public:
  Progress(Console& console, LocalEngine& engine, RunId id, Show show, std::int64_t first_attempt,
           std::uint64_t log_offset)
      : console_(console),
        engine_(engine),
        id_(id),
        show_(show),
        screen_(console),
        steps_(first_attempt),
        log_lines_(console),
        offset_(log_offset) {}

  // Reads the run anew. Error: corrupt.
  Result<void> look() {
    const auto began = Time::now();
    const auto history = engine_.histories().history(id_);
    if (!history) return std::unexpected(history.error());
    run_ = api::run_to_json(*history);
    if (show_ == Show::lines) {
      print_logs();
      if (over())
        for (const std::string& line : log_lines_.rest()) console_.line(line);
      for (const std::string& line : steps_.update(run_)) console_.line(line);
    }
    // A long run costs more to read: it is read less often.
    next_look_ = Time::now() + std::max<Time::duration>((Time::now() - began) * 4, std::chrono::milliseconds(20));
    return {};
  }
  bool may_look() const { return Time::now() >= next_look_; }
  bool over() const { return is_over(find_string(run_, "status")); }
  const Json& run() const { return run_; }

  // What changes without a commit: output, and the time that goes by.
  void tick() {
    if (show_ == Show::lines) print_logs();
    if (show_ == Show::tree && Time::now() >= next_draw_) {
      draw(false);
      next_draw_ = Time::now() + draw_pause;
    }
  }

  void say(const std::string& text) {
    if (show_ == Show::lines) console_.line(local_clock(wall_clock()) + ' ' + text);
    note_ = text;
  }

  int finish() {
    if (show_ == Show::nothing) {
      console_.line(to_text(run_));
    } else {
      if (show_ == Show::tree) draw(true);
      console_.line(result_line(console_, run_));
      if (const Json* error = find(run_, "error"))
        for (const std::string& line : error_lines(*error, show_ == Show::tree)) console_.line("  " + line);
      console_.line("  run " + to_string(id_));
    }
    return find_string(run_, "status") == "success" ? Exit::fine : Exit::failed;
  }

 private:
  void print_logs() {
    const auto next = engine_.logs().read(id_, offset_, [&](store::LogFrame&& frame) {
      const std::string_view stream = frame.stream == store::LogStream::out   ? "out"
                                      : frame.stream == store::LogStream::err ? "err"
                                                                              : "note";
      for (const std::string& line :
           log_lines_.add(frame.job, frame.task, fmt::format("{}/{}", stream, frame.try_number), frame.bytes))
        console_.line(line);
      return true;
    });
    // A log that cannot be read does not stop the run; `pawl logs` would say why.
    if (next) offset_ = *next;
  }

  void draw(bool whole) {
    const int width = console_.columns() - 1;
    std::vector<std::string> lines{result_line(console_, run_, width)};
    if (const Json* attempt = newest_attempt(run_)) {
      if (const auto number = find_int(*attempt, "attempt").value_or(1); number > 1)
        lines.push_back(fmt::format("  attempt {}: {}", number, words(*attempt, "trigger")));
      auto tree = attempt_tree(console_, *attempt, wall_clock(), width, false);
      const std::size_t room = static_cast<std::size_t>(std::max(3, console_.rows() - 5));
      if (!whole && tree.size() > room) tree = attempt_tree(console_, *attempt, wall_clock(), width, true);
      if (!whole && tree.size() > room) {
        const std::size_t hidden = tree.size() - room + 1;
        tree.resize(room - 1);
        tree.push_back(fmt::format("  and {} more", hidden));
      }
      lines.insert(lines.end(), tree.begin(), tree.end());
    }
    if (!note_.empty() && !whole) lines.push_back(fit(console_, note_, width));
    // The result line stands below the tree in the end.
    if (whole) lines.erase(lines.begin());
    screen_.draw(lines);
  }

  Console& console_;
  LocalEngine& engine_;
  const RunId id_;
  const Show show_;
  Screen screen_;
  Steps steps_;
  LogLines log_lines_;
  std::uint64_t offset_;
  Json run_;
  std::string note_;
  Time::time_point next_look_{}, next_draw_{};
};

// --- the engine -----------------------------------------------------------------------------------------------------

Who asker(Trigger trigger) {
  return {trigger, to_utf8_lossy(environment("USER")), "local", "pawl-cli/" PAWL_VERSION, {}};
}

// The answer to an event. A signal to end gives up waiting for it: `interrupted`.
Result<Answer> ask(LocalEngine& engine, Event event) {
  struct Letter {
    Mutex mutex;
    std::optional<Result<Answer>> answer GUARDED_BY(mutex);
  };
  const auto letter = std::make_shared<Letter>();
  const auto posted = engine.inbox().post(std::move(event), [letter](Result<Answer> answer) {
    {
      const MutexLock lock(letter->mutex);
      letter->answer = std::move(answer);
    }
    ring();
  });
  if (!posted) return std::unexpected(posted.error());
  for (;;) {
    {
      const MutexLock lock(letter->mutex);
      if (letter->answer) return *letter->answer;
    }
    if (terminations > 0 || interrupts > 1) return fail(Code::unavailable, "interrupted", "interrupted");
    sleep_until_news(std::chrono::milliseconds(1'000));
  }
}

std::string how_to_resume(RunId id, const Common& common) {
  return "pawl resume " + to_string(id) + (common.data.empty() ? "" : " --data " + shell_word(common.data));
}

// Until the run is over or somebody wants out.
Outcome<int> watch(const Common& common, LocalEngine& engine, Commits& commits, RunId id, Progress& progress) {
  bool cancelling = false, first = true;
  for (;;) {
    if (terminations > 0 || interrupts > 1) {
      engine.stop();
      // It may have come to its end in the meantime.
      if (const auto looked = progress.look(); looked && progress.over()) return progress.finish();
      return give_up(Exit::failed, "stopped",
                     fmt::format("stopped; run {} goes on with: {}", to_string(id), how_to_resume(id, common)),
                     {{"run", to_string(id)}});
    }
    if (interrupts > 0 && !cancelling) {
      cancelling = true;
      progress.say("cancelling the run; Ctrl-C again stops at once");
      const auto cancelled = ask(engine, CancelRequested{id, asker(Trigger::manual)});
      if (!cancelled && cancelled.error().name != "run_final" && cancelled.error().name != "interrupted")
        progress.say("it cannot be cancelled: " + printable(cancelled.error().message));
    }
    const bool may_look = first || progress.may_look();
    if (may_look && commits.take()) {
      first = false;
      if (const auto looked = progress.look(); !looked) {
        engine.stop();
        return std::unexpected(to_trouble(looked.error()));
      }
      if (progress.over()) return progress.finish();
    }
    progress.tick();
    sleep_until_news(may_look ? log_tick : std::chrono::milliseconds(20));
  }
}

Show choose(const Console& console, const Common& common, bool plain) {
  if (common.json) return Show::nothing;
  return console.redraws && !plain ? Show::tree : Show::lines;
}

std::string local_folder(const Common& common) { return common.data.empty() ? ".pawl" : common.data; }

bool is_server_folder(const std::string& folder) {
  std::error_code ignored;
  return std::filesystem::exists(std::filesystem::path(folder) / token_file, ignored);
}

}  // namespace

Outcome<int> run_file(Console& console, const Common& common, const RunOptions& options, const Hooks& hooks) {
  Definition definition = read_definition(options.file);
  if (!definition.parsed) {
    if (common.json) {
      json::array errors;
      for (const auto& problem : definition.parsed.error())
        errors.push_back(json::object{{"line", problem.line},
                                      {"column", problem.column},
                                      {"message", to_utf8_lossy(problem.message)},
                                      {"hint", to_utf8_lossy(problem.hint)}});
      return give_up(Exit::failed, "definition_invalid", "the definition is invalid", {{"errors", std::move(errors)}});
    }
    console.complain(problems_text(definition));
    return Exit::failed;
  }
  auto inputs = read_inputs(definition.parsed->workflow, options.inputs);
  if (!inputs) return std::unexpected(inputs.error());
  const std::string folder = local_folder(common);
  if (is_server_folder(folder))
    return give_up(Exit::refused, "server_folder",
                   fmt::format("{} is the data folder of a server; `pawl run` wants one of its own", folder));
  log::configure(log::Level::warning, log::Format::text);
  const Signals signals;
  Commits commits;
  const auto nobody = [](store::Reader&) -> Result<std::optional<RunId>> { return std::nullopt; };
  const auto engine = hooks.local(folder, &commits, nobody, options.rules);
  if (!engine) return std::unexpected(to_trouble(engine.error()));

  const std::string workflow = definition.parsed->workflow.name;
  const auto submitted =
      ask(**engine, WorkflowSubmitted{std::make_shared<const Workflow>(std::move(definition.parsed->workflow)),
                                      std::move(definition.text), WorkflowSubmitted::Mode::create_or_replace,
                                      asker(Trigger::manual)});
  if (!submitted) return std::unexpected(to_trouble(submitted.error()));
  const auto started = ask(**engine, RunRequested{workflow, std::move(*inputs), "", asker(Trigger::manual)});
  if (!started) return std::unexpected(to_trouble(started.error()));
  const auto& accepted = std::get<RunAccepted>(*started);
  Progress progress(console, **engine, accepted.run, choose(console, common, options.plain), 1, 0);
  progress.say(fmt::format("{} #{} started, run {}", printable(workflow), accepted.number, to_string(accepted.run)));
  return watch(common, **engine, commits, accepted.run, progress);
}

Outcome<int> resume(Console& console, const Common& common, const ResumeOptions& options, const Hooks& hooks) {
  const auto name = parse_run(options.run);
  if (!name) return std::unexpected(name.error());
  const std::string folder = local_folder(common);
  std::error_code ignored;
  const bool local = common.server.empty() &&
                     std::filesystem::exists(std::filesystem::path(folder) / store_file, ignored) &&
                     !is_server_folder(folder);
  const auto elsewhere = [&]() -> Outcome<int> {
    if (!options.rules.egress.allow.empty() || !options.rules.egress.deny.empty() ||
        options.rules.limits != TaskLimits{})
      return give_up(Exit::wrong_usage, "usage",
                     "--egress-… and --task-… are for runs of `pawl run`; a server is told when it is started");
    return resume_on_server(console, common, options.run);
  };
  if (!local) return elsewhere();

  log::configure(log::Level::warning, log::Format::text);
  const Signals signals;
  Commits commits;
  std::optional<Run> found;
  const auto take_up = [&](store::Reader& reader) -> Result<std::optional<RunId>> {
    const auto uuid = parse_uuid(name->id);
    auto run = uuid ? reader.run(RunId{*uuid}) : reader.run_by_number(name->workflow, name->number);
    if (!run) return std::unexpected(run.error());
    if (!*run)
      return fail(Code::not_found, fmt::format("there is no run '{}' in {}", options.run, folder), "not_local");
    found = std::move(**run);
    return found->id;
  };
  const auto engine = hooks.local(folder, &commits, take_up, options.rules);
  if (!engine && engine.error().name == "not_local") return elsewhere();
  if (!engine) return std::unexpected(to_trouble(engine.error()));

  // Of a run that was cut off the attempt that ends now is told too: it says where it was.
  const std::int64_t first_attempt = is_final(found->status) ? found->attempt + 1 : found->attempt;
  const auto log_end = (*engine)->logs().read(found->id, 0, [](store::LogFrame&&) { return true; });
  if (is_final(found->status))
    if (const auto resumed = ask(**engine, ResumeRequested{found->id, false, false, nullptr, asker(Trigger::resume)});
        !resumed)
      return std::unexpected(to_trouble(resumed.error()));
  Progress progress(console, **engine, found->id, choose(console, common, options.plain), first_attempt,
                    log_end.value_or(0));
  progress.say(fmt::format("{} #{} goes on, run {}", printable(found->workflow), found->number, to_string(found->id)));
  return watch(common, **engine, commits, found->id, progress);
}

}  // namespace pawl::cli
