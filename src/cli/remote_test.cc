// The commands against a real server in this process, and the client against what is none.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/http_client.h"
#include "cli/server.h"
#include "cli/test_remote.h"
#include "net/server.h"

namespace pawl::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr const char* flow = R"(name: 상품 분석
on: {webhook: {scheme: pawl, secret: "${{ secrets.HOOK }}"}}
inputs:
  n: {type: int, default: 1}
  tags: {type: list, default: []}
jobs:
  main:
    tasks:
      - {id: say, run: "echo \e[31mred"}
      - {id: other, run: echo other}
)";
constexpr const char* failing =
    "name: fails\njobs:\n  main:\n    tasks:\n      - {id: t, run: fail}\n      - {id: u, run: echo}\n";
constexpr const char* hanging = "name: hangs\njobs:\n  main:\n    tasks:\n      - {id: t, run: hang}\n";

TEST_F(Remote, ApplyTellsWhatBecameOfTheWorkflow) {
  const Said created = call({"apply", file(flow)});
  EXPECT_EQ(created.exit, 0) << created.err;
  EXPECT_EQ(created.out, "상품 분석 version 1 (created)\n");
  EXPECT_THAT(created.err, HasSubstr("webhook"));
  EXPECT_EQ(call({"apply", file(flow)}).out, "상품 분석 version 1 (unchanged)\n");
  EXPECT_EQ(call({"apply", file(std::string(flow) + "# more\n")}).out, "상품 분석 version 2 (changed)\n");
  EXPECT_THAT(call({"list"}).out,
              AllOf(HasSubstr("NAME       VERSION  ENABLED"), HasSubstr("상품 분석  2        yes")));
}

TEST_F(Remote, ARunIsStartedWaitedForAndShown) {
  apply(flow);
  const Json run = json({"start", "상품 분석", "-i", "n=7", "-i", "tags=[\"a\"]", "--wait"});
  EXPECT_EQ(find_string(run, "status"), "success");
  EXPECT_EQ(to_text(run.at("inputs")), R"({"n":7,"tags":["a"]})");
  EXPECT_EQ(find_string(run, "trigger"), "manual");
  EXPECT_EQ(find_string(run, "user_agent"), "pawl-cli/" PAWL_VERSION);
  const Said page = call({"show", "상품 분석#1"});
  EXPECT_THAT(page.out,
              AllOf(HasSubstr("상품 분석 #1  + success  version 1"), HasSubstr(std::string(find_string(run, "id"))),
                    HasSubstr("attempt 1  + success"), HasSubstr("    + say    success")));
  EXPECT_THAT(call({"runs", "상품 분석"}).out, AllOf(HasSubstr("상품 분석#1  + success"), HasSubstr("manual")));
  EXPECT_EQ(json({"runs"}).at("items").as_array().size(), 1);
  EXPECT_EQ(json({"runs", "--status", "failed"}).at("items").as_array().size(), 0);
  EXPECT_EQ(json({"runs", "--since", "4102444800"}).at("items").as_array().size(), 0);
  const Json again = json({"start", "상품 분석", "--like", "상품 분석#1", "--wait"});
  EXPECT_EQ(to_text(again.at("inputs")), R"({"n":7,"tags":["a"]})");
}

TEST_F(Remote, AFailedRunThatIsWaitedForIsOneAndSaysWhy) {
  apply(failing);
  EXPECT_EQ(call({"start", "fails"}).exit, 0);
  const Said said = call({"start", "fails", "--wait"});
  EXPECT_EQ(said.exit, 1);
  EXPECT_THAT(said.out, AllOf(HasSubstr("x fails #2 failed"), HasSubstr("exit_code: 3")));
  // What a task printed cannot move the cursor.
  EXPECT_THAT(call({"show", "fails#2"}).out,
              AllOf(HasSubstr("| two \\x1b[2J"), HasSubstr("- u"), HasSubstr("upstream")));
}

TEST_F(Remote, FollowShowsStepsAndOutput) {
  apply(failing);
  const Said said = call({"start", "fails", "--follow"});
  EXPECT_EQ(said.exit, 1);
  EXPECT_THAT(said.out, AllOf(HasSubstr("main/t started"), HasSubstr("main/t | fail"), HasSubstr("main/t failed"),
                              HasSubstr("main/u skipped: upstream")));
}

TEST_F(Remote, LogsAreOfARunOrOfOneTask) {
  apply(flow);
  json({"start", "상품 분석", "--wait"});
  EXPECT_THAT(call({"logs", "상품 분석#1"}).out,
              AllOf(HasSubstr("main/say | echo "), HasSubstr("main/other | echo other\n")));
  EXPECT_EQ(call({"logs", "상품 분석#1", "main/other"}).out, "echo other\n");
  EXPECT_EQ(call({"logs", "상품 분석#1", "main/other", "-f"}).out, "echo other\n");
  const Json all = json({"logs", "상품 분석#1"});
  EXPECT_EQ(all.at("items").as_array().size(), 2);
  EXPECT_EQ(find_string(all, "status"), "success");
  EXPECT_EQ(json({"logs", "상품 분석#1", "main/other"}).at("items").as_array().size(), 1);
  EXPECT_EQ(call({"logs", "상품 분석#1", "main/none"}).exit, 1);
}

