#include "base/processors.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "base/memory_limit.h"
#include "base/thread_pool.h"

namespace thaw {
namespace {

namespace fs = std::filesystem;

// A machine made of files: /proc/self/cgroup and what lies under /sys/fs/cgroup.
class ProcessorsTest : public testing::Test {
 protected:
  ProcessorsTest() {
    std::string name = (fs::temp_directory_path() / "thaw-cgroup-XXXXXX").string();
    root_ = ::mkdtemp(name.data());
  }
  ~ProcessorsTest() override { fs::remove_all(root_); }

  void put(const std::string& path, const std::string& text) const {
    fs::create_directories(fs::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }
  std::optional<unsigned> quota() const { return internal::quota_processors(root_); }

  std::string root_;
};

TEST_F(ProcessorsTest, MemoryLimitsAreTheSmallestOnTheWayUpInBothVersions) {
  EXPECT_EQ(internal::cgroup_memory_limit(root_), std::nullopt);
  put("/proc/self/cgroup", "7:cpu,cpuacct:/a\n3:memory:/a/b\n0::/a/b\n");
  put("/sys/fs/cgroup/memory.max", "max\n");
  EXPECT_EQ(internal::cgroup_memory_limit(root_), std::nullopt);
  put("/sys/fs/cgroup/a/memory.max", "3000000\n");
  put("/sys/fs/cgroup/a/b/memory.max", "4000000\n");
  EXPECT_EQ(internal::cgroup_memory_limit(root_), 3000000u);
  put("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(internal::cgroup_memory_limit(root_), 3000000u);
  put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "2000000\n");
  EXPECT_EQ(internal::cgroup_memory_limit(root_), 2000000u);
}

TEST_F(ProcessorsTest, NoCgroupsNoQuota) { EXPECT_EQ(quota(), std::nullopt); }

TEST_F(ProcessorsTest, Version2RoundsUp) {
  put("/proc/self/cgroup", "0::/\n");
  put("/sys/fs/cgroup/cpu.max", "150000 100000\n");
  EXPECT_EQ(quota(), 2u);
  put("/sys/fs/cgroup/cpu.max", "200000 100000\n");
  EXPECT_EQ(quota(), 2u);
  put("/sys/fs/cgroup/cpu.max", "1000 100000\n");
  EXPECT_EQ(quota(), 1u);
  put("/sys/fs/cgroup/cpu.max", "max 100000\n");
  EXPECT_EQ(quota(), std::nullopt);
}

TEST_F(ProcessorsTest, Version2TakesTheSmallestOnTheWayUp) {
  put("/proc/self/cgroup", "0::/pods/one/app\n");
  put("/sys/fs/cgroup/cpu.max", "800000 100000\n");
  put("/sys/fs/cgroup/pods/cpu.max", "300000 100000\n");
  put("/sys/fs/cgroup/pods/one/cpu.max", "400000 100000\n");
  put("/sys/fs/cgroup/pods/one/app/cpu.max", "max 100000\n");
  EXPECT_EQ(quota(), 3u);
}

TEST_F(ProcessorsTest, Version1FindsTheCpuController) {
  put("/proc/self/cgroup",
      "5:memory:/docker/x\n4:cpuset:/docker/x\n3:cpu,cpuacct:/docker/x\n1:name=systemd:/\n");
  put("/sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_quota_us", "250000\n");
  put("/sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_period_us", "100000\n");
  put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
  put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quota(), 3u);
}

TEST_F(ProcessorsTest, APathOfTheHostsFallsBackToTheContainersRoot) {
  put("/proc/self/cgroup", "3:cpu,cpuacct:/docker/not/here\n0::/../other\n");
  put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "400000\n");
  put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quota(), 4u);
}

TEST_F(ProcessorsTest, NonsenseIsNoQuota) {
  put("/proc/self/cgroup", "0\n:\n0::relative\n7:cpu:/\n0::/\n");
  for (const char* text :
       {"", "100000", "x y", "-5 100000", "100000 0", "99999999999999999999 1"}) {
    put("/sys/fs/cgroup/cpu.max", text);
    EXPECT_EQ(quota(), std::nullopt) << text;
  }
  put("/sys/fs/cgroup/cpu.max", "9000000000000000000 1");
  EXPECT_EQ(quota(), 1u << 16);
}

TEST(UsableProcessors, FollowsTheAffinityMask) {
  const unsigned before = usable_processors();
  EXPECT_GE(before, 1u);
  unsigned pinned = 0;
  std::thread thread([&] {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
    pinned = usable_processors();
  });
  thread.join();
  EXPECT_EQ(pinned, 1u);
  EXPECT_EQ(usable_processors(), before);
}

}  // namespace
}  // namespace thaw
