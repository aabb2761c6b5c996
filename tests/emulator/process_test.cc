#include "runtime/emulator/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <string>
#include <thread>

namespace thaw::emulator {
namespace {

using namespace std::chrono_literals;

// Runs `script` with sh and gives all it wrote.
std::string output_of(Process& process) {
  std::string out;
  char buffer[4096];
  const auto until = std::chrono::steady_clock::now() + 10s;
  while (std::chrono::steady_clock::now() < until) {
    const bool ended = process.exited().has_value();
    ssize_t got = 0;
    while ((got = ::read(process.output(), buffer, sizeof buffer)) > 0) {
      out.append(buffer, static_cast<std::size_t>(got));
    }
    if (ended) break;
    pollfd wait{process.ended(), POLLIN, 0};
    ::poll(&wait, 1, 10);
  }
  return out;
}

std::string script_file(const std::string& name, const std::string& text) {
  const std::string path = testing::TempDir() + name;
  std::ofstream(path) << "#!/bin/sh\n" << text;
  ::chmod(path.c_str(), 0755);
  return path;
}

TEST(Process, RunsWithTheEnvironmentAndFolderItIsGivenAndNothingElse) {
  const std::string program = script_file("thaw_env.sh", "/usr/bin/env; pwd; echo err >&2; exit 7");
  auto process = Process::start({program, "/", {"A=1", "B=two words"}});
  ASSERT_TRUE(process) << process.error().message;
  const std::string out = output_of(**process);
  EXPECT_NE(out.find("A=1\n"), std::string::npos);
  EXPECT_NE(out.find("B=two words\n"), std::string::npos);
  EXPECT_EQ(out.find("HOME="), std::string::npos);
  EXPECT_NE(out.find("\n/\nerr\n"), std::string::npos) << out;
  EXPECT_EQ((*process)->exited()->text(), "exit status 7");
}

TEST(Process, SaysWhatCannotBeStarted) {
  EXPECT_EQ(Process::start({"/nowhere/at/all", "/", {}}).error().code, Code::kNotFound);
  const std::string text = testing::TempDir() + "thaw_plain.txt";
  std::ofstream(text) << "no program";
  EXPECT_EQ(Process::start({text, "/", {}}).error().code, Code::kUnsupported);
  ::chmod(text.c_str(), 0755);
  EXPECT_EQ(Process::start({text, "/", {}}).error().code, Code::kUnsupported);
}

TEST(Process, GivesUpAProgramWhoseFileCannotBeOpened) {
  const std::string program = script_file("thaw_leased.sh", "exit 0");
  // Whoever opens the file waits until its holder gives the lease back.
  ::signal(SIGIO, SIG_IGN);
  const int holder = ::open(program.c_str(), O_WRONLY | O_CLOEXEC);
  ASSERT_GE(holder, 0);
  ASSERT_EQ(::fcntl(holder, F_SETLEASE, F_WRLCK), 0);
  ProcessOptions options{program, "/", {}};
  options.patience = 100ms;
  const auto process = Process::start(options);
  ASSERT_FALSE(process);
  EXPECT_EQ(process.error().code, Code::kUnavailable);
  EXPECT_NE(process.error().message.find("100 ms"), std::string::npos) << process.error().message;
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "a child is left";
  ::close(holder);
}

TEST(Process, TellsOfSignals) {
  const std::string program = script_file("thaw_sleep.sh", "sleep 60");
  auto killed = Process::start({program, "/", {}});
  ASSERT_TRUE(killed);
  EXPECT_FALSE((*killed)->exited());
  EXPECT_GT((*killed)->peak_bytes(), 0u);
  (*killed)->kill();
  output_of(**killed);
  EXPECT_EQ((*killed)->exited()->text(), "signal: killed");
  auto terminated = Process::start({program, "/", {}});
  (*terminated)->terminate();
  output_of(**terminated);
  EXPECT_EQ((*terminated)->exited()->text(), "signal: terminated");
}

TEST(Process, DiesWithTheThreadThatStartedItAndWithItsOwner) {
  const std::string program = script_file("thaw_sleep2.sh", "exec sleep 60");
  pid_t pid = 0;
  {
    auto process = Process::start({program, "/", {}});
    ASSERT_TRUE(process);
    pid = (*process)->pid();
    EXPECT_EQ(::kill(pid, 0), 0);
  }
  EXPECT_EQ(::kill(pid, 0), -1);
  std::unique_ptr<Process> orphan;
  std::thread([&] { orphan = std::move(*Process::start({program, "/", {}})); }).join();
  output_of(*orphan);
  ASSERT_TRUE(orphan->exited());
  EXPECT_EQ(orphan->exited()->signal, SIGKILL);
}

}  // namespace
}  // namespace thaw::emulator