TEST_F(Remote, CancelAndResumeAct) {
  apply(hanging);
  const std::string id(find_string(json({"start", "hangs"}), "id"));
  EXPECT_EQ(call({"resume", id}).exit, 4);  // it is open
  EXPECT_EQ(call({"cancel", "hangs#1"}).exit, 0);
  const auto status = [&] { return std::string(find_string(json({"show", id}), "status")); };
  while (status() != "cancelled") {
  }
  EXPECT_EQ(call({"cancel", id}).exit, 4);
  const Said resumed = call({"resume", id});
  EXPECT_EQ(resumed.exit, 0);
  EXPECT_THAT(resumed.out, HasSubstr("attempt 2"));
  call({"cancel", id});
}

TEST_F(Remote, ARunThatWaitsForALimitSaysWhichAndWhoHoldsItLongest) {
  apply(hanging);
  for (int i = 0; i < 5; ++i) json({"start", "hangs"});  // one more than may run at once here
  const auto last = [&] { return json({"show", "hangs#5"}); };
  while (find_string(last(), "status") != "waiting") {
  }
  EXPECT_EQ(find_string(last().at("limit"), "name"), "max-processes");
  const std::string words = "for limit max-processes, 4 of 4 taken, longest by hangs#1 main/t for ";
  EXPECT_THAT(call({"show", "hangs#5"}).out, AllOf(HasSubstr("  waits    " + words), HasSubstr("waits " + words)));
  for (int i = 5; i > 0; --i) call({"cancel", "hangs#" + std::to_string(i)});
}

TEST_F(Remote, AnApprovalIsAnsweredOnce) {
  apply(
      "name: gated\njobs:\n  deploy:\n    matrix: {to: [a/b, c]}\n    tasks:\n"
      "      - {id: gate, approval: {message: \"ship to ${{ matrix.to }}\"}}\n");
  const std::string id(find_string(json({"start", "gated"}), "id"));
  const auto status = [&] { return std::string(find_string(json({"show", id}), "status")); };
  while (status() != "waiting") {
  }
  EXPECT_THAT(call({"show", id}).out, AllOf(HasSubstr("waits for approval"), HasSubstr("ship to a/b"),
                                            HasSubstr("deploy[to=c]"), HasSubstr("2 instances")));
  EXPECT_EQ(call({"approve", id, "deploy/gate"}).exit, 1);
  EXPECT_EQ(call({"approve", id, "deploy[to=a/b]/gate", "-m", "yes"}).exit, 0);
  const Said late = call({"approve", id, "deploy[to=a/b]/gate", "--reject"});
  EXPECT_EQ(late.exit, 4);
  EXPECT_THAT(late.err, HasSubstr("is success: there is nothing to approve"));
  EXPECT_EQ(call({"release", id, "deploy[to=c]/gate", "fail"}).exit, 4);
  EXPECT_EQ(call({"approve", id, "deploy[to=c]/gate", "--reject", "-m", "not now"}).exit, 0);
  while (status() != "failed") {
  }
  EXPECT_THAT(call({"show", id}).out,
              AllOf(HasSubstr("approved by admin (yes)"), HasSubstr("approval_rejected"), HasSubstr("not now")));
  const Said again = call({"rerun", id, "--from", "deploy[to=c]"});
  EXPECT_EQ(again.exit, 0);
  EXPECT_THAT(again.out, HasSubstr("attempt 2"));
  call({"cancel", id});
}

TEST_F(Remote, ManyRunsAreMovedByFilter) {
  apply(hanging);
  for (int i = 0; i < 3; ++i) json({"start", "hangs"});
  const Said dry = call({"cancel", "--workflow", "hangs", "--dry-run"});
  EXPECT_THAT(dry.out, AllOf(HasSubstr("hangs#1"), HasSubstr("hangs#3")));
  EXPECT_THAT(call({"resume", "--workflow", "hangs"}).out, HasSubstr("no run of these"));
  EXPECT_EQ(call({"cancel", "--workflow", "hangs", "--status", "running"}).exit, 0);
  const auto open = [&] { return json({"runs", "--status", "running"}).at("items").as_array().size(); };
  while (open() > 0) {
  }
  EXPECT_EQ(call({"cancel", "--all", "--status", "failed"}).exit, 1) << "nothing to cancel in a failed run";
  const Json resumed = json({"resume", "--all", "--until", "2100-01-01T00:00:00Z"});
  EXPECT_EQ(resumed.at("items").as_array().size(), 3u);
  EXPECT_EQ(call({"cancel", "--all"}).exit, 0);
}

