// `pawl run`, and what a person asks of a run of its: an engine in this process.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <span>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/signals.h"
#include "base/thread_annotations.h"
#include "base/utf8.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/render.h"
#include "cli/server.h"

namespace pawl::cli {
namespace {

constexpr auto log_tick = std::chrono::milliseconds(100);  // how late output of a task may be shown

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
std::atomic<int> terminations = 0;  // SIGTERM, SIGQUIT, SIGHUP
std::atomic<int> stray = 0;         // a signal without a meaning for us; 0: none
static_assert(std::atomic<int>::is_always_lock_free);

void on_signal(int number) {
  const int saved = errno;
  switch (number) {
    case SIGINT: ++interrupts; break;
    case SIGTERM:
    case SIGQUIT:
    case SIGHUP: ++terminations; break;
    default: stray = number;
  }
  ring();
  errno = saved;
}

// Catches the signals while it lives, except those that were ignored before: `nohup pawl run` outlives its terminal.
class Signals {
 public:
  Signals() {
    bell();
    interrupts = terminations = stray = 0;
    struct sigaction action{};
    action.sa_flags = SA_RESTART;
    action.sa_handler = &on_signal;
    const auto set = [&](int number) {
      if (is_ignored(number)) return;
      before_.emplace_back(number, decltype(action){});
      ::sigaction(number, &action, &before_.back().second);
    };
    for (const int number : {SIGINT, SIGTERM, SIGQUIT, SIGHUP}) set(number);
    for (const int number : stray_signals()) set(number);
    // Neither a reader that closes our output nor a file that may not grow ends the run.
    action.sa_handler = SIG_IGN;
    for (const int number : {SIGPIPE, SIGXFSZ}) set(number);
    ignore_signals_of_writing();
  }
  ~Signals() {
    for (const auto& [number, action] : before_) ::sigaction(number, &action, nullptr);
  }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

 private:
  std::vector<std::pair<int, struct sigaction>> before_;
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

std::string place_of(const Common& common) { return common.data.empty() ? "" : " --data " + shell_word(common.data); }

std::string how_to_resume(RunId id, const Common& common) { return "pawl resume " + to_string(id) + place_of(common); }

// What may be typed to answer a question, and the event that it makes.
struct Choice {
  std::string_view word;
  Answered answer;
};
std::span<const Choice> choices(const Question& question) {
  static constexpr std::array of_approval{Choice{"y", Answered::approved}, Choice{"n", Answered::rejected}};
  static constexpr std::array of_held{Choice{"done", Answered::done}, Choice{"rerun", Answered::rerun},
                                      Choice{"fail", Answered::fail}};
  return question.approval ? std::span<const Choice>(of_approval) : std::span<const Choice>(of_held);
}

std::string wording(const Question& question) {
  const std::string task = printable(question.job + '/' + question.task);
  if (!question.approval)
    return fmt::format("{} was cut off while it ran: is it done, shall it run again, or fail? [done/rerun/fail]", task);
  return fmt::format("approve {}{}? [y/n]", task, question.text.empty() ? "" : " (" + question.text + ")");
}

// Somebody at a terminal who can be asked.
class Person {
 public:
  Person(const Console& console, const Common& common)
      : there_(console.redraws && !common.json && ::isatty(STDIN_FILENO) == 1) {}
  bool there() const { return there_; }

  // The line that was typed since, if there is one; does not wait.
  std::optional<std::string> line() {
    pollfd descriptor{STDIN_FILENO, POLLIN, 0};
    if (::poll(&descriptor, 1, 0) <= 0) return std::nullopt;
    std::array<char, 1024> bytes{};
    const ssize_t size = ::read(STDIN_FILENO, bytes.data(), bytes.size());
    if (size <= 0) {
      there_ = false;
      return std::nullopt;
    }
    std::string text(bytes.data(), static_cast<std::size_t>(size));
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.pop_back();
    return text;
  }

