#include "store/log_store.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <thread>

#include "base/random.h"
#include "store/contract_tests/temp_folder.h"
#include "store/log_frame.h"

namespace pawl::store {
namespace {

using testing::ElementsAre;

RunId a_run(std::uint64_t n) { return RunId{uuid_v7(from_us(1'795'500'000'000'000), n, n << 40 | n)}; }

LogFrame a_frame(std::string bytes, std::string task = "t1", int try_number = 1) {
  return {.job = "j",
          .task = std::move(task),
          .try_number = try_number,
          .stream = LogStream::out,
          .at = from_us(7),
          .bytes = std::move(bytes)};
}

std::vector<std::string> lines(LogStore& log, RunId run, std::uint64_t offset = 0) {
  std::vector<std::string> found;
  const auto end = log.read(run, offset, [&](LogFrame&& frame) { return found.push_back(frame.bytes), true; });
  EXPECT_TRUE(end) << end.error().message;
  return found;
}

void must_append(LogStore& log, RunId run, const std::string& bytes) {
  const auto done = log.append(run, a_frame(bytes));
  ASSERT_TRUE(done) << done.error().message;
}

// What both kinds of log promise.
class LogContract : public testing::TestWithParam<bool> {
 protected:
  TempFolder folder_;
  std::unique_ptr<LogStore> log_ = GetParam() ? *open_log_files(folder_ / "logs") : memory_log();
};
INSTANTIATE_TEST_SUITE_P(All, LogContract, testing::Bool(),
                         [](const auto& parameter) { return parameter.param ? "Files" : "Memory"; });

TEST_P(LogContract, ALogThatIsRemovedIsGoneAndMayBeginAnew) {
  must_append(*log_, a_run(1), "one");
  must_append(*log_, a_run(2), "other");
  ASSERT_TRUE(log_->remove(a_run(1)));
  EXPECT_THAT(lines(*log_, a_run(1)), ElementsAre());
  EXPECT_THAT(lines(*log_, a_run(2)), ElementsAre("other"));
  EXPECT_TRUE(log_->remove(a_run(1)));
  EXPECT_TRUE(log_->remove(a_run(3)));
  must_append(*log_, a_run(1), "again");
  EXPECT_THAT(lines(*log_, a_run(1)), ElementsAre("again"));
}

TEST_P(LogContract, ARunThatPrintedNothingHasNoFrames) {
  EXPECT_THAT(lines(*log_, a_run(1)), ElementsAre());
  EXPECT_TRUE(log_->sync(a_run(1)));
  log_->close(a_run(1));
}

TEST_P(LogContract, AFrameReadsBackAsItCame) {
  LogFrame frame{
      .job = "tägliche", .task = "夜", .try_number = 3, .stream = LogStream::note, .at = from_us(-5), .bytes = {}};
  frame.bytes = std::string("\0\xff\r\n\x1b[31m", 9);
  ASSERT_TRUE(log_->append(a_run(1), frame));
  std::vector<LogFrame> found;
  ASSERT_TRUE(log_->read(a_run(1), 0, [&](LogFrame&& f) { return found.push_back(std::move(f)), true; }));
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].job, frame.job);
  EXPECT_EQ(found[0].task, frame.task);
  EXPECT_EQ(found[0].try_number, 3);
  EXPECT_EQ(found[0].stream, LogStream::note);
  EXPECT_EQ(found[0].at, frame.at);
  EXPECT_EQ(found[0].bytes, frame.bytes);
}

TEST_P(LogContract, FramesComeInOrderAndRunsAreApart) {
  for (const char* line : {"a", "b", "", "c"}) must_append(*log_, a_run(1), line);
  must_append(*log_, a_run(2), "other");
  EXPECT_THAT(lines(*log_, a_run(1)), ElementsAre("a", "b", "", "c"));
  EXPECT_THAT(lines(*log_, a_run(2)), ElementsAre("other"));
}

TEST_P(LogContract, ReadingGoesOnWhereItStopped) {
  for (const char* line : {"a", "b", "c"}) must_append(*log_, a_run(1), line);
  const auto after_first = log_->read(a_run(1), 0, [](LogFrame&&) { return false; });
  ASSERT_TRUE(after_first);
  EXPECT_THAT(lines(*log_, a_run(1), *after_first), ElementsAre("b", "c"));
  const auto end = log_->read(a_run(1), *after_first, [](LogFrame&&) { return true; });
  ASSERT_TRUE(end);
  EXPECT_THAT(lines(*log_, a_run(1), *end), ElementsAre());
  must_append(*log_, a_run(1), "d");
  EXPECT_THAT(lines(*log_, a_run(1), *end), ElementsAre("d"));
}

TEST_P(LogContract, AnOffsetWhereNoFrameBeginsIsInvalid) {
  must_append(*log_, a_run(1), "a");
  const auto end = log_->read(a_run(1), 0, [](LogFrame&&) { return true; });
  for (const std::uint64_t offset : {std::uint64_t{1}, *end - 1, *end + 1, ~std::uint64_t{0}})
    EXPECT_EQ(log_->read(a_run(1), offset, [](LogFrame&&) { return true; }).error().code, Code::invalid) << offset;
  EXPECT_EQ(log_->read(a_run(2), 1, [](LogFrame&&) { return true; }).error().code, Code::invalid);
}

TEST_P(LogContract, WhatIsTooLargeIsInvalidAndLeavesNothing) {
  must_append(*log_, a_run(1), "a");
  EXPECT_EQ(log_->append(a_run(1), a_frame(std::string(17 << 20, 'x'))).error().code, Code::invalid);
  EXPECT_EQ(log_->append(a_run(1), a_frame("x", std::string(70'000, 't'))).error().code, Code::invalid);
  must_append(*log_, a_run(1), std::string(15 << 20, 'y'));
  must_append(*log_, a_run(1), "b");
  const auto found = lines(*log_, a_run(1));
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[1].size(), 15U << 20);
  EXPECT_EQ(found[2], "b");
}

TEST_P(LogContract, AClosedLogOpensAgain) {
  must_append(*log_, a_run(1), "a");
  log_->close(a_run(1));
  log_->close(a_run(1));
  must_append(*log_, a_run(1), "b");
  EXPECT_TRUE(log_->sync(a_run(1)));
  log_->close(a_run(1));
  EXPECT_TRUE(log_->sync(a_run(1)));
  EXPECT_THAT(lines(*log_, a_run(1)), ElementsAre("a", "b"));
}

TEST_P(LogContract, TasksOfOneRunPrintSideBySideWhileOthersReadAndClose) {
  constexpr int tasks = 4, each = 200;
  {
    std::vector<std::jthread> threads;
    for (int task = 0; task < tasks; ++task)
      threads.emplace_back([this, task] {
        for (int n = 1; n <= each; ++n) {
          EXPECT_TRUE(log_->append(a_run(1), a_frame(std::to_string(n), std::to_string(task))));
          if (n % 50 == 0) {
            EXPECT_TRUE(log_->sync(a_run(1)));
          }
          if (n % 70 == 0) log_->close(a_run(1));
        }
      });
    threads.emplace_back([this] {
      for (int n = 0; n < 50; ++n) EXPECT_TRUE(log_->read(a_run(1), 0, [](LogFrame&&) { return true; }));
    });
  }
  std::map<std::string, int> last;
  ASSERT_TRUE(log_->read(a_run(1), 0, [&](LogFrame&& frame) {
    EXPECT_EQ(std::stoi(frame.bytes), ++last[frame.task]);
    return true;
  }));
  EXPECT_EQ(last, (std::map<std::string, int>{{"0", each}, {"1", each}, {"2", each}, {"3", each}}));
}

class LogFiles : public testing::Test {
 protected:
  void reopen(std::size_t descriptors = 256) { log_ = *open_log_files(folder_ / "logs", descriptors); }
  void SetUp() override { reopen(); }

  std::string path(RunId run) const {
    return folder_ / ("logs/" + to_string(run).substr(24, 2) + "/" + to_string(run) + ".log");
  }
  std::string bytes(RunId run) const {
    std::ifstream file(path(run), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void replace(RunId run, const std::string& content) { std::ofstream(path(run), std::ios::binary) << content; }
  static std::size_t open_descriptors() {
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
  }

  TempFolder folder_;
  std::unique_ptr<LogStore> log_;
};

TEST_F(LogFiles, NothingIsMadeBeforeSomethingIsPrintedAndThenForTheOwnerAlone) {
  EXPECT_TRUE(log_->sync(a_run(1)));
  EXPECT_THAT(lines(*log_, a_run(1)), ElementsAre());
  EXPECT_FALSE(std::filesystem::exists(folder_ / "logs"));
  must_append(*log_, a_run(1), "a");
  for (const std::string& made : {folder_ / "logs", path(a_run(1))})
    EXPECT_EQ(std::filesystem::status(made).permissions() & std::filesystem::perms(0077), std::filesystem::perms::none)
        << made;
}

TEST_F(LogFiles, AFrameCutOffByACrashIsNotSeenAndIsRemovedByTheNextAppend) {
  must_append(*log_, a_run(1), "first");
  const std::string one = bytes(a_run(1));
  must_append(*log_, a_run(1), "second");
  const std::string two = bytes(a_run(1));
  for (std::size_t size = one.size(); size < two.size(); ++size) {
    replace(a_run(1), two.substr(0, size));
    reopen();
    ASSERT_THAT(lines(*log_, a_run(1)), ElementsAre("first")) << size;
    EXPECT_EQ(*log_->read(a_run(1), 0, [](LogFrame&&) { return true; }), one.size());
    must_append(*log_, a_run(1), "again");
    ASSERT_THAT(lines(*log_, a_run(1)), ElementsAre("first", "again")) << size;
  }
}

TEST_F(LogFiles, AnEndOfZerosIsATornEnd) {
  must_append(*log_, a_run(1), "first");
  replace(a_run(1), bytes(a_run(1)) + std::string(10'000, '\0'));
  reopen();
  EXPECT_THAT(lines(*log_, a_run(1)), ElementsAre("first"));
  must_append(*log_, a_run(1), "second");
  EXPECT_THAT(lines(*log_, a_run(1)), ElementsAre("first", "second"));
}

TEST_F(LogFiles, DamageInTheMiddleIsToldInItsPlaceAndNothingIsThrownAway) {
  must_append(*log_, a_run(1), "first");
  const std::size_t place = bytes(a_run(1)).size();
  must_append(*log_, a_run(1), "second");
  const std::size_t end = bytes(a_run(1)).size();
  must_append(*log_, a_run(1), "third");
  const std::string whole = bytes(a_run(1));
  for (std::size_t at = place; at < end; ++at) {
    std::string broken = whole;
    broken[at] = static_cast<char>(broken[at] ^ 0x20);
    replace(a_run(1), broken);
    reopen();
    const std::string gap = fmt::format("{} bytes of the log are damaged and left out here", end - place);
    ASSERT_THAT(lines(*log_, a_run(1)), ElementsAre("first", gap, "third")) << at;
    must_append(*log_, a_run(1), "fourth");
    EXPECT_TRUE(bytes(a_run(1)).starts_with(broken));
    EXPECT_THAT(lines(*log_, a_run(1)), ElementsAre("first", gap, "third", "fourth"));
    EXPECT_THAT(lines(*log_, a_run(1), place), ElementsAre(gap, "third", "fourth"));
    EXPECT_THAT(lines(*log_, a_run(1), end), ElementsAre("third", "fourth"));
    EXPECT_EQ(log_->read(a_run(1), place + 1, [](LogFrame&&) { return true; }).error().code, Code::invalid);
  }
}

TEST_F(LogFiles, AGapIsReadLikeAFrame) {
  for (const char* line : {"first", "second", "third"}) must_append(*log_, a_run(1), line);
  std::string broken = bytes(a_run(1));
  broken[broken.size() / 2] ^= 1;
  replace(a_run(1), broken);
  reopen();
  std::uint64_t offset = 0;
  std::vector<std::pair<std::string, LogStream>> seen;
  for (int n = 0; n < 3; ++n) {
    const auto next = log_->read(a_run(1), offset, [&](LogFrame&& frame) {
      seen.emplace_back(frame.job, frame.stream);
      return false;
    });
    ASSERT_TRUE(next);
    offset = *next;
  }
  EXPECT_THAT(seen, ElementsAre(std::pair("j", LogStream::out), std::pair("", LogStream::note),
                                std::pair("j", LogStream::out)));
  EXPECT_EQ(offset, broken.size());
}

TEST_F(LogFiles, WhatIsNoFileIsCorruptAndHoldsNobodyUp) {
  must_append(*log_, a_run(1), "first");
  std::filesystem::remove(path(a_run(1)));
  ASSERT_EQ(::mkfifo(path(a_run(1)).c_str(), 0600), 0);
  reopen();
  EXPECT_EQ(log_->read(a_run(1), 0, [](LogFrame&&) { return true; }).error().code, Code::corrupt);
  EXPECT_FALSE(log_->append(a_run(1), a_frame("second")));
  std::filesystem::remove(path(a_run(1)));
  std::filesystem::create_directory(path(a_run(1)));
  reopen();
  EXPECT_EQ(log_->read(a_run(1), 0, [](LogFrame&&) { return true; }).error().code, Code::corrupt);
  EXPECT_FALSE(log_->append(a_run(1), a_frame("second")));
  EXPECT_FALSE(log_->sync(a_run(1)));
}

TEST_F(LogFiles, ACopyOfALogInTheOutputOfATaskIsNoFrame) {
  must_append(*log_, a_run(1), "first");
  const std::string copy = bytes(a_run(1));
  must_append(*log_, a_run(1), copy + copy);
  const std::string two = bytes(a_run(1));
  replace(a_run(1), two.substr(0, two.size() - 1));
  reopen();
  EXPECT_THAT(lines(*log_, a_run(1)), ElementsAre("first"));
}

TEST_F(LogFiles, OutputThatLooksLikeHeadersDoesNotHoldUpTheReader) {
  must_append(*log_, a_run(1), "first");
  std::string forged;
  while (forged.size() < 4 << 20) forged += std::string("PwL1\0\0\x10\0abcd", 12);
  const std::string begin = bytes(a_run(1));
  replace(a_run(1), begin + forged);
  reopen();
  const auto read = log_->read(a_run(1), 0, [](LogFrame&&) { return true; });
  EXPECT_TRUE(read);
}

TEST_F(LogFiles, DescriptorsAreBoundedAndNoFrameIsLostByIt) {
  reopen(5);
  const std::size_t before = open_descriptors();
  for (int round = 0; round < 3; ++round)
    for (std::uint64_t n = 0; n < 40; ++n) must_append(*log_, a_run(n), std::to_string(round));
  EXPECT_LE(open_descriptors(), before + 5);
  for (std::uint64_t n = 0; n < 40; ++n) {
    EXPECT_TRUE(log_->sync(a_run(n)));
    EXPECT_THAT(lines(*log_, a_run(n)), ElementsAre("0", "1", "2"));
  }
  EXPECT_LE(open_descriptors(), before + 5);
  for (std::uint64_t n = 0; n < 40; ++n) log_->close(a_run(n));
  EXPECT_EQ(open_descriptors(), before);
}

TEST_F(LogFiles, WithoutRoomAFrameIsRefusedWholeAndLaterOnesAreTaken) {
  ::signal(SIGXFSZ, SIG_IGN);
  must_append(*log_, a_run(1), "first");
  const std::size_t size = bytes(a_run(1)).size();
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  const rlimit small{.rlim_cur = size + 100, .rlim_max = old.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto refused = log_->append(a_run(1), a_frame(std::string(5000, 'x')));
  const std::size_t left = bytes(a_run(1)).size();
  const auto fits = log_->append(a_run(1), a_frame("small"));
  ::setrlimit(RLIMIT_FSIZE, &old);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::overloaded);
  EXPECT_EQ(left, size);
  EXPECT_TRUE(fits);
  must_append(*log_, a_run(1), std::string(5000, 'y'));
  EXPECT_THAT(lines(*log_, a_run(1)), ElementsAre("first", "small", std::string(5000, 'y')));
  ::signal(SIGXFSZ, SIG_DFL);
}

TEST_F(LogFiles, AFolderThatCannotBeMadeIsUnavailable) {
  const auto log = *open_log_files(folder_ / "no/where/logs");
  EXPECT_EQ(log->append(a_run(1), a_frame("a")).error().code, Code::unavailable);
}

TEST(LogFrame, TheChecksumIsThatOfItsStandard) {
  EXPECT_EQ(crc32c("123456789"), 0xe3069283U);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aaU);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43U);
  EXPECT_EQ(crc32c("56789", crc32c("1234")), 0xe3069283U);
}

TEST(LogFrame, RandomBytesAreNoFrame) {
  SplitMix random(1);
  for (int n = 0; n < 2000; ++n) {
    std::string bytes(random.below(200), ' ');
    for (char& c : bytes) c = static_cast<char>(random.next());
    if (n % 2 == 0) bytes.insert(0, "PwL1");
    const auto size = frame_size(bytes);
    EXPECT_FALSE(size && is_whole(bytes, *size, 0));
  }
}

}  // namespace
}  // namespace pawl::store
