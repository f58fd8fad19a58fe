// doctor: whether a server could run on this machine with this data folder. Looks, and changes nothing but for a small
// file that is written, synced and removed.
#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netdb.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <thread>

#include "base/curl.h"
#include "base/utf8.h"
#include "cli/commands.h"
#include "cli/text.h"

namespace pawl::cli {
namespace {

namespace fs = std::filesystem;
using State = Finding::State;

constexpr std::uint64_t mebibyte = 1 << 20;
constexpr std::uint64_t gibibyte = mebibyte << 10;

Finding fine(std::string what, std::string text) { return {std::move(what), State::fine, std::move(text), ""}; }
Finding odd(std::string what, std::string text, std::string hint) {
  return {std::move(what), State::odd, std::move(text), std::move(hint)};
}
Finding wrong(std::string what, std::string text, std::string hint) {
  return {std::move(what), State::wrong, std::move(text), std::move(hint)};
}

std::string size_text(std::uint64_t bytes) {
  return bytes >= 10 * gibibyte ? fmt::format("{} GiB", bytes / gibibyte) : fmt::format("{} MiB", bytes / mebibyte);
}

std::string because(int error) { return std::strerror(error); }

// A descriptor that is closed again.
class File {
 public:
  explicit File(int descriptor) : descriptor_(descriptor) {}
  ~File() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int get() const { return descriptor_; }
  bool valid() const { return descriptor_ >= 0; }

