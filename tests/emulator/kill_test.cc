// SIGKILL to the emulator at many points under asynchronous load: every event that got 202 runs.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/random.h"
#include "runtime/http/client.h"

namespace thaw::emulator {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using namespace std::chrono_literals;

// An emulator in another process.
class Host {
 public:
  explicit Host(const std::string& directory) {
    int ends[2];
    EXPECT_EQ(::pipe(ends), 0);
    const std::string snapshot = directory + "/fake.thaw", state = directory + "/state";
    pid_ = ::fork();
    if (pid_ == 0) {
#ifdef THAW_UNDER_QEMU
      ::setpgid(0, 0);
#endif
      ::dup2(ends[1], STDOUT_FILENO);
      const int log = ::open((directory + "/log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
      ::dup2(log, STDERR_FILENO);
      ::execl(EMULATOR_HOST, EMULATOR_HOST, FAKE_BOOTSTRAP, snapshot.c_str(), state.c_str(),
              nullptr);
      ::_exit(127);
    }
    ::close(ends[1]);
    std::string text;
    for (char c = 0; ::read(ends[0], &c, 1) == 1 && c != '\n';) text += c;
    ::close(ends[0]);
    authority_ = "127.0.0.1:" + text;
    EXPECT_FALSE(text.empty()) << "the emulator did not start";
  }
  ~Host() { end(SIGTERM); }
  void end(int signal) {
    if (pid_ <= 0) return;
    ::kill(pid_, signal);
#ifdef THAW_UNDER_QEMU
    // Under qemu-user a child of a process with threads may stand still between fork and exec.
    if (signal == SIGKILL) ::kill(-pid_, SIGKILL);
#endif
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
  }
  const std::string& authority() const { return authority_; }

 private:
  pid_t pid_ = -1;
  std::string authority_;
};

TEST(Kill, RunsEveryEventThatWasAcceptedWheneverTheEmulatorIsKilled) {
  std::string directory = (fs::temp_directory_path() / "thaw-kill-XXXXXX").string();
  ASSERT_NE(::mkdtemp(directory.data()), nullptr);
  std::ofstream(directory + "/fake.thaw") << "x";
  const std::string marks = directory + "/marks";
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  Random random(seed);

  constexpr int kKills = 25, kCallers = 4;
  std::mutex mutex;
  std::set<std::string> accepted;  // guarded by mutex
  const auto accepted_count = [&] {
    const std::lock_guard lock(mutex);
    return accepted.size();
  };
  int next_name = 0;
  for (int round = 0; round < kKills; ++round) {
    Host host(directory);
    ASSERT_FALSE(HasFailure());
    std::atomic<bool> over{false};
    std::vector<std::thread> callers;
    for (int i = 0; i < kCallers; ++i) {
      callers.emplace_back([&, i] {
        const auto client = *http::Client::create(host.authority());
        while (!over) {
          http::Call call;
          std::string name;
          {
            const std::lock_guard lock(mutex);
            name = std::to_string(next_name++);
          }
          const std::string event =
              Json{{"do", "mark"}, {"file", marks}, {"name", name}, {"fail_times", i % 2}}.dump();
          call.method = "POST";
          call.target = i < 2 ? "/2015-03-31/functions/chat/invocations"
                              : "/2015-03-31/functions/other/invocations";
          call.body = event;
          call.headers.add("X-Amz-Invocation-Type", "Event");
          call.deadline = std::chrono::steady_clock::now() + 10s;
          const auto answer = client->request(call);
          if (!answer) return;
          if (answer->status != 202) continue;
          const std::lock_guard lock(mutex);
          accepted.insert(name);
        }
      });
    }
    // Every other round is killed at any time, the rest once some events are accepted, on slow
    // machines, too.
    const std::size_t wanted = round % 2 == 0 ? accepted_count() + 10 : 0;
    const auto until = std::chrono::steady_clock::now() + 20s;
    while (accepted_count() < wanted && std::chrono::steady_clock::now() < until) {
      std::this_thread::sleep_for(1ms);
    }
    std::this_thread::sleep_for(std::chrono::microseconds(random.below(120'000)));
    host.end(SIGKILL);
    over = true;
    for (std::thread& caller : callers) caller.join();
  }
  std::set<std::string> ran;
  {
    Host host(directory);
    const auto until = std::chrono::steady_clock::now() + 120s;
    while (std::chrono::steady_clock::now() < until) {
      std::ifstream file(marks);
      ran.clear();
      for (std::string name; std::getline(file, name);) ran.insert(name);
      if (std::includes(ran.begin(), ran.end(), accepted.begin(), accepted.end())) break;
      std::this_thread::sleep_for(20ms);
    }
  }
  EXPECT_GT(accepted.size(), 100u);
  for (const std::string& name : accepted) EXPECT_TRUE(ran.contains(name)) << name << " is lost";
  std::printf("%zu events accepted over %d kills, all ran\n", accepted.size(), kKills);
  fs::remove_all(directory);
}

}  // namespace
}  // namespace thaw::emulator
