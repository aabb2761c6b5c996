// The web loop's own cost: what a warm request takes beside the model's arithmetic, and how many a
// second one instance answers, `bootstrap` on PORT being asked over the loopback.

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstdio>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/str.h"
#include "runtime/http/client.h"
#include "runtime/http/socket.h"

namespace {

using namespace thaw;
using Nanoseconds = std::chrono::nanoseconds;

struct Options {
  std::string thaw, bootstrap, source;
  unsigned requests = 2000;
  unsigned connections = 8;
  double seconds = 5;
  bool smoke = false;
};

int refuse(const std::string& message) {
  std::fprintf(stderr, "bench_web: %s\n", message.c_str());
  return 1;
}

pid_t start(const std::vector<std::string>& words, const std::vector<std::string>& environment) {
  const pid_t child = fork();
  if (child != 0) return child;
  if (std::freopen("/dev/null", "w", stdout) == nullptr) _exit(127);
  if (std::freopen("/dev/null", "w", stderr) == nullptr) _exit(127);
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  std::vector<char*> envp;
  for (const std::string& each : environment) envp.push_back(const_cast<char*>(each.c_str()));
  envp.push_back(nullptr);
  execve(argv[0], argv.data(), envp.data());
  _exit(127);
}

Result<http::Response> ask(http::Client& client, std::string_view method, std::string_view target,
                           std::string_view body) {
  http::Call call;
  call.method = method;
  call.target = target;
  call.body = body;
  call.deadline = system_clock().now() + std::chrono::seconds(30);
  return client.request(call);
}

// The model's part of an answer, in microseconds: the sum of the phases that its Server-Timing
// names, first_token being the sum of others.
double model_us(const http::Response& response) {
  const std::string_view all = response.headers.get("server-timing").value_or("");
  double sum = 0;
  for (std::size_t at = 0; at < all.size();) {
    const std::size_t end = std::min(all.find(", ", at), all.size());
    const std::string_view phase = all.substr(at, end - at);
    const std::size_t value = phase.find(";dur=");
    double ms = 0;
    if (value != std::string_view::npos && !phase.starts_with("first_token")) {
      std::from_chars(phase.data() + value + 5, phase.data() + phase.size(), ms);
    }
    sum += 1000 * ms;
    at = end + 2;
  }
  return sum;
}

double at_share(std::vector<double>& values, double share) {
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1))];
}

constexpr std::string_view kBody = R"({"prompt":"hi","max_tokens":1,"seed":1})";

// One request after another on one connection.
Result<Done> measure_overhead(const std::string& authority, unsigned requests) {
  THAW_TRY(client, http::Client::create(authority));
  std::vector<double> wall, beside;
  for (unsigned i = 0; i < requests + 50; ++i) {
    const auto before = system_clock().now();
    THAW_TRY(response, ask(*client, "POST", "/predict", kBody));
    const Nanoseconds time = system_clock().now() - before;
    if (response.status != 200) return fail(Code::kIo, cat("the answer was ", response.status));
    if (i < 50) continue;  // until it is warm
    wall.push_back(static_cast<double>(time.count()) / 1e3);
    beside.push_back(wall.back() - model_us(response));
  }
  std::printf(
      "one at a time: %zu requests, median %.0f us, beside the model %.0f us (90 %%: %.0f)\n",
      wall.size(), at_share(wall, 0.5), at_share(beside, 0.5), at_share(beside, 0.9));
  return Done{};
}

// Several connections for some seconds.
Result<Done> measure_rate(const std::string& authority, const Options& options) {
  std::atomic<std::uint64_t> answered{0}, failed{0};
  const auto begin = system_clock().now();
  const auto end = begin + std::chrono::milliseconds(static_cast<long>(1000 * options.seconds));
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < options.connections; ++i) {
    threads.emplace_back([&] {
      auto client = http::Client::create(authority);
      while (client && system_clock().now() < end) {
        const auto response = ask(**client, "POST", "/predict", kBody);
        ++(response && response->status == 200 ? answered : failed);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const double seconds = std::chrono::duration<double>(system_clock().now() - begin).count();
  std::printf("%u connections: %llu requests in %.1f s, %.0f a second, %llu failed\n",
              options.connections, static_cast<unsigned long long>(answered.load()), seconds,
              static_cast<double>(answered) / seconds,
              static_cast<unsigned long long>(failed.load()));
  if (failed > 0 || answered == 0) return fail(Code::kIo, "not every request was answered");
  return Done{};
}

Result<Done> measure(const std::string& authority, const Options& options) {
  bool is_ready = false;
  for (int tries = 0; tries < 400 && !is_ready; ++tries) {
    THAW_TRY(client, http::Client::create(authority));
    const auto response = ask(*client, "GET", "/readyz", {});
    is_ready = response && response->status == 200;
    if (!is_ready) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  if (!is_ready) return fail(Code::kUnavailable, "bootstrap is not ready after 4 s");
  THAW_TRY_DO(measure_overhead(authority, options.requests));
  return measure_rate(authority, options);
}

}  // namespace

int main(int count, char** words) {
  Options options;
  CLI::App app("The web loop's own cost, with a tiny model");
  app.add_option("--thaw", options.thaw, "freezes the model")->required();
  app.add_option("--bootstrap", options.bootstrap, "is measured")->required();
  app.add_option("--source", options.source, "a tiny GGUF file")->required();
  app.add_option("--requests", options.requests);
  app.add_option("--connections", options.connections);
  app.add_option("--seconds", options.seconds);
  app.add_flag("--smoke", options.smoke, "as little as shows that it works");
  CLI11_PARSE(app, count, words);
  if (options.smoke) {
    options.requests = 20;
    options.seconds = 0.2;
  }
  const std::string snapshot = cat("/tmp/bench-web-", getpid(), ".thaw");
  int status = 0;
  waitpid(start({options.thaw, "freeze", options.source, "-o", snapshot}, {}), &status, 0);
  std::uint16_t port = 0;
  if (status != 0 || !http::listen_on("127.0.0.1", port)) return refuse("cannot freeze the model");
  const pid_t child = start({options.bootstrap},
                            {cat("PORT=", port), "THAW_SNAPSHOT=" + snapshot, "THAW_LOG=error"});
  const Result<Done> done = measure(cat("127.0.0.1:", port), options);
  kill(child, SIGTERM);
  waitpid(child, &status, 0);
  unlink(snapshot.c_str());
  if (!done) return refuse(done.error().message);
  return status == 0 ? 0 : refuse("bootstrap did not end well");
}
