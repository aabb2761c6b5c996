// What a warm invocation costs beside the model, and what is left of it: plays Lambda's Runtime API
// to a real `bootstrap` with a tiny function, one event after another, and looks at its memory and
// descriptors meanwhile.
//
//   bench_warm --thaw PATH --bootstrap PATH --source MODEL.gguf [--count 100000] [--smoke]

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/str.h"
#include "runtime/http/socket.h"

namespace {

using namespace thaw;
using namespace std::chrono_literals;
using SteadyClock = std::chrono::steady_clock;

constexpr double kOverheadMicrosecondsMax = 200;  // the promise
constexpr double kPerSecondMin = 1000;            // the same
// What a process may grow by between its thousandth event and its last. The allocator keeps a page
// here and there; what leaks a byte an event shows as 100 kB.
constexpr std::int64_t kGrowthBytesMax = 64 << 10;

struct Options {
  std::string thaw, bootstrap, source;
  int count = 100'000;
  bool smoke = false;
};

// One event again and again, and what its answers took.
struct Kind {
  std::string_view name;
  std::string event;
  std::string_view wanted;          // in the head or body of each answer
  bool tells_phases = true;         // a stream's head is sent before its phases are known
  std::vector<double> round_trips;  // microseconds
  std::vector<double> overheads;    // without prefill and decode
};

std::vector<Kind> kinds() {
  const auto http = [](const char* stream) {
    return cat(R"({"version":"2.0","rawPath":"/v1/completions","rawQueryString":"","headers":)",
               R"({"content-type":"application/json","host":"x"},"requestContext":{"http":)",
               R"({"method":"POST","path":"/v1/completions"}},"isBase64Encoded":false,)",
               R"("body":"{\"prompt\":\"ab cd\",\"max_tokens\":4,\"stream\":)", stream, R"(}"})");
  };
  std::vector<Kind> all;
  all.push_back({"direct event", R"({"prompt":"ab cd","max_tokens":4})", "\"text\"", true, {}, {}});
  all.push_back({"function URL", http("false"), "\"statusCode\":200", true, {}, {}});
  all.push_back({"function URL, streamed", http("true"), "data: [DONE]", false, {}, {}});
  all.push_back({"event that is refused", R"({"prompt":7})", "/error ", false, {}, {}});
  return all;
}

struct Size {
  std::int64_t anonymous_bytes = 0;
  int descriptors = 0, threads = 0;
};

Size size_of(pid_t pid) {
  Size size;
  std::ifstream file(cat("/proc/", pid, "/smaps_rollup"));
  for (std::string word; file >> word;) {
    std::int64_t kibibytes = 0;
    if (word == "Anonymous:" && file >> kibibytes) size.anonymous_bytes = kibibytes << 10;
  }
  const auto entries = [&](const char* folder) {
    int count = 0;
    std::error_code ignored;
    for (std::filesystem::directory_iterator at(cat("/proc/", pid, "/", folder), ignored), end;
         at != end; at.increment(ignored)) {
      ++count;
    }
    return count;
  };
  size.descriptors = entries("fd");
  size.threads = entries("task");
  return size;
}

// The platform's end of one connection.
class Peer {
 public:
  explicit Peer(int socket) : socket_(socket) {}

  bool say(std::string_view bytes) { return socket_.write_all(bytes, 10s, -1).has_value(); }
  // A request with its body, whole.
  std::string_view request() {
    forget();
    std::size_t head = 0;
    while ((head = text_.find("\r\n\r\n")) == std::string::npos) {
      if (!more()) return {};
    }
    head += 4;
    constexpr std::string_view kLength = "Content-Length: ";
    const std::size_t at = std::string_view(text_).substr(0, head).find(kLength);
    if (at == std::string::npos) {
      const bool chunked = text_.find("Transfer-Encoding: chunked") < head;
      std::size_t end = head;
      while (chunked && (end = text_.find("\r\n0\r\n\r\n", head)) == std::string::npos) {
        if (!more()) return {};
      }
      given_ = chunked ? end + 7 : head;
    } else {
      std::size_t bytes = 0;
      std::from_chars(text_.data() + at + kLength.size(), text_.data() + head, bytes);
      while (text_.size() < head + bytes) {
        if (!more()) return {};
      }
      given_ = head + bytes;
    }
    return std::string_view(text_).substr(0, given_);
  }

