// The command line itself: what may be written, and which command it means. The one unit that includes CLI11, which
// takes seconds to compile.
#include "cli/cli.h"

#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>

#include "base/system_error.h"
#include "base/utf8.h"
#include "cli/commands.h"
#include "cli/text.h"
#include "expression/expression.h"
#include "model/status.h"

namespace pawl::cli {
namespace {

using Commands = std::vector<std::pair<CLI::App*, std::function<Outcome<int>()>>>;

std::string check_duration(const std::string& text) {
  const auto duration = parse_duration(text);
  return duration ? "" : duration.error().message;
}

std::string check_status(const std::string& text) {
  return from_string<RunStatus>(text) ? "" : "is none of queued, running, waiting, success, failed, cancelled";
}

std::string check_trigger(const std::string& text) {
  return from_string<Trigger>(text)
             ? ""
             : "is none of manual, api, schedule, webhook, workflow, late, recovery, resume, rerun";
}

std::string check_listen(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  const std::string port = colon == std::string::npos ? "" : text.substr(colon + 1);
  const bool digits = !port.empty() && port.size() <= 5 && port.find_first_not_of("0123456789") == std::string::npos;
  return digits && colon > 0 && std::stoi(port) <= 65'535 ? "" : "must be HOST:PORT, such as 127.0.0.1:7295";
}

bool has_commands(const CLI::App& app) {
  return !app.get_subcommands([](const CLI::App*) { return true; }).empty();
}

// The word that stands where a command should, and the command that may be meant.
std::string unknown_word(const CLI::App& app, const std::string& word) {
  std::vector<std::string> known;
  const bool option = word.starts_with('-');
  const CLI::App* at = &app;
  std::string group;  // `schedule `, in front of its own commands
  for (auto chosen = at->get_subcommands(); !chosen.empty(); chosen = at->get_subcommands()) {
    at = chosen.back();
    group = has_commands(*at) ? at->get_name() + ' ' : "";
  }
  if (option)
    for (const CLI::Option* one : at->get_options())
      for (const std::string& name : one->get_lnames()) known.push_back("--" + name);
  else
    for (const CLI::App* command : at->get_subcommands([](const CLI::App*) { return true; }))
      known.push_back(command->get_name());
  const std::string name = option ? word.substr(0, word.find('=')) : word;
  std::string text = fmt::format("{} '{}'",
                                 option              ? "unknown option"
                                 : has_commands(*at) ? "unknown command"
                                                     : "one argument too many:",
                                 option ? name : group + name);
  if (const std::string near = name.size() > 100 ? "" : expression::nearest(name, known); !near.empty())
    text += fmt::format("; did you mean '{}'?", option ? near : group + near);
  return text;
}

class CommandLine {
 public:
  CommandLine(Console& console, const Hooks& hooks) : console_(console), hooks_(hooks) {
    app_.name("pawl");
    app_.description("Runs workflows and never slips back.");
    app_.footer(
        "RUN is the id of a run, or NAME#42. Exit codes: 0 fine, 1 the run failed or the thing is invalid, 2 wrong\n"
        "usage, 3 server unreachable, 4 refused.");
    app_.set_version_flag("--version", std::string("pawl " PAWL_VERSION));
    app_.set_help_flag("-h,--help", "Show this");
    app_.require_subcommand(1);
    add_common(&app_);
    add_local();
    add_workflows();
    add_runs();
    add_schedules();
  }

  int run(const std::vector<std::string>& arguments) {
    try {
      // CLI11 takes them from the back.
      app_.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
    } catch (const CLI::CallForHelp&) {
      console_.print(app_.help());
      return Exit::fine;
    } catch (const CLI::CallForVersion&) {
      console_.line("pawl " PAWL_VERSION);
      return Exit::fine;
    } catch (const CLI::ParseError& error) {
      return wrong(error, arguments);
    }
    for (const auto& [command, act] : commands_) {
      if (!command->parsed()) continue;
      const auto done = act();
      if (done) return *done;
      tell(console_, done.error(), common_.json);
      return done.error().exit;
    }
    return Exit::wrong_usage;
  }

