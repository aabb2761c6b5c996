// Many invocations of three functions with faults on purpose: every one has exactly one end, the
// same for its caller as in the emulator's books, and nothing is left behind or grows.
//   emulator_soak INVOCATIONS SEED BOOTSTRAP
// exit 0: all of that held   1: it did not   2: wrong usage
#include <dirent.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "base/str.h"
#include "runtime/emulator/emulator.h"
#include "runtime/http/client.h"

namespace thaw::emulator {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::json;
using Counts = std::array<std::uint64_t, 6>;  // by Ending

constexpr std::size_t kCallers = 8;
// Of the emulator and its callers, from the first fifth on: what an allocator keeps for its next
// use, and no part of any invocation.
constexpr std::uint64_t kGrowthBytesMax = 8 << 20;
// Sanitizers keep what was freed, and shadows of it.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kMemoryIsOurs = false;
#else
constexpr bool kMemoryIsOurs = true;
#endif
constexpr auto kDrainMax = 60s;  // for events that were accepted, once the last is sent
// "narrow" has two instances and little time; "queued" is sent events that nobody waits for.
constexpr const char* kFunctions[] = {"steady", "narrow", "queued"};

std::atomic<int> complaints{0};

void complain(const std::string& what) {
  if (++complaints <= 20) std::fprintf(stderr, "soak: %s\n", what.c_str());
}

std::uint64_t own_bytes() {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word) {
    std::uint64_t kib = 0;
    if (word == "RssAnon:" && status >> kib) return kib << 10;
  }
  return 0;
}

std::size_t entries_of(const char* folder) {
  std::size_t count = 0;
  DIR* const open = ::opendir(folder);
  while (open != nullptr && ::readdir(open) != nullptr) ++count;
  if (open != nullptr) ::closedir(open);
  return count;
}

struct Inventory {
  std::size_t descriptors = entries_of("/proc/self/fd");
  std::size_t threads = entries_of("/proc/self/task");
};

// The books: what callers saw, what the emulator tells, and events that nobody waits for.
class Books {
 public:
  void saw(const std::string& function, Ending ending) {
    const std::lock_guard lock(mutex_);
    ++seen_[function][static_cast<std::size_t>(ending)];
  }
  void accepted(std::string_view request_id) {
    const std::lock_guard lock(mutex_);
    accepted_.emplace(request_id);
  }
  // From the emulator.
  void recorded(const LedgerEntry& entry) {
    const std::lock_guard lock(mutex_);
    ++told_[entry.function][static_cast<std::size_t>(entry.ending)];
    if (entry.function == "queued" && entry.ran()) ran_.insert(entry.request_id);
  }
  // Events that were accepted and have not run.
  std::size_t outstanding() {
    const std::lock_guard lock(mutex_);
    std::size_t count = 0;
    for (const std::string& id : accepted_) count += ran_.contains(id) ? 0 : 1;
    return count;
  }
  // Prints them, and complains where callers and emulator disagree.
  void compare() {
    const std::lock_guard lock(mutex_);
    for (const char* function : kFunctions) {
      std::printf("%-8s", function);
      for (std::size_t i = 0; i < Counts{}.size(); ++i) {
        const std::string_view ending = name_of(static_cast<Ending>(i));
        const std::uint64_t told = told_[function][i], seen = seen_[function][i];
        std::printf("  %.*s %llu", static_cast<int>(ending.size()), ending.data(),
                    static_cast<unsigned long long>(told));
        if (function != std::string_view("queued") && seen != told) {
          complain(cat(function, ": ", seen, " callers saw '", ending, "', the emulator tells of ",
                       told));
        }
      }
      std::printf("\n");
    }
    std::printf("%zu events accepted, %zu of them run\n", accepted_.size(), ran_.size());
  }

 private:
  std::mutex mutex_;  // guards all below
  std::map<std::string, Counts> seen_, told_;
  std::set<std::string, std::less<>> accepted_, ran_;
};

