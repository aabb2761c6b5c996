// The commands of `thaw`, each a function from parsed arguments to a Result: parsing (cli.cc) is
// apart from acting, and streams are handed in. Data goes to `out`, everything else to `err`.
#pragma once

#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file.h"
#include "base/result.h"
#include "handler/function.h"
#include "snapshot/supply.h"

namespace thaw::cli {

// What commands may touch of the world.
struct Context {
  Files& files;
  Clock& clock;
  std::FILE* out;
  std::FILE* err;
  bool shows_progress = false;                        // err is a terminal
  std::string kernels{};                              // THAW_KERNELS
  snapshot::Verify verify = snapshot::Verify::kLazy;  // THAW_VERIFY
  snapshot::Paging paging = snapshot::Paging::kMap;   // THAW_PAGING
  unsigned threads = 0;                               // THAW_THREADS; 0: usable_processors()
  std::optional<Clock::Monotonic> launched{};         // THAW_STARTED_NS
  std::optional<Clock::Monotonic> entered{};          // when main began
  std::string program_directory{};  // where `thaw` lies, and `bootstrap` beside it
  std::string state_directory{};    // what outlives a run lies below; $XDG_STATE_HOME/thaw
};

// What opens a function as the environment asks; `threads` of a command, 0: the environment's.
inline handler::FunctionOptions function_options(const Context& context, unsigned threads) {
  handler::FunctionOptions options;
  options.kernels = context.kernels;
  options.verify = context.verify;
  options.paging = context.paging;
  options.launched = context.launched;
  options.entered = context.entered;
  options.threads = threads == 0 ? context.threads : threads;
  return options;
}

struct FreezeArguments {
  std::string source, output;
  std::string weights = "keep";
  std::string manifest;  // path; empty: none
  std::optional<std::string> system;
  std::vector<std::string> prefixes;  // paths
  bool no_prefix = false;
  bool no_chat_template = false;
  bool json = false;
};
Result<Done> freeze(const FreezeArguments& arguments, const Context& context);

struct InspectArguments {
  std::string path;
  bool verify = false;
  bool tensors = false;
  bool json = false;
};
Result<Done> inspect(const InspectArguments& arguments, const Context& context);

struct RunArguments {
  bool timings = false;          // draw where the time went
  std::string path, prompt;      // prompt "-": stdin
  std::uint32_t max_tokens = 0;  // 0: the manifest's default
  bool raw = false;
  std::optional<std::string> system;
  std::optional<float> temperature, top_p, min_p;
  std::optional<std::uint32_t> top_k;
  std::optional<std::uint64_t> seed;
  std::optional<bool> thinking;
  std::vector<std::string> stop;
  bool no_prefix = false;
  unsigned threads = 0;
  bool json = false;
};
Result<Done> run(const RunArguments& arguments, const Context& context);

struct TokenizeArguments {
  std::string path, text;  // text: a file, or "-"
  bool special = false;
};
Result<Done> tokenize(const TokenizeArguments& arguments, const Context& context);

struct ScoreArguments {
  std::string path, text, tokens;  // one of text and tokens: a file, or "-"
  std::string logits;              // path of an .npy file; empty: none
  std::uint32_t chunk = 0;
  std::uint32_t from = 0;  // the first position that is scored
  bool prefix = false;     // what comes before it is restored where it is stored
  bool reference = false;  // a float32 evaluation of the same weights beside ours
  unsigned threads = 0;
  bool json = false;
};
Result<Done> score(const ScoreArguments& arguments, const Context& context);

struct BenchArguments {
  std::string path;
  // Absent: several lengths, batches and positions.
  std::optional<std::uint32_t> prompt;
  std::optional<std::uint32_t> generate;
  std::uint32_t rounds = 3;
  unsigned threads = 0;
  bool json = false;
};
Result<Done> bench(const BenchArguments& arguments, const Context& context);

struct DoctorArguments {
  std::string path;  // a snapshot to judge the machine by; empty: none
  bool json = false;
};
Result<Done> doctor(const DoctorArguments& arguments, const Context& context);

struct ServeArguments {
  std::string path;
  std::string host = "127.0.0.1";
  unsigned port = 8080;
  unsigned threads = 0;
  unsigned concurrency = 8;
};
Result<Done> serve(const ServeArguments& arguments, const Context& context);

struct EmulateArguments {
  std::string path;  // a snapshot, or a directory of them
  unsigned port = 9000;
  std::string bootstrap;  // empty: beside `thaw`
  double timeout_seconds = 60;
  unsigned memory_megabytes = 3008;
  unsigned concurrency = 10;
  std::string invoke_mode = "response_stream";  // of function URLs; or "buffered"
  std::string state;       // where asynchronous events are kept; empty: below the user's own
  double retry_scale = 1;  // of the waits between attempts of an asynchronous invocation
  // Of instances:
  unsigned provisioned = 0;           // kept started
  unsigned instance_concurrency = 1;  // invocations at once in one of them
  double keep_alive_seconds = 600;    // idle
  bool snap_start = false;
  bool no_freeze = false;
  bool cold = false, drop_cache = false;
  std::string extensions;           // a folder of executables
  std::vector<std::string> faults;  // see emulator/faults.h
  std::uint64_t seed = 1;           // of faults
  // Of what is seen:
  std::string log_format = "text";  // of the platform's lines; or "json"
  bool plain = false, json = false;
  // Of a template, "KEY=VALUE"; and what invokes functions, each "[FUNCTION=]WHAT".
  std::vector<std::string> parameters, queues, watches, schedules;
  unsigned batch_size = 10;  // of queues
  std::string event;         // a file or "-": one invocation, and then the end
};
Result<Done> emulate(const EmulateArguments& arguments, const Context& context);

struct SimulateArguments {
  std::string trace;  // a file, or "-"; empty: made up
  std::string pattern = "poisson";
  double rate = 1;
  double length_seconds = 3600;
  std::uint64_t seed = 1;
  std::uint32_t prompt_tokens = 100, output_tokens = 50;
  double spread = 0;
  std::vector<std::string> measured;  // paths
  std::optional<double> start_ms, overhead_ms, prefill, decode, vcpus_measured;
  std::vector<std::string> platforms = {"lambda-x86"};
  std::vector<std::uint32_t> memory = {1769};
  std::vector<std::string> policies = {"fixed:600"};
  std::optional<double> vcpus;
  std::uint32_t disk_mb = 512;
  std::uint32_t concurrency = 1000, queue = 0, provisioned = 0, per_instance = 1;
  double queue_seconds = 0;  // 0: no limit
  double timeout_seconds = 900;
  std::uint64_t memory_total_mb = 0;  // 0: no limit
  std::optional<double> snapstart_ms;
  std::string prices;  // a path; empty: the built-in ones
  bool free_tier = false;
  std::string svg;  // a path; empty: none
  bool json = false;
};
Result<Done> simulate(const SimulateArguments& arguments, const Context& context);

struct EventsArguments {
  std::string action = "list";  // or "show"
  std::string name;             // of the sample to show
  bool json = false;
};
Result<Done> events(const EventsArguments& arguments, const Context& context);

// A line on `err` for each stored prefix that does not fit.
void warn_of_prefixes(const handler::Function& function, const Context& context);

// A small file, or stdin where `path` is "-". Errors: kNotFound, kIo, kLimit.
Result<std::string> read_input(const Context& context, const std::string& path);

}  // namespace thaw::cli
