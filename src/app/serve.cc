#include "app/serve.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <malloc.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <new>
#include <optional>
#include <system_error>
#include <thread>

#include "api/api.h"
#include "app/host.h"
#include "app/service_manager.h"
#include "app/system_ports.h"
#include "app/workflow_files.h"
#include "base/log.h"
#include "net/server.h"
#include "runner/http/egress.h"

extern char** environ;  // NOLINT(readability-redundant-declaration)

namespace pawl::app {
namespace {

// What a stop may take when the patience with running tasks is over: their grace, the last commit, connections.
constexpr auto after_stop_timeout = std::chrono::seconds(30);

constexpr int cannot_now = 3;  // exit code: started again later, it may work

// The signals that end the server, blocked in all threads and waited for by the main one. SIGUSR1 is our own: the store
// has failed.
sigset_t ending_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGUSR1);
  return set;
}

bool starts_with_passed(std::string_view name, const std::vector<std::string>& passed) {
  return name.starts_with("PAWL_VAR_") || std::ranges::find(passed, name) != passed.end();
}

// What `env` may name: all of it, or PAWL_VAR_* and what was asked for; but nothing of the service manager's.
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

// The token of the local admin: made once, 256 random bits, for this user's eyes alone.
Result<std::string> admin_token(const std::string& path) {
  std::ifstream old(path);
  std::string token;
  if (old && std::getline(old, token) && token.size() >= 32) {
    struct stat info{};
    if (stat(path.c_str(), &info) == 0 && (info.st_mode & 077) != 0)
      return fail(Code::refused,
                  fmt::format("{} can be read by others; 'chmod 600' it, or remove it to get a new one", path));
    return token;
  }
  SystemRng random;
  token = "pawl_";
  for (int i = 0; i < 4; ++i) token += fmt::format("{:016x}", random.next());
  const std::string fresh = path + ".new";
  unlink(fresh.c_str());
  const int file = open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  const std::string line = token + "\n";
  const bool written =
      file >= 0 && write(file, line.data(), line.size()) == static_cast<ssize_t>(line.size()) && fsync(file) == 0;
  if (file >= 0) close(file);
  if (!written || rename(fresh.c_str(), path.c_str()) != 0) {
    const int why = errno;
    unlink(fresh.c_str());
    return fail(why == ENOSPC ? Code::overloaded : Code::unavailable,
                fmt::format("{} cannot be written: {}", path, std::strerror(why)));
  }
  return token;
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

runner::TaskLimits limits_of(const cli::TaskRules& rules) {
  return {.processes = rules.limits.processes,
          .memory_bytes = rules.limits.memory_bytes,
          .open_files = rules.limits.open_files,
          .file_bytes = rules.limits.file_bytes};
}

int complain(const Error& error) {
  fmt::print(stderr, "pawl: {}\n", error.message);
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

  const sigset_t signals = ending_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  // No process of our user may look into our memory or our environment, and no dump of it is written.
  prctl(PR_SET_DUMPABLE, 0);

  // Thousands of calls at once want as many descriptors as we are allowed.
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  if (descriptor_limit() < fewest_descriptors)
    return complain({Code::unavailable, fmt::format("only {} file descriptors are allowed, {} are the least: see "
                                                    "`ulimit -n`, or LimitNOFILE= of systemd",
                                                    descriptor_limit(), fewest_descriptors)});
  mallopt(M_ARENA_MAX, 2);  // one arena a thread would multiply what is resident for no gain

  const auto manager = ServiceManager::from_environment();

  std::atomic<bool> store_failed = false;
  auto host = open_host({.data = options.data,
                         .workspace = options.workspace,
                         .environment = environment(&options.pass_env),
                         .stop_timeout = options.stop_timeout,
                         .egress = egress,
                         .limits = limits_of(options.rules),
                         .run_as = options.run_as,
                         .for_others = true,
                         .fence = options.fence,
                         .observer = nullptr,
                         .on_fatal =
                             [&](const Error& error) {
                               log::error("the store cannot be relied on any more; stopping", {{"why", error.message}});
                               store_failed = true;
                               kill(getpid(), SIGUSR1);
                             },
                         .takes_up = {}});
  if (!host) return complain(host.error());
  auto token = admin_token(options.data + "/admin.token");
  if (!token) return complain(token.error());

  std::atomic<bool> started = false, stopping = false;
  driver::Driver& driver = (*host)->driver();
  const auto ready = [&] { return started && !stopping && driver.recovered() && !driver.failed(); };
  auto handler = api::make_api(
      {.admin_token = *token, .ready = ready}, driver, (*host)->histories(), [&] { return (*host)->store().reader(); },
      (*host)->logs());
  net::ServerOptions net_options;
  net_options.address = address->host;
  net_options.port = address->port;
  net_options.max_connections = shares_of(descriptor_limit()).connections;
  auto server = net::make_server(std::move(net_options), std::move(handler));
  // The port first: a server that nobody can reach should not move any run.
  if (const auto listening = server->start(); !listening) return complain(listening.error());
  if (own) egress->protect({*own, server->port()});
  if (const auto running = (*host)->start(); !running) {
    server->stop(Duration{});
    return complain(running.error());
  }
  const auto folder = watch_workflow_files(options.workflows, driver, (*host)->store());
  if (const auto watched = folder->start(); !watched) {
    server->stop(Duration{});
    return complain(watched.error());
  }
  started = true;
  const std::string shown = address->host.find(':') == std::string::npos ? address->host : "[" + address->host + "]";
  fmt::print("pawl {} ready on http://{}:{} (data in {})\n", PAWL_VERSION, shown, server->port(), options.data);
  std::fflush(stdout);
  manager->running({.ready = ready,
                    .knock = [&driver](std::function<void()> answer) { driver.knock(std::move(answer)); },
                    .address = fmt::format("http://{}:{}", shown, server->port())});

  int signal_number = 0;
  while (sigwait(&signals, &signal_number) != 0) {
  }
  stopping = true;
  // At once: the signal may have reached our tasks as well.
  if (!store_failed) (*host)->begin_stop(signal_number == SIGINT ? "SIGINT" : "SIGTERM");
  manager->stopping(options.stop_timeout + after_stop_timeout);
  folder->stop();
  if (store_failed) {
    (*host)->stop_now();
  } else {
    // Requests are answered while tasks finish; a second signal ends the patience.
    std::atomic<bool> done = false;
    std::jthread impatient([&] {
      while (!done) {
        int again = 0;
        if (sigwait(&signals, &again) == 0 && !done) (*host)->driver().hurry();
      }
    });
    (*host)->stop();
    done = true;
    kill(getpid(), SIGUSR1);
    impatient.join();
  }
  server->stop(std::chrono::seconds(2));
  server.reset();
  manager->end();
  return store_failed ? cannot_now : 0;
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
  signal(SIGPIPE, SIG_IGN);
  log::configure(log::Level::warning, log::Format::text);
  HostOptions options;
  options.data = folder;
  options.environment = environment(nullptr);
  options.limits = limits_of(rules);
  options.egress = std::make_shared<const runner::EgressPolicy>(std::move(*allowed));
  options.observer = observer;
  options.on_fatal = [](const Error& error) {
    fmt::print(stderr, "pawl: the store cannot be relied on any more: {}\n", error.message);
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
