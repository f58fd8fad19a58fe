// For tests: a real server in this process, to which the commands talk.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/api.h"
#include "cli/server.h"
#include "cli/test_world.h"
#include "net/server.h"

namespace pawl::cli {

class Remote : public testing::Test {
 protected:
  Remote() : logs_(store::memory_log()), engine_(store::make_memory_disk(), *logs_, nullptr, {}, {}) {
    net::ServerOptions options;
    options.port = 0;
    server_ = net::make_server(
        options, api::make_api(
                     {.admin_token = [] { return std::string("secret"); }, .seats = [this] { return engine_.seats(); }},
                     engine_.inbox(), engine_.histories(), [this] { return engine_.store().reader(); }, *logs_));
    check(server_->start().has_value());
    address_ = "127.0.0.1:" + std::to_string(server_->port());
    ::setenv("PAWL_SERVER", address_.c_str(), 1);
    ::setenv("PAWL_DATA", (folder_ / "data").c_str(), 1);
    std::filesystem::create_directories(folder_ / "data");
    folder_.file(std::string("data/") + token_file, "secret\n");
  }
  ~Remote() override {
    server_->stop(std::chrono::seconds(1));
    ::unsetenv("PAWL_SERVER");
    ::unsetenv("PAWL_DATA");
  }
  std::string file(const std::string& text) { return folder_.file("flow.yaml", text); }
  void apply(const std::string& text) { ASSERT_EQ(call({"apply", file(text)}).exit, 0); }
  Json json(std::vector<std::string> arguments) {
    arguments.push_back("--json");
    const Said said = call(arguments);
    auto value = parse_json(said.out);
    EXPECT_TRUE(value) << said.out << said.err;
    return value ? *value : Json();
  }

  Folder folder_;
  std::unique_ptr<store::LogStore> logs_;
  MemoryEngine engine_;
  std::unique_ptr<net::Server> server_;
  std::string address_;
};

}  // namespace pawl::cli
