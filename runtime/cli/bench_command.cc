#include <algorithm>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <tuple>

#include "base/check.h"
#include "base/random.h"
#include "base/str.h"
#include "handler/function.h"
#include "kernels/peaks.h"
#include "runtime/cli/commands.h"
#include "runtime/cli/table.h"

namespace thaw::cli {
namespace {

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Bytes of weights that one decoded token reads, and integer operations it takes.
struct TokenCost {
  double bytes = 0;
  double operations = 0;
};

void count(const kernels::Matrix& matrix, TokenCost& cost) {
  cost.bytes +=
      static_cast<double>(kernels::panels_bytes(matrix.kind, matrix.rows, matrix.cols).value_or(0));
  cost.operations += 2.0 * matrix.rows * matrix.cols;
}

TokenCost cost_of_layers(const model::Plan& plan) {
  TokenCost cost;
  for (const model::LayerPlan& layer : plan.layers) {
    for (const kernels::Matrix* matrix :
         {&layer.query, &layer.key, &layer.value, &layer.attention_output, &layer.gate, &layer.up,
          &layer.down}) {
      count(*matrix, cost);
    }
  }
  return cost;
}

// One thing that is measured: the prefill of so many tokens, or decoding by so many sequences at
// once, each of which has so many positions before it.
struct Point {
  bool prefill = false;
  std::uint32_t tokens = 0;        // of the prefill
  std::uint32_t batch = 1;         // of decoding
  std::uint32_t position = 0;      // of decoding
  std::vector<double> rates = {};  // tokens per second, a round each
};

// What made-up keys and values may take; deeper positions are left out.
constexpr std::uint64_t kKvBytesMax = std::uint64_t{512} << 20;

std::vector<Point> points_of(const BenchArguments& arguments, const model::Plan& plan,
                             std::uint32_t generate) {
  const std::uint32_t context = plan.config.context_tokens;
  std::vector<Point> points;
  const bool all = !arguments.prompt && !arguments.generate;
  const auto prefill = [&](std::uint32_t tokens) {
    if (tokens <= context) points.push_back({.prefill = true, .tokens = tokens});
  };
  const auto decode = [&](std::uint32_t batch, std::uint32_t position) {
    if (position + generate <= context) points.push_back({.batch = batch, .position = position});
  };
  prefill(arguments.prompt.value_or(256));
  decode(1, std::min(context - generate, arguments.prompt.value_or(256)));
  if (!all) return points;
  for (const std::uint32_t tokens : {16u, 64u, 512u, 1024u}) prefill(tokens);
  for (const std::uint32_t batch : {2u, 4u, 8u}) decode(batch, points[1].position);
  for (const std::uint32_t position : {1000u, 4000u, 8000u}) {
    const std::uint64_t blocks = position / kernels::kKvBlockPositions + 1;
    if (blocks * plan.kv_block_bytes() <= kKvBytesMax) decode(1, position);
  }
  return points;
}

// Keys and values that nobody computed, for decoding at positions that would take long to reach.
class MadeUpKv {
 public:
  MadeUpKv(std::size_t block_bytes, std::uint32_t positions) {
    const std::size_t blocks =
        (positions + kernels::kKvBlockPositions - 1) / kernels::kKvBlockPositions;
    view_ = {nullptr, block_bytes, positions};
    memory_.reset(static_cast<std::byte*>(std::aligned_alloc(64, blocks * block_bytes + 64)));
    THAW_CHECK(memory_ != nullptr);
    view_.blocks = memory_.get();
    Random random(1);
    for (std::size_t at = 0; at < blocks * block_bytes; at += 2) {  // halves, 2^-7 to 2^-4
      store(memory_.get() + at, static_cast<std::uint16_t>(0x2000 + random.below(0x0c00)));
    }
  }
  const model::KvView& view() const { return view_; }

 private:
  struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }
  };
  std::unique_ptr<std::byte, Free> memory_;
  model::KvView view_;
};

// The function under measurement, and what does not change between rounds.
struct Bench {
  handler::Function& function;
  Clock& clock;
  std::span<const text::Token> tokens;  // as many as are ever asked for
  std::uint32_t generate;
  const MadeUpKv& kv;
};

Result<Done> ignore(std::size_t, std::size_t, std::span<const float>) { return Done{}; }

Result<double> prefill_rate(const Bench& bench, std::uint32_t count) {
  model::Engine& engine = bench.function.engine();
  const auto session = engine.new_session();
  const model::BatchItem item{session.get(), bench.tokens.first(count), model::LogitsWanted::kLast};
  const auto begin = bench.clock.now();
  THAW_TRY_DO(engine.forward(std::span(&item, 1), ignore));
  return count / std::chrono::duration<double>(bench.clock.now() - begin).count();
}

Result<double> decode_rate(const Bench& bench, std::uint32_t batch, std::uint32_t position) {
  model::Engine& engine = bench.function.engine();
  std::vector<std::unique_ptr<model::Session>> sessions;
  for (std::uint32_t i = 0; i < batch; ++i) {
    sessions.push_back(engine.new_session());
    sessions.back()->restore(bench.kv.view(), position);
    sessions.back()->set_checked();
  }
  const auto begin = bench.clock.now();
  for (std::uint32_t step = 0; step < bench.generate; ++step) {
    std::vector<model::BatchItem> items;
    for (std::uint32_t i = 0; i < batch; ++i) {
      const std::size_t at = (step * batch + i) % bench.tokens.size();
      items.push_back({sessions[i].get(), bench.tokens.subspan(at, 1), model::LogitsWanted::kLast});
    }
    THAW_TRY_DO(engine.forward(items, ignore));
  }
  return bench.generate * batch / std::chrono::duration<double>(bench.clock.now() - begin).count();
}

