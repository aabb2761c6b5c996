// bench_cold_start: from posix_spawn to the first byte of the first token, for functions of thaw
// and for llama.cpp as its users run it, one after the other in each round.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/str.h"
#include "base/thread_pool.h"
#include "bench/cold_start/launch.h"
#include "bench/cold_start/report.h"
#include "handler/model/plan.h"
#include "kernels/peaks.h"
#include "snapshot/reader.h"

namespace thaw::cold_start {
namespace {

using nlohmann::json;

constexpr int kSecondsMax = 300;
constexpr double kPeakShare = 0.6;  // of the integer peak, what the floor grants the arithmetic
constexpr double kAnonymousMegabytesMax = 32;  // DESIGN's budget, KV apart

struct Options {
  std::string bootstrap, thaw, empty;
  std::string snapshot;  // with a prefix
  std::string bare;      // the same without
  std::string source;    // the GGUF file
  std::string event;
  std::string llama;                     // a folder with llama-completion and llama-server
  std::string prompt_file, prefix_file;  // what llama.cpp is given: rendered text
  std::string svg, json_file, title = "exec to first token";
  std::string draw;  // results of an earlier run: nothing is run
  int runs = 10;
  int slow_runs = 10;  // of what computes the whole prompt, and is no line of a promise
  int port = 18080;
  bool smoke = false;
};

enum class Cache { kWarm, kSmallPages, kDropped };

struct Case {
  std::string name;
  Cache cache = Cache::kWarm;
  std::vector<std::string> files;  // that the start reads
  std::function<Result<Timed>()> run;
  bool is_function = false;
  bool apart = false;      // runs after all rounds of the others
  int runs_max = 1 << 20;  // slow ones run less often
};

Result<Done> prepare(Cache cache, const std::string& path) {
  switch (cache) {
    case Cache::kWarm: return warm(path);
    case Cache::kSmallPages: return warm_by_small_pages(path);
    case Cache::kDropped: break;
  }
  return drop_cached(path);
}

// The last line of a streamed direct answer: {"finish_reason", "usage", "timings"}.
json last_line(const std::string& output) {
  std::string_view text = output;
  while (text.ends_with('\n')) text.remove_suffix(1);
  const std::size_t at = text.rfind('\n');
  return json::parse(at == std::string_view::npos ? text : text.substr(at + 1), nullptr, false);
}

PhaseTimes phases_in(const json& end) {
  constexpr const char* kNames[] = {"exec",        "map",      "verify",     "plan", "tokenizer",
                                    "engine",      "tokenise", "prefix",     "read", "prefill",
                                    "first_token", "decode",   "since_start"};
  PhaseTimes phases;
  if (!end.is_object() || !end.contains("timings")) return phases;
  for (const char* name : kNames) {
    const auto found = end["timings"].find(std::string(name) + "_ms");
    if (found != end["timings"].end()) phases.emplace_back(name, found->get<double>());
  }
  return phases;
}

Case function_case(std::string name, const Options& options, const std::string& snapshot,
                   Cache cache, std::vector<std::string> variables = {}) {
  Command command{options.bootstrap, {}, {cat("THAW_SNAPSHOT=", snapshot), "THAW_LOG=off"}};
  for (std::string& variable : variables) command.environment.push_back(std::move(variable));
  Case made{std::move(name), cache, {snapshot}, [command, event = options.event] {
              return time_function(command, event, kSecondsMax);
            }};
  made.is_function = true;
  return made;
}

Case completion_case(std::string name, const Options& options, Cache cache,
                     std::vector<std::string> flags, std::vector<std::string> files = {}) {
  Command command{options.llama + "/llama-completion",
                  {"-m", options.source, "-f", options.prompt_file, "-n", "1", "--temp", "0", "-t",
                   cat(usable_processors()), "-no-cnv", "--no-display-prompt"},
                  {}};
  command.arguments.insert(command.arguments.end(), flags.begin(), flags.end());
  files.push_back(options.source);
  return {std::move(name), cache, std::move(files),
          [command] { return time_pipe(command, kSecondsMax); }};
}

Case server_case(std::string name, const Options& options, std::vector<std::string> flags) {
  Command command{options.llama + "/llama-server",
                  {"-m", options.source, "--port", cat(options.port), "--host", "127.0.0.1", "-t",
                   cat(usable_processors()), "-np", "1"},
                  {}};
  command.arguments.insert(command.arguments.end(), flags.begin(), flags.end());
  const auto prompt = read_text(system_files(), options.prompt_file, 1 << 20);
  const std::string body =
      json{{"prompt", prompt ? *prompt : ""}, {"n_predict", 1}, {"temperature", 0}}.dump();
  const std::string request =
      cat("POST /completion HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
          "Connection: close\r\nContent-Length: ",
          body.size(), "\r\n\r\n", body);
  return {std::move(name), Cache::kWarm, {options.source}, [command, request, port = options.port] {
            return time_server(command, port, request, kSecondsMax);
          }};
}

// Makes the file that llama.cpp keeps a prefix's state in. Errors: whatever its run gave.
Result<std::string> make_prompt_cache(const Options& options) {
  const std::string path = cat(options.prefix_file, ".llama-cache");
  ::unlink(path.c_str());
  const Command command{
      options.llama + "/llama-completion",
      {"-m", options.source, "-f", options.prefix_file, "-n", "1", "--temp", "0", "-t",
       cat(usable_processors()), "-no-cnv", "--no-warmup", "--prompt-cache", path},
      {}};
  THAW_TRY_DO(time_pipe(command, kSecondsMax));
  THAW_TRY_DO(system_files().stat(path));
  return path;
}

Result<std::vector<Case>> cases_of(const Options& options) {
  std::vector<Case> cases;
  cases.push_back(function_case("thaw, prefix restored", options, options.snapshot, Cache::kWarm));
  cases.push_back(function_case("thaw, prefix restored, unverified", options, options.snapshot,
                                Cache::kWarm, {"THAW_VERIFY=off"}));
  cases.push_back(function_case("thaw, prefix restored, page cache dropped", options,
                                options.snapshot, Cache::kDropped));
  cases.push_back(function_case("thaw, the same, direct reads", options, options.snapshot,
                                Cache::kDropped, {"THAW_PAGING=read"}));
  if (!options.bare.empty()) {
    cases.push_back(function_case("thaw, prompt computed", options, options.bare, Cache::kWarm));
    cases.back().runs_max = options.slow_runs;
  }
  // Apart from the others: freed small pages leave memory in pieces, which slows down what is read
  // into it next.
  cases.push_back(function_case("thaw, prefix restored, page cache of 4 KiB", options,
                                options.snapshot, Cache::kSmallPages));
  cases.back().apart = true;
  if (options.llama.empty()) return cases;
  THAW_TRY(cache, make_prompt_cache(options));
  const auto add = [&](const char* name, Cache kind, std::vector<std::string> flags, int runs_max) {
    cases.push_back(completion_case(name, options, kind, std::move(flags), {cache}));
    cases.back().runs_max = runs_max;
  };
  const int few = options.slow_runs;
  add("llama.cpp, plain", Cache::kWarm, {}, 1 << 20);
  add("llama.cpp, --no-warmup", Cache::kWarm, {"--no-warmup"}, few);
  add("llama.cpp, --no-warmup --no-repack", Cache::kWarm, {"--no-warmup", "--no-repack"}, few);
  add("llama.cpp, page cache dropped", Cache::kDropped, {"--no-warmup"}, few);
  const std::vector<std::string> cached = {"--no-warmup", "--prompt-cache", cache,
                                           "--prompt-cache-ro"};
  add("llama.cpp, prompt cache", Cache::kWarm, cached, 1 << 20);
  std::vector<std::string> unpacked = cached;
  unpacked.push_back("--no-repack");
  add("llama.cpp, prompt cache, --no-repack", Cache::kWarm, unpacked, 1 << 20);
  cases.push_back(server_case("llama-server, first request", options, {"--no-warmup"}));
  cases.back().runs_max = few;
  return cases;
}

// Runs a case once and keeps what it gave.
void run_once(const Case& one, Row& row, json& end) {
  for (const std::string& path : one.files) {
    const auto prepared = prepare(one.cache, path);
    if (!prepared) row.failure = prepared.error().message;
  }
  const Result<Timed> timed = one.run();
  if (!timed) {
    row.failure = timed.error().message;
    return;
  }
  row.first_ms.push_back(timed->first_ms);
  row.anonymous_megabytes.push_back(static_cast<double>(timed->anonymous_bytes) / (1 << 20));
  if (!one.is_function) return;
  row.next_ms.push_back(timed->next_ms);
  end = last_line(timed->output);
  row.phases.push_back(phases_in(end));
  if (row.phases.back().empty()) row.failure = "an answer without timings";
}

// Integer operations of so many new tokens, and the bytes of one pass over the weights.
struct Work {
  double operations = 0;
  double bytes = 0;
  double kv_megabytes = 0;  // a block, all layers
};
Result<Work> work_of(const std::string& snapshot, double tokens) {
  THAW_TRY(reader, snapshot::Reader::open(system_files(), snapshot));
  THAW_TRY(plan, model::Plan::make(*reader));
  THAW_TRY(weights, reader->section(snapshot::SectionType::kWeights));
  Work work;
  work.bytes = static_cast<double>(weights.size());
  work.kv_megabytes = static_cast<double>(plan.kv_block_bytes()) / (1 << 20);
  const auto size = [](const kernels::Matrix& matrix) { return 2.0 * matrix.rows * matrix.cols; };
  for (const model::LayerPlan& layer : plan.layers) {
    for (const kernels::Matrix* matrix :
         {&layer.query, &layer.key, &layer.value, &layer.attention_output, &layer.gate, &layer.up,
          &layer.down}) {
      work.operations += tokens * size(*matrix);
    }
  }
  work.operations += size(plan.output);  // of the last token alone
  return work;
}

Result<Floor> measure_floor(const Options& options, double tokens, Work& work) {
  Floor floor;
  std::vector<double> empty;
  for (int i = 0; i < 20; ++i) {
    THAW_TRY(timed, time_pipe({options.empty, {}, {}}, kSecondsMax));
    empty.push_back(timed.end_ms);
  }
  floor.empty_process_ms = median(empty);
  THAW_TRY(found, work_of(options.snapshot, tokens));
  work = found;
  ThreadPool pool(usable_processors());
  THAW_TRY(set, kernels::select(""));
  floor.integer_ops_per_second = kernels::integer_operations_per_second(*set, pool);
  floor.read_bytes_per_second = kernels::read_bytes_per_second(pool);
  floor.arithmetic_ms = floor.integer_ops_per_second == 0
                            ? 0
                            : work.operations / (kPeakShare * floor.integer_ops_per_second) * 1e3;
  floor.weights_ms = work.bytes / floor.read_bytes_per_second * 1e3;
  THAW_TRY(source, system_files().stat(options.source));
  THAW_TRY(disk, disk_bytes_per_second(options.source));
  floor.disk_bytes_per_second = disk;
  floor.disk_ms = static_cast<double>(source.bytes) / disk * 1e3;
  return floor;
}

// What holds on every machine, busy or not.
Result<Done> check_structure(const std::vector<Row>& rows, const json& end, const Work& work) {
  const auto wrong = [](std::string what) {
    return fail(Code::kInvalid, cat("cold start: ", what));
  };
  for (const Row& row : rows) {
    if (!row.failure.empty()) return wrong(cat(row.name, ": ", row.failure));
    if (row.phases.empty()) continue;
    const PhaseTimes phases = median_phases(row);
    if (phases.size() != 13) return wrong(cat(row.name, ": ", phases.size(), " phases of 13"));
    if (median(row.next_ms) <= 0 || median(row.first_ms) < median(row.next_ms)) {
      return wrong(cat(row.name, ": answered before it asked"));
    }
    const bool own_weights = row.name.find("direct reads") != std::string::npos;
    const double most = kAnonymousMegabytesMax + 4 * work.kv_megabytes;
    if (!own_weights && median(row.anonymous_megabytes) > most) {
      return wrong(
          cat(row.name, ": ", median(row.anonymous_megabytes), " MB of its own, at most ", most));
    }
  }
  if (!end.is_object() || end["timings"]["clock"] != "launcher") {
    return wrong("the launcher's stamp was not used");
  }
  if (end["usage"]["cached_tokens"] == 0) return wrong("no prefix was restored");
  return Done{};
}

// A small committed model with a prefix, for the smoke run.
Result<Done> freeze_small(Options& options) {
  const char* const folder = std::getenv("TMPDIR");
  const std::string base =
      cat(folder != nullptr ? folder : "/tmp", "/thaw-cold-start-", ::getpid());
  const std::string prefix = cat(base, "-opening.txt");
  {
    THAW_TRY(file, system_files().create(prefix));
    THAW_TRY_DO(file->append(as_bytes("ab cd ef gh ij kl mn op")));
    THAW_TRY_DO(file->commit());
  }
  options.snapshot = cat(base, ".thaw");
  THAW_TRY_DO(time_pipe(
      {options.thaw, {"freeze", options.source, "-o", options.snapshot, "--prefix", prefix}, {}},
      kSecondsMax));
  options.event = R"({"prompt":"ab cd ef gh ij kl mn op qr","max_tokens":2,"stream":true})";
  ::unlink(prefix.c_str());
  return Done{};
}

Result<Done> draw_again(const Options& options) {
  THAW_TRY(text, read_text(system_files(), options.draw, 16 << 20));
  THAW_TRY(results, read_json(text));
  std::ofstream(options.svg) << svg_of(results.first, results.second, options.title);
  return Done{};
}

Result<Done> run_all(Options options) {
  if (!options.draw.empty()) return draw_again(options);
  if (options.smoke) THAW_TRY_DO(freeze_small(options));
  THAW_TRY(cases, cases_of(options));
  std::vector<Row> rows(cases.size());
  json end;
  for (int run = 0; run < 2 * options.runs; ++run) {
    const bool apart = run >= options.runs;
    for (std::size_t i = 0; i < cases.size(); ++i) {
      rows[i].name = cases[i].name;
      if (cases[i].apart != apart || run % options.runs >= cases[i].runs_max) continue;
      if (!rows[i].failure.empty()) continue;
      json told;
      run_once(cases[i], rows[i], told);
      if (i == 0) end = told;
    }
  }
  double tokens = 0;
  if (end.is_object() && end.contains("usage")) {
    tokens =
        end["usage"]["prompt_tokens"].get<double>() - end["usage"]["cached_tokens"].get<double>();
  }
  Work work;
  THAW_TRY(floor, measure_floor(options, tokens, work));
  std::printf("%s\nnew tokens: %.0f\n", options.title.c_str(), tokens);
  print_table(rows, floor, stdout);
  if (!rows.empty()) {
    for (const auto& [name, ms] : median_phases(rows[0]))
      std::printf("  %-12s %8.3f ms\n", name.c_str(), ms);
  }
  const auto keep = [](const std::string& path, const std::string& text) {
    if (!path.empty()) std::ofstream(path) << text;
  };
  keep(options.svg, svg_of(rows, floor, options.title));
  keep(options.json_file, json_of(rows, floor));
  if (!options.smoke) return Done{};
  ::unlink(options.snapshot.c_str());
  return check_structure(rows, end, work);
}

}  // namespace
}  // namespace thaw::cold_start

