// What `pawl doctor` says of a folder, a lock and a port.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/socket.h>

#include "cli/test_world.h"

namespace pawl::cli {
namespace {

using testing::HasSubstr;

struct Check {
  std::string state, message, hint;
};

// The answer to one check of `doctor --json`.
Check check_of(const Said& said, std::string_view what) {
  const auto answer = parse_json(said.out);
  EXPECT_TRUE(answer) << said.out << said.err;
  if (!answer) return {};
  for (const Json& one : answer->at("checks").as_array())
    if (find_string(one, "check") == what)
      return {std::string(find_string(one, "state")), std::string(find_string(one, "message")),
              std::string(find_string(one, "hint"))};
  ADD_FAILURE() << "no check of " << what << " in " << said.out;
  return {};
}

// A port that somebody listens on, who answers nothing.
class Listener {
 public:
  Listener() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    check(::bind(socket_, reinterpret_cast<sockaddr*>(&address), size) == 0);
    check(::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port_ = ntohs(address.sin_port);
  }
  ~Listener() { ::close(socket_); }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

 private:
  int socket_;
  int port_ = 0;
};

Said ask(const Folder& folder, const std::string& listen = "127.0.0.1:0", const Hooks& hooks = {}) {
  return call({"doctor", "--json", "--data", folder.path(), "--listen", listen}, hooks);
}

TEST(Doctor, LooksAtEverythingThatAServerNeeds) {
  const Folder folder;
  const Said said = ask(folder);
  for (const std::string_view what : {"system", "clock", "folder", "space", "sync", "lock", "port", "cgroups", "limits",
                                      "time zones", "http", "shells"})
    EXPECT_NE(check_of(said, what).state, "failed") << what << said.out;
  EXPECT_EQ(said.exit, 0) << said.out;
  EXPECT_TRUE(std::filesystem::is_empty(folder.path())) << "it leaves nothing behind";
}

TEST(Doctor, PrintsALineForEachCheck) {
  const Folder folder;
  const Said said = call({"doctor", "--data", folder.path(), "--listen", "127.0.0.1:0"});
  EXPECT_EQ(said.exit, 0) << said.out;
  EXPECT_THAT(said.out, HasSubstr("fine     folder      " + folder.path()));
}

TEST(Doctor, WhatTheWiringFindsIsToldToo) {
  Hooks hooks;
  std::vector<std::string> asked;
  hooks.examine = [&](const std::string& data, const std::string& run_as) {
    asked = {data, run_as};
    return std::vector<Finding>{{"database", Finding::State::wrong, "broken", "mend it"}};
  };
  const Folder folder;
  const Said said = ask(folder, "127.0.0.1:0", hooks);
  EXPECT_EQ(said.exit, 1);
  EXPECT_EQ(asked, (std::vector<std::string>{folder.path(), ""}));
  EXPECT_EQ(check_of(said, "database").hint, "mend it");
}

TEST(Doctor, MoreAtOnceThanTheMachineBearsIsWrong) {
  Hooks hooks;
  hooks.at_once = [](const AtOnce&) { return Finding{"at once", Finding::State::wrong, "9999 are needed", ""}; };
  const Folder folder;
  const Said said = ask(folder, "127.0.0.1:0", hooks);
  EXPECT_EQ(said.exit, 1);
  EXPECT_EQ(check_of(said, "at once").message, "9999 are needed");
}

TEST(Doctor, AFolderThatIsNoneIsWrong) {
  const Folder folder;
  const std::string file = folder.file("data", "");
  const Said said = call({"doctor", "--json", "--data", file, "--listen", "127.0.0.1:0"});
  EXPECT_EQ(said.exit, 1);
  EXPECT_THAT(check_of(said, "folder").message, HasSubstr("is no folder"));
}

TEST(Doctor, AFolderThatIsNotThereYetWillBeMade) {
  const Folder folder;
  const Said said = call({"doctor", "--json", "--data", folder / "a/b", "--listen", "127.0.0.1:0"});
  EXPECT_EQ(said.exit, 0) << said.out;
  EXPECT_THAT(check_of(said, "folder").message, HasSubstr("will be made"));
  EXPECT_FALSE(std::filesystem::exists(folder / "a"));
}

TEST(Doctor, AFolderThatOthersCanReadIsOdd) {
  const Folder folder;
  std::filesystem::permissions(folder.path(), std::filesystem::perms(0755));
  const Check found = check_of(ask(folder), "folder");
  EXPECT_EQ(found.state, "warning");
  EXPECT_THAT(found.hint, HasSubstr("chmod 700"));
}

TEST(Doctor, WhoHoldsTheLockIsNamed) {
  const Folder folder;
  const std::string path = folder.file("pawl.db.lock", "");
  const int lock = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(::flock(lock, LOCK_EX | LOCK_NB), 0);
  EXPECT_THAT(check_of(ask(folder), "lock").message, HasSubstr("held by process " + std::to_string(::getpid())));
  ::close(lock);
  EXPECT_EQ(check_of(ask(folder), "lock").message, "free");
}

TEST(Doctor, APortThatIsTakenIsWrong) {
  const Folder folder;
  const Listener other;
  const Said said = ask(folder, other.address());
  EXPECT_EQ(said.exit, 1);
  EXPECT_THAT(check_of(said, "port").message, HasSubstr(other.address() + " is taken"));
  EXPECT_THAT(check_of(said, "port").hint, HasSubstr("--listen"));
}

}  // namespace
}  // namespace pawl::cli
