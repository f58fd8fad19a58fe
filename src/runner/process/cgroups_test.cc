#include "runner/process/cgroups.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

namespace pawl::runner {
namespace {

namespace fs = std::filesystem;

// A folder that looks like the cgroups of some machine. In a real one the kernel makes the files of a new group.
class CgroupFolder : public ::testing::Test {
 protected:
  CgroupFolder() {
    std::string pattern = (fs::temp_directory_path() / "pawl-cgroups-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    sources_ = {.mounts = folder_ + "/mounts", .own = folder_ + "/own"};
  }
  ~CgroupFolder() override {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }

  void write(const std::string& path, const std::string& text) const {
    fs::create_directories(fs::path(folder_ + "/" + path).parent_path());
    std::ofstream(folder_ + "/" + path) << text;
  }
  std::string read(const std::string& path) const {
    std::ifstream file(folder_ + "/" + path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  Cgroups find(TaskLimits limits = {}) const { return Cgroups::find(limits, "key", sources_); }
  // The name that groups of this key begin with.
  static std::string prefix() { return "pawl-2c70e12b7a06-"; }

  std::string folder_;
  Cgroups::Sources sources_;
};

TEST_F(CgroupFolder, AMachineWithoutCgroupsHasNone) {
  write("mounts", "22 1 0:20 / /proc rw - proc proc rw\n");
  write("own", "");
  EXPECT_EQ(find().version(), 0);
  EXPECT_FALSE(find().hold_processes());
  const TryGroups groups = find().make(1);
  EXPECT_EQ(groups.processes, "");
  EXPECT_EQ(groups.memory, "");
}

TEST_F(CgroupFolder, AGroupThatHandsControllersDownAlreadyIsUsed) {
  write("mounts", "30 1 0:26 / " + folder_ + "/tree rw,nosuid - cgroup2 cgroup2 rw\n");
  write("own", "0::/pawl.service\n");
  write("tree/pawl.service/cgroup.controllers", "cpu memory pids\n");
  write("tree/pawl.service/cgroup.subtree_control", "memory pids\n");
  // The probe's file, which the kernel would make.
  write("tree/pawl.service/" + prefix() + "probe/pids.max", "max\n");
  const Cgroups groups = find();
  EXPECT_EQ(groups.version(), 2);
  EXPECT_TRUE(groups.hold_processes());
  EXPECT_FALSE(groups.hold_memory()) << "it has no limit";

  write("tree/pawl.service/" + prefix() + "7/pids.max", "max\n");
  const TryGroups made = groups.make(7);
  EXPECT_EQ(made.processes, folder_ + "/tree/pawl.service/" + prefix() + "7");
  EXPECT_TRUE(read("tree/pawl.service/" + prefix() + "7/pids.max").starts_with("1024"));
}

TEST_F(CgroupFolder, AServerAloneInItsGroupMovesDownSoThatItCanHandControllersDown) {
  write("mounts", "30 1 0:26 / " + folder_ + "/tree rw,nosuid - cgroup2 cgroup2 rw\n");
  write("own", "0::/pawl.service\n");
  write("tree/pawl.service/cgroup.controllers", "memory pids\n");
  write("tree/pawl.service/cgroup.subtree_control", "");
  write("tree/pawl.service/" + prefix() + "server/cgroup.procs", "");
  write("tree/pawl.service/" + prefix() + "probe/pids.max", "max\n");
  EXPECT_EQ(find().version(), 2);
  EXPECT_EQ(read("tree/pawl.service/" + prefix() + "server/cgroup.procs"), std::to_string(::getpid()));
  EXPECT_EQ(read("tree/pawl.service/cgroup.subtree_control"), "+pids +memory");
}

TEST_F(CgroupFolder, OfVersionOneEachControllerHasItsTree) {
  write("mounts", "31 1 0:27 / " + folder_ + "/pids rw - cgroup cgroup rw,pids\n32 1 0:28 /docker/x " + folder_ +
                      "/memory rw - cgroup cgroup rw,memory\n33 1 0:29 / " + folder_ + "/all rw - cgroup2 none rw\n");
  write("own", "9:pids:/a\n8:cpu,memory:/docker/x/b\n0::/\n");
  write("all/cgroup.controllers", "hugetlb\n");
  write("pids/a/" + prefix() + "probe/pids.max", "max\n");
  write("memory/b/" + prefix() + "probe/memory.limit_in_bytes", "1\n");
  const Cgroups groups = find({.processes = 5, .memory_bytes = 1 << 20});
  EXPECT_EQ(groups.version(), 1);
  EXPECT_TRUE(groups.hold_processes());
  EXPECT_TRUE(groups.hold_memory());
}

TEST_F(CgroupFolder, WhatAnEarlierServerLeftIsRemovedAndNothingElse) {
  write("mounts", "30 1 0:26 / " + folder_ + "/tree rw,nosuid - cgroup2 cgroup2 rw\n");
  write("own", "0::/\n");
  write("tree/cgroup.controllers", "memory pids\n");
  write("tree/cgroup.subtree_control", "memory pids\n");
  write("tree/" + prefix() + "probe/pids.max", "max\n");
  for (const std::string& name :
       {prefix() + "1", prefix() + "server", std::string{"pawl-other-1"}, std::string{"user"}}) {
    fs::create_directory(folder_ + "/tree/" + name);
  }
  find().end_leftovers();
  EXPECT_FALSE(fs::exists(folder_ + "/tree/" + prefix() + "1"));
  EXPECT_TRUE(fs::exists(folder_ + "/tree/" + prefix() + "server"));
  EXPECT_TRUE(fs::exists(folder_ + "/tree/pawl-other-1"));
  EXPECT_TRUE(fs::exists(folder_ + "/tree/user"));
}

}  // namespace
}  // namespace pawl::runner
