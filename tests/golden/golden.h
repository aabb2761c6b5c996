// Golden models: finding them, freezing them, evaluating them.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "handler/freeze/freeze.h"
#include "handler/model/engine.h"
#include "handler/model/plan.h"
#include "snapshot/reader.h"

namespace thaw::golden {

// Every golden model there is, sorted.
std::vector<std::string> names();

// What a NAME.expected file holds.
struct Expected {
  std::vector<model::Token> tokens;
  std::size_t vocabulary = 0;
  std::vector<float> logits;  // [tokens, vocabulary]
};

Expected read_expected(const std::string& name);

// A golden model, frozen into a temporary file and planned. The plan may be changed by a test.
struct Frozen {
  std::string path;
  std::unique_ptr<snapshot::Reader> reader;
  model::Plan plan;
  ~Frozen();
};
std::unique_ptr<Frozen> freeze_golden(const std::string& name,
                                      const freeze::FreezeOptions& options = {});

// The sets this machine has, and the emulated ones where they are built.
std::vector<const kernels::KernelSet*> all_sets();

bool same_bits(std::span<const float> a, std::span<const float> b);

// All logits [tokens, vocabulary], teacher-forced.
std::vector<float> evaluate(const model::Plan& plan, const kernels::KernelSet& set,
                            unsigned threads, std::uint32_t chunk,
                            std::span<const model::Token> tokens);

struct Distance {
  double mean_kl = 0;  // of the expected distribution from ours, natural log
  double top1 = 0;     // share of positions whose likeliest token agrees
};
Distance distance(const Expected& expected, std::span<const float> logits);

}  // namespace thaw::golden