TEST_F(Remote, TheSameKeyGivesTheSameRun) {
  apply(flow);
  const Json one = json({"start", "상품 분석", "--key", "k"}), two = json({"start", "상품 분석", "--key", "k"});
  EXPECT_EQ(find_string(one, "id"), find_string(two, "id"));
  EXPECT_EQ(call({"start", "상품 분석", "--key", "k", "-i", "n=2"}).exit, 4);
}

TEST_F(Remote, WhatIsUnknownOrInvalidIsOne) {
  apply(flow);
  const std::vector<std::vector<std::string>> commands{
      {"show", "0192a000-0000-7000-8000-000000000000"},
      {"show", "상품 분석#9"},
      {"show", "no such run"},
      {"start", "none"},
      {"start", "none", "-i", "a=1"},
      {"start", "상품 분석", "-i", "n=x"},
      {"start", "상품 분석", "-i", "m=1"},
      {"runs", "none"},
      {"logs", "none#1"},
      {"cancel", "none#1"},
  };
  for (const auto& arguments : commands) {
    EXPECT_EQ(call(arguments).exit, 1) << testing::PrintToString(arguments);
    auto with_json = arguments;
    with_json.push_back("--json");
    const Said said = call(with_json);
    EXPECT_EQ(said.exit, 1);
    EXPECT_EQ(said.err, "");
    EXPECT_NE(find_string(parse_json(said.out)->at("error"), "code"), "");
  }
}

TEST_F(Remote, WithoutTheRightTokenTheServerRefuses) {
  ::setenv("PAWL_TOKEN", "wrong", 1);
  EXPECT_EQ(call({"list"}).exit, 4);
  ::unsetenv("PAWL_TOKEN");
  const Said said = call({"list", "--data", folder_ / "none"});
  EXPECT_EQ(said.exit, 4);
  EXPECT_THAT(said.err, HasSubstr("none/admin.token cannot be read"));
}

TEST_F(Remote, AServerThatIsNotThereIsThree) {
  server_->stop({});
  for (const char* command : {"list", "runs"}) {
    const Said said = call({command});
    EXPECT_EQ(said.exit, 3);
    EXPECT_THAT(said.err, HasSubstr("no server answers at http://" + address_));
  }
  EXPECT_EQ(find_string(json({"list"}).at("error"), "code"), "unreachable");
}

TEST(Addresses, AreReadStrictly) {
  EXPECT_EQ(parse_server("localhost:80")->base, "http://localhost:80");
  EXPECT_EQ(parse_server("https://pawl.example/sub/")->base, "https://pawl.example/sub");
  for (const char* text : {"http://127.0.0.1:1", "http://localhost", "[::1]:7295"})
    EXPECT_TRUE(parse_server(text)->loopback) << text;
  for (const char* text : {"http://127.0.0.1.example", "https://10.0.0.1", "localhost.example"})
    EXPECT_FALSE(parse_server(text)->loopback) << text;
  for (const char* text : {"ftp://x", "http://", "http://u@x", "http://x?y", "http://x#y", "http://a b", "file:///etc"})
    EXPECT_FALSE(parse_server(text)) << text;
}

TEST(Tokens, OfThisMachineDoNotGoElsewhere) {
  const Folder folder;
  folder.file(token_file, "secret");
  ::setenv("PAWL_DATA", folder.path().c_str(), 1);
  ::setenv("no_proxy", "*", 1);
  net::ServerOptions options;
  options.port = 0;
  options.allowed_hosts = {"0.0.0.0", "127.0.0.1"};
  std::string seen = "nothing";
  const auto server = net::make_server(options, [&](net::Request request, const net::Responder& respond) {
    seen = request.header("authorization");
    respond({.status = 502, .content_type = "text/html", .body = "<html>"});
  });
  ASSERT_TRUE(server->start());
  // By a name that is not plainly this machine's.
  const std::string elsewhere = "http://0.0.0.0:" + std::to_string(server->port());
  EXPECT_EQ(call({"list", "--server", elsewhere}).exit, 3);
  EXPECT_EQ(seen, "");
  const Said said = call({"list", "--server", "127.0.0.1:" + std::to_string(server->port())});
  server->stop({});
  ::unsetenv("PAWL_DATA");
  EXPECT_EQ(seen, "Bearer secret");
  EXPECT_EQ(said.exit, 3);
  EXPECT_THAT(said.err, HasSubstr("none of a Pawl server"));
}

TEST(Problems, OfAnAnswerGiveTheExitCode) {
  const auto exit_of = [](int status) {
    return problem_of({status, "application/problem+json", R"({"code":"x","detail":"d"})"}).exit;
  };
  EXPECT_EQ(exit_of(400), 1);
  EXPECT_EQ(exit_of(401), 4);
  EXPECT_EQ(exit_of(403), 4);
  EXPECT_EQ(exit_of(404), 1);
  EXPECT_EQ(exit_of(409), 4);
  EXPECT_EQ(exit_of(422), 1);
  EXPECT_EQ(exit_of(500), 3);
  EXPECT_EQ(exit_of(503), 3);
}

}  // namespace
}  // namespace pawl::cli
