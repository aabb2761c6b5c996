#include "tests/end_to_end/programs.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <thread>
#include <utility>

#include "base/file.h"
#include "base/str.h"
#include "runtime/http/socket.h"

extern char** environ;

namespace thaw::end_to_end {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kOutputBytesMax = 256 << 20;

std::string temporary(std::string_view name) {
  return cat(testing::TempDir(), "thaw-e2e-", getpid(), "-", name);
}

std::string contents(const std::string& path) {
  const auto text = read_text(system_files(), path, kOutputBytesMax);
  return text ? *text : "";
}

pid_t start(const char* program, const std::vector<std::string>& words,
            const std::vector<std::string>& environment, const std::string& out,
            const std::string& err) {
  std::vector<std::string> variables = environment;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    variables.emplace_back(*variable);
  }
  std::vector<char*> argv = {const_cast<char*>(program)};
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  std::vector<char*> envp;
  for (const std::string& variable : variables) {
    envp.push_back(const_cast<char*>(variable.c_str()));
  }
  envp.push_back(nullptr);
  const pid_t child = fork();
  if (child != 0) return child;
  dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
  dup2(open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), STDOUT_FILENO);
  dup2(open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), STDERR_FILENO);
  execve(program, argv.data(), envp.data());
  _exit(127);
}

// One that nobody listens on, as far as can be known.
std::uint16_t free_port() {
  std::uint16_t port = 0;
  EXPECT_TRUE(http::listen_on("127.0.0.1", port).has_value());
  return port;
}

}  // namespace

Finished run_thaw(const std::vector<std::string>& words,
                  const std::vector<std::string>& environment, const std::string& device) {
  const std::string out = temporary("out");
  const std::string err = temporary("err");
  const pid_t child =
      start(THAW_PROGRAM, words, environment, device.empty() ? out : device, err);
  int status = 0;
  waitpid(child, &status, 0);
  Finished finished{WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), contents(out),
                    contents(err)};
  unlink(out.c_str());
  unlink(err.c_str());
  return finished;
}

std::string snapshot_of(const std::string& source, const std::string& system) {
  // Removed when the process ends.
  struct Made {
    std::map<std::string, std::string> by_source;
    ~Made() {
      for (const auto& [source, path] : by_source) unlink(path.c_str());
    }
  };
  static Made made;
  std::string& path = made.by_source[cat(source, '\n', system)];
  if (path.empty()) {
    const std::string name = source.substr(source.rfind('/') + 1);
    path = temporary(cat(name.substr(0, name.find('.')), system.empty() ? "" : "-system", ".thaw"));
    std::vector<std::string> words = {"freeze", source, "-o", path};
    if (!system.empty()) words.insert(words.end(), {"--system", system});
    const Finished frozen = run_thaw(words);
    EXPECT_EQ(frozen.code, 0) << frozen.err;
  }
  return path;
}

std::string smollm2() {
  const std::string path = THAW_SOURCE_DIR "/models/SmolLM2-135M-Instruct.Q4_1.gguf";
  EXPECT_TRUE(system_files().stat(path)) << "no model; 'make model' fetches it";
  return path;
}

std::string tiny_model() { return THAW_SOURCE_DIR "/tests/data/golden/llama-q4_1.gguf"; }

Emulated::Emulated(const std::string& snapshot, std::vector<std::string> more) {
  log_path_ = temporary("emulator-log");
  name_ = snapshot.substr(snapshot.rfind('/') + 1);
  name_.resize(name_.size() - std::string_view(".thaw").size());
  // An invocation may take as long as it does under sanitizers, on a busy machine.
  std::vector<std::string> words = {"emulate",   snapshot, "--port",  "0",
                                    "--timeout", "900",    "--state", temporary("emulator-state")};
#ifdef THAW_BOOTSTRAP_IS_ELSEWHERE
  words.insert(words.end(), {"--bootstrap", THAW_BOOTSTRAP});
#endif
  words.insert(words.end(), more.begin(), more.end());
  process_ = start(THAW_PROGRAM, words, {}, temporary("emulator-out"), log_path_);
  constexpr std::string_view kMark = " on http://";
  for (int tries = 0; tries < 400 && authority_.empty(); ++tries) {
    const std::string text = log();
    const std::size_t at = text.find(kMark);
    const std::size_t end = text.find(';', at);
    if (at != std::string::npos && end != std::string::npos) {
      authority_ = text.substr(at + kMark.size(), end - at - kMark.size());
    } else {
      std::this_thread::sleep_for(25ms);
    }
  }
  EXPECT_FALSE(authority_.empty()) << log();
}