 private:
  bool there_;
};

// Nothing goes on until somebody answers, and nobody is there: it ends here, and an answer goes on with it.
Outcome<int> leave_to_people(const Common& common, LocalEngine& engine, RunId id, Progress& progress) {
  engine.stop();
  progress.leave();
  std::string text = fmt::format("run {} waits for an answer and goes on with it:", to_string(id));
  for (const Question& question : open_questions(progress.run()))
    text += fmt::format("\n  {}{}", answer_command(question, to_string(id)), place_of(common));
  return give_up(Exit::failed, "waits_for_answer", std::move(text), {{"run", to_string(id)}});
}

// Until the run is over or somebody wants out.
Outcome<int> watch(Console& console, const Common& common, LocalEngine& engine, Commits& commits, RunId id,
                   Progress& progress) {
  bool cancelling = false, first = true;
  Person person(console, common);
  for (;;) {
    if (terminations > 0 || interrupts > 1) {
      engine.stop();
      // It may have come to its end in the meantime.
      if (const auto looked = progress.look(); looked && progress.over()) return progress.finish();
      return give_up(Exit::failed, "stopped",
                     fmt::format("stopped; run {} goes on with: {}", to_string(id), how_to_resume(id, common)),
                     {{"run", to_string(id)}});
    }
    if (const int number = stray.exchange(0); number != 0)
      progress.say(
          number == SIGXCPU
              ? "SIGXCPU: the soft limit of processor time is reached, and the system kills at the hard one (ulimit -t)"
              : fmt::format("{} has no meaning here and is ignored", signal_name(number)));
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
    const auto questions = open_questions(progress.run());
    progress.ask(questions.empty() || !person.there() ? "" : wording(questions.front()));
    if (!person.there() && waits_for_people_alone(progress.run())) return leave_to_people(common, engine, id, progress);
    if (!questions.empty() && person.there()) {
      if (const auto typed = person.line()) {
        progress.answered();
        const auto known = choices(questions.front());
        const auto choice = std::ranges::find(known, std::string_view(*typed), &Choice::word);
        if (choice != known.end()) {
          const Question& question = questions.front();
          const auto answered = ask(
              engine,
              AnswerRequested{id, question.job, question.task, {choice->answer, asker(Trigger::manual), ""}, nullptr});
          progress.say(answered ? "" : printable(answered.error().message));
        }
      }
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
  return watch(console, common, **engine, commits, accepted.run, progress);
}

namespace {

// Nothing to ask of a run that was cut off: it goes on by itself.
Outcome<std::optional<Event>> event_of(const ActOptions& options, const Run& run) {
  using Kind = ActOptions::Kind;
  const Who who = asker(Trigger::manual);
  switch (options.kind) {
    case Kind::cancel: return CancelRequested{run.id, who};
    case Kind::resume:
      if (!is_final(run.status) && !options.with_current) return std::nullopt;
      return ResumeRequested{run.id, options.with_current, options.force, nullptr, who};
    case Kind::rerun: return RerunRequested{run.id, options.from, who};
    case Kind::approve:
    case Kind::reject:
    case Kind::release: break;
  }
  const auto task = split_task(options.task);
  if (!task) return give_up(Exit::wrong_usage, "usage", fmt::format("'{}' is no task", options.task));
  AnswerRequested event{run.id, task->first, task->second, {Answered::approved, who, options.comment}, nullptr};
  if (options.kind == Kind::reject) event.response.answer = Answered::rejected;
  if (options.kind == Kind::release) {
    event.response.answer = from_string<Answered>(options.answer).value_or(Answered::fail);
    auto outputs = read_outputs(options.outputs);
    if (!outputs) return std::unexpected(outputs.error());
    if (!options.outputs.empty()) event.outputs = std::move(*outputs);
  }
  return event;
}

}  // namespace

Outcome<std::optional<int>> act_here(Console& console, const Common& common, const ActOptions& options,
                                     const Hooks& hooks) {
  const auto name = parse_run(options.run);
  if (!name) return std::unexpected(name.error());
  const std::string folder = local_folder(common);
  std::error_code ignored;
  // The same name and number may be here and there: whoever has said which server means that one. An id is of one run.
  const bool told_server = name->id.empty() && common.data.empty() &&
                           (!environment("PAWL_SERVER").empty() || !environment("PAWL_DATA").empty());
  const bool local = common.server.empty() && !told_server &&
                     std::filesystem::exists(std::filesystem::path(folder) / store_file, ignored) &&
                     !is_server_folder(folder);
  if (!local) return std::nullopt;

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
  if (!engine && engine.error().name == "not_local") return std::nullopt;
  if (!engine) return std::unexpected(to_trouble(engine.error()));

  // Of a run that was cut off the attempt that ends now is told too: it says where it was.
  const std::int64_t first_attempt = is_final(found->status) ? found->attempt + 1 : found->attempt;
  const auto log_end = (*engine)->logs().read(found->id, 0, [](store::LogFrame&&) { return true; });
  auto event = event_of(options, *found);
  if (!event) return std::unexpected(event.error());
  if (*event)
    if (const auto answered = ask(**engine, std::move(**event)); !answered)
      return std::unexpected(to_trouble(answered.error()));
  Progress progress(console, **engine, found->id, choose(console, common, options.plain), first_attempt,
                    log_end.value_or(0));
  progress.say(fmt::format("{} #{} goes on, run {}", printable(found->workflow), found->number, to_string(found->id)));
  return watch(console, common, **engine, commits, found->id, progress);
}

}  // namespace pawl::cli