// Beside which speeds are put: this machine's, measured in the same rounds.
struct Limits {
  double read = 0;     // bytes per second
  double integer = 0;  // operations per second; 0: the set has none
};

// How much of its limit a point reaches: prefill of the integer products, decoding of the bytes
// that a step reads, weights and keys and values.
double fraction(const Point& point, const model::Plan& plan, const Limits& limits) {
  TokenCost cost = cost_of_layers(plan);
  if (point.prefill) {
    return limits.integer == 0 ? 0 : median(point.rates) * cost.operations / limits.integer;
  }
  count(plan.output, cost);
  const double kv = static_cast<double>(plan.kv_block_bytes()) / kernels::kKvBlockPositions *
                    point.position * point.batch;
  return limits.read == 0 ? 0 : median(point.rates) / point.batch * (cost.bytes + kv) / limits.read;
}

void print_json(const std::vector<Point>& points, const Limits& limits, handler::Function& function,
                std::uint32_t rounds, std::uint32_t generate, const model::Plan& plan,
                std::FILE* out) {
  nlohmann::ordered_json all = {{"kernels", function.kernels().name},
                                {"threads", function.pool().threads()},
                                {"rounds", rounds},
                                {"prompt", points[0].tokens},
                                {"generate", generate},
                                {"prefill_tokens_per_s", median(points[0].rates)},
                                {"decode_tokens_per_s", median(points[1].rates)},
                                {"read_bytes_per_s", limits.read},
                                {"integer_ops_per_s", limits.integer},
                                {"decode_read_fraction", fraction(points[1], plan, limits)},
                                {"prefill_integer_fraction", fraction(points[0], plan, limits)}};
  for (const Point& point : points) {
    nlohmann::ordered_json one = {{"tokens_per_s", median(point.rates)},
                                  {"fraction", fraction(point, plan, limits)}};
    if (point.prefill) {
      one["tokens"] = point.tokens;
    } else {
      one["batch"] = point.batch;
      one["position"] = point.position;
    }
    all[point.prefill ? "prefill" : "decode"].push_back(one);
  }
  std::fprintf(out, "%s\n", all.dump(2).c_str());
}

void print_table(std::vector<Point> points, const Limits& limits, handler::Function& function,
                 const model::Plan& plan, std::FILE* out) {
  Table table({1, 3});
  table.add({cat(function.kernels().name, ", ", function.pool().threads(), " threads"), "tokens/s",
             "limit measured beside it", "reached"});
  std::stable_sort(points.begin(), points.end(), [](const Point& a, const Point& b) {
    return std::tie(a.tokens, a.position, a.batch) < std::tie(b.tokens, b.position, b.batch);
  });
  for (const bool prefill : {true, false}) {
    for (const Point& point : points) {
      if (point.prefill != prefill) continue;
      const std::string name =
          prefill ? cat("prefill ", point.tokens)
                  : cat("decode at ", point.position,
                        point.batch == 1 ? "" : cat(", ", point.batch, " at once"));
      table.add({name, decimal(median(point.rates), 1),
                 prefill ? cat(decimal(limits.integer / 1e9, 0), " GOPS of integer products")
                         : cat(decimal(limits.read / 1e9, 1), " GB/s read"),
                 decimal(fraction(point, plan, limits) * 100, 0) + " %"});
    }
  }
  table.print(out);
}

}  // namespace

Result<Done> bench(const BenchArguments& arguments, const Context& context) {
  THAW_TRY(function, handler::Function::open(context.files, arguments.path,
                                             function_options(context, arguments.threads)));
  const model::Plan& plan = function->engine().plan();
  const std::uint32_t most = plan.config.context_tokens;
  const std::uint32_t generate = arguments.generate.value_or(std::min(most / 4 + 1, 32u));
  const std::uint32_t prompt = arguments.prompt.value_or(1);
  if (prompt == 0 || generate == 0 || prompt > most || generate >= most) {
    return fail(Code::kInvalid,
                cat("bench: --prompt ", prompt, " and --generate ", generate,
                    ", wanted at least 1 and no more than the context's ", most, " tokens"));
  }
  std::vector<Point> points = points_of(arguments, plan, generate);
  std::uint32_t tokens_most = 1;
  std::uint32_t position_most = 0;
  for (const Point& point : points) {
    tokens_most = std::max(tokens_most, point.tokens);
    position_most = std::max(position_most, point.position);
  }
  Random random(1);
  std::vector<text::Token> tokens(tokens_most);
  for (text::Token& token : tokens) {
    token = static_cast<text::Token>(random.below(plan.config.vocabulary));
  }
  const MadeUpKv kv(plan.kv_block_bytes(), std::max(1u, position_most));
  const Bench bench{*function, context.clock, tokens, generate, kv};
  std::vector<double> read;
  std::vector<double> integer;
  for (std::uint32_t round = 0; round < arguments.rounds; ++round) {
    for (Point& point : points) {
      THAW_TRY(rate, point.prefill ? prefill_rate(bench, point.tokens)
                                   : decode_rate(bench, point.batch, point.position));
      point.rates.push_back(rate);
    }
    read.push_back(kernels::read_bytes_per_second(function->pool()));
    integer.push_back(
        kernels::integer_operations_per_second(function->kernels(), function->pool()));
  }
  const Limits limits = {median(read), median(integer)};
  if (arguments.json) {
    print_json(points, limits, *function, arguments.rounds, generate, plan, context.out);
  } else {
    print_table(std::move(points), limits, *function, plan, context.out);
  }
  return Done{};
}

}  // namespace thaw::cli
