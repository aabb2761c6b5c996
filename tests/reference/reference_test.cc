#include "handler/reference/reference.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "base/str.h"
#include "handler/reference/comparison.h"
#include "tests/golden/golden.h"
#include "tests/reference/random_model.h"

namespace thaw::reference {
namespace {

using golden::Expected;

// All logits [tokens, vocabulary].
std::vector<float> evaluate(const model::Plan& plan, std::span<const model::Token> tokens,
                            const ReferenceOptions& options = {}) {
  std::vector<float> all;
  const auto reference = Reference::evaluate(plan, tokens, options);
  EXPECT_TRUE(reference) << (reference ? "" : reference.error().message);
  for (std::size_t t = 0; reference && t < tokens.size(); ++t) {
    const auto row = (*reference)->logits(t);
    EXPECT_TRUE(row);
    if (row) all.insert(all.end(), row->begin(), row->end());
  }
  return all;
}

// The largest difference, beside the largest logit.
double relative_error(std::span<const float> expected, std::span<const float> found) {
  EXPECT_EQ(expected.size(), found.size());
  double largest = 0, error = 0;
  for (std::size_t i = 0; i < std::min(expected.size(), found.size()); ++i) {
    largest = std::max(largest, std::fabs(double{expected[i]}));
    error = std::max(error, std::fabs(double{expected[i]} - found[i]));
  }
  return error / largest;
}

// Of a plan that a test has broken, on a golden model's own tokens.
double broken_error(const model::Plan& plan, const Expected& expected) {
  return relative_error(expected.logits, evaluate(plan, expected.tokens));
}

// Three times what was measured: both sum in float32, in different orders.
constexpr double kErrorMax = 1.3e-5;
// A tolerance is worth something only if wrong models miss it by far.
constexpr double kBroken = 1e-2;

// The one golden model that has no exact home, so that its snapshot holds other weights.
constexpr const char* kRequantised = "llama-q5_1";

class EveryModel : public testing::TestWithParam<std::string> {};

TEST_P(EveryModel, HasTheLogitsOfAnIndependentEvaluation) {
  const Expected expected = golden::read_expected(GetParam());
  const auto frozen = golden::freeze_golden(GetParam());
  ReferenceOptions options;
  options.threads = 2;
  const auto logits = evaluate(frozen->plan, expected.tokens, options);
  EXPECT_LE(relative_error(expected.logits, logits), kErrorMax);
}

std::vector<std::string> exact_models() {
  std::vector<std::string> all = golden::names();
  EXPECT_EQ(std::erase(all, kRequantised), 1u);
  return all;
}

INSTANTIATE_TEST_SUITE_P(Golden, EveryModel, testing::ValuesIn(exact_models()),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(Reference, ARequantisedModelIsAsFarOffAsItsWeights) {
  const Expected expected = golden::read_expected(kRequantised);
  const auto frozen = golden::freeze_golden(kRequantised);
  const auto logits = evaluate(frozen->plan, expected.tokens);
  EXPECT_GT(relative_error(expected.logits, logits), kBroken);
  EXPECT_LE(golden::distance(expected, logits).mean_kl, 3e-2);
}

TEST(ReferenceMutation, AWrongRopePairingIsSeen) {
  for (const char* name : {"llama-f32", "qwen2-f32", "qwen3-f32"}) {
    const auto frozen = golden::freeze_golden(name);
    frozen->plan.config.rope_interleaved ^= 1;
    EXPECT_GT(broken_error(frozen->plan, golden::read_expected(name)), kBroken) << name;
  }
}

TEST(ReferenceMutation, UnscaledRopeFrequenciesAndAMissingFactorAreSeen) {
  const auto plain = golden::freeze_golden("llama-f32");
  for (const char* name : {"llama-linear-f32", "llama-llama3-f32", "llama-yarn-f32"}) {
    const auto frozen = golden::freeze_golden(name);
    frozen->plan.rope_turns = plain->plan.rope_turns;
    EXPECT_GT(broken_error(frozen->plan, golden::read_expected(name)), kBroken) << name;
  }
  const auto yarn = golden::freeze_golden("llama-yarn-f32");
  yarn->plan.config.rope_factor = 1;
  EXPECT_GT(broken_error(yarn->plan, golden::read_expected("llama-yarn-f32")), kBroken);
}

// Whatever of a layer may be null: without it the logits are others.
TEST(ReferenceMutation, AMissingBiasOrNormIsSeen) {
  const auto check = [](const char* name, const float* model::LayerPlan::* member) {
    const auto frozen = golden::freeze_golden(name);
    for (model::LayerPlan& layer : frozen->plan.layers) layer.*member = nullptr;
    EXPECT_GT(broken_error(frozen->plan, golden::read_expected(name)), kBroken) << name;
  };
  check("qwen2-f32", &model::LayerPlan::query_bias);
  check("qwen2-f32", &model::LayerPlan::value_bias);
  check("qwen3-f32", &model::LayerPlan::query_norm);
  check("qwen3-f32", &model::LayerPlan::key_norm);
}

TEST(ReferenceMutation, ExchangedMatricesAndAnotherScaleAreSeen) {
  const Expected expected = golden::read_expected("llama-f32");
  const auto swapped = golden::freeze_golden("llama-f32");
  for (model::LayerPlan& layer : swapped->plan.layers) std::swap(layer.gate, layer.up);
  EXPECT_GT(broken_error(swapped->plan, expected), kBroken);
  const auto scaled = golden::freeze_golden("llama-f32");
  scaled->plan.config.attention_scale *= 1.5f;
  EXPECT_GT(broken_error(scaled->plan, expected), kBroken);
}

// Shapes that no golden model has, on more positions than a block of queries: heads that fill no
// panel, values narrower than keys, six heads on two, rope on part of a head, an embedding of its
// own, and more slices of a matrix than one.
model::Config odd_config() {
  model::Config c;
  c.layers = 2;
  c.dim = 96;
  c.heads = 6;
  c.kv_heads = 2;
  c.head_dim = 22;
  c.value_dim = 16;
  c.ffn_dim = 320;
  c.vocabulary = 301;
  c.context_tokens = 1024;
  c.rope_pairs = 7;
  c.rope_interleaved = 1;
  c.rope_factor = 1.1f;
  c.rms_epsilon = 1e-5f;
  c.attention_scale = 0.21f;
  return c;
}

std::vector<model::Token> some_tokens(std::size_t count, std::uint32_t vocabulary) {
  Random random(7);
  std::vector<model::Token> tokens;
  while (tokens.size() < count) {
    tokens.push_back(static_cast<model::Token>(random.below(vocabulary)));
  }
  return tokens;
}

Difference difference(std::span<const float> reference, std::span<const float> ours,
                      std::size_t width) {
  Comparison comparison;
  for (std::size_t at = 0; at < ours.size(); at += width) {
    EXPECT_TRUE(comparison.add(reference.subspan(at, width), ours.subspan(at, width), {}));
  }
  return comparison.difference();
}

TEST(Reference, AgreesWithTheEngineOnShapesOfEverySize) {
  const RandomModel made(odd_config(), kernels::Kind::kF32, 3);
  const auto tokens = some_tokens(700, made.plan.config.vocabulary);
  const auto ours = golden::evaluate(made.plan, **kernels::select(""), 2, 0, tokens);
  const auto theirs = evaluate(made.plan, tokens);
  const Difference found = difference(theirs, ours, made.plan.config.vocabulary);
  EXPECT_LE(found.p99_kl, 1e-5);
  EXPECT_GE(found.top1_agreement, 0.99);
}

TEST(Reference, AgreesWithTheEngineOnEveryKind) {
  model::Config config = odd_config();
  config.layers = 1;
  config.dim = 256;
  config.heads = 16;
  config.ffn_dim = 256;
  for (const kernels::KindInfo& kind : kernels::kinds()) {
    const RandomModel made(config, kind.kind, 4);
    const auto tokens = some_tokens(100, config.vocabulary);
    const auto ours = golden::evaluate(made.plan, **kernels::select(""), 2, 0, tokens);
    const Difference found =
        difference(evaluate(made.plan, tokens), ours, made.plan.config.vocabulary);
    EXPECT_LE(found.mean_kl, kind.is_float ? 1e-6 : 1.5e-3) << kind.name;
  }
}

TEST(Reference, ThreadsAndTheOrderOfQuestionsChangeLittleOrNothing) {
  const auto frozen = golden::freeze_golden("qwen3-f32");
  const auto tokens = golden::read_expected("qwen3-f32").tokens;
  const auto one = evaluate(frozen->plan, tokens);
  ReferenceOptions options;
  options.threads = 1000;  // more than it uses
  EXPECT_LE(relative_error(one, evaluate(frozen->plan, tokens, options)), 1e-6);
  const auto reference = Reference::evaluate(frozen->plan, tokens, {});
  ASSERT_TRUE(reference);
  const std::size_t width = frozen->plan.config.vocabulary;
  for (std::size_t t = tokens.size(); t-- > 0;) {
    const auto row = (*reference)->logits(t);
    ASSERT_TRUE(row);
    EXPECT_LE(relative_error(std::span(one).subspan(t * width, width), *row), 1e-5) << t;
  }
}

TEST(Reference, TellsEachLayerThatIsDone) {
  const auto frozen = golden::freeze_golden("llama-f32");
  std::vector<std::size_t> done;
  ReferenceOptions options;
  options.progress = [&](std::size_t now, std::size_t total) {
    EXPECT_EQ(total, frozen->plan.config.layers);
    done.push_back(now);
  };
  const model::Token tokens[] = {1, 2, 3};
  evaluate(frozen->plan, tokens, options);
  ASSERT_EQ(done.size(), frozen->plan.config.layers);
  EXPECT_TRUE(std::is_sorted(done.begin(), done.end()));
  EXPECT_EQ(done.back(), done.size());
}

void expect_refusal(const model::Plan& plan, std::span<const model::Token> tokens, Code code,
                    std::string_view part) {
  const auto refused = Reference::evaluate(plan, tokens, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, code);
  EXPECT_NE(refused.error().message.find(part), std::string::npos) << refused.error().message;
}

TEST(Reference, RefusesTokensThatItCannotTake) {
  const auto frozen = golden::freeze_golden("llama-f32");
  const model::Token unknown[] = {1, frozen->plan.config.vocabulary};
  expect_refusal(frozen->plan, {}, Code::kInvalid, "no tokens");
  expect_refusal(frozen->plan, unknown, Code::kInvalid, "vocabulary");
  const std::vector<model::Token> many(frozen->plan.config.context_tokens + 1, 1);
  expect_refusal(frozen->plan, many, Code::kLimit, "context is 512");
  frozen->plan.config.context_tokens = model::kContextMax;
  const std::vector<model::Token> heavy(8 << 20, 1);
  expect_refusal(frozen->plan, heavy, Code::kLimit, "the limit is 8589934592");
}

// A snapshot is checked where it is used, and this is a use.
TEST(Reference, SeesDamageInTheWeights) {
  const auto frozen = golden::freeze_golden("llama-f32");
  const std::string path = cat(testing::TempDir(), "reference-", getpid(), ".thaw");
  std::string bytes = *read_text(system_files(), frozen->path, 64 << 20);
  const auto* down = frozen->plan.layers[1].down.panels;
  const auto offset = static_cast<std::size_t>(down - frozen->reader->bytes().data());
  bytes[offset + 1] ^= 1;
  auto file = system_files().create(path);
  ASSERT_TRUE((*file)->append(as_bytes(bytes)));
  ASSERT_TRUE((*file)->commit());
  const auto reader = snapshot::Reader::open(system_files(), path);
  ASSERT_TRUE(reader);
  snapshot::Supply supply(**reader, snapshot::Paging::kMap, snapshot::Verify::kLazy);
  const auto plan = model::Plan::make(**reader);
  ASSERT_TRUE(plan);
  ReferenceOptions options;
  options.supply = &supply;
  const model::Token tokens[] = {1, 2, 3};
  const auto refused = Reference::evaluate(*plan, tokens, options);
  unlink(path.c_str());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kCorrupt);
}

}  // namespace
}  // namespace thaw::reference