 private:
  void forget() { text_.erase(0, std::exchange(given_, 0)); }
  bool more() {
    std::array<char, 16 << 10> part;
    const auto got = socket_.read_some(part, SteadyClock::now() + 30s, -1);
    if (!got || *got == 0) return false;
    text_.append(part.data(), *got);
    return true;
  }

  http::Socket socket_;
  std::string text_;
  std::size_t given_ = 0;
};

// "prefill;dur=0.123" in a Server-Timing field, in microseconds.
double phase(std::string_view request, std::string_view name) {
  const std::string mark = cat(name, ";dur=");
  const std::size_t at = request.find(mark);
  double milliseconds = 0;
  if (at == std::string_view::npos) return 0;
  std::from_chars(request.data() + at + mark.size(), request.data() + request.size(), milliseconds);
  return milliseconds * 1e3;
}

double quantile(std::vector<double>& values, double share) {
  if (values.empty()) return 0;
  const auto at = static_cast<std::size_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(at), values.end());
  return values[at];
}

[[noreturn]] void give_up(std::string_view why) {
  std::fprintf(stderr, "bench_warm: %.*s\n", static_cast<int>(why.size()), why.data());
  std::exit(1);
}

pid_t start(const std::string& program, const std::vector<std::string>& arguments,
            const std::vector<std::string>& variables) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  std::vector<char*> words{const_cast<char*>(program.c_str())};
  for (const std::string& word : arguments) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  std::vector<char*> environment;
  for (const std::string& each : variables) environment.push_back(const_cast<char*>(each.c_str()));
  environment.push_back(nullptr);
  const int nowhere = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  ::dup2(nowhere, STDOUT_FILENO);
  ::dup2(nowhere, STDERR_FILENO);
  ::execve(program.c_str(), words.data(), environment.data());
  ::_exit(127);
}

// The function, and the connection that its loop asks on.
class Function {
 public:
  explicit Function(const Options& options)
      : folder_(cat("/tmp/thaw-warm-", ::getpid())), snapshot_(cat(folder_, "/tiny.thaw")) {
    std::filesystem::create_directory(folder_);
    int status = 0;
    ::waitpid(start(options.thaw, {"freeze", options.source, "-o", snapshot_}, {}), &status, 0);
    if (status != 0) give_up(cat("cannot freeze ", options.source));
    std::uint16_t port = 0;
    auto listener = http::listen_on("127.0.0.1", port);
    if (!listener) give_up(listener.error().message);
    pid_ = start(options.bootstrap, {},
                 {cat("AWS_LAMBDA_RUNTIME_API=127.0.0.1:", port), cat("THAW_SNAPSHOT=", snapshot_),
                  "AWS_LAMBDA_FUNCTION_NAME=tiny"});
    // It registers an extension first, on a connection that it then keeps waiting on.
    extension_.emplace(accept(listener->fd()));
    if (extension_->request().empty() ||
        !extension_->say("HTTP/1.1 200 OK\r\nLambda-Extension-Identifier: 1\r\n"
                         "Content-Length: 2\r\n\r\n{}")) {
      give_up("bootstrap did not register");
    }
    loop_.emplace(accept(listener->fd()));
  }
  ~Function() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    std::filesystem::remove_all(folder_);
  }
  Function(const Function&) = delete;
  Function& operator=(const Function&) = delete;

  pid_t pid() const { return pid_; }

  // One event, answered; false where it was not as it should be.
  bool invoke(Kind& kind, int number) {
    if (loop_->request().empty()) return false;
    const auto deadline = std::chrono::duration_cast<std::chrono::milliseconds>(
        (std::chrono::system_clock::now() + 60s).time_since_epoch());
    const std::string event =
        cat("HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: 8476a536-e9f4-11e8-9739-", number,
            "\r\nLambda-Runtime-Deadline-Ms: ", deadline.count(),
            "\r\nLambda-Runtime-Trace-Id: Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=1\r\n"
            "Content-Type: application/json\r\nContent-Length: ",
            kind.event.size(), "\r\n\r\n", kind.event);
    const auto begin = SteadyClock::now();
    if (!loop_->say(event)) return false;
    const std::string_view answer = loop_->request();
    const double took =
        std::chrono::duration<double, std::micro>(SteadyClock::now() - begin).count();
    kind.round_trips.push_back(took);
    if (kind.tells_phases) {
      kind.overheads.push_back(took - phase(answer, "prefill") - phase(answer, "decode"));
    }
    const bool sound = answer.find(kind.wanted) != std::string_view::npos;
    return loop_->say("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n") && sound;
  }

 private:
  static int accept(int listener) {
    if (!http::wait_for(listener, POLLIN, SteadyClock::now() + 30s, -1)) {
      give_up("bootstrap did not connect");
    }
    return ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  }

  std::string folder_, snapshot_;
  pid_t pid_ = -1;
  std::optional<Peer> extension_, loop_;
};

