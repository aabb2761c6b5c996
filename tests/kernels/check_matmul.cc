#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "checks.h"
#include "kernels/scalar.h"

namespace thaw::kernels::test {
namespace {

constexpr std::size_t kTokensMax = 67;

// [tokens, stride] inputs that begin `offset` floats behind an aligned address.
struct Inputs {
  Inputs(std::size_t token_count, std::size_t cols, std::size_t gap, std::size_t offset_floats)
      : tokens(token_count),
        stride(cols + gap),
        offset(offset_floats),
        // The last row has no gap behind it: what is not there must not be read.
        memory((offset + (tokens - 1) * stride + cols) * sizeof(float)) {
    for (std::size_t i = 0; i < memory.size() / sizeof(float); ++i) {
      reinterpret_cast<float*>(memory.data())[i] = kUntouched;
    }
  }
  float* row(std::size_t t) {
    return reinterpret_cast<float*>(memory.data()) + offset + t * stride;
  }

  std::size_t tokens;
  std::size_t stride;
  std::size_t offset;
  Aligned memory;
};

struct Work {
  std::size_t y_gap = 0;
  std::size_t panels_at_once = 0;  // 0: all
  bool blocks_backwards = false;   // pack() one block at a time, the last first
  std::size_t refined = 0;
};

// [tokens, rows + gap], gaps untouched.
std::vector<float> multiply(const KernelSet& set, const Matrix& w, Inputs& inputs,
                            std::size_t tokens, const Work& work) {
  Activations in = {inputs.row(0), inputs.stride, tokens, w.cols, work.refined};
  const bool quantised = !info(w.kind).is_float;
  Aligned packed(quantised ? set.packed_bytes(tokens, w.cols, work.refined) : 0, 0xa5);
  if (quantised) {
    const std::size_t blocks = (tokens + set.token_block(tokens) - 1) / set.token_block(tokens);
    if (work.blocks_backwards) {
      for (std::size_t b = blocks; b-- > 0;) set.pack(in, b, b + 1, packed.data());
    } else {
      set.pack(in, 0, blocks, packed.data());
    }
    in.packed = packed.data();
    in.x = nullptr;  // is not to be read any more
  }
  Aligned scratch(set.scratch_bytes(w.kind, w.cols, tokens), 0x5a);
  const std::size_t y_stride = w.rows + work.y_gap;
  std::vector<float> y(tokens * y_stride, kUntouched);
  const std::size_t step = work.panels_at_once == 0 ? w.panel_count() : work.panels_at_once;
  for (std::size_t p = 0; p < w.panel_count(); p += step) {
    set.matmul(w, p, std::min(p + step, w.panel_count()), in, y.data(), y_stride, scratch.data());
  }
  return y;
}

// How many groups of a token are refined, in turn.
constexpr std::size_t kRefined[] = {0, 1, kRefineAll, 2, kRefinedMax, 5};

std::size_t refined_for(std::size_t turn) { return kRefined[turn % std::size(kRefined)]; }

// Which value an output has that is not finite is not specified where scales are not.
void forget_which(std::vector<float>& values) {
  for (float& value : values) {
    if (!std::isfinite(value)) value = std::numeric_limits<float>::quiet_NaN();
  }
}

std::string describe(const KernelSet& set, const Matrix& w, std::size_t tokens,
                     const std::string& found) {
  return found.empty() ? found
                       : std::string(set.name) + " matmul " + std::string(info(w.kind).name) +
                             " rows=" + std::to_string(w.rows) + " cols=" + std::to_string(w.cols) +
                             " tokens=" + std::to_string(tokens) +
                             " seed=" + std::to_string(kSeed) + ": " + found;
}

// Columns to try: ragged where the kind allows it.
std::vector<std::uint32_t> column_counts(Kind kind) {
  switch (info(kind).block_cols) {
    case 1: return {1, 2, 3, 16, 31, 65, 130};
    case 32: return {32, 64, 96, 160, 288, 352};
    default: return {256, 512, 768};
  }
}

}  // namespace

std::string check_matmul_shapes(const KernelSet& set, Kind kind) {
  Random random(kSeed);
  const std::vector<std::uint32_t> cols = column_counts(kind);
  const std::uint32_t rows[] = {1, 7, 15, 16, 17, 32, 33, 48, 50};
  std::size_t shape = 0;
  for (const std::uint32_t row_count : rows) {
    const TestMatrix matrix =
        make_matrix(kind, row_count, cols[shape % cols.size()], Weights::kRandom, random);
    const std::size_t gap = shape % 3;
    Inputs inputs(kTokensMax, matrix.cols, 5 * gap, shape % 4);
    for (std::size_t t = 0; t < kTokensMax; ++t) {
      fill_input(0, random, {inputs.row(t), matrix.cols});
    }
    // A token's result does not depend on the others, so the oracle needs one run for all counts.
    const Work work = {gap, 0, false, refined_for(shape)};
    const std::vector<float> wanted =
        multiply(scalar_set(), matrix.view(), inputs, kTokensMax, work);
    for (std::size_t tokens = 1; tokens <= kTokensMax; ++tokens) {
      if (tokens > 9 && tokens % std::size(rows) != shape) continue;
      const std::vector<float> found = multiply(set, matrix.view(), inputs, tokens, work);
      const std::string difference_found = difference(found, std::span(wanted).first(found.size()));
      if (!difference_found.empty()) {
        return describe(set, matrix.view(), tokens, difference_found);
      }
    }
    ++shape;
  }
  return {};
}

std::string check_matmul_sizes(const KernelSet& set, Kind kind) {
  Random random(kSeed + 13);
  const std::uint32_t block = std::max(info(kind).block_cols, 32u);
  struct Size {
    std::uint32_t cols;
    std::size_t tokens;
  };
  const std::uint32_t odd = info(kind).is_float ? 1 : 0;
  for (const Size size :
       {Size{1024 + block + odd, 1}, Size{2048 + block - odd, 3}, Size{1024 + block - odd, 29},
        Size{2304 + odd, 8}, Size{block, 397}, Size{block, 800}}) {
    const TestMatrix matrix = make_matrix(kind, 17, size.cols, Weights::kRandom, random);
    Inputs inputs(size.tokens, size.cols, 0, 0);
    for (std::size_t t = 0; t < size.tokens; ++t) {
      fill_input(0, random, {inputs.row(t), size.cols});
    }
    const Work work = {0, 0, false, refined_for(size.tokens)};
    const std::string text =
        difference(multiply(set, matrix.view(), inputs, size.tokens, work),
                   multiply(scalar_set(), matrix.view(), inputs, size.tokens, work));
    if (!text.empty()) return describe(set, matrix.view(), size.tokens, text);
  }
  return {};
}

namespace {

// Every pattern of inputs together, some of them, and each alone (the path of a single token).
std::string check_patterns_of(const KernelSet& set, const TestMatrix& matrix, Weights weights,
                              Inputs& inputs, std::size_t refined) {
  const Work work = {0, 0, false, refined};
  const auto run = [&](const KernelSet& with, Inputs& from, std::size_t tokens) {
    std::vector<float> y = multiply(with, matrix.view(), from, tokens, work);
    if (weights == Weights::kInfiniteScales) forget_which(y);
    return y;
  };
  const std::string what = "weights " + std::to_string(static_cast<int>(weights)) + ", refined " +
                           std::to_string(refined) + ", ";
  const std::vector<float> wanted = run(scalar_set(), inputs, kInputPatterns);
  for (const std::size_t tokens :
       {std::size_t{1}, std::size_t{4}, std::size_t{15}, std::size_t{kInputPatterns}}) {
    const std::vector<float> found = run(set, inputs, tokens);
    const std::string text = difference(found, std::span(wanted).first(found.size()));
    if (!text.empty()) return describe(set, matrix.view(), tokens, what + text);
  }
  for (std::size_t t = 0; t < kInputPatterns; ++t) {
    Inputs alone(1, matrix.cols, 0, 0);
    std::copy_n(inputs.row(t), matrix.cols, alone.row(0));
    const std::vector<float> found = run(set, alone, 1);
    const std::string text =
        difference(found, std::span(wanted).subspan(t * matrix.rows, matrix.rows));
    if (!text.empty()) {
      return describe(set, matrix.view(), 1, what + "inputs " + std::to_string(t) + ", " + text);
    }
  }
  return {};
}

}  // namespace

std::string check_matmul_patterns(const KernelSet& set, Kind kind) {
  Random random(kSeed + 1);
  const std::uint32_t cols = 4 * std::max(info(kind).block_cols, 32u);
  for (const Weights weights : kAllWeights) {
    const TestMatrix matrix = make_matrix(kind, 18, cols, weights, random);
    Inputs inputs(kInputPatterns, cols, 0, 0);
    for (std::size_t t = 0; t < kInputPatterns; ++t) fill_input(t, random, {inputs.row(t), cols});
    for (const std::size_t refined : {std::size_t{0}, std::size_t{2}, kRefineAll}) {
      if (refined != 0 && info(kind).is_float) break;
      const std::string text = check_patterns_of(set, matrix, weights, inputs, refined);
      if (!text.empty()) return text;
    }
  }
  return {};
}

std::string check_matmul_splits(const KernelSet& set, Kind kind) {
  Random random(kSeed + 2);
  const std::uint32_t cols = 2 * std::max(info(kind).block_cols, 32u);
  const TestMatrix matrix = make_matrix(kind, 70, cols, Weights::kRandom, random);
  for (const std::size_t tokens : {1, 2, 9, 37}) {
    Inputs inputs(tokens, cols, 3, 1);
    for (std::size_t t = 0; t < tokens; ++t) fill_input(0, random, {inputs.row(t), cols});
    const std::size_t refined = refined_for(tokens);
    const std::vector<float> wanted =
        multiply(scalar_set(), matrix.view(), inputs, tokens, {0, 0, false, refined});
    for (const std::size_t panels : {1, 2, 3}) {
      const Work work = {0, panels, true, refined};
      const std::string text =
          difference(multiply(set, matrix.view(), inputs, tokens, work), wanted);
      if (!text.empty()) {
        return describe(set, matrix.view(), tokens,
                        "in pieces of " + std::to_string(panels) + " panels, " + text);
      }
    }
  }
  return {};
}

}  // namespace thaw::kernels::test
