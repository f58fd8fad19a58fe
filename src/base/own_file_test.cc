#include "base/own_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace pawl {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class OwnFiles : public testing::Test {
 protected:
  OwnFiles() {
    char name[] = "/tmp/pawl-own-XXXXXX";
    folder_ = ::mkdtemp(name);
    path_ = folder_ + "/file";
  }
  ~OwnFiles() override { fs::remove_all(folder_); }

  static mode_t mode(const std::string& path) {
    struct stat info{};
    return ::stat(path.c_str(), &info) == 0 ? info.st_mode & 07777 : 0;
  }

  std::string folder_, path_;
};

TEST_F(OwnFiles, OneThatIsMadeIsForUsAlone) {
  const auto made = OwnFile::open(path_, O_RDWR | O_CREAT);
  ASSERT_TRUE(made);
  EXPECT_EQ(mode(path_), 0600U);
}

TEST_F(OwnFiles, OneThatIsNotThereIsNotFoundAndFine) {
  EXPECT_EQ(OwnFile::open(path_, O_RDONLY).error().code, Code::not_found);
  EXPECT_TRUE(check_own_file(path_));
  EXPECT_TRUE(check_own_folder(path_, 0));
  EXPECT_EQ(file_id(path_).value(), std::nullopt);
}

TEST_F(OwnFiles, APipeIsRefusedWithoutWaitingForItsOtherEnd) {
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  for (const int flags : {O_RDONLY, O_WRONLY, O_RDWR, O_RDWR | O_CREAT, O_WRONLY | O_CREAT | O_EXCL}) {
    const auto opened = OwnFile::open(path_, flags);
    ASSERT_FALSE(opened) << flags;
    EXPECT_EQ(opened.error().code, Code::refused) << flags;
    EXPECT_THAT(opened.error().message, HasSubstr(path_ + " is a pipe, not a plain file: move it away"));
  }
}

TEST_F(OwnFiles, ALinkIsFollowedOnlyByWhoSaysSo) {
  std::ofstream(folder_ + "/other") << "x";
  fs::create_symlink("other", path_);
  EXPECT_THAT(OwnFile::open(path_, O_RDONLY).error().message, HasSubstr("is a link"));
  EXPECT_TRUE(OwnFile::open(path_, O_RDONLY, {.follow = true}));
}

TEST_F(OwnFiles, ASecondNameIsRefusedUnlessItDoesNoHarm) {
  std::ofstream(path_) << "x";
  fs::create_hard_link(path_, folder_ + "/other");
  EXPECT_THAT(OwnFile::open(path_, O_RDONLY).error().message, HasSubstr("has 2 names"));
  EXPECT_TRUE(OwnFile::open(path_, O_RDONLY, {.more_names = true}));
}

TEST_F(OwnFiles, RightsOfOthersAreTakenAwayAndThoseOfTheOwnerStay) {
  std::ofstream(path_) << "x";
  ASSERT_EQ(::chmod(path_.c_str(), 0464), 0);
  EXPECT_TRUE(check_own_file(path_, {.open_to_others = true}));
  EXPECT_EQ(mode(path_), 0464U);
  EXPECT_TRUE(check_own_file(path_));
  EXPECT_EQ(mode(path_), 0400U);
}

TEST_F(OwnFiles, AFolderKeepsTheRightsThatAreAllowed) {
  ASSERT_EQ(::mkdir(path_.c_str(), 0700), 0);
  ASSERT_EQ(::chmod(path_.c_str(), 0755), 0);
  EXPECT_TRUE(check_own_folder(path_, 011));
  EXPECT_EQ(mode(path_), 0711U);
  EXPECT_TRUE(check_own_folder(path_, 0));
  EXPECT_EQ(mode(path_), 0700U);
}

TEST_F(OwnFiles, WhatIsNoFolderIsRefusedAndALinkThatLeadsNowhereMayPass) {
  std::ofstream(path_) << "x";
  EXPECT_EQ(check_own_folder(path_, 0).error().code, Code::refused);
  EXPECT_EQ(check_own_folder(path_ + "/below", 0).error().code, Code::refused);
  fs::create_symlink("nowhere", folder_ + "/link");
  EXPECT_EQ(check_own_folder(folder_ + "/link", 0).error().code, Code::unavailable);
}

TEST_F(OwnFiles, AFileThatTakesTheNameOfAnotherIsSeen) {
  std::ofstream(path_) << "x";
  const auto before = file_id(path_).value();
  std::ofstream(folder_ + "/other") << "x";
  EXPECT_EQ(file_id(path_).value(), before);
  fs::rename(folder_ + "/other", path_);
  EXPECT_NE(file_id(path_).value(), before);
}

}  // namespace
}  // namespace pawl
