#include "runner/process/folder_removal.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "runner/process/descriptor.h"
#include "runner/process/testing/fixture.h"

namespace pawl::runner {
namespace {

namespace fs = std::filesystem;

class FolderRemoval : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string path = (fs::temp_directory_path() / "pawl-test-XXXXXX").string();
    ASSERT_NE(::mkdtemp(path.data()), nullptr);
    home_ = path;
    workspace_ = home_ / "workspace";
    run_ = workspace_ / "run";
    outside_ = home_ / "outside";
    fs::create_directories(run_);
    fs::create_directories(outside_);
    write(outside_ / "kept");
  }
  void TearDown() override {
    EXPECT_TRUE(fs::exists(outside_ / "kept")) << "what lies outside is not ours to remove";
    fs::remove_all(home_);
  }
  static void write(const fs::path& path) { std::ofstream(path) << "text"; }
  Result<void> remove(const std::stop_token& stop = {}) { return remove_folder(workspace_, "run", nullptr, stop); }

  fs::path home_, workspace_, run_, outside_;
};

TEST_F(FolderRemoval, WhatIsNotThereIsNoError) {
  EXPECT_TRUE(remove_folder(workspace_, "other", nullptr, {}));
  EXPECT_TRUE(remove_folder(home_ / "nowhere", "run", nullptr, {}));
}

TEST_F(FolderRemoval, EverythingGoes) {
  fs::create_directories(run_ / "a/b/c");
  fs::create_directories(run_ / ".pawl/x");
  for (const char* name : {"one", "a/two", "a/b/three", "a/b/c/four", ".hidden"}) write(run_ / name);
  ASSERT_EQ(::mkfifo((run_ / "a/pipe").c_str(), 0600), 0);
  const auto done = remove();
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_TRUE(fs::is_empty(workspace_));
  EXPECT_TRUE(remove());
}

TEST_F(FolderRemoval, NoLinkIsFollowed) {
  fs::create_directory_symlink(outside_, run_ / "link");
  fs::create_directories(run_ / "deep");
  fs::create_directory_symlink(outside_, run_ / "deep/link");
  fs::create_symlink("/nowhere", run_ / "dangling");
  fs::create_hard_link(outside_ / "kept", run_ / "hard");
  ASSERT_TRUE(remove());
  EXPECT_TRUE(fs::is_empty(workspace_));
}

TEST_F(FolderRemoval, AFolderThatIsALinkLosesTheLinkAlone) {
  fs::remove(run_);
  fs::create_directory_symlink(outside_, run_);
  ASSERT_TRUE(remove());
  EXPECT_TRUE(fs::is_empty(workspace_));
}

TEST_F(FolderRemoval, AFileInItsPlaceGoes) {
  fs::remove(run_);
  write(run_);
  ASSERT_TRUE(remove());
  EXPECT_TRUE(fs::is_empty(workspace_));
}

TEST_F(FolderRemoval, FoldersWithoutRightsAreNoObstacle) {
  fs::create_directories(run_ / "a/b/c");
  write(run_ / "a/b/c/file");
  for (const char* name : {"a/b/c", "a/b", "a", ""}) fs::permissions(run_ / name, fs::perms::none);
  const auto done = remove();
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_TRUE(fs::is_empty(workspace_));
}

// Deeper than a path may be long and than descriptors would reach; no step of it depends on the depth.
TEST_F(FolderRemoval, NoDepthIsTooDeep) {
  constexpr int depth = 1'500;
  Descriptor at{::open(run_.c_str(), O_RDONLY | O_DIRECTORY)};
  for (int n = 0; n < depth; ++n) {
    ASSERT_EQ(::mkdirat(at.get(), "down", 0700), 0);
    ASSERT_EQ(::symlinkat("..", at.get(), "up"), 0);
    at = Descriptor{::openat(at.get(), "down", O_RDONLY | O_DIRECTORY)};
    ASSERT_TRUE(at.valid());
  }
  at.reset();
  const std::size_t before = testing::open_descriptors();
  const auto done = remove();
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_TRUE(fs::is_empty(workspace_));
  EXPECT_EQ(testing::open_descriptors(), before);
}

TEST_F(FolderRemoval, NamesThatStandInTheWayOfWhatIsMovedUpAreNoObstacle) {
  fs::create_directories(run_ / "removed-1/removed-1/removed-2/removed-1");
  write(run_ / "removed-2");
  fs::create_directories(run_ / "removed-3/x");
  write(run_ / "removed-1/removed-1/removed-2/removed-1/file");
  ASSERT_TRUE(remove());
  EXPECT_TRUE(fs::is_empty(workspace_));
}

TEST_F(FolderRemoval, AStopEndsItAndTheNextCallGoesOn) {
  for (int n = 0; n < 100; ++n) write(run_ / std::to_string(n));
  std::stop_source stop;
  stop.request_stop();
  const auto done = remove(stop.get_token());
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::overloaded);
  EXPECT_TRUE(fs::exists(run_));
  ASSERT_TRUE(remove());
  EXPECT_FALSE(fs::exists(run_));
}

// The folder of tasks that run as another user: what is in it is removed with that one's rights and no more.
class FolderOfAnotherUser : public FolderRemoval {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "only root can give files away";
    FolderRemoval::SetUp();
  }
  void give_away() {
    for (const auto& entry : fs::recursive_directory_iterator(run_))
      ASSERT_EQ(::lchown(entry.path().c_str(), user_.uid, user_.gid), 0);
    ASSERT_EQ(::lchown(run_.c_str(), user_.uid, user_.gid), 0);
  }
  const Identity user_{.uid = 65534, .gid = 65534, .group_count = 0, .groups = {}};
};

TEST_F(FolderOfAnotherUser, GoesWhateverItsRights) {
  fs::create_directories(run_ / "a/b/c");
  write(run_ / "a/b/c/file");
  give_away();
  for (const char* name : {"a/b/c", "a/b", "a", ""}) fs::permissions(run_ / name, fs::perms::none);
  const auto done = remove_folder(workspace_, "run", &user_, {});
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_TRUE(fs::is_empty(workspace_));
}

TEST_F(FolderOfAnotherUser, WhatThatUserCannotRemoveStaysAndIsSaid) {
  give_away();
  fs::create_directories(run_ / "of-root");
  write(run_ / "of-root/file");
  write(run_ / "goes");
  const auto done = remove_folder(workspace_, "run", &user_, {});
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::unavailable);
  EXPECT_NE(done.error().message.find("workspace/run"), std::string::npos);
  EXPECT_TRUE(fs::exists(run_ / "of-root/file"));
  EXPECT_FALSE(fs::exists(run_ / "goes"));
}

}  // namespace
}  // namespace pawl::runner