int main(int count, char** words) {
  thaw::cold_start::Options options;
  CLI::App app("Times starts from outside: exec to the first byte of the first token.");
  app.add_option("--bootstrap", options.bootstrap);
  app.add_option("--thaw", options.thaw, "freezes the model of --smoke");
  app.add_option("--empty", options.empty, "a static program that does nothing");
  app.add_option("--snapshot", options.snapshot,
                 "with a prefix that the event's prompt begins with");
  app.add_option("--bare", options.bare, "the same model without prefixes");
  app.add_option("--source", options.source, "the GGUF file");
  app.add_option("--event", options.event, "a direct event that is streamed");
  app.add_option("--llama", options.llama, "the folder of llama-completion and llama-server");
  app.add_option("--prompt", options.prompt_file, "the rendered prompt, for llama.cpp");
  app.add_option("--prefix", options.prefix_file, "its beginning, kept by --prompt-cache");
  app.add_option("--runs", options.runs);
  app.add_option("--slow-runs", options.slow_runs, "of what computes the whole prompt");
  app.add_option("--port", options.port);
  app.add_option("--svg", options.svg);
  app.add_option("--json", options.json_file);
  app.add_option("--title", options.title);
  app.add_option("--draw", options.draw,
                 "draw this --json file's results into --svg; runs nothing");
  app.add_flag("--smoke", options.smoke, "a small model, one run, structure and not times");
  CLI11_PARSE(app, count, words);
  if (options.draw.empty() &&
      (options.bootstrap.empty() || options.empty.empty() || options.source.empty())) {
    std::fprintf(stderr, "bench_cold_start: wanted --bootstrap, --empty and --source, or --draw\n");
    return 2;
  }
  if (options.smoke) options.runs = 1;
  const auto done = thaw::cold_start::run_all(options);
  if (done) return 0;
  std::fprintf(stderr, "bench_cold_start: %s\n", done.error().message.c_str());
  return 1;
}
