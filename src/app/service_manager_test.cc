#include "app/service_manager.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <string>
#include <thread>
#include <vector>

#include "base/log.h"

namespace pawl::app {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// The service manager's socket, at an abstract address of its own.
class ServiceManagerTest : public ::testing::Test {
 protected:
  ServiceManagerTest() {
    log::configure(log::Level::off, log::Format::text);
    socket_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    // Far longer than anything here takes.
    const timeval longest{.tv_sec = 60, .tv_usec = 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &longest, sizeof longest);
    const sa_family_t family = AF_UNIX;  // and no name: the system chooses an abstract one
    EXPECT_EQ(::bind(socket_, reinterpret_cast<const sockaddr*>(&family), sizeof family), 0);
    sockaddr_un address{};
    socklen_t size = sizeof address;
    EXPECT_EQ(::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    name_ = "@" + std::string(address.sun_path + 1, size - offsetof(sockaddr_un, sun_path) - 1);
    ::setenv("NOTIFY_SOCKET", name_.c_str(), 1);
  }
  ~ServiceManagerTest() override {
    ::close(socket_);
    for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) ::unsetenv(name);
  }

  std::string next() {
    std::array<char, 4096> bytes{};
    const ssize_t size = ::recv(socket_, bytes.data(), bytes.size(), 0);
    EXPECT_GE(size, 0) << "no message came";
    return {bytes.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0))};
  }
  // All messages before the one that begins so.
  std::vector<std::string> until(std::string_view begin) {
    std::vector<std::string> before;
    for (;;) {
      std::string message = next();
      if (message.empty() || message.starts_with(begin)) return before;
      before.push_back(std::move(message));
    }
  }

  int socket_ = -1;
  std::string name_;
};

TEST_F(ServiceManagerTest, AskedForMoreTimeUntilItIsReadyThenToldSo) {
  const auto manager = ServiceManager::from_environment();
  EXPECT_EQ(next(), "STATUS=starting\nEXTEND_TIMEOUT_USEC=60000000");
  std::atomic<bool> ready = false, asked = false;
  manager->running({.ready =
                        [&] {
                          asked = true;
                          asked.notify_one();
                          return ready.load();
                        },
                    .knock = [](const std::function<void()>&) { ADD_FAILURE() << "there is no watchdog"; },
                    .address = "http://127.0.0.1:1"});
  asked.wait(false);
  ready = true;
  EXPECT_EQ(next(), "READY=1\nSTATUS=ready on http://127.0.0.1:1");
  manager->stopping(41s);
  EXPECT_EQ(next(), "STOPPING=1\nSTATUS=stopping: this may take up to 41s\nEXTEND_TIMEOUT_USEC=41000000");
  manager->end();
  manager->end();
}

TEST_F(ServiceManagerTest, AServerThatStopsBeforeItIsReadyNeverSaysThatItIs) {
  const auto manager = ServiceManager::from_environment();
  EXPECT_THAT(next(), StartsWith("STATUS=starting"));
  manager->stopping(1s);
  manager->running({.ready = [] { return true; }, .knock = {}, .address = ""});
  EXPECT_THAT(next(), StartsWith("STOPPING=1"));
  manager->end();
  manager->stopping(2s);
  EXPECT_THAT(next(), HasSubstr("EXTEND_TIMEOUT_USEC=2000000")) << "and nothing came between";
}

TEST_F(ServiceManagerTest, TheWatchdogHearsOfAnEngineThatAnswers) {
  ::setenv("WATCHDOG_USEC", "2000", 1);
  ::setenv("WATCHDOG_PID", std::to_string(::getpid()).c_str(), 1);
  const auto manager = ServiceManager::from_environment();
  std::atomic<int> knocks = 0;
  manager->running({.ready = [] { return true; },
                    .knock =
                        [&](std::function<void()> answer) {
                          ++knocks;
                          std::jthread([answer = std::move(answer)] { answer(); }).detach();
                        },
                    .address = ""});
  until("WATCHDOG=1");
  until("WATCHDOG=1");
  EXPECT_GE(knocks, 2);
  manager->end();
}

TEST_F(ServiceManagerTest, TheWatchdogHearsNothingOfAnEngineThatIsStuckThoughItsThreadLives) {
  ::setenv("WATCHDOG_USEC", "2000", 1);
  const auto manager = ServiceManager::from_environment();
  std::atomic<int> knocks = 0;
  std::function<void()> late;
  manager->running({.ready = [] { return true; },
                    .knock =
                        [&](std::function<void()> answer) {
                          late = std::move(answer);
                          if (++knocks == 3) knocks.notify_one();
                        },
                    .address = ""});
  for (int seen = knocks; seen < 3; seen = knocks) knocks.wait(seen);
  manager->stopping(1s);
  for (const std::string& told : until("STOPPING=1")) EXPECT_THAT(told, ::testing::Not(HasSubstr("WATCHDOG=1")));
  manager->end();
  late();  // a slow engine may answer after the end
}

TEST_F(ServiceManagerTest, TheWatchdogOfAnotherProcessIsNotOurs) {
  for (const auto& [period, pid] : std::vector<std::pair<std::string, std::string>>{
           {"2000", std::to_string(::getppid())}, {"2000", "x"}, {"0", ""}, {"-5", ""}, {"soon", ""}}) {
    ::setenv("WATCHDOG_USEC", period.c_str(), 1);
    ::setenv("WATCHDOG_PID", pid.c_str(), 1);
    ::setenv("NOTIFY_SOCKET", name_.c_str(), 1);
    const auto manager = ServiceManager::from_environment();
    manager->running(
        {.ready = [] { return true; }, .knock = [](const std::function<void()>&) { ADD_FAILURE(); }, .address = ""});
    until("READY=1");
    manager->end();
  }
}

TEST_F(ServiceManagerTest, WhatItSaysIsForThisProcessAlone) {
  ::setenv("WATCHDOG_USEC", "5000000", 1);
  ::setenv("WATCHDOG_PID", "1", 1);
  const auto manager = ServiceManager::from_environment();
  for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) {
    EXPECT_EQ(::getenv(name), nullptr) << name;
    EXPECT_TRUE(is_of_service_manager(name));
  }
  EXPECT_FALSE(is_of_service_manager("NOTIFY"));
  EXPECT_FALSE(is_of_service_manager("PATH"));
}

TEST_F(ServiceManagerTest, WithoutASocketNothingIsToldToAnybody) {
  for (const std::string& name : {std::string(), std::string("@"), std::string("relative"), std::string("vsock:2:1"),
                                  "/" + std::string(200, 'x'), std::string("/nowhere/at/all")}) {
    ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
    const auto manager = ServiceManager::from_environment();
    EXPECT_EQ(::getenv("NOTIFY_SOCKET"), nullptr);
    manager->running({.ready = [] { return true; }, .knock = {}, .address = ""});
    manager->stopping(1s);
    manager->end();
  }
}

}  // namespace
}  // namespace pawl::app