 private:
  int wrong(const CLI::ParseError& error, const std::vector<std::string>& arguments) {
    const auto rest = app_.remaining(true);
    std::string message;
    if (arguments.empty())
      message = "a command is missing; see pawl --help";
    else if (!rest.empty())
      message = unknown_word(app_, rest.front());
    else if (schedules_->parsed() && schedules_->get_subcommands().empty())
      message = "a command is missing; see pawl schedule --help";
    else
      message = error.what();
    const bool as_json = std::ranges::find(arguments, "--json") != arguments.end();
    tell(console_, {Exit::wrong_usage, "usage", message, {}}, as_json);
    return Exit::wrong_usage;
  }

  void add_common(CLI::App* command) {
    command->add_option("--server", common_.server, "Address of the server (PAWL_SERVER, http://127.0.0.1:7295)")
        ->type_name("URL");
    command->add_option("--data", common_.data, "Data folder (PAWL_DATA, ~/.local/share/pawl)")->type_name("DIR");
    command->add_flag("--json", common_.json, "Answer with JSON, an error too");
  }

  CLI::App* add(const char* name, const char* description, std::function<Outcome<int>()> act) {
    return add_to(&app_, name, description, std::move(act));
  }
  CLI::App* add_to(CLI::App* group, const char* name, const char* description, std::function<Outcome<int>()> act) {
    CLI::App* const command = group->add_subcommand(name, description);
    add_common(command);
    commands_.emplace_back(command, std::move(act));
    return command;
  }

  static CLI::Option* repeated(CLI::Option* option) { return option->type_size(1)->allow_extra_args(false); }

  static void add_egress(CLI::App* command, Egress& egress) {
    repeated(
        command->add_option("--egress-allow", egress.allow,
                            "Addresses that http tasks may call: loopback, private, link-local, public, any, self, "
                            "or a network; may be given again"))
        ->type_name("NAME|CIDR");
    repeated(command->add_option("--egress-deny", egress.deny, "Addresses that they may not call; beats an allow"))
        ->type_name("NAME|CIDR");
  }

  static void add_limits(CLI::App* command, TaskLimits& limits) {
    command->add_option("--task-processes", limits.processes, "Processes and threads of a task at once; 0: any number")
        ->capture_default_str()
        ->check(CLI::NonNegativeNumber);
    add_size(command, "--task-memory", limits.memory_bytes, "Memory of a task, such as 2G; 0: any");
    command->add_option("--task-open-files", limits.open_files, "Open files of a process of a task (1024, or more)")
        ->check(CLI::NonNegativeNumber);
    add_size(command, "--task-file-size", limits.file_bytes, "Longest file that a task may write; 0: any");
  }

  static void add_at_once(CLI::App* command, AtOnce& at_once) {
    const auto add = [command](const char* name, std::optional<std::int64_t>& value, const char* description) {
      command
          ->add_option_function<std::int64_t>(
              name, [&value](const std::int64_t& most) { value = most; }, description)
          ->type_name("N")
          ->check(CLI::Range(std::int64_t{0}, AtOnce::most_asked));
    };
    add("--max-processes", at_once.processes, "`run` tasks at once (64); 0: as many as the file descriptors allow");
    add("--max-http-calls", at_once.calls, "`http` tasks at once (4096); 0: as many as the file descriptors allow");
  }

  // CLI11 would take a number with any unit, a negative one as well.
  static void add_size(CLI::App* command, const char* name, std::int64_t& bytes, const char* description) {
    command
        ->add_option_function<std::string>(
            name, [&bytes](const std::string& text) { bytes = parse_size(text).value_or(0); }, description)
        ->type_name("SIZE")
        ->check([](const std::string& text) { return parse_size(text) ? "" : "must be a size, such as 512M or 2G"; });
  }