Emulated::~Emulated() {
  kill(process_, SIGTERM);
  waitpid(process_, nullptr, 0);
  unlink(log_path_.c_str());
  unlink(temporary("emulator-out").c_str());
  std::filesystem::remove_all(temporary("emulator-state"));
}

std::string Emulated::log() const { return contents(log_path_); }

std::vector<pid_t> Emulated::instances() const {
  std::vector<pid_t> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::string stat;
    std::getline(std::ifstream(entry.path() / "stat"), stat);
    // "PID (NAME) STATE PARENT ...": a name may hold anything, so from its last bracket on.
    pid_t parent = 0;
    std::sscanf(stat.c_str() + stat.rfind(')') + 1, " %*c %d", &parent);
    if (parent == process_) found.push_back(std::stoi(name));
  }
  return found;
}

http::Response Emulated::invoke(const std::string& event) {
  auto client = http::Client::create(authority_);
  EXPECT_TRUE(client);
  const std::string target = cat("/2015-03-31/functions/", name_, "/invocations");
  http::Call call;
  call.method = "POST";
  call.target = target;
  call.body = event;
  auto response = (*client)->request(call);
  EXPECT_TRUE(response) << (response ? "" : response.error().message) << log();
  return response ? *response : http::Response{};
}

http::Response Emulated::url(const std::string& method, const std::string& target,
                             const std::string& body, std::vector<std::string>* parts) {
  auto client = http::Client::create(authority_);
  EXPECT_TRUE(client);
  http::Call call;
  call.method = method;
  call.target = target;
  call.headers.add("content-type", "application/json");
  call.body = body;
  http::Client::Sink sink;
  std::string whole;
  sink.body = [&](std::string_view part) {
    whole.append(part);
    if (parts != nullptr) parts->emplace_back(part);
    return Result<Done>(Done{});
  };
  auto response = (*client)->request(call, sink);
  EXPECT_TRUE(response) << (response ? "" : response.error().message) << log();
  if (!response) return {};
  response->body = whole;
  return *response;
}

Served::Served(Program program, const std::string& snapshot, std::vector<std::string> environment) {
  static int count = 0;
  log_path_ = temporary(cat("served-log-", ++count));
  const std::string port = cat(free_port());
  authority_ = "127.0.0.1:" + port;
  const std::string out = log_path_ + "-out";
  if (program == Program::kThaw) {
    process_ =
        start(THAW_PROGRAM, {"serve", snapshot, "--port", port}, environment, out, log_path_);
  } else {
    environment.push_back("PORT=" + port);
    environment.push_back("THAW_SNAPSHOT=" + snapshot);
    process_ = start(THAW_BOOTSTRAP, {}, environment, out, log_path_);
  }
  bool is_ready = false;
  for (int tries = 0; tries < 400 && !is_ready; ++tries) {
    auto client = http::Client::create(authority_);
    http::Call call;
    call.target = "/readyz";
    const auto answer = (*client)->request(call);
    is_ready = answer && answer->status == 200;
    if (!is_ready) std::this_thread::sleep_for(25ms);
  }
  EXPECT_TRUE(is_ready) << log();
}

Served::~Served() {
  if (process_ > 0) (void)stop();
  unlink(log_path_.c_str());
  unlink((log_path_ + "-out").c_str());
}

int Served::stop(int signal) {
  int status = 0;
  kill(process_, signal);
  waitpid(std::exchange(process_, -1), &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::string Served::log() const { return contents(log_path_); }

std::string Served::output() const { return contents(log_path_ + "-out"); }

}  // namespace thaw::end_to_end
