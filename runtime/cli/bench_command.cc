#include <algorithm>
#include <nlohmann/json.hpp>

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

struct Measured {
  std::vector<double> prefill, decode, read, integer;  // tokens/s, tokens/s, bytes/s, operations/s
};

Result<Done> one_round(const BenchArguments& arguments, handler::Function& function, Clock& clock,
                       std::span<const text::Token> prompt, Measured& to) {
  const model::LogitsSink ignore = [](std::size_t, std::size_t, std::span<const float>) {
    return Result<Done>(Done{});
  };
  const auto seconds_since = [&](Clock::Monotonic begin) {
    return std::chrono::duration<double>(clock.now() - begin).count();
  };
  const auto session = function.engine().new_session();
  auto begin = clock.now();
  const model::BatchItem item{session.get(), prompt, model::LogitsWanted::kLast};
  THAW_TRY_DO(function.engine().forward(std::span(&item, 1), ignore));
  to.prefill.push_back(arguments.prompt / seconds_since(begin));
  begin = clock.now();
  for (std::uint32_t i = 0; i < arguments.generate; ++i) {
    const model::BatchItem next{session.get(), prompt.subspan(i % prompt.size(), 1),
                                model::LogitsWanted::kLast};
    THAW_TRY_DO(function.engine().forward(std::span(&next, 1), ignore));
  }
  to.decode.push_back(arguments.generate / seconds_since(begin));
  to.read.push_back(kernels::read_bytes_per_second(function.pool()));
  to.integer.push_back(kernels::integer_operations_per_second(function.kernels(), function.pool()));
  return Done{};
}

}  // namespace

Result<Done> bench(const BenchArguments& arguments, const Context& context) {
  handler::FunctionOptions options;
  options.kernels = context.kernels;
  options.verify = context.verify;
  options.paging = context.paging;
  options.threads = arguments.threads == 0 ? context.threads : arguments.threads;
  THAW_TRY(function, handler::Function::open(context.files, arguments.path, options));
  const model::Plan& plan = function->engine().plan();
  if (arguments.prompt == 0 || arguments.generate == 0) {
    return fail(Code::kInvalid, "bench: --prompt and --generate, wanted at least 1");
  }
  Random random(1);
  std::vector<text::Token> prompt(arguments.prompt);
  for (text::Token& token : prompt) {
    token = static_cast<text::Token>(random.below(plan.config.vocabulary));
  }
  Measured measured;
  for (std::uint32_t round = 0; round < arguments.rounds; ++round) {
    THAW_TRY_DO(one_round(arguments, *function, context.clock, prompt, measured));
  }
  const TokenCost layers = cost_of_layers(plan);
  TokenCost token = layers;
  count(plan.output, token);
  const double prefill = median(measured.prefill);
  const double decode = median(measured.decode);
  const double read = median(measured.read);
  const double integer = median(measured.integer);
  const double read_fraction = decode * token.bytes / read;
  const double integer_fraction = integer > 0 ? prefill * layers.operations / integer : 0;
  if (arguments.json) {
    const nlohmann::json all = {{"kernels", function->kernels().name},
                                {"threads", function->pool().threads()},
                                {"prompt", arguments.prompt},
                                {"generate", arguments.generate},
                                {"rounds", arguments.rounds},
                                {"prefill_tokens_per_s", prefill},
                                {"decode_tokens_per_s", decode},
                                {"read_bytes_per_s", read},
                                {"integer_ops_per_s", integer},
                                {"decode_read_fraction", read_fraction},
                                {"prefill_integer_fraction", integer_fraction}};
    std::fprintf(context.out, "%s\n", all.dump(2).c_str());
    return Done{};
  }
  Table table({1, 3});
  table.add({cat(function->kernels().name, ", ", function->pool().threads(), " threads"),
             "tokens/s", "limit measured beside it", "reached"});
  table.add({cat("prefill ", arguments.prompt), decimal(prefill, 1),
             cat(decimal(integer / 1e9, 0), " GOPS of integer products"),
             decimal(integer_fraction * 100, 0) + " %"});
  table.add({cat("decode ", arguments.generate), decimal(decode, 1),
             cat(decimal(read / 1e9, 1), " GB/s read"), decimal(read_fraction * 100, 0) + " %"});
  table.print(context.out);
  return Done{};
}

}  // namespace thaw::cli