 private:
  int descriptor_;
};

Finding kernel() {
  utsname name{};
  ::uname(&name);
  int major = 0, minor = 0;
  const char* const end = name.release + std::strlen(name.release);
  const auto first = std::from_chars(name.release, end, major);
  if (first.ptr != end) std::from_chars(first.ptr + 1, end, minor);
  std::array<char, 64> libc{};
  ::confstr(_CS_GNU_LIBC_VERSION, libc.data(), libc.size());
  const std::string text = fmt::format("Linux {} {}, {}, {} processors", name.release, name.machine, libc.data(),
                                       std::thread::hardware_concurrency());
  if (major < 5 || (major == 5 && minor < 6)) return wrong("system", text, "Linux 5.6 or later is needed");
  std::error_code ignored;
  if (!fs::exists("/proc/self/exe", ignored)) return wrong("system", text + ", no /proc", "mount /proc");
  return fine("system", text);
}

Finding clock() {
  const auto now = std::chrono::system_clock::now();
  const std::string text = local_time(wall_clock());
  if (now < std::chrono::sys_days(std::chrono::year(2025) / 1 / 1))
    return wrong("clock", text + " cannot be", "set the clock of this machine");
  timex state{};
  if (::adjtimex(&state) >= 0 && (state.status & STA_UNSYNC) != 0)
    return odd("clock", text + ", not kept right by a time service", "run chrony or systemd-timesyncd");
  return fine("clock", text);
}

// The folder, or the nearest above it that there is.
fs::path existing(fs::path folder) {
  std::error_code error;
  folder = fs::absolute(folder, error);
  while (!fs::exists(folder, error) && folder.has_relative_path()) folder = folder.parent_path();
  return folder;
}

Finding folder(const std::string& data) {
  if (data.empty()) return wrong("folder", "no data folder: neither HOME nor PAWL_DATA is set", "use --data");
  const fs::path there = existing(data);
  const bool made = there == fs::absolute(data).lexically_normal() || fs::exists(data);
  struct stat info{};
  if (::stat(there.c_str(), &info) != 0)
    return wrong("folder", fmt::format("{}: {}", there.string(), because(errno)), "name another --data");
  if (!S_ISDIR(info.st_mode)) return wrong("folder", there.string() + " is no folder", "name another --data");
  if (::access(there.c_str(), W_OK | X_OK) != 0)
    return wrong("folder", fmt::format("{} cannot be written by this user: {}", there.string(), because(errno)),
                 "name another --data, or change the owner of this one");
  if (made && info.st_uid != ::geteuid())
    return wrong("folder",
                 fmt::format("{} belongs to user {}, but this process runs as user {}", data, info.st_uid, ::geteuid()),
                 "run it as that user, or change the owner of the folder and of what is in it");
  struct statfs system{};
  constexpr std::int64_t nfs = 0x6969, smb = 0x517B, cifs = 0xFF534D42, smb2 = 0xFE534D42, tmpfs = 0x01021994;
  if (::statfs(there.c_str(), &system) == 0) {
    const auto type = static_cast<std::int64_t>(system.f_type) & 0xFFFFFFFF;
    if (type == nfs || type == smb || type == cifs || type == smb2)
      return odd("folder", data + " lies on a network file system, whose locks cannot be relied on",
                 "use a disk of this machine");
    if (type == tmpfs) return odd("folder", data + " lies in memory, and is gone with the machine's power", "");
  }
  if (!made) return fine("folder", data + " will be made");
  if ((info.st_mode & 066) != 0)
    return odd("folder",
               fmt::format("{} is open to others (mode {:o}); the server would change the mode or refuse the folder",
                           data, info.st_mode & 07777),
               fmt::format("chmod 700 {}", shell_word(data)));
  return fine("folder", data);
}

Finding space(const std::string& data) {
  const fs::path there = existing(data);
  struct statvfs system{};
  if (::statvfs(there.c_str(), &system) != 0)
    return wrong("space", fmt::format("{}: {}", there.string(), because(errno)), "");
  const std::uint64_t free = static_cast<std::uint64_t>(system.f_bavail) * system.f_frsize;
  const std::string text = size_text(free) + " free";
  if (free < 64 * mebibyte) return wrong("space", text, "make room: a full disk stops all runs");
  if (system.f_files > 0 && system.f_favail < 1000)
    return wrong("space", fmt::format("{}, but only {} more files", text, system.f_favail), "make room");
  if (free < gibibyte) return odd("space", text, "make room: logs and history grow");
  return fine("space", text);
}

// The middle one of five times that a written file is synced.
Finding sync(const std::string& data) {
  std::string path = (existing(data) / "pawl-doctor-XXXXXX").string();
  const File file(::mkostemp(path.data(), O_CLOEXEC));
  if (!file.valid()) return wrong("sync", fmt::format("no file can be made: {}", because(errno)), "");
  ::unlink(path.c_str());
  std::array<double, 5> times{};
  for (double& took : times) {
    const auto start = std::chrono::steady_clock::now();
    const std::array<char, 4096> page{};
    if (::pwrite(file.get(), page.data(), page.size(), 0) != static_cast<ssize_t>(page.size()) ||
        ::fsync(file.get()) != 0)
      return wrong("sync", fmt::format("a file cannot be written and synced: {}", because(errno)),
                   "look at the disk and its file system");
    took = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  }
  std::ranges::sort(times);
  const std::string text = fmt::format("{:.1f} ms", times[2]);
  if (times[2] > 50) return odd("sync", text, "a faster disk lets more steps through");
  return fine("sync", text);
}

// Who holds the lock file of the store, as the kernel lists it: asking for the lock could be in the way of a server
// that starts. 0: nobody that can be seen.
int lock_holder(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return 0;
  int written = 0;  // by whom took it last
  std::ifstream(path) >> written;
  std::ifstream locks("/proc/locks");
  for (std::string line; std::getline(locks, line);) {
    // 1: FLOCK ADVISORY WRITE PID MAJOR:MINOR:INODE …
    std::istringstream words(line);
    std::string number, kind, mode, access, file;
    int process = 0;
    words >> number >> kind >> mode >> access >> process >> file;
    if (kind != "FLOCK" || !file.ends_with(fmt::format(":{}", info.st_ino))) continue;
    // Some file systems show another device here than there.
    if (file.starts_with(fmt::format("{:02x}:{:02x}:", major(info.st_dev), minor(info.st_dev))) || process == written)
      return process;
  }
  return 0;
}

Finding lock(int holder) {
  if (holder == 0) return fine("lock", "free");
  std::ifstream name(fmt::format("/proc/{}/comm", holder));
  std::string program;
  std::getline(name, program);
  return fine("lock", fmt::format("held by process {}{}", holder, program.empty() ? "" : " (" + program + ")"));
}

struct FreeAddress {
  void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};
using Address = std::unique_ptr<addrinfo, FreeAddress>;

Address address_of(const std::string& host, const std::string& port) {
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_STREAM;
  wanted.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  return Address(::getaddrinfo(host.c_str(), port.c_str(), &wanted, &found) == 0 ? found : nullptr);
}

// Whether this process could listen there: an errno, or 0.
int try_to_listen(const addrinfo& at) {
  const File socket(::socket(at.ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  const bool listens = socket.valid() && ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
                       ::bind(socket.get(), at.ai_addr, at.ai_addrlen) == 0 && ::listen(socket.get(), 1) == 0;
  return listens ? 0 : errno;
}

// Whether what listens there says that it is well, as our server does, and within two seconds.
bool answers(const addrinfo& at) {
  const File socket(::socket(at.ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval patience{.tv_sec = 2, .tv_usec = 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  constexpr std::string_view request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  if (::connect(socket.get(), at.ai_addr, at.ai_addrlen) != 0 ||
      ::send(socket.get(), request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size()))
    return false;
  constexpr std::string_view good = "HTTP/1.1 200";
  std::array<char, good.size()> begin{};
  const ssize_t got = ::recv(socket.get(), begin.data(), begin.size(), MSG_WAITALL);
  return std::string_view(begin.data(), static_cast<std::size_t>(std::max<ssize_t>(got, 0))) == good;
}

Finding port(const std::string& listen, bool server_runs) {
  const std::size_t colon = listen.rfind(':');
  std::string host = listen.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  const Address at = address_of(host, listen.substr(colon + 1));
  const int error = at ? try_to_listen(*at) : EADDRNOTAVAIL;
  if (error == 0) return fine("port", listen + " is free");
  if (error == EADDRINUSE) {
    const bool ours = answers(*at);
    if (ours && server_runs) return fine("port", fmt::format("the server answers at {}", listen));
    return wrong("port",
                 fmt::format("{} is taken{}", listen, ours ? ", perhaps by a server of another data folder" : ""),
                 "choose another with --listen, or stop what listens there");
  }
  return wrong("port", fmt::format("{}: {}", listen, because(error)), "choose another address with --listen");
}

Finding time_zones() {
  const std::string folder = environment("TZDIR").empty() ? "/usr/share/zoneinfo" : environment("TZDIR");
  std::error_code ignored;
  for (const char* const zone : {"UTC", "Asia/Seoul", "America/New_York"})
    if (fs::file_size(folder + '/' + zone, ignored) == 0 || ignored)
      return wrong("time zones", fmt::format("{}/{} is missing", folder, zone), "apt install tzdata");
  return fine("time zones", folder);
}

Finding http_client() {
  const auto curl = load_curl();
  if (!curl) return odd("http", curl.error().message, "`http` tasks cannot run without it");
  for (const std::string& file : {environment("CURL_CA_BUNDLE"), environment("SSL_CERT_FILE"),
                                  std::string("/etc/ssl/certs/ca-certificates.crt")}) {
    std::error_code error;
    if (!file.empty() && fs::file_size(file, error) > 0 && !error)
      return fine("http", fmt::format("libcurl, authorities of {}", file));
  }
  return odd("http", "libcurl, but no list of authorities", "apt install ca-certificates, for https");
}

std::string find_program(std::string_view name) {
  std::istringstream folders(environment("PATH"));
  for (std::string at; std::getline(folders, at, ':');) {
    const std::string path = at + '/' + std::string(name);
    if (at.starts_with('/') && ::access(path.c_str(), X_OK) == 0) return path;
  }
  return "";
}

Finding shells() {
  std::vector<std::string> found, missing;
  for (const char* const name : {"bash", "sh", "python3"}) {
    const std::string path = find_program(name);
    (path.empty() ? missing : found).push_back(path.empty() ? name : path);
  }
  const std::string text = fmt::format("{}", fmt::join(found, ", "));
  if (missing.empty()) return fine("shells", text);
  const std::string lacks = fmt::format("no {}{}{}", fmt::join(missing, ", no "), text.empty() ? "" : "; ", text);
  if (missing.front() == "bash") return wrong("shells", lacks, "`run` tasks use bash unless they name another shell");
  return odd("shells", lacks, fmt::format("tasks with `shell: {}` cannot run", missing.front()));
}

// Where this process may make groups below its own; see runner/process/cgroups.h. Nothing is made here.
Finding groups() {
  std::ifstream own("/proc/self/cgroup");
  bool any = false;
  for (std::string line; std::getline(own, line);) {
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (!controllers.empty() && controllers != "pids") continue;
    any = true;
    const std::string folder = (controllers.empty() ? "/sys/fs/cgroup" : "/sys/fs/cgroup/pids") +
                               (second + 2 < line.size() ? line.substr(second + 1) : "");
    if (::access(folder.c_str(), W_OK) == 0)
      return fine("cgroups",
                  fmt::format("version {}: the kernel counts what a task takes", controllers.empty() ? 2 : 1));
  }
  return fine("cgroups", fmt::format("{}: processes and memory of tasks are counted by Pawl itself",
                                     any ? "not writable" : "none"));
}

Finding limits() {
  rlimit files{}, processes{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  ::getrlimit(RLIMIT_NPROC, &processes);
  const auto number = [](rlim_t limit) { return limit == RLIM_INFINITY ? std::string("any") : std::to_string(limit); };
  const std::string text =
      fmt::format("{} open files, {} processes", number(files.rlim_max), number(processes.rlim_max));
  if (files.rlim_max < 8192)
    return odd("limits", text, "raise the hard limit of open files (LimitNOFILE=, ulimit -Hn) for many calls at once");
  return fine("limits", text);
}

std::string_view word(State state) {
  switch (state) {
    case State::fine: return "fine";
    case State::odd: return "warning";
    case State::wrong: return "failed";
  }
  return {};
}

void show(Console& console, const std::vector<Finding>& findings) {
  for (const Finding& one : findings) {
    const Colour colour = one.state == State::fine  ? Colour::green
                          : one.state == State::odd ? Colour::yellow
                                                    : Colour::red;
    console.line(fmt::format("{}  {}  {}", console.paint(colour, pad(word(one.state), 7)), pad(one.what, 10),
                             printable(one.text)));
    if (!one.hint.empty()) console.line(fmt::format("{}{}", pad("", 21), printable(one.hint)));
  }
}

json::array to_json(const std::vector<Finding>& findings) {
  json::array checks;
  for (const Finding& one : findings)
    checks.push_back(json::object{{"check", one.what},
                                  {"state", word(one.state)},
                                  {"message", to_utf8_lossy(one.text)},
                                  {"hint", to_utf8_lossy(one.hint)}});
  return checks;
}

}  // namespace

Outcome<int> doctor(Console& console, const Common& common, const DoctorOptions& options, const Hooks& hooks) {
  const std::string data = data_folder(common);
  std::vector<Finding> findings{kernel(), clock(), folder(data)};
  if (!data.empty()) {
    findings.push_back(space(data));
    if (findings[2].state != State::wrong) findings.push_back(sync(data));
  }
  const int holder = data.empty() ? 0 : lock_holder(data + '/' + store_file + ".lock");
  findings.push_back(lock(holder));
  findings.push_back(port(options.listen, holder != 0));
  if (hooks.examine)
    for (Finding& one : hooks.examine(data, options.run_as)) findings.push_back(std::move(one));
  if (hooks.at_once) findings.push_back(hooks.at_once(options.at_once));
  for (Finding& one : std::array{groups(), limits(), time_zones(), http_client(), shells()})
    findings.push_back(std::move(one));

  const bool fit = std::ranges::none_of(findings, [](const Finding& one) { return one.state == State::wrong; });
  if (common.json)
    console.line(pawl::to_text(Json(json::object{{"fine", fit}, {"checks", to_json(findings)}})));
  else
    show(console, findings);
  return fit ? Exit::fine : Exit::failed;
}

}  // namespace pawl::cli
