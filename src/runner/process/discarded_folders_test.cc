#include "runner/process/discarded_folders.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <memory>

#include "base/log.h"

namespace pawl::runner {
namespace {

namespace fs = std::filesystem;

class DiscardedFolder : public ::testing::Test {
 protected:
  void SetUp() override {
    log::configure(log::Level::off, log::Format::text);
    std::string path = (fs::temp_directory_path() / "pawl-test-XXXXXX").string();
    ASSERT_NE(::mkdtemp(path.data()), nullptr);
    workspace_ = path;
  }
  void TearDown() override { fs::remove_all(workspace_); }

  static RunId id(std::uint8_t number) {
    RunId run;
    run.value.bytes[15] = number;
    return run;
  }
  fs::path folder(RunId run) const { return workspace_ / to_string(run); }
  void work(RunId run, const std::string& file = "file") const {
    fs::create_directories(folder(run) / "job");
    std::ofstream(folder(run) / "job" / file) << "text";
  }
  void begin(std::function<bool(RunId)> ended_well = {}) {
    discarded_ = std::make_unique<DiscardedFolders>(workspace_, nullptr, std::move(ended_well));
  }
  // All that is put aside has gone after this.
  void end() { discarded_->stop(); }

  fs::path workspace_;
  std::unique_ptr<DiscardedFolders> discarded_;
};

TEST_F(DiscardedFolder, IsOutOfTheWayAtOnceAndGoneBehindThat) {
  work(id(1));
  work(id(2));
  begin();
  discarded_->discard(id(1));
  EXPECT_FALSE(fs::exists(folder(id(1))));
  work(id(1), "of a rerun");
  end();
  EXPECT_TRUE(fs::exists(folder(id(1)) / "job/of a rerun")) << "it is not the folder that was discarded";
  EXPECT_TRUE(fs::exists(folder(id(2)) / "job/file"));
  EXPECT_EQ(std::distance(fs::directory_iterator(workspace_), fs::directory_iterator{}), 2);
}

TEST_F(DiscardedFolder, ManyOfOneRunGo) {
  begin();
  for (int again = 0; again < 20; ++again) {
    work(id(1));
    discarded_->discard(id(1));
  }
  end();
  EXPECT_TRUE(fs::is_empty(workspace_));
}

TEST_F(DiscardedFolder, ThatIsNotThereIsNoError) {
  begin();
  discarded_->discard(id(1));
  end();
  EXPECT_TRUE(fs::is_empty(workspace_));
}

TEST_F(DiscardedFolder, OfADeadProcessIsRemovedByTheNext) {
  work(id(1));
  fs::rename(folder(id(1)), workspace_ / (".discarded-" + to_string(id(1)) + ".0"));  // it died before the removal
  work(id(2));  // before it could put it aside
  work(id(3));  // its run goes on
  fs::create_directories(workspace_ / "somebody's own");
  begin([](RunId run) { return run == id(2); });
  end();
  EXPECT_FALSE(fs::exists(folder(id(2))));
  EXPECT_TRUE(fs::exists(folder(id(3)) / "job/file"));
  EXPECT_TRUE(fs::exists(workspace_ / "somebody's own"));
}

TEST_F(DiscardedFolder, ThatARerunUsesAlreadyStays) {
  work(id(1));
  std::promise<void> asked, kept;
  begin([&](RunId) {
    asked.set_value();
    kept.get_future().wait();
    return true;  // what was read before the rerun
  });
  asked.get_future().wait();
  discarded_->keep(id(1));
  kept.set_value();
  end();
  EXPECT_TRUE(fs::exists(folder(id(1)) / "job/file"));
}

}  // namespace
}  // namespace pawl::runner