Options options_for(const std::string& bootstrap, std::uint64_t seed, Books& books) {
  Options options;
  options.bootstrap = bootstrap;
  options.port = 0;
  options.connections_max = 64;
  options.init_max = 2s;
  options.retry_scale = 0.0001;
  options.fault_seed = seed;
  options.faults = {{FaultKind::kKillAt, 8, 0.01},   {FaultKind::kSlowNetwork, 20'000, 0.005},
                    {FaultKind::kLatency, 2, 0.01},  {FaultKind::kLostResponse, 0, 0.01},
                    {FaultKind::kThrottle, 0, 0.01}, {FaultKind::kInitCrash, 0, 0.05},
                    {FaultKind::kInitHang, 0, 0.002}};
  options.recorded = [&books](const LedgerEntry& entry) { books.recorded(entry); };
  for (const char* name : kFunctions) {
    FunctionOptions function;
    function.name = name;
    function.snapshot = bootstrap;  // it opens none
    function.memory_mb = 256;
    const bool narrow = name == std::string_view("narrow");
    function.timeout = narrow ? 300ms : 10'000ms;
    function.pool.instances_max = narrow ? 2 : 8;
    options.functions.push_back(function);
  }
  return options;
}

// What one invocation asks for.
struct Asked {
  std::string event;
  std::string wanted;  // the whole answer, where there is one
};

Asked ask(Random& random, std::uint64_t number, bool narrow) {
  const std::uint64_t dice = random.below(1000);
  const std::string token = cat("t", number, "-", random.below(1'000'000));
  if (dice < 8) return {R"({"do":"abort"})", ""};
  if (dice < 12) return {R"({"do":"exit","code":3})", ""};
  if (dice < 20) return {R"({"do":"error"})", ""};
  if (narrow && dice < 23) return {R"({"do":"hang"})", ""};
  if (dice < 100) {
    return {cat(R"({"do":"stream","parts":3,"text":")", token, R"("})"),
            cat(token, "0\n", token, "1\n", token, "2\n")};
  }
  if (dice < 110) {
    return {R"({"do":"large","bytes":200000})", "\"" + std::string(200'000, 'x') + "\""};
  }
  return {cat(R"({"do":"raw","body":"\")", token, R"(\""})"), cat("\"", token, "\"")};
}

// One thread that invokes, one after the other, over one connection.
class Caller {
 public:
  Caller(const Emulator& emulator, Books& books, std::uint64_t seed)
      : books_(books), random_(seed), client_(*http::Client::create(emulator.authority())) {}

  void run(std::atomic<std::uint64_t>& left) {
    while (true) {
      const std::uint64_t number = left.fetch_sub(1);
      if (number == 0 || number > (std::uint64_t{1} << 60)) return;
      one(number);
    }
  }

 private:
  void one(std::uint64_t number) {
    const std::uint64_t dice = random_.below(100);
    const std::string function = kFunctions[dice < 60 ? 0 : dice < 95 ? 1 : 2];
    const Asked asked = ask(random_, number, function == "narrow");
    const bool event = function == "queued";
    const std::string target = cat("/2015-03-31/functions/", function, "/invocations");
    http::Call call;
    call.method = "POST";
    call.target = target;
    call.body = asked.event;
    call.deadline = std::chrono::steady_clock::now() + 60s;
    if (event) call.headers.add("X-Amz-Invocation-Type", "Event");
    const auto answer = client_->request(call);
    if (event) return take_event(answer);
    books_.saw(function, ending_of(answer, asked));
  }

  void take_event(const Result<http::Response>& answer) {
    if (!answer || answer->status != 202) {
      return complain("an event was not accepted: " +
                      (answer ? cat(answer->status) : answer.error().message));
    }
    books_.accepted(answer->headers.get("x-amzn-RequestId").value_or(""));
  }

  static Ending ending_of(const Result<http::Response>& answer, const Asked& asked) {
    if (!answer) {
      if (answer.error().code != Code::kIo) complain(answer.error().message);
      return Ending::kLost;
    }
    if (answer->status == 429) return Ending::kThrottled;
    if (answer->status != 200) {
      complain(cat("status ", answer->status, ": ", answer->body.substr(0, 200)));
      return Ending::kUnavailable;
    }
    if (answer->headers.has("X-Amz-Function-Error")) {
      const Json document = Json::parse(answer->body, nullptr, false);
      const std::string type = document.is_object() ? document.value("errorType", "") : "";
      if (type.empty()) complain("a failure without a type: " + answer->body.substr(0, 200));
      return type == "Sandbox.Timedout" ? Ending::kTimedOut : Ending::kFailed;
    }
    if (answer->body != asked.wanted) {
      complain(
          cat("asked ", asked.event.substr(0, 100), ", answered ", answer->body.substr(0, 100)));
    }
    return Ending::kAnswered;
  }

  Books& books_;
  Random random_;
  std::unique_ptr<http::Client> client_;
};

void call_all(const Emulator& emulator, Books& books, std::uint64_t seed, std::uint64_t count) {
  std::atomic<std::uint64_t> left{count};
  std::vector<std::thread> callers;
  for (std::size_t i = 0; i < kCallers; ++i) {
    callers.emplace_back([&, i] { Caller(emulator, books, seed * 1000 + i).run(left); });
  }
  for (std::thread& caller : callers) caller.join();
}

void check_nothing_left(const Inventory& before) {
  Inventory after;
  // The kernel wakes who joins a thread a moment before it takes it off its list.
  for (int i = 0; i < 100 && after.threads > before.threads; ++i) {
    std::this_thread::sleep_for(10ms);
    after = Inventory();
  }
  if (after.descriptors != before.descriptors) {
    complain(cat(before.descriptors, " descriptors open before, ", after.descriptors, " after"));
  }
  if (after.threads != before.threads) {
    complain(cat(before.threads, " threads before, ", after.threads, " after"));
  }
  if (::waitpid(-1, nullptr, WNOHANG) != -1 || errno != ECHILD) complain("a child is left");
}

int soak(std::uint64_t invocations, std::uint64_t seed, const std::string& bootstrap) {
  std::printf("soak: %llu invocations, seed %llu\n", static_cast<unsigned long long>(invocations),
              static_cast<unsigned long long>(seed));
  Books books;
  std::thread([] {}).join();  // a sanitizer's own thread begins with the first of ours
  const Inventory before;
  const auto begun = std::chrono::steady_clock::now();
  Options options = options_for(bootstrap, seed, books);
  std::string state = (std::filesystem::temp_directory_path() / "thaw_soak_XXXXXX").string();
  options.state_directory = ::mkdtemp(state.data());
  std::uint64_t early_bytes = 0, late_bytes = 0;
  {
    auto emulator = Emulator::start(options, system_clock(), [](std::string_view) {});
    if (!emulator) {
      complain(emulator.error().message);
      return 1;
    }
    call_all(**emulator, books, seed, invocations / 5);
    early_bytes = own_bytes();
    call_all(**emulator, books, seed + 1, invocations - invocations / 5);
    late_bytes = own_bytes();
    const auto until = std::chrono::steady_clock::now() + kDrainMax;
    while (books.outstanding() > 0 && std::chrono::steady_clock::now() < until) {
      std::this_thread::sleep_for(10ms);
    }
    if (books.outstanding() > 0) complain(cat(books.outstanding(), " accepted events never ran"));
    (*emulator)->stop();
  }
  std::filesystem::remove_all(options.state_directory);
  books.compare();
  check_nothing_left(before);
  if (kMemoryIsOurs && late_bytes > early_bytes + kGrowthBytesMax) {
    complain(cat("memory grew from ", early_bytes >> 20, " to ", late_bytes >> 20, " MB"));
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  std::printf(
      "%.1f s, %.0f invocations/s; memory of the emulator and its callers %.1f MB after a "
      "fifth, %.1f MB at the end\n%s\n",
      seconds, static_cast<double>(invocations) / seconds, static_cast<double>(early_bytes) / 1e6,
      static_cast<double>(late_bytes) / 1e6,
      complaints == 0 ? "nothing lost, nothing left" : "FAILED");
  return complaints == 0 ? 0 : 1;
}

}  // namespace
}  // namespace thaw::emulator

int main(int count, char** words) {
  if (count != 4 || std::atoll(words[1]) <= 0) {
    std::fprintf(stderr, "usage: emulator_soak INVOCATIONS SEED BOOTSTRAP\n");
    return 2;
  }
  return thaw::emulator::soak(std::strtoull(words[1], nullptr, 10),
                              std::strtoull(words[2], nullptr, 10), words[3]);
}
