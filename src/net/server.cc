#include "net/server.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <list>
#include <optional>
#include <thread>

#include "base/check.h"
#include "base/log.h"
#include "base/thread_annotations.h"
#include "net/asio.h"
#include "net/problem.h"
#include "net/request_reader.h"

namespace pawl::net {
namespace {

constexpr asio::use_awaitable_t<Executor> use;
constexpr std::size_t head_read = 8 << 10;   // bytes asked for at once
constexpr std::size_t body_read = 64 << 10;
// After a refusal the client may still be sending. Closing at once would reset the connection and take the answer
// from it, so what comes is thrown away for a moment.
constexpr Duration linger = std::chrono::seconds(2);
constexpr std::size_t linger_bytes = 8 << 20;
constexpr Duration accept_pause = std::chrono::milliseconds(100);
constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";

// The default headers, unless the answer has its own.
constexpr std::pair<std::string_view, std::string_view> safe_headers[] = {
    {"Cache-Control", "no-store"},
    {"Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"},
    {"Referrer-Policy", "no-referrer"},
    {"X-Content-Type-Options", "nosniff"},
};

bool same_word(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return (x | 0x20) == (y | 0x20); });
}

void append_header(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ");
  // A line end in a value would begin a header that nobody meant.
  for (const char c : value) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
  out += "\r\n";
}

std::string_view http_date() {
  static thread_local std::string text;
  static thread_local std::time_t at = -1;
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  if (now != at) {
    text = fmt::format("{:%a, %d %b %Y %H:%M:%S} GMT", fmt::gmtime(now));
    at = now;
  }
  return text;
}

bool has_body(int status) { return status >= 200 && status != 204 && status != 304; }

std::string head_of(const Response& response, bool keep_alive) {
  std::string head = fmt::format("HTTP/1.1 {} {}\r\n", response.status, reason_phrase(response.status));
  append_header(head, "Date", http_date());
  for (const auto& [name, value] : response.headers) append_header(head, name, value);
  for (const auto& [name, value] : safe_headers) {
    const auto same = [&](const auto& header) { return same_word(header.first, name); };
    if (std::ranges::none_of(response.headers, same)) append_header(head, name, value);
  }
  if (has_body(response.status)) {
    if (!response.content_type.empty()) append_header(head, "Content-Type", response.content_type);
    append_header(head, "Content-Length", std::to_string(response.body.size()));
  }
  append_header(head, "Connection", keep_alive ? "keep-alive" : "close");
  head += "\r\n";
  return head;
}

Response problem_of(const Refusal& refusal) { return problem(refusal.status, refusal.code, refusal.detail); }

class Connection;

// The way from any thread to a connection. Open as long as the server's thread runs; afterwards answers are dropped.
class Mailbox {
 public:
  explicit Mailbox(asio::io_context& io) : io_(&io) {}
  void deliver(const std::weak_ptr<Connection>& connection, Response response);
  void close() {
    const MutexLock lock(mutex_);
    io_ = nullptr;
  }

 private:
  Mutex mutex_;
  asio::io_context* io_ GUARDED_BY(mutex_);
};

// What all copies of a Responder share.
class Answer {
 public:
  Answer(std::shared_ptr<Mailbox> mailbox, std::weak_ptr<Connection> connection)
      : mailbox_(std::move(mailbox)), connection_(std::move(connection)) {}
  Answer(const Answer&) = delete;
  Answer& operator=(const Answer&) = delete;
  ~Answer() { give(problem(500, "internal", "the request was not answered")); }
  void give(Response response) {
    if (!given_.exchange(true)) mailbox_->deliver(connection_, std::move(response));
  }

 private:
  std::shared_ptr<Mailbox> mailbox_;
  std::weak_ptr<Connection> connection_;
  std::atomic<bool> given_ = false;
};

