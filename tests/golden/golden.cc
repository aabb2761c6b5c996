#include "tests/golden/golden.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "base/str.h"
#include "handler/freeze/freeze.h"
#ifdef THAW_EMULATED
#include "kernels/emulated.h"
#endif

namespace thaw::golden {
namespace {

std::string directory() { return THAW_SOURCE_DIR "/tests/data/golden/"; }

std::vector<double> log_softmax(std::span<const float> row) {
  const double top = *std::max_element(row.begin(), row.end());
  double sum = 0;
  for (const float x : row) sum += std::exp(x - top);
  std::vector<double> out;
  for (const float x : row) out.push_back(x - top - std::log(sum));
  return out;
}

}  // namespace

std::vector<std::string> names() {
  std::vector<std::string> all;
  for (const auto& entry : std::filesystem::directory_iterator(directory())) {
    if (entry.path().extension() == ".expected") all.push_back(entry.path().stem().string());
  }
  std::sort(all.begin(), all.end());
  return all;
}

Expected read_expected(const std::string& name) {
  const auto text = read_text(system_files(), directory() + name + ".expected", 64 << 20);
  EXPECT_TRUE(text.has_value()) << name;
  const Bytes bytes = as_bytes(*text);
  Expected expected;
  expected.tokens.resize(*load_at<std::uint32_t>(bytes, 0));
  expected.vocabulary = *load_at<std::uint32_t>(bytes, 4);
  expected.logits.resize(expected.tokens.size() * expected.vocabulary);
  const std::size_t tokens_bytes = expected.tokens.size() * sizeof(model::Token);
  EXPECT_EQ(bytes.size(), 8 + tokens_bytes + expected.logits.size() * sizeof(float));
  std::memcpy(expected.tokens.data(), bytes.data() + 8, tokens_bytes);
  std::memcpy(expected.logits.data(), bytes.data() + 8 + tokens_bytes,
              expected.logits.size() * sizeof(float));
  return expected;
}

Frozen::~Frozen() {
  if (!path.empty()) unlink(path.c_str());
}

std::vector<const kernels::KernelSet*> all_sets() {
  const auto machine = kernels::available();
  std::vector<const kernels::KernelSet*> all(machine.begin(), machine.end());
#ifdef THAW_EMULATED
  for (const kernels::KernelSet* set : kernels::emulated_sets()) all.push_back(set);
#endif
  return all;
}

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

std::unique_ptr<Frozen> freeze_golden(const std::string& name,
                                      const freeze::FreezeOptions& options) {
  auto frozen = std::make_unique<Frozen>();
  frozen->path = cat(testing::TempDir(), "golden-", getpid(), "-", name, ".thaw");
  ThreadPool pool(1);
  const std::string source = directory() + name + (name.starts_with("hf-") ? "" : ".gguf");
  const auto report = freeze::freeze(system_files(), source, frozen->path, options, pool, {});
  EXPECT_TRUE(report.has_value()) << name << ": " << (report ? "" : report.error().message);
  auto reader = snapshot::Reader::open(system_files(), frozen->path);
  EXPECT_TRUE(reader.has_value()) << name;
  frozen->reader = std::move(*reader);
  auto plan = model::Plan::make(*frozen->reader);
  EXPECT_TRUE(plan.has_value()) << name << ": " << (plan ? "" : plan.error().message);
  frozen->plan = std::move(*plan);
  return frozen;
}

std::vector<float> evaluate(const model::Plan& plan, const kernels::KernelSet& set,
                            unsigned threads, std::uint32_t chunk,
                            std::span<const model::Token> tokens) {
  ThreadPool pool(threads);
  model::EngineOptions options;
  options.chunk_tokens = chunk;
  model::Engine engine(plan, set, pool, options);
  const auto session = engine.new_session();
  std::vector<float> logits;
  const model::BatchItem item{session.get(), tokens, model::LogitsWanted::kAll};
  const auto done = engine.forward(std::span(&item, 1),
                                   [&](std::size_t, std::size_t, std::span<const float> row) {
                                     logits.insert(logits.end(), row.begin(), row.end());
                                     return Result<Done>(Done{});
                                   });
  EXPECT_TRUE(done.has_value());
  return logits;
}

Distance distance(const Expected& expected, std::span<const float> logits) {
  Distance out;
  const std::size_t width = expected.vocabulary;
  EXPECT_EQ(logits.size(), expected.logits.size());
  for (std::size_t t = 0; t < expected.tokens.size(); ++t) {
    const auto want = std::span(expected.logits).subspan(t * width, width);
    const auto have = logits.subspan(t * width, width);
    const std::vector<double> p = log_softmax(want);
    const std::vector<double> q = log_softmax(have);
    for (std::size_t i = 0; i < width; ++i) out.mean_kl += std::exp(p[i]) * (p[i] - q[i]);
    out.top1 += std::max_element(want.begin(), want.end()) - want.begin() ==
                std::max_element(have.begin(), have.end()) - have.begin();
  }
  out.mean_kl /= static_cast<double>(expected.tokens.size());
  out.top1 /= static_cast<double>(expected.tokens.size());
  return out;
}

}  // namespace thaw::golden
