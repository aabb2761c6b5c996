#include <cmath>
#include <cstring>

#include "base/str.h"
#include "runtime/cli/commands.h"
#include "runtime/cli/table.h"
#include "runtime/simulate/comparison.h"

namespace thaw::cli {
namespace {

using simulate::Arrivals;
using simulate::Row;
using simulate::Setup;

constexpr std::size_t kSetupsMax = 64;  // rows of a table that a person can still read

Error wrong(std::string_view what, std::string_view found, std::string_view wanted) {
  return fail(Code::kInvalid, cat("simulate: ", what, ": found '", found, "', want ", wanted));
}

// A time given as a number; nothing beyond a year or below 0.
Result<std::chrono::nanoseconds> time_of(std::string_view what, double seconds) {
  if (!(seconds >= 0 && seconds <= 366 * 86400.0)) {
    return wrong(what, cat(seconds), "0 s to a year");
  }
  return std::chrono::nanoseconds(std::llround(seconds * 1e9));
}

Result<warmpool::KeepAliveOptions> policy_of(const std::string& name) {
  if (name == "histogram") return warmpool::KeepAliveOptions(warmpool::HybridHistogram{});
  if (name == "greedy-dual") return warmpool::KeepAliveOptions(warmpool::GreedyDual{});
  constexpr std::string_view kFixed = "fixed:";
  if (name.starts_with(kFixed)) {
    char* end = nullptr;
    const double seconds = std::strtod(name.c_str() + kFixed.size(), &end);
    if (*end == '\0' && end != name.c_str() + kFixed.size()) {
      THAW_TRY(time, time_of("policy", seconds));
      return warmpool::KeepAliveOptions(warmpool::FixedTime{time});
    }
  }
  return wrong("policy", name, "fixed:SECONDS, histogram or greedy-dual");
}

Result<simulate::Phases> phases_of(const SimulateArguments& arguments, const Context& context) {
  simulate::Phases phases;
  for (const std::string& path : arguments.measured) {
    THAW_TRY(text, read_input(context, path));
    THAW_TRY(read, simulate::read_phases(text, path, phases));
    phases = read;
  }
  if (arguments.start_ms) {
    THAW_TRY(time, time_of("--start-ms", *arguments.start_ms / 1e3));
    phases.start = time;
  }
  if (arguments.overhead_ms) {
    THAW_TRY(time, time_of("--overhead-ms", *arguments.overhead_ms / 1e3));
    phases.overhead = time;
  }
  if (arguments.prefill) phases.prefill_tokens_per_s = *arguments.prefill;
  if (arguments.decode) phases.decode_tokens_per_s = *arguments.decode;
  if (arguments.vcpus_measured) phases.vcpus = *arguments.vcpus_measured;
  THAW_TRY_DO(simulate::check(phases));
  return phases;
}

// Every platform with every size and policy.
Result<std::vector<Setup>> setups_of(const SimulateArguments& arguments, const Context& context) {
  THAW_TRY(phases, phases_of(arguments, context));
  Setup common;
  THAW_TRY(timeout, time_of("--timeout", arguments.timeout_seconds));
  common.timeout = timeout;
  if (arguments.queue_seconds > 0) {
    THAW_TRY(wait, time_of("--queue-seconds", arguments.queue_seconds));
    common.queue_max = wait;
  }
  if (arguments.snapstart_ms) {
    THAW_TRY(restore, time_of("--snapstart", *arguments.snapstart_ms / 1e3));
    common.restore = restore;
  }
  common.limits.instances_max = arguments.concurrency;
  common.limits.queue_length_max = arguments.queue;
  common.limits.provisioned = arguments.provisioned;
  common.limits.invocations_per_instance = arguments.per_instance;
  common.pool.memory_bytes_max = arguments.memory_total_mb << 20;
  std::vector<Setup> setups;
  for (const std::string& name : arguments.platforms) {
    const auto platform = cost::platform_named(name);
    if (!platform) return wrong("platform", name, "lambda-x86, lambda-arm, fc or cloud-run");
    const bool lambda =
        *platform == cost::Platform::kLambdaX86 || *platform == cost::Platform::kLambdaArm;
    for (const std::uint32_t memory : arguments.memory) {
      for (const std::string& policy : arguments.policies) {
        Setup setup = common;
        setup.shape = {*platform, memory, cost::default_vcpus(*platform, memory),
                       arguments.disk_mb};
        if (arguments.vcpus && !lambda) setup.shape.vcpus = *arguments.vcpus;
        THAW_TRY_DO(cost::check(setup.shape));
        THAW_TRY(keep_alive, policy_of(policy));
        setup.limits.keep_alive = keep_alive;
        setup.limits.instance_bytes = std::uint64_t{memory} << 20;
        if (lambda) setup.limits.start_rate = {1000, std::chrono::seconds(10)};
        setup.phases = phases.on(setup.shape.vcpus);
        setup.name = cat(name, " ", memory, " MB");
        if (arguments.policies.size() > 1) setup.name += cat(" ", policy);
        setups.push_back(std::move(setup));
        if (setups.size() > kSetupsMax) {
          return wrong("setups", "more", cat("at most ", kSetupsMax, " side by side"));
        }
      }
    }
  }
  return setups;
}

// Opens the same arrivals again for each setup.
class Traffic {
 public:
  static Result<Traffic> open(const SimulateArguments& arguments, const Context& context) {
    Traffic traffic(arguments, context);
    if (arguments.trace == "-") {
      THAW_TRY(text, read_input(context, "-"));
      traffic.text_ = std::move(text);
    }
    return traffic;
  }