  void add_local() {
    CLI::App* const run = add("run", "Run a workflow in this process, without a server",
                              [this] { return run_file(console_, common_, run_, hooks_); });
    run->add_option("FILE", run_.file, "The definition; - is standard input")->required();
    repeated(run->add_option("-i,--input", run_.inputs, "An input, name=value; may be given again"))->type_name("K=V");
    run->add_flag("--plain", run_.plain, "Lines in place of a live tree");
    add_egress(run, run_.rules.egress);
    add_limits(run, run_.rules.limits);
    add_at_once(run, run_.rules.at_once);

    CLI::App* const serve = add("serve", "Run the server", [this] { return this->serve(); });
    serve->add_option("--listen", serve_.listen, "Address to listen on")
        ->type_name("HOST:PORT")
        ->capture_default_str()
        ->check(check_listen);
    repeated(serve->add_option("--pass-env", serve_.pass_env, "Variables that `env` may see beside PAWL_VAR_*"))
        ->delimiter(',')
        ->type_name("NAME,…");
    serve->add_option("--workflows", serve_.workflows, "Folder of definitions, watched: each file is a workflow")
        ->type_name("DIR");
    serve->add_option("--workspace", serve_.workspace, "Folder of the runs' files (in the data folder)")
        ->type_name("DIR");
    serve->add_option("--stop-timeout", stop_timeout_, "How long running tasks may finish after a stop")
        ->type_name("DURATION")
        ->capture_default_str()
        ->check(check_duration);
    serve->add_option("--log-format", log_format_, "text or json")
        ->capture_default_str()
        ->check(CLI::IsMember({"text", "json"}));
    add_egress(serve, serve_.rules.egress);
    add_limits(serve, serve_.rules.limits);
    add_at_once(serve, serve_.rules.at_once);
    serve->add_option("--run-as", serve_.run_as, "User that tasks run as; the server must be started by root")
        ->type_name("USER");
    serve
        ->add_option("--fence", serve_.fence, "How tasks are kept out of the data folder: auto, cover, landlock or off")
        ->type_name("HOW")
        ->capture_default_str()
        ->check(CLI::IsMember({"auto", "cover", "landlock", "off"}));

    CLI::App* const validate =
        add("validate", "Check definitions", [this] { return cli::validate(console_, common_, files_); });
    validate->add_option("FILE", files_, "Definitions, or folders with them; - is standard input")
        ->required()
        ->type_name("FILE|DIR");
    add("schema", "Print the JSON Schema of definitions, for editors", [this] { return cli::schema(console_); });

    CLI::App* const cron = add("cron", "Explain a cron expression and print its next fire times",
                               [this] { return cli::cron(console_, common_, cron_); });
    cron->add_option("EXPR", cron_.expression, "The expression, in quotes")->required()->type_name("");
    cron->add_option("--tz", cron_.timezone, "Time zone, such as Asia/Seoul (the machine's)")->type_name("ZONE");
    cron->add_option("--after", cron_.after, "Fire times after T, Unix seconds or RFC 3339 (now)")->type_name("T");
    cron->add_option("-n,--count", cron_.count, "So many fire times")
        ->type_name("N")
        ->capture_default_str()
        ->check(CLI::Range(std::int64_t{1}, std::int64_t{100'000}));
    cron->add_option("--lang", cron_.language, "Language of the explanation: en or ko (by LANG)")
        ->type_name("en|ko")
        ->check(CLI::IsMember({"en", "ko"}));

    CLI::App* const doctor = add("doctor", "Look whether a server could run here",
                                 [this] { return cli::doctor(console_, common_, doctor_, hooks_); });
    doctor->add_option("--listen", doctor_.listen, "Address that it would listen on")
        ->type_name("HOST:PORT")
        ->capture_default_str()
        ->check(check_listen);
    doctor->add_option("--run-as", doctor_.run_as, "User that its tasks would run as")->type_name("USER");
    add_at_once(doctor, doctor_.at_once);
  }

  void add_workflows() {
    CLI::App* const apply =
        add("apply", "Send workflows to the server", [this] { return cli::apply(console_, common_, files_); });
    apply->add_option("FILE", files_, "Definitions, or folders of them")->required()->type_name("FILE|DIR");
    add("list", "List the workflows", [this] { return cli::list(console_, common_); });
    const auto with_name = [this](const char* command, const char* description, std::function<Outcome<int>()> act) {
      add(command, description, std::move(act))->add_option("NAME", name_, "The workflow")->required();
    };
    with_name("enable", "Let a workflow run, and its schedules fire",
              [this] { return cli::switch_workflow(console_, common_, name_, true); });
    with_name("disable", "Start no run of a workflow any more; those that are open go on",
              [this] { return cli::switch_workflow(console_, common_, name_, false); });
    with_name("delete", "Delete a workflow with its schedules; its runs stay",
              [this] { return cli::delete_workflow(console_, common_, name_); });
  }

  void add_runs() {
    CLI::App* const start = add("start", "Start a run", [this] { return cli::start(console_, common_, start_); });
    start->add_option("NAME", start_.workflow, "The workflow")->required();
    CLI::Option* const inputs =
        repeated(start->add_option("-i,--input", start_.inputs, "An input, name=value; may be given again"));
    inputs->type_name("K=V");
    start->add_option("--key", start_.key, "Idempotency key: the same key gives the same run");
    start->add_option("--like", start_.like, "With the inputs of this run")->type_name("RUN")->excludes(inputs);
    start->add_flag("--wait", start_.wait, "Wait for its end; exit code 1 if it fails");
    start->add_flag("--follow", start_.follow, "Show what happens and what tasks print, to its end");

    CLI::App* const runs =
        add("runs", "List runs, newest first", [this] { return cli::runs(console_, common_, runs_); });
    runs->add_option("NAME", runs_.filter.workflow, "Of this workflow alone");
    add_filter_options(runs, runs_.filter);
    runs->add_option("--limit", runs_.limit, "At most so many")
        ->capture_default_str()
        ->check(CLI::Range(std::int64_t{1}, std::int64_t{1'000'000}));

    CLI::App* const show = add("show", "Show a run with its attempts, jobs and tasks",
                               [this] { return cli::show(console_, common_, name_); });
    show->add_option("RUN", name_, "Id, or NAME#42")->required();

    CLI::App* const logs =
        add("logs", "Show what tasks printed", [this] { return cli::logs(console_, common_, logs_); });
    logs->add_option("RUN", logs_.run, "Id, or NAME#42")->required();
    logs->add_option("JOB/TASK", logs_.task, "Of this task alone");
    logs->add_flag("-f,--follow", logs_.follow, "Go on until the run is over");

    add_acts();
  }

  void add_acts() {
    const auto act = [this](ActOptions::Kind kind) {
      return [this, kind] {
        act_.kind = kind;
        return cli::act(console_, common_, act_, hooks_);
      };
    };
    CLI::App* const resume = add("resume", "Go on with failed or cancelled runs, or one of `pawl run` that was killed",
                                 act(ActOptions::Kind::resume));
    add_filter(resume);
    CLI::Option* const with_current =
        resume->add_flag("--with-current", act_.with_current, "With the newest version of the workflow");
    resume->add_flag("--force", act_.force, "Run done tasks again that the newest version cannot be matched with")
        ->needs(with_current);
    CLI::App* const rerun = add("rerun", "Run finished runs again from some point on", act(ActOptions::Kind::rerun));
    add_filter(rerun);
    rerun->add_option("--from", act_.from, "The job, matrix instance or task")->type_name("JOB[/TASK]")->required();
    CLI::App* const cancel =
        add("cancel", "Cancel runs; a second time their clean-up too", act(ActOptions::Kind::cancel));
    add_filter(cancel);

    CLI::App* const approve = add("approve", "Answer a task that waits for approval", [this] {
      act_.kind = reject_ ? ActOptions::Kind::reject : ActOptions::Kind::approve;
      return cli::act(console_, common_, act_, hooks_);
    });
    add_task(approve);
    approve->add_flag("--reject", reject_, "Say no");
    CLI::App* const release =
        add("release", "Say what becomes of a task that was cut off and is held", act(ActOptions::Kind::release));
    add_task(release);
    release->add_option("ANSWER", act_.answer, "done: it was; rerun: run it again; fail: count it as failed")
        ->required()
        ->type_name("done|rerun|fail")
        ->check(CLI::IsMember({"done", "rerun", "fail"}));
    repeated(release->add_option("-o,--output", act_.outputs, "With done: an output, name=value; may be given again"))
        ->type_name("K=V");
    for (CLI::App* const command : {resume, rerun, cancel, approve, release}) {
      command->add_flag("--plain", act_.plain, "Lines in place of a live tree, of a run of `pawl run`");
      add_egress(command, act_.rules.egress);
      add_limits(command, act_.rules.limits);
      add_at_once(command, act_.rules.at_once);
    }
  }

  void add_schedules() {
    schedules_ = app_.add_subcommand("schedule", "Schedules: what they are, what comes next, and what became of them");
    schedules_->require_subcommand(1);
    add_common(schedules_);
    const auto command = [this](const char* name, const char* description,
                                Outcome<int> (*act)(Console&, const Common&, const ScheduleOptions&)) {
      return add_to(schedules_, name, description, [this, act] { return act(console_, common_, schedule_); });
    };
    const auto with_id = [this](CLI::App* one) {
      one->add_option("ID", schedule_.id, "Id of the schedule, or WORKFLOW/NAME")->required();
      return one;
    };
    const auto time = [](CLI::App* one, const char* name, std::string& value, const char* description) {
      return one->add_option(name, value, description)->type_name("T");
    };

    command("list", "List the schedules", list_schedules)
        ->add_option("NAME", schedule_.workflow, "Those of this workflow alone");
    CLI::App* const add = command("add", "Add a schedule to a workflow", add_schedule);
    add->add_option("NAME", schedule_.workflow, "The workflow")->required();
    add_schedule_fields(add)->required();
    add->add_option("--name", schedule_.name, "Its name (main, if it is the only one)");
    add->add_flag("--disabled", schedule_.disabled, "It does not fire before it is enabled");
    CLI::App* const change = with_id(command("change", "Change a schedule", change_schedule));
    add_schedule_fields(change);
    change->add_flag("--no-start", schedule_.no_start, "It has no first instant any more")->excludes("--start");
    change->add_flag("--no-end", schedule_.no_end, "It has no last instant any more")->excludes("--end");
    change->add_flag("--no-late-after", schedule_.no_late_after, "No slot counts as late any more")
        ->excludes("--late-after");
    for (const bool enabled : {true, false})
      with_id(add_to(schedules_, enabled ? "enable" : "disable",
                     enabled ? "Let a schedule fire" : "Keep a schedule from firing",
                     [this, enabled] { return cli::switch_schedule(console_, common_, schedule_, enabled); }));
    with_id(command("delete", "Delete a schedule; what became of its slots stays", delete_schedule));

    CLI::App* const next = with_id(command("next", "When a schedule fires next", next_slots));
    next->add_option("-n,--count", schedule_.count, "So many times")
        ->capture_default_str()
        ->check(CLI::Range(std::int64_t{1}, std::int64_t{1'000}));
    time(next, "--after", schedule_.after, "Times after T, Unix seconds or RFC 3339 (now)");
    CLI::App* const told =
        with_id(command("ledger", "What became of the slots of a schedule, and why some have no run", ledger));
    time(told, "--since", schedule_.since, "Slots since T; Unix seconds or RFC 3339");
    time(told, "--until", schedule_.until, "Slots until T");
    told->add_option("--limit", schedule_.shown, "So many lines at the most")
        ->capture_default_str()
        ->check(CLI::PositiveNumber);
    CLI::App* const fill =
        with_id(command("backfill", "Start runs for slots of a past range that have none", backfill));
    time(fill, "--from", schedule_.from, "First instant of the range; Unix seconds or RFC 3339")->required();
    time(fill, "--to", schedule_.to, "Last instant of the range")->required();
    fill->add_option("--limit", schedule_.at_once, "So many of its runs are open at once")
        ->capture_default_str()
        ->check(CLI::Range(std::int64_t{1}, std::int64_t{1'000}));
    CLI::Option* const dry = fill->add_flag("--dry-run", schedule_.dry_run, "Only say what would be started");
    fill->add_flag("--wait", schedule_.wait, "Until the last of them is started")->excludes(dry);
    with_id(command("backfills", "List the backfills of a schedule, or cancel one", backfills))
        ->add_option("--cancel", schedule_.cancel, "Start no further run of this one")
        ->type_name("BACKFILL");
  }

  // What may be said of a schedule; the option of its expression.
  CLI::Option* add_schedule_fields(CLI::App* command) {
    const auto field = [&](const char* name, const char* member, const char* type, const char* description) {
      return command
          ->add_option_function<std::string>(
              name, [this, member](const std::string& text) { schedule_.fields[member] = text; }, description)
          ->type_name(type);
    };
    CLI::Option* const cron = field("--cron", "cron", "EXPR", "Its expression, in quotes");
    field("--tz,--timezone", "timezone", "ZONE", "Its time zone, such as Asia/Seoul (the server's)");
    field("--misfire", "misfire", "", "What becomes of missed slots: run-once, run-all or skip")
        ->check(CLI::IsMember({"run-once", "run-all", "skip"}));
    field("--misfire-threshold", "misfire_threshold", "DURATION", "A slot that is later than this is missed (1m)")
        ->check(check_duration);
    field("--misfire-window", "misfire_window", "DURATION", "run-once: no slot older than this is run (1d)")
        ->check(check_duration);
    command
        ->add_option_function<std::int64_t>(
            "--max-catch-up", [this](const std::int64_t& most) { schedule_.max_catch_up = most; },
            "run-all: so many missed slots at the most (100)")
        ->type_name("N")
        ->check(CLI::PositiveNumber);
    field("--overlap", "overlap", "", "While an earlier run is open: queue, skip, allow or cancel-running")
        ->check(CLI::IsMember({"queue", "skip", "allow", "cancel-running"}));
    field("--start", "start", "T", "The first instant at which it may fire; Unix seconds or RFC 3339");
    field("--end", "end", "T", "The last one");
    field("--jitter", "jitter", "DURATION", "A slot is due up to so much later (0s)")->check(check_duration);
    field("--late-after", "late_after", "DURATION", "A slot without a run so long after it was due is late")
        ->check(check_duration);
    repeated(
        command->add_option("-i,--input", schedule_.inputs, "An input of its runs, name=value; may be given again"))
        ->type_name("K=V");
    return cron;
  }

  void add_task(CLI::App* command) {
    command->add_option("RUN", act_.run, "Id, or NAME#42")->required();
    command->add_option("JOB/TASK", act_.task, "The task; that of a matrix instance is JOB[key=value]/TASK")
        ->required();
    command->add_option("-m,--comment", act_.comment, "Why, for whoever reads it later")->type_name("TEXT");
  }

  void add_filter(CLI::App* command) {
    command->add_option("RUN", act_.run, "Id, or NAME#42; or a filter:");
    command->add_option("--workflow", act_.filter.workflow, "Runs of this workflow")->type_name("NAME");
    add_filter_options(command, act_.filter);
    command->add_flag("--all", act_.all, "All runs");
    command->add_flag("--dry-run", act_.dry_run, "Only say which runs a filter means");
  }

  static void add_filter_options(CLI::App* command, RunFilter& filter) {
    command->add_option("--status", filter.status, "With this status alone")->check(check_status);
    command->add_option("--trigger", filter.trigger, "Started so: manual, api, schedule, …")->check(check_trigger);
    command->add_option("--since", filter.since, "Created since; Unix seconds or RFC 3339")->type_name("T");
    command->add_option("--until", filter.until, "Created before")->type_name("T");
  }

  Outcome<int> serve() {
    serve_.data = data_folder(common_);
    if (serve_.data.empty())
      return give_up(Exit::wrong_usage, "usage", "no data folder: neither HOME nor PAWL_DATA is set; use --data");
    serve_.stop_timeout = parse_duration(stop_timeout_).value_or(serve_.stop_timeout);
    serve_.json_log = log_format_ == "json";
    return hooks_.serve(serve_);
  }

  Console& console_;
  const Hooks& hooks_;
  CLI::App app_;
  Commands commands_;
  Common common_;
  RunOptions run_;
  ServeOptions serve_;
  DoctorOptions doctor_;
  CronOptions cron_;
  std::string stop_timeout_ = "30s", log_format_ = "text";
  std::vector<std::string> files_;
  StartOptions start_;
  RunsOptions runs_;
  std::string name_;
  LogsOptions logs_;
  ActOptions act_;
  bool reject_ = false;
  CLI::App* schedules_ = nullptr;
  ScheduleOptions schedule_;
};

}  // namespace

int run_on(Console& console, const std::vector<std::string>& arguments, const Hooks& hooks) {
  int exit = Exit::failed;
  try {
    exit = CommandLine(console, hooks).run(arguments);
  } catch (const std::exception& error) {
    tell(console, {Exit::failed, "internal", error.what(), {}}, false);
  }
  if (const int error = console.write_error(); error != 0) {
    console.complain(fmt::format("pawl: not all output could be written: {}", system_words(error)));
    if (exit == Exit::fine) exit = Exit::failed;
  }
  return exit;
}

int run(const std::vector<std::string>& arguments, const Hooks& hooks) {
  Console console = standard_console();
  return run_on(console, arguments, hooks);
}

}  // namespace pawl::cli
