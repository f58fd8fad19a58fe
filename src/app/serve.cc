#include "app/serve.h"

#include <fmt/format.h>
#include <malloc.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <functional>
#include <mutex>
#include <new>
#include <optional>
#include <system_error>
#include <thread>

#include "api/api.h"
#include "app/admin_token.h"
#include "app/descriptors.h"
#include "app/host.h"
#include "app/service_manager.h"
#include "app/signals.h"
#include "app/workflow_files.h"
#include "base/log.h"
#include "base/signals.h"
#include "net/server.h"
#include "runner/http/egress.h"

extern char** environ;  // NOLINT(readability-redundant-declaration)

namespace pawl::app {
namespace {

// How long a stop may take after the stop timeout: the grace of tasks, the last commit, connections.
constexpr auto after_stop_timeout = std::chrono::seconds(30);

constexpr int cannot_now = 3;  // exit code: started again later, it may work

// How often the server checks whether token and locks are still the files that were opened.
constexpr auto look_every = std::chrono::milliseconds(500);

bool starts_with_passed(std::string_view name, const std::vector<std::string>& passed) {
  return name.starts_with("PAWL_VAR_") || std::ranges::find(passed, name) != passed.end();
}

// What `env` may name: everything, or PAWL_VAR_* and the names in `passed`; but no variable of the service manager.
Json environment(const std::vector<std::string>* passed) {
  json::object values;
  for (char** entry = environ; *entry; ++entry) {
    const std::string_view pair(*entry);
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view name = pair.substr(0, equals);
    if (is_of_service_manager(name)) continue;
    if (passed && !starts_with_passed(name, *passed)) continue;
    const std::string_view value = pair.substr(equals + 1);
    values[json::string_view(name.data(), name.size())] = json::string_view(value.data(), value.size());
  }
  return values;
}

struct Address {
  std::string host;
  std::uint16_t port = 0;
};

Result<Address> parse_address(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  Address address;
  int port = -1;
  if (colon != std::string_view::npos) {
    const std::string_view digits = text.substr(colon + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (error != std::errc{} || end != digits.data() + digits.size()) port = -1;
    std::string_view host = text.substr(0, colon);
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    address.host = host;
  }
  if (port < 0 || port > 65535 || address.host.empty())
    return fail(Code::invalid, fmt::format("--listen {}: write it as 127.0.0.1:7295 or [::1]:7295", text));
  address.port = static_cast<std::uint16_t>(port);
  return address;
}

// What the server listens at; nothing, if the text is no address.
std::optional<runner::IpAddress> ip_of(std::string_view host) {
  if (host == "localhost") return runner::parse_ip("127.0.0.1");  // as net/server.h has it
  return runner::parse_ip(host.substr(0, host.find('%')));
}

runner::FenceMode fence_of(std::string_view how) {
  if (how == "off") return runner::FenceMode::off;
  if (how == "cover") return runner::FenceMode::cover;
  return how == "landlock" ? runner::FenceMode::landlock : runner::FenceMode::automatic;
}

runner::TaskLimits limits_of(const cli::TaskRules& rules) {
  return {.processes = rules.limits.processes,
          .memory_bytes = rules.limits.memory_bytes,
          .open_files = rules.limits.open_files,
          .file_bytes = rules.limits.file_bytes};
}

// False if the line cannot be written: a broken standard output or error must not end a server.
bool print_line(int descriptor, std::string line) {
  line += '\n';
  for (std::string_view rest = line; !rest.empty();) {
    const ssize_t written = ::write(descriptor, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

int complain(const Error& error) {
  print_line(STDERR_FILENO, "pawl: " + error.message);
  switch (error.code) {
    case Code::invalid: return 2;
    case Code::conflict:
    case Code::refused: return 4;
    case Code::overloaded:
    case Code::unavailable: return cannot_now;
    default: return 1;
  }
}

// What nobody has caught, such as memory that ran out in the engine. It is as good as kill -9 and needs no more care
// than that, but says what it was.
[[noreturn]] void give_up() {
  const auto say = [](std::string_view text) {
    [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
  };
  say("pawl: stopped at once: ");
  if (const std::exception_ptr thrown = std::current_exception()) {
    try {
      std::rethrow_exception(thrown);
    } catch (const std::bad_alloc&) {
      say("there is no memory left; the next start takes up every open run\n");
      _exit(cannot_now);
    } catch (const std::system_error& e) {
      say("the system refused: ");
      say(e.what());
      say("; are there memory and processes enough?\n");
      _exit(cannot_now);
    } catch (const std::exception& e) {
      say(e.what());
    } catch (...) {
      say("an exception that is none of ours");
    }
  }
  say("\n");
  std::abort();
}

// Raises the limit of descriptors, for thousands of calls at once. Error: there are too few to work with.
Result<void> prepare_process() {
  // No process of our user may read our memory or environment, and no core dump is written.
  prctl(PR_SET_DUMPABLE, 0);
  take_all_descriptors();
  if (descriptor_limit() < fewest_descriptors)
    return fail(Code::unavailable, fmt::format("only {} file descriptors are allowed, but at least {} are needed: see "
                                               "`ulimit -n`, or LimitNOFILE= of systemd",
                                               descriptor_limit(), fewest_descriptors));
  mallopt(M_ARENA_MAX, 2);  // one arena a thread would multiply what is resident for no gain
  return {};
}

HostOptions host_options(const cli::ServeOptions& options, const DescriptorShares& shares,
                         std::shared_ptr<const runner::EgressPolicy> egress, Signals& signals) {
  return {.data = options.data,
          .workspace = options.workspace,
          .environment = environment(&options.pass_env),
          .stop_timeout = options.stop_timeout,
          .egress = std::move(egress),
          .limits = limits_of(options.rules),
          .shares = shares,
          .run_as = options.run_as,
          .for_others = true,
          .fence = fence_of(options.fence),
          .observer = nullptr,
          .on_fatal =
              [&signals](const Error& error) {
                log::error("the store cannot be relied on any more; stopping", {{"why", error.message}});
                signals.report_store_failure();
              },
          .takes_up = {}};
}

void say_ready(const std::string& address, const std::string& data) {
  if (!print_line(STDOUT_FILENO, fmt::format("pawl {} ready on {} (data in {})", PAWL_VERSION, address, data)))
    log::warning("standard output cannot be written to; the server is ready and keeps running", {{"address", address}});
}

// What a SIGHUP reloads. Each call returns at once; what comes of it is logged.
using Reloads = std::vector<std::function<void()>>;

// Reading many files takes a while, and runs are working meanwhile. The signal of a stop may reach their tasks, so the
// runner has to know of the stop at once, not when the last file is read.
Result<void> start_watching(WorkflowFiles& folder, const Signals& signals, Host& host) {
  const std::jthread early_stop([&](const std::stop_token& all_read) {
    std::mutex mutex;
    std::condition_variable_any wake;
    std::unique_lock lock(mutex);
    std::string signal;
    while (!all_read.stop_requested() && (signal = signals.pending_stop()).empty())
      wake.wait_for(lock, all_read, std::chrono::milliseconds(50), [] { return false; });
    if (!signal.empty()) host.begin_stop({.signal = signal, .from = ""});
  });
  return folder.start();
}

enum class End : std::uint8_t { asked, store_failed, folder_lost };

struct Stop {
  End end = End::asked;
  driver::StopRequest request;  // if somebody asked
};

// Returns when somebody asks for a stop, or when the server cannot go on.
Stop serve_until_the_end(Signals& signals, Host& host, AdminToken& token, const Reloads& reloads) {
  for (;;) {
    const Signals::News news = signals.wait(look_every);
    switch (news.kind) {
      case Signals::Kind::stop: return {.request = {.signal = news.signal, .from = news.sender}};
      case Signals::Kind::reload:
        log::info("reloading", {{"signal", news.signal}, {"from", news.sender}});
        for (const auto& again : reloads) again();
        break;
      case Signals::Kind::store_failed: return {.end = End::store_failed};
      case Signals::Kind::tick:
        // First, because the token is worth nothing in a folder that is not ours any more.
        if (const auto ours = host.still_ours(); !ours) {
          log::error("the data folder cannot be relied on any more; stopping", {{"why", ours.error().message}});
          return {.end = End::folder_lost};
        }
        token.look();
        break;
      case Signals::Kind::released: break;  // only during a stop
    }
  }
}

// Requests are answered while tasks finish. A second signal cuts the tasks off.
void stop_patiently(Signals& signals, Host& host, AdminToken& token) {
  std::jthread impatient([&] {
    for (;;) {
      const Signals::News news = signals.wait(look_every);
      switch (news.kind) {
        case Signals::Kind::stop:
          log::info("a second signal: running tasks are cut off", {{"signal", news.signal}, {"from", news.sender}});
          host.driver().hurry();
          break;
        case Signals::Kind::store_failed: host.driver().hurry(); break;
        case Signals::Kind::reload: break;  // too late to matter
        case Signals::Kind::tick: token.look(); break;
        case Signals::Kind::released: return;
      }
    }
  });
  host.stop();
  signals.release();
}

int serve_to_the_end(const cli::ServeOptions& options) {
  const auto address = parse_address(options.listen);
  if (!address) return complain(address.error());
  // Who reaches the server over the network may give it work, but not the reach into the network that it has itself.
  const auto own = ip_of(address->host);
  const bool near = own && runner::kind_of(*own) == runner::AddressKind::loopback;
  auto allowed = runner::EgressPolicy::make(options.rules.egress.allow, options.rules.egress.deny, near);
  if (!allowed) return complain(allowed.error());
  const auto egress = std::make_shared<runner::EgressPolicy>(std::move(*allowed));
  log::configure(log::Level::info, options.json_log ? log::Format::json : log::Format::text);

  const auto signals = Signals::take();
  if (!signals) return complain(signals.error());
  if (const auto prepared = prepare_process(); !prepared) return complain(prepared.error());
  const auto shares = share_out(descriptor_limit(), options.rules.at_once);
  if (!shares) return complain(shares.error());
  const auto manager = ServiceManager::from_environment();
  auto host = open_host(host_options(options, *shares, egress, **signals));
  if (!host) return complain(host.error());
  const auto token = AdminToken::open(options.data + "/" + cli::token_file);
  if (!token) return complain(token.error());

  std::atomic<bool> started = false, stopping = false;
  driver::Driver& driver = (*host)->driver();
  const auto ready = [&] { return started && !stopping && driver.recovered() && !driver.failed(); };
  auto handler = api::make_api(
      {.admin_token = [&] { return (*token)->current(); }, .ready = ready, .seats = [&] { return driver.seats(); }},
      driver, (*host)->histories(), [&] { return (*host)->store().reader(); }, (*host)->logs());
  net::ServerOptions net_options;
  net_options.address = address->host;
  net_options.port = address->port;
  net_options.max_connections = shares->connections;
  auto server = net::make_server(std::move(net_options), std::move(handler));
  // The port first: a server that nobody can reach should not move any run.
  if (const auto listening = server->start(); !listening) return complain(listening.error());
  if (own) egress->protect({*own, server->port()});
  if (const auto running = (*host)->start(); !running) {
    server->stop(Duration{});
    return complain(running.error());
  }
  const auto folder = watch_workflow_files(options.workflows, driver, (*host)->store());
  if (const auto watched = start_watching(*folder, **signals, **host); !watched) {
    server->stop(Duration{});
    return complain(watched.error());
  }
  started = true;
  const std::string shown = address->host.find(':') == std::string::npos ? address->host : "[" + address->host + "]";
  const std::string reached_at = fmt::format("http://{}:{}", shown, server->port());
  say_ready(reached_at, options.data);
  manager->running({.ready = ready,
                    .knock = [&driver](std::function<void()> answer) { driver.knock(std::move(answer)); },
                    .address = reached_at});

  const Reloads reloads{[&] { folder->read_again(); }};
  const Stop stop = serve_until_the_end(**signals, **host, **token, reloads);
  stopping = true;
  // First of all: the signal may have reached our tasks as well.
  if (stop.end == End::asked) (*host)->begin_stop(stop.request);
  manager->stopping(options.stop_timeout + after_stop_timeout);
  folder->stop();
  if (stop.end == End::asked)
    stop_patiently(**signals, **host, **token);
  else
    (*host)->stop_now();
  server->stop(std::chrono::seconds(2));
  server.reset();
  manager->end();
  return stop.end != End::asked || driver.failed() ? cannot_now : 0;
}

}  // namespace

int serve(const cli::ServeOptions& options) {
  std::set_terminate(give_up);
  try {
    return serve_to_the_end(options);
  } catch (...) {
    give_up();
  }
}

namespace {

class HostedEngine final : public cli::LocalEngine {
 public:
  HostedEngine(std::unique_ptr<Host> host, std::unique_ptr<store::Reader> reader)
      : host_(std::move(host)), reader_(std::move(reader)) {}
  ~HostedEngine() override {
    reader_.reset();
    host_->stop_now();
  }
  driver::Inbox& inbox() override { return host_->driver(); }
  driver::Histories& histories() override { return host_->histories(); }
  store::Reader& reader() override { return *reader_; }
  store::LogStore& logs() override { return host_->logs(); }
  SeatCounts seats() const override { return host_->driver().seats(); }
  void stop() override { host_->stop_now(); }

 private:
  std::unique_ptr<Host> host_;
  std::unique_ptr<store::Reader> reader_;
};

}  // namespace

Result<std::unique_ptr<cli::LocalEngine>> open_local(const std::string& folder, driver::Observer* observer,
                                                     const cli::TakesUp& takes_up, const cli::TaskRules& rules) {
  auto allowed = runner::EgressPolicy::make(rules.egress.allow, rules.egress.deny, true);
  if (!allowed) return std::unexpected(allowed.error());
  ignore_signals_of_writing();
  take_all_descriptors();
  const auto shares = share_out(descriptor_limit(), rules.at_once);
  if (!shares) return std::unexpected(shares.error());
  log::configure(log::Level::warning, log::Format::text);
  HostOptions options;
  options.data = folder;
  options.environment = environment(nullptr);
  options.limits = limits_of(rules);
  options.shares = *shares;
  options.egress = std::make_shared<const runner::EgressPolicy>(std::move(*allowed));
  options.observer = observer;
  options.on_fatal = [](const Error& error) {
    print_line(STDERR_FILENO, "pawl: the store cannot be relied on any more: " + error.message);
    _exit(1);
  };
  options.takes_up = [&takes_up](store::Reader& reader) -> Result<std::function<bool(RunId)>> {
    auto chosen = takes_up(reader);
    if (!chosen) return std::unexpected(chosen.error());
    return [chosen = *chosen](RunId id) { return chosen && *chosen == id; };
  };
  auto host = open_host(std::move(options));
  if (!host) return std::unexpected(host.error());
  auto reader = (*host)->store().reader();
  if (!reader) return std::unexpected(reader.error());
  if (const auto started = (*host)->start(); !started) return std::unexpected(started.error());
  return std::make_unique<HostedEngine>(std::move(*host), std::move(*reader));
}

}  // namespace pawl::app