Options options_from(int count, char** words) {
  Options options;
  for (int i = 1; i < count; ++i) {
    const std::string_view word = words[i];
    if (word == "--smoke") {
      options.smoke = true;
      options.count = 4000;
      continue;
    }
    if (i + 1 == count) give_up(cat("'", word, "': wanted a value"));
    const std::string value = words[++i];
    if (word == "--thaw") {
      options.thaw = value;
    } else if (word == "--bootstrap") {
      options.bootstrap = value;
    } else if (word == "--source") {
      options.source = value;
    } else if (word == "--count") {
      options.count = std::max(2000, std::atoi(value.c_str()));
    } else {
      give_up(cat("'", word, "': no such option"));
    }
  }
  if (options.thaw.empty() || options.bootstrap.empty() || options.source.empty()) {
    give_up("wanted --thaw, --bootstrap and --source");
  }
  return options;
}

void show(const char* when, const Size& size) {
  std::printf("%-24s %8.1f kB anonymous  %d descriptors  %d threads\n", when,
              static_cast<double>(size.anonymous_bytes) / 1024, size.descriptors, size.threads);
}

}  // namespace

int main(int count, char** words) {
  const Options options = options_from(count, words);
  Function function(options);
  std::vector<Kind> all = kinds();
  constexpr int kWarm = 1000;  // events of every kind until all that is kept has been made
  Size first;
  SteadyClock::time_point begin;
  for (int i = 0; i < options.count; ++i) {
    if (i == kWarm) {
      first = size_of(function.pid());
      show(cat("after ", kWarm).c_str(), first);
      begin = SteadyClock::now();
      for (Kind& kind : all) kind.round_trips.clear(), kind.overheads.clear();
    }
    // Mostly direct events; a tenth of each other kind.
    Kind& kind = all[i % 10 < 7 ? 0 : static_cast<std::size_t>(i % 10 - 6)];
    if (!function.invoke(kind, i)) give_up(cat("invocation ", i, " (", kind.name, ") went wrong"));
  }
  const double seconds = std::chrono::duration<double>(SteadyClock::now() - begin).count();
  const Size last = size_of(function.pid());
  show(cat("after ", options.count).c_str(), last);
  for (Kind& kind : all) {
    std::printf("%-24s round trip %7.1f us median, %7.1f at 99 %%", kind.name.data(),
                quantile(kind.round_trips, 0.5), quantile(kind.round_trips, 0.99));
    if (kind.tells_phases) {
      std::printf("; beside the model %6.1f us median", quantile(kind.overheads, 0.5));
    }
    std::printf("\n");
  }
  const double rate = static_cast<double>(options.count - kWarm) / seconds;
  std::printf("%.0f invocations a second\n", rate);
  if (last.descriptors != first.descriptors || last.threads != first.threads) {
    give_up("descriptors or threads were left behind");
  }
  const std::int64_t growth = last.anonymous_bytes - first.anonymous_bytes;
  if (growth > kGrowthBytesMax) give_up(cat("memory grew by ", growth, " bytes"));
  if (options.smoke) return 0;
  if (quantile(all[0].overheads, 0.5) > kOverheadMicrosecondsMax)
    give_up("slower than was promised");
  return rate >= kPerSecondMin ? 0 : 1;
}
