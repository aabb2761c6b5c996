// What instances take of the machine's memory, as the kernel counts it.

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/str.h"
#include "tests/end_to_end/programs.h"

namespace thaw::end_to_end {
namespace {

constexpr double kOwnMegabytes = 32;  // DESIGN: of its own before the first token, KV apart
// SmolLM2's KV of 64 positions, 30 layers of 3 heads of 64 keys and values in f16. The prompt and
// its answer are within one block.
constexpr double kKvMegabytes = 30.0 * 3 * 64 * (64 + 64) * 2 / (1 << 20);

// A `bootstrap` that has answered one event and waits for the next.
class Answered {
 public:
  explicit Answered(const std::string& snapshot) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* const plain = reinterpret_cast<sockaddr*>(&address);
    socklen_t bytes = sizeof address;
    const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(::bind(listener, plain, bytes), 0);
    EXPECT_EQ(::listen(listener, 1), 0);
    EXPECT_EQ(::getsockname(listener, plain, &bytes), 0);
    const std::string api = cat("AWS_LAMBDA_RUNTIME_API=127.0.0.1:", ntohs(address.sin_port));
    const std::string what = cat("THAW_SNAPSHOT=", snapshot);
    child_ = ::fork();
    if (child_ == 0) {
      char* const arguments[] = {const_cast<char*>(THAW_BOOTSTRAP), nullptr};
      char* const environment[] = {const_cast<char*>(api.c_str()), const_cast<char*>(what.c_str()),
                                   const_cast<char*>("THAW_LOG=off"), nullptr};
      ::execve(arguments[0], arguments, environment);
      ::_exit(127);
    }
    // It registers an extension first, on a connection that it then keeps waiting on.
    extension_ = ::accept(listener, nullptr, nullptr);
    read_until(extension_, "\r\n\r\n");
    constexpr std::string_view kRegistered =
        "HTTP/1.1 200 OK\r\nLambda-Extension-Identifier: 1\r\nContent-Length: 2\r\n\r\n{}";
    EXPECT_GT(::send(extension_, kRegistered.data(), kRegistered.size(), MSG_NOSIGNAL), 0);
    connection_ = ::accept(listener, nullptr, nullptr);
    ::close(listener);
    read_until(connection_, "\r\n\r\n");
    at_next_ = now();
    const std::string event = R"({"prompt":"Name three colours.","max_tokens":2})";
    const std::string answer = cat(
        "HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: 1\r\nContent-Type: application/json\r\n"
        "Content-Length: ",
        event.size(), "\r\n\r\n", event);
    EXPECT_GT(::send(connection_, answer.data(), answer.size(), MSG_NOSIGNAL), 0);
    read_until(connection_, "completion_tokens");
  }
  ~Answered() {
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
    ::close(connection_);
    ::close(extension_);
  }
  Answered(const Answered&) = delete;
  Answered& operator=(const Answered&) = delete;

  struct Megabytes {
    double anonymous = 0, shared_memory = 0, proportional = 0;
  };
  const Megabytes& at_next() const { return at_next_; }
  Megabytes now() const {
    std::ifstream file(cat("/proc/", child_, "/smaps_rollup"));
    Megabytes out;
    for (std::string word; file >> word;) {
      double kibibytes = 0;
      if (word == "Anonymous:" && file >> kibibytes) out.anonymous = kibibytes / 1024;
      if (word == "Pss_Shmem:" && file >> kibibytes) out.shared_memory = kibibytes / 1024;
      if (word == "Pss:" && file >> kibibytes) out.proportional = kibibytes / 1024;
    }
    return out;
  }

 private:
  static void read_until(int connection, const std::string& mark) {
    std::string text;
    char part[4096];
    while (text.find(mark) == std::string::npos) {
      const ssize_t got = ::recv(connection, part, sizeof part, 0);
      ASSERT_GT(got, 0) << "bootstrap went away";
      text.append(part, static_cast<std::size_t>(got));
    }
  }

  pid_t child_ = -1;
  int extension_ = -1;
  int connection_ = -1;
  Megabytes at_next_;
};

TEST(Instances, ShareTheModelAndOwnLittle) {
  const std::string snapshot = snapshot_of(smollm2());
  const double model = static_cast<double>(system_files().stat(snapshot)->bytes) / (1 << 20);
  std::vector<std::unique_ptr<Answered>> instances;
  double one = 0;
  for (const std::size_t count : {std::size_t{1}, std::size_t{4}, std::size_t{8}}) {
    while (instances.size() < count) instances.push_back(std::make_unique<Answered>(snapshot));
    double all = 0;
    for (const auto& instance : instances) {
      const auto now = instance->now();
      EXPECT_GT(now.proportional, 0) << "not measured";
      EXPECT_LE(instance->at_next().anonymous + instance->at_next().shared_memory, 4)
          << "before an event there is next to nothing";
      EXPECT_LE(now.anonymous + now.shared_memory, kOwnMegabytes + kKvMegabytes);
      all += now.proportional;
    }
    if (count == 1) {
      one = all;
      EXPECT_GT(one, model / 2) << "the weights were not mapped";
      EXPECT_LT(one, model + kOwnMegabytes + kKvMegabytes);
    }
    EXPECT_LE(all, one + static_cast<double>(count - 1) * (kOwnMegabytes + kKvMegabytes)) << count;
    RecordProperty(cat("megabytes_of_", count), static_cast<int>(all));
  }
}

}  // namespace
}  // namespace thaw::end_to_end