// What connections need of their server. Used on the server's thread only.
struct Shared {
  ServerOptions options;
  ReadLimits limits;
  Handler handler;
  std::shared_ptr<Mailbox> mailbox;
  std::list<Connection*> connections;
  std::size_t buffered = 0;  // bytes of bodies being read
  bool stopping = false;
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Shared& shared, Socket socket, std::string client)
      : shared_(shared), socket_(std::move(socket)), answered_(socket_.get_executor()), client_(std::move(client)) {
    answered_.expires_at(Steady::time_point::max());
    place_ = shared_.connections.insert(shared_.connections.end(), this);
  }
  ~Connection() { shared_.connections.erase(place_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  Awaitable<void> run() {
    ErrorCode ec;
    socket_.set_option(Tcp::no_delay(true), ec);
    try {
      while (co_await serve_one()) {
      }
    } catch (const std::exception& e) {
      log::error("a connection broke", {{"client", client_}, {"why", e.what()}});
    }
    socket_.close(ec);
  }

  void deliver(Response response) {
    response_ = std::move(response);
    answered_.cancel();
  }

  // Called now and then: what has waited too long is woken and finds that its time is over.
  void tick(Steady::time_point now) {
    if (now >= deadline_) interrupt();
  }
  // The server stops: nothing further is begun.
  void stop() {
    if (idle_) interrupt();
  }
  void close() {
    closed_ = true;
    answered_.cancel();
    interrupt();
  }

 private:
  void interrupt() {
    timed_out_ = true;
    ErrorCode ec;
    socket_.cancel(ec);
  }

  void set_deadline(Duration patience) {
    timed_out_ = closed_;
    deadline_ = Steady::now() + patience;
  }
  void no_deadline() { deadline_ = Steady::time_point::max(); }

  // More bytes behind those in `in_`. False: the peer has ended, or its time is over (timed_out_).
  Awaitable<bool> fill(std::size_t room) {
    if (timed_out_) co_return false;
    const std::size_t before = in_.size();
    in_.resize(before + room);
    ErrorCode ec;
    const std::size_t got =
        co_await socket_.async_read_some(asio::buffer(in_.data() + before, room), asio::redirect_error(use, ec));
    in_.resize(before + got);
    co_return !ec && !timed_out_;
  }

  // Writes both, refreshing the deadline with every byte that goes out.
  Awaitable<bool> write(std::string_view head, std::string_view body) {
    while (!head.empty() || !body.empty()) {
      if (closed_) co_return false;
      set_deadline(shared_.options.body_timeout);
      const std::array<asio::const_buffer, 2> buffers{asio::buffer(head), asio::buffer(body)};
      ErrorCode ec;
      std::size_t sent = co_await socket_.async_write_some(buffers, asio::redirect_error(use, ec));
      if (ec || timed_out_) co_return false;
      const std::size_t of_head = std::min(sent, head.size());
      head.remove_prefix(of_head);
      body.remove_prefix(sent - of_head);
    }
    no_deadline();
    co_return true;
  }

  Awaitable<void> refuse(Response response) {
    const std::string head = head_of(response, false);
    if (co_await write(head, without_body_ ? std::string_view() : std::string_view(response.body))) co_await drain();
  }

  // Ends our side and reads until the peer has ended its own.
  Awaitable<void> drain() {
    ErrorCode ec;
    socket_.shutdown(Tcp::socket::shutdown_send, ec);
    idle_ = true;
    set_deadline(linger);
    for (std::size_t thrown = 0; !ec && thrown < linger_bytes && !shared_.stopping; thrown += in_.size()) {
      in_.clear();
      if (!co_await fill(head_read)) break;
    }
  }

  // Counts the body in reading against what all may hold together.
  struct Budget {
    Shared& shared;
    std::size_t held = 0;
    ~Budget() { shared.buffered -= held; }
    bool hold(std::size_t bytes) {
      shared.buffered += bytes - held;
      held = bytes;
      return shared.buffered <= shared.options.max_buffered;
    }
  };

  bool host_allowed(std::string_view host) const {
    return shared_.options.allowed_hosts.empty() || host.empty() ||
           std::ranges::find(shared_.options.allowed_hosts, host) != shared_.options.allowed_hosts.end();
  }

  // One request and its answer. False: the connection is over.
  Awaitable<bool> serve_one() {
    RequestReader reader(shared_.limits);
    response_.reset();
    without_body_ = false;
    if (in_.empty() && in_.capacity() > 2 * head_read) in_.shrink_to_fit();
    const std::expected<bool, Refusal> received = co_await receive(reader);
    idle_ = false;
    if (!received) {
      co_await refuse(problem_of(received.error()));
      co_return false;
    }
    if (!*received) co_return false;
    co_return co_await answer(reader);
  }

  // True: `reader` holds a whole request. False: the peer has gone, or sent nothing for too long.
  Awaitable<std::expected<bool, Refusal>> receive(RequestReader& reader) {
    using Step = RequestReader::Step;
    enum { waiting, in_head, in_body } phase = waiting;
    Budget budget{shared_};
    idle_ = true;
    set_deadline(shared_.options.idle_timeout);
    for (;;) {
      auto step = reader.read(in_);
      if (step && *step == Step::head) {
        phase = in_body;
        idle_ = false;
        without_body_ = reader.request().method == "HEAD";
        if (!host_allowed(reader.host()))
          co_return std::unexpected(Refusal{421, "host_not_allowed", "this server does not answer for that Host"});
        step = reader.read(in_);
        if (step && *step == Step::more && reader.expects_continue()) {
          const bool told = co_await write(go_on, {});
          if (!told) co_return false;
        }
        set_deadline(shared_.options.body_timeout);
      }
      if (!step) co_return std::unexpected(std::move(step.error()));
      if (*step == Step::done) co_return true;
      if (phase == waiting && reader.begun()) {
        phase = in_head;
        idle_ = false;
        set_deadline(shared_.options.header_timeout);
      }
      if (phase == waiting && shared_.stopping) co_return false;
      if (!budget.hold(reader.body_size()))
        co_return std::unexpected(Refusal{503, "overloaded", "too many bodies are being received"});
      if (!co_await fill(phase == in_body ? body_read : head_read)) {
        if (phase == waiting || !timed_out_ || shared_.stopping) co_return false;
        co_return std::unexpected(Refusal{408, "request_timeout", "the request did not come to its end in time"});
      }
    }
  }

  Awaitable<bool> answer(RequestReader& reader) {
    no_deadline();
    Request request = reader.take();
    request.client = client_;
    call_handler(std::move(request));
    while (!response_ && !closed_) {
      ErrorCode ec;
      co_await answered_.async_wait(asio::redirect_error(use, ec));
    }
    if (!response_) co_return false;
    const bool keep_alive = reader.keep_alive() && !shared_.stopping;
    const std::string head = head_of(*response_, keep_alive);
    const bool bare = without_body_ || !has_body(response_->status);
    if (!co_await write(head, bare ? std::string_view() : std::string_view(response_->body))) co_return false;
    response_.reset();
    if (!keep_alive) co_await drain();
    co_return keep_alive;
  }

  void call_handler(Request request) {
    auto answer = std::make_shared<Answer>(shared_.mailbox, weak_from_this());
    const Responder responder = [answer](Response response) { answer->give(std::move(response)); };
    try {
      shared_.handler(std::move(request), responder);
    } catch (const std::exception& e) {
      log::error("a handler threw", {{"why", e.what()}});
      answer->give(problem(500, "internal", "the request could not be answered"));
    }
  }

  Shared& shared_;
  Socket socket_;
  Timer answered_;  // never runs out; cancelled when there is something to look at
  const std::string client_;
  std::list<Connection*>::iterator place_;
  std::string in_;
  std::optional<Response> response_;
  Steady::time_point deadline_ = Steady::time_point::max();
  bool timed_out_ = false;
  bool closed_ = false;        // by stop(), whatever was under way
  bool idle_ = true;           // nothing is lost if the connection ends now
  bool without_body_ = false;  // the answer to HEAD
};

void Mailbox::deliver(const std::weak_ptr<Connection>& connection, Response response) {
  const MutexLock lock(mutex_);
  if (!io_) return;
  asio::dispatch(io_->get_executor(), [connection, r = std::move(response)]() mutable {
    if (const auto there = connection.lock()) there->deliver(std::move(r));
  });
}

class AsioServer final : public Server {
 public:
  AsioServer(ServerOptions options, Handler handler) {
    shared_.options = std::move(options);
    shared_.limits = {.head = shared_.options.max_header, .body = shared_.options.max_body};
    shared_.handler = std::move(handler);
  }
  ~AsioServer() override { stop(Duration{0}); }

  Result<void> start() override {
    const MutexLock lock(mutex_);
    check(!io_ && !stopped_, "a server is started once");
    ErrorCode ec;
    const std::string& name = shared_.options.address;
    const auto address = asio::ip::make_address(name == "localhost" ? "127.0.0.1" : name, ec);
    if (ec) return fail(Code::invalid, fmt::format("{} is no IP address to listen on", name));
    const Tcp::endpoint wanted(address, shared_.options.port);
    auto io = std::make_unique<asio::io_context>(1);
    Acceptor acceptor(*io);
    acceptor.open(wanted.protocol(), ec);
    if (!ec) acceptor.set_option(asio::socket_base::reuse_address(true), ec);
    if (!ec) acceptor.bind(wanted, ec);
    if (!ec) acceptor.listen(asio::socket_base::max_listen_connections, ec);
    if (ec) return std::unexpected(listen_error(ec));
    port_ = acceptor.local_endpoint(ec).port();
    if (ec) return std::unexpected(listen_error(ec));
    if (shared_.options.allowed_hosts.empty() && address.is_loopback()) {
      const std::string own = address.to_string();
      shared_.options.allowed_hosts = {"localhost", "127.0.0.1", "[::1]", address.is_v6() ? '[' + own + ']' : own};
    }
    io_ = std::move(io);
    shared_.mailbox = std::make_shared<Mailbox>(*io_);
    acceptor_.emplace(std::move(acceptor));
    room_.emplace(*io_);
    timer_.emplace(*io_);
    asio::co_spawn(io_->get_executor(), accept(), asio::detached);
    thread_ = std::jthread([this] { work(); });
    return {};
  }

  std::uint16_t port() const override { return port_; }

  void stop(Duration patience) override {
    const MutexLock lock(mutex_);
    stopped_ = true;
    if (!io_) return;
    check(std::this_thread::get_id() != thread_.get_id(), "stop() called by the server's own thread");
    asio::post(io_->get_executor(), [this, patience] { begin_stop(patience); });
    thread_.join();
    shared_.mailbox->close();
    timer_.reset();
    room_.reset();
    acceptor_.reset();
    io_.reset();
  }

 private:
  Error listen_error(const ErrorCode& ec) const {
    const std::string where = fmt::format("{}:{}", shared_.options.address, shared_.options.port);
    if (ec == asio::error::address_in_use)
      return {Code::unavailable, fmt::format("{} is taken, perhaps by another Pawl server; choose another port", where),
              "address_taken"};
    if (ec == asio::error::access_denied) return {Code::refused, fmt::format("not allowed to listen on {}", where)};
    if (ec == boost::system::errc::address_not_available)
      return {Code::invalid, fmt::format("{} is no address of this machine", shared_.options.address)};
    return {Code::unavailable, fmt::format("cannot listen on {}: {}", where, ec.message())};
  }

  // Runs until nothing is left to do, which is after begin_stop().
  void work() {
    for (;;) {
      try {
        io_->run();
        return;
      } catch (const std::exception& e) {
        log::error("the HTTP server's thread caught an exception", {{"why", e.what()}});
      }
    }
  }

  Awaitable<void> accept() {
    bool warned = false;
    while (!shared_.stopping) {
      ErrorCode ec;
      if (shared_.connections.size() >= shared_.options.max_connections) {
        room_->expires_after(accept_pause);
        co_await room_->async_wait(asio::redirect_error(use, ec));
        continue;
      }
      Socket socket = co_await acceptor_->async_accept(asio::redirect_error(use, ec));
      if (shared_.stopping) break;
      if (!ec) {
        warned = false;
        spawn(std::move(socket));
        continue;
      }
      if (ec == asio::error::connection_aborted || ec == asio::error::interrupted) continue;
      // No descriptor is free, most likely. The next call would fail at once again, so time has to pass.
      if (!warned) log::warning("cannot accept connections for now", {{"why", ec.message()}});
      warned = true;
      room_->expires_after(accept_pause);
      co_await room_->async_wait(asio::redirect_error(use, ec));
    }
  }

  void spawn(Socket socket) {
    ErrorCode ec;
    const auto peer = socket.remote_endpoint(ec);
    if (ec) return;  // gone already
    auto address = peer.address();
    if (address.is_v6() && address.to_v6().is_v4_mapped())
      address = asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
    asio::co_spawn(io_->get_executor(),
                   serve(std::make_shared<Connection>(shared_, std::move(socket), address.to_string())),
                   asio::detached);
    if (!ticking_) next_tick();
  }

  Awaitable<void> serve(std::shared_ptr<Connection> connection) {
    co_await connection->run();
    connection.reset();
    if (shared_.stopping && shared_.connections.empty()) timer_->cancel();
  }

  // Deadlines are looked at together, a few times in the shortest of them, and only while there are connections.
  void next_tick() {
    ticking_ = true;
    const ServerOptions& options = shared_.options;
    const Duration shortest = std::min({options.header_timeout, options.body_timeout, options.idle_timeout, linger});
    const Duration period = std::clamp<Duration>(shortest / 4, std::chrono::milliseconds(5), std::chrono::seconds(1));
    timer_->expires_at(std::min(Steady::now() + period, give_up_));
    timer_->async_wait([this](const ErrorCode& ec) {
      if (!ec) tick();
    });
  }
  void tick() {
    const auto now = Steady::now();
    for (Connection* connection : shared_.connections) {
      if (now >= give_up_)
        connection->close();
      else
        connection->tick(now);
    }
    ticking_ = !shared_.connections.empty() && now < give_up_;
    if (ticking_) next_tick();
  }

  void begin_stop(Duration patience) {
    if (shared_.stopping) return;
    shared_.stopping = true;
    ErrorCode ec;
    acceptor_->close(ec);
    room_->cancel();
    for (Connection* connection : shared_.connections) connection->stop();
    give_up_ = Steady::now() + patience;
    if (shared_.connections.empty())
      timer_->cancel();
    else
      next_tick();
  }

  Shared shared_;
  Mutex mutex_;  // start() and stop() one after the other
  bool stopped_ GUARDED_BY(mutex_) = false;
  std::unique_ptr<asio::io_context> io_;
  std::optional<Acceptor> acceptor_;
  std::optional<Timer> room_;   // until the next try to accept
  std::optional<Timer> timer_;  // ticks
  bool ticking_ = false;
  Steady::time_point give_up_ = Steady::time_point::max();  // stop() waits no longer
  std::uint16_t port_ = 0;
  std::jthread thread_;
};

}  // namespace

std::unique_ptr<Server> make_server(ServerOptions options, Handler handler) {
  return std::make_unique<AsioServer>(std::move(options), std::move(handler));
}

}  // namespace pawl::net