  Result<std::unique_ptr<Arrivals>> arrivals() const {
    const simulate::TokenCounts tokens{arguments_.prompt_tokens, arguments_.output_tokens,
                                       arguments_.spread};
    if (arguments_.trace.empty()) {
      simulate::GeneratorOptions options;
      options.pattern = arguments_.pattern == "bursty"    ? simulate::Pattern::kBursty
                        : arguments_.pattern == "diurnal" ? simulate::Pattern::kDiurnal
                                                          : simulate::Pattern::kPoisson;
      options.rate = arguments_.rate;
      THAW_TRY(length, time_of("--for", arguments_.length_seconds));
      options.length = length;
      options.seed = arguments_.seed;
      options.tokens = tokens;
      return simulate::generate(options);
    }
    THAW_TRY(read, reader());
    return simulate::open_trace(std::move(read), {arguments_.trace, tokens, arguments_.seed});
  }

  std::string title() const {
    if (!arguments_.trace.empty()) return arguments_.trace;
    return cat(arguments_.pattern, ", ", decimal(arguments_.rate, 2), " a second, seed ",
               arguments_.seed);
  }

 private:
  Traffic(const SimulateArguments& arguments, const Context& context)
      : arguments_(arguments), files_(&context.files) {}

  Result<simulate::ReadBytes> reader() const {
    if (text_) {
      return simulate::ReadBytes(
          [left = std::string_view(*text_)](char* to, std::size_t count) mutable {
            count = std::min(count, left.size());
            std::memcpy(to, left.data(), count);
            left.remove_prefix(count);
            return Result<std::size_t>(count);
          });
    }
    THAW_TRY(file, files_->open(arguments_.trace));
    return simulate::ReadBytes(
        [file = std::shared_ptr<ReadFile>(std::move(file)), at = std::uint64_t{0}](
            char* to, std::size_t count) mutable -> Result<std::size_t> {
          count = std::min<std::uint64_t>(count, file->size() - at);
          if (count == 0) return std::size_t{0};
          THAW_TRY_DO(file->read_at(at, {reinterpret_cast<std::byte*>(to), count}));
          at += count;
          return count;
        });
  }

  SimulateArguments arguments_;
  Files* files_;
  std::optional<std::string> text_;
};

std::string shown(std::chrono::nanoseconds time) {
  const double ms = static_cast<double>(time.count()) / 1e6;
  return ms < 10'000 ? cat(decimal(ms, ms < 100 ? 1 : 0), " ms") : cat(decimal(ms / 1e3, 1), " s");
}

void print_table(const std::vector<Row>& rows, std::FILE* out) {
  Table table({1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
  table.add({"", "served", "cold", "refused", "p50", "p95", "p99", "first token", "idle GB-s",
             "a million", "a month"});
  for (const Row& row : rows) {
    const simulate::Outcome& seen = row.outcome;
    table.add(
        {row.setup.name, cat(seen.served), cat(seen.cold), cat(seen.refused),
         shown(seen.latency.at(0.5)), shown(seen.latency.at(0.95)), shown(seen.latency.at(0.99)),
         shown(seen.first_token.at(0.5)), decimal(seen.idle_gb_seconds, 0),
         cost::Money::dollars(simulate::dollars_per_million(row)).text(), row.month.total.text()});
  }
  table.print(out);
  for (const Row& row : rows) {
    const simulate::Outcome& seen = row.outcome;
    for (std::size_t i = 0; i < simulate::kReasonCount; ++i) {
      if (seen.refused_for[i] == 0) continue;
      const auto reason = simulate::name_of(static_cast<warmpool::Reason>(i));
      std::fprintf(out, "%s: %llu refused: %.*s\n", row.setup.name.c_str(),
                   static_cast<unsigned long long>(seen.refused_for[i]),
                   static_cast<int>(reason.size()), reason.data());
    }
    if (seen.timed_out > 0) {
      std::fprintf(out, "%s: %llu ran into the time limit\n", row.setup.name.c_str(),
                   static_cast<unsigned long long>(seen.timed_out));
    }
  }
}

Result<Done> write_file(Files& files, const std::string& path, std::string_view text) {
  THAW_TRY(file, files.create(path));
  THAW_TRY_DO(file->append(std::as_bytes(std::span(text.data(), text.size()))));
  return file->commit();
}

}  // namespace

Result<Done> simulate(const SimulateArguments& arguments, const Context& context) {
  cost::PriceList prices = cost::PriceList::built_in();
  if (!arguments.prices.empty()) {
    THAW_TRY(text, read_input(context, arguments.prices));
    THAW_TRY(read, prices.with(text, arguments.prices));
    prices = read;
  }
  THAW_TRY(setups, setups_of(arguments, context));
  THAW_TRY(traffic, Traffic::open(arguments, context));
  std::vector<Row> rows;
  for (Setup& setup : setups) {
    THAW_TRY(arrivals, traffic.arrivals());
    THAW_TRY(outcome, simulate::simulate(*arrivals, setup));
    Row row{setup, outcome, {}, {}};
    row.trace = cost::bill(setup.shape, outcome.usage, prices);
    row.month = simulate::month_of(outcome, setup, prices, arguments.free_tier);
    rows.push_back(std::move(row));
  }
  if (!arguments.svg.empty()) {
    THAW_TRY_DO(write_file(context.files, arguments.svg, simulate::svg_of(rows, traffic.title())));
  }
  if (arguments.json) {
    std::fprintf(context.out, "%s\n", simulate::json_of(rows, traffic.title()).c_str());
  } else {
    print_table(rows, context.out);
  }
  return Done{};
}

}  // namespace thaw::cli
