#include "handler/reference/reference.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/check.h"
#include "base/str.h"
#include "handler/reference/products.h"
#include "kernels/pack.h"

namespace thaw::reference {
namespace {

using model::Config;

constexpr std::size_t kSliceRows = 128;  // of a matrix in float32 at once, a thread
constexpr std::size_t kQueryRows = 64;   // queries of a head that attend at once

std::uint64_t activation_bytes(const Config& c, std::uint64_t tokens) {
  const std::uint64_t floats = std::uint64_t{2} * c.dim + std::uint64_t{c.heads} * c.head_dim +
                               std::uint64_t{c.kv_heads} * (c.head_dim + c.value_dim) +
                               std::uint64_t{c.heads} * c.value_dim + std::uint64_t{2} * c.ffn_dim +
                               std::uint64_t{2} * c.rope_pairs;
  return tokens * floats * sizeof(float);
}

Result<Done> check(const Config& c, std::span<const model::Token> tokens) {
  if (tokens.empty()) return fail(Code::kInvalid, "reference: no tokens; give some");
  if (tokens.size() > c.context_tokens) {
    return fail(Code::kLimit, cat("reference: ", tokens.size(), " tokens, the model's context is ",
                                  c.context_tokens, "; give a shorter text"));
  }
  for (const model::Token token : tokens) {
    if (token >= c.vocabulary) {
      return fail(Code::kInvalid,
                  cat("reference: token ", token, ", the vocabulary has ", c.vocabulary));
    }
  }
  if (const std::uint64_t bytes = activation_bytes(c, tokens.size()); bytes > kActivationBytesMax) {
    return fail(Code::kLimit, cat("reference: ", tokens.size(), " tokens take ", bytes,
                                  " bytes, the limit is ", kActivationBytesMax,
                                  "; give a shorter text"));
  }
  return Done{};
}

// y = x over its root-mean-square, times weight; all [width], y may be x.
void rms_norm(const float* x, const float* weight, std::size_t width, double epsilon, float* y) {
  double sum = 0;
  for (std::size_t i = 0; i < width; ++i) sum += double{x[i]} * x[i];
  const double scale = 1 / std::sqrt(sum / static_cast<double>(width) + epsilon);
  for (std::size_t i = 0; i < width; ++i) y[i] = static_cast<float>(x[i] * scale * weight[i]);
}

// The softmax of the first `count` of a row; what follows them becomes 0.
void softmax(std::span<float> row, std::size_t count) {
  const auto seen = row.first(count);
  const double top = *std::max_element(seen.begin(), seen.end());
  double sum = 0;
  for (float& x : seen) {
    const double weight = std::exp(x - top);
    sum += weight;
    x = static_cast<float>(weight);
  }
  for (float& x : seen) x = static_cast<float>(x / sum);
  std::fill(row.begin() + static_cast<std::ptrdiff_t>(count), row.end(), 0.0f);
}

}  // namespace

Result<std::unique_ptr<Reference>> Reference::evaluate(const model::Plan& plan,
                                                       std::span<const model::Token> tokens,
                                                       const ReferenceOptions& options) {
  THAW_TRY_DO(prepare_products());
  THAW_TRY_DO(check(plan.config, tokens));
  std::unique_ptr<Reference> made(new Reference(plan, tokens.size(), options));
  THAW_TRY_DO(made->run(tokens, options));
  return made;
}

Reference::Reference(const model::Plan& plan, std::size_t count, const ReferenceOptions& options)
    : plan_(plan),
      count_(count),
      supply_(options.supply),
      pool_(std::clamp(options.threads, 1u, kProductsAtOnceMax)),
      scratch_(pool_.threads()) {
  const Config& c = plan.config;
  x_.resize(count * c.dim);
  h_.resize(count * c.dim);
  query_.resize(count * c.heads * c.head_dim);
  key_.resize(count * c.kv_heads * c.head_dim);
  value_.resize(count * c.kv_heads * c.value_dim);
  attended_.resize(count * c.heads * c.value_dim);
  gate_.resize(count * c.ffn_dim);
  up_.resize(count * c.ffn_dim);
}

Result<Done> Reference::run(std::span<const model::Token> tokens, const ReferenceOptions& options) {
  make_rope();
  THAW_TRY_DO(embed(tokens));
  for (std::size_t i = 0; i < plan_.layers.size(); ++i) {
    THAW_TRY_DO(attention(plan_.layers[i]));
    THAW_TRY_DO(feed_forward(plan_.layers[i]));
    if (options.progress) options.progress(i + 1, plan_.layers.size());
  }
  return normed(plan_.output_norm);
}

Result<Done> Reference::embed(std::span<const model::Token> tokens) {
  const std::size_t dim = plan_.config.dim;
  const Bytes rows = plan_.embedding_rows;
  const std::size_t row_bytes = rows.size() / plan_.config.vocabulary;
  for (std::size_t t = 0; t < tokens.size(); ++t) {
    const std::span<float> to(&x_[t * dim], dim);
    if (rows.empty()) {
      const kernels::Matrix& table = plan_.tied_embedding;
      const std::size_t panel = *kernels::panels_bytes(table.kind, kernels::kPanelRows, dim);
      THAW_TRY_DO(take({table.panels + tokens[t] / kernels::kPanelRows * panel, panel}));
      kernels::dequantise_row(table, tokens[t], to);
    } else {
      const Bytes row = rows.subspan(tokens[t] * row_bytes, row_bytes);
      THAW_TRY_DO(take(row));
      kernels::dequantise_row(plan_.embedding_kind, row, to);
    }
  }
  return Done{};
}

void Reference::make_rope() {
  const std::size_t pairs = plan_.config.rope_pairs;
  cos_.resize(count_ * pairs);
  sin_.resize(count_ * pairs);
  for (std::size_t t = 0; t < count_; ++t) {
    for (std::size_t p = 0; p < pairs; ++p) {
      // Whole turns fall away by themselves: the product is modulo 2^64.
      const std::uint64_t fraction = plan_.rope_turns[p] * t;
      const double angle = std::ldexp(static_cast<double>(fraction), -64) * 2 * std::numbers::pi;
      cos_[t * pairs + p] = static_cast<float>(std::cos(angle) * plan_.config.rope_factor);
      sin_[t * pairs + p] = static_cast<float>(std::sin(angle) * plan_.config.rope_factor);
    }
  }
}

Result<Done> Reference::attention(const model::LayerPlan& layer) {
  const Config& c = plan_.config;
  THAW_TRY_DO(normed(layer.attention_norm));
  THAW_TRY_DO(apply(layer.query, h_.data(), count_, query_.data()));
  THAW_TRY_DO(apply(layer.key, h_.data(), count_, key_.data()));
  THAW_TRY_DO(apply(layer.value, h_.data(), count_, value_.data()));
  THAW_TRY_DO(add_bias(layer.query_bias, query_));
  THAW_TRY_DO(add_bias(layer.key_bias, key_));
  THAW_TRY_DO(add_bias(layer.value_bias, value_));
  THAW_TRY_DO(norm_heads(layer.query_norm, c.heads, query_));
  THAW_TRY_DO(norm_heads(layer.key_norm, c.kv_heads, key_));
  rotate(c.heads, query_);
  rotate(c.kv_heads, key_);
  attend();
  return add_product(layer.attention_output, attended_);
}

Result<Done> Reference::feed_forward(const model::LayerPlan& layer) {
  const std::size_t width = plan_.config.ffn_dim;
  THAW_TRY_DO(normed(layer.feed_forward_norm));
  THAW_TRY_DO(apply(layer.gate, h_.data(), count_, gate_.data()));
  THAW_TRY_DO(apply(layer.up, h_.data(), count_, up_.data()));
  each_token([&](std::size_t t) {
    for (std::size_t i = t * width; i < (t + 1) * width; ++i) {
      const double gate = gate_[i];
      gate_[i] = static_cast<float>(gate / (1 + std::exp(-gate)) * up_[i]);
    }
  });
  return add_product(layer.down, gate_);
}

Result<Done> Reference::normed(const float* weight) {
  const std::size_t dim = plan_.config.dim;
  THAW_TRY_DO(take(weight, dim));
  each_token([&](std::size_t t) {
    rms_norm(&x_[t * dim], weight, dim, plan_.config.rms_epsilon, &h_[t * dim]);
  });
  return Done{};
}

Result<Done> Reference::add_product(const kernels::Matrix& matrix, const std::vector<float>& in) {
  THAW_TRY_DO(apply(matrix, in.data(), count_, h_.data()));
  for (std::size_t i = 0; i < x_.size(); ++i) x_[i] += h_[i];
  return Done{};
}

Result<Done> Reference::add_bias(const float* bias, std::vector<float>& x) {
  if (bias == nullptr) return Done{};
  const std::size_t width = x.size() / count_;
  THAW_TRY_DO(take(bias, width));
  for (std::size_t i = 0; i < x.size(); ++i) x[i] += bias[i % width];
  return Done{};
}

Result<Done> Reference::norm_heads(const float* weight, std::size_t heads, std::vector<float>& x) {
  if (weight == nullptr) return Done{};
  const std::size_t width = plan_.config.head_dim;
  THAW_TRY_DO(take(weight, width));
  for (std::size_t i = 0; i < count_ * heads; ++i) {
    float* head = &x[i * width];
    rms_norm(head, weight, width, plan_.config.rms_epsilon, head);
  }
  return Done{};
}

void Reference::rotate(std::size_t heads, std::vector<float>& x) {
  const Config& c = plan_.config;
  const std::size_t pairs = c.rope_pairs;
  each_token([&](std::size_t t) {
    for (std::size_t head = 0; head < heads; ++head) {
      float* values = &x[(t * heads + head) * c.head_dim];
      for (std::size_t p = 0; p < pairs; ++p) {
        float& first = values[c.rope_interleaved != 0 ? 2 * p : p];
        float& second = values[c.rope_interleaved != 0 ? 2 * p + 1 : p + pairs];
        const double a = first, b = second;
        const double cosine = cos_[t * pairs + p], sine = sin_[t * pairs + p];
        first = static_cast<float>(a * cosine - b * sine);
        second = static_cast<float>(a * sine + b * cosine);
      }
    }
  });
}

void Reference::attend() {
  const std::size_t heads = plan_.config.heads;
  const std::size_t blocks = (count_ + kQueryRows - 1) / kQueryRows;
  pool_.run(heads * blocks, [&](std::size_t task, unsigned thread) {
    // The last queries see most: they begin, so that no thread waits long for another's end.
    attend_block(task % heads, (blocks - 1 - task / heads) * kQueryRows, scratch_[thread]);
  });
}

void Reference::attend_block(std::size_t head, std::size_t first, std::vector<float>& scores) {
  const Config& c = plan_.config;
  const std::size_t rows = std::min(kQueryRows, count_ - first);
  const std::size_t seen = first + rows;  // positions that the last of these queries attends to
  const std::size_t kv_head = head * c.kv_heads / c.heads;
  scores.resize(std::max(scores.size(), rows * seen));
  Product product;
  product.rows = rows;
  product.cols = seen;
  product.depth = c.head_dim;
  product.scale = c.attention_scale;
  product.a_stride = std::size_t{c.heads} * c.head_dim;
  product.a = &query_[first * product.a_stride + head * c.head_dim];
  product.b_stride = std::size_t{c.kv_heads} * c.head_dim;
  product.b = &key_[kv_head * c.head_dim];
  product.b_is_transposed = true;
  product.c = scores.data();
  product.c_stride = seen;
  multiply(product);
  for (std::size_t i = 0; i < rows; ++i) {
    softmax(std::span(scores).subspan(i * seen, seen), first + i + 1);
  }
  Product mix;
  mix.rows = rows;
  mix.cols = c.value_dim;
  mix.depth = seen;
  mix.a = scores.data();
  mix.a_stride = seen;
  mix.b_stride = std::size_t{c.kv_heads} * c.value_dim;
  mix.b = &value_[kv_head * c.value_dim];
  mix.c_stride = std::size_t{c.heads} * c.value_dim;
  mix.c = &attended_[first * mix.c_stride + head * c.value_dim];
  multiply(mix);
}

Result<Done> Reference::apply(const kernels::Matrix& matrix, const float* in, std::size_t rows,
                              float* out) {
  THAW_TRY_DO(take({matrix.panels, *kernels::panels_bytes(matrix.kind, matrix.rows, matrix.cols)}));
  const std::size_t slices = (matrix.rows + kSliceRows - 1) / kSliceRows;
  pool_.run(slices, [&](std::size_t slice, unsigned thread) {
    const std::size_t first = slice * kSliceRows;
    const std::size_t some = std::min(kSliceRows, matrix.rows - first);
    std::vector<float>& weights = scratch_[thread];
    weights.resize(std::max(weights.size(), some * matrix.cols));
    for (std::size_t r = 0; r < some; ++r) {
      kernels::dequantise_row(matrix, first + r,
                              std::span(weights).subspan(r * matrix.cols, matrix.cols));
    }
    Product product;
    product.rows = rows;
    product.cols = some;
    product.depth = matrix.cols;
    product.a = in;
    product.a_stride = matrix.cols;
    product.b = weights.data();
    product.b_stride = matrix.cols;
    product.b_is_transposed = true;
    product.c = out + first;
    product.c_stride = matrix.rows;
    multiply(product);
  });
  return Done{};
}

Result<Done> Reference::take(Bytes bytes) {
  if (supply_ == nullptr) return Done{};
  return supply_->fetch(bytes, &pool_);
}

Result<Done> Reference::take(const float* vector, std::size_t count) {
  return take(Bytes(reinterpret_cast<const std::byte*>(vector), count * sizeof(float)));
}

void Reference::each_token(const std::function<void(std::size_t token)>& work) {
  pool_.run(count_, [&](std::size_t token, unsigned) { work(token); });
}

Result<std::span<const float>> Reference::logits(std::size_t position) {
  THAW_CHECK(position < count_);
  const std::size_t vocabulary = plan_.config.vocabulary;
  if (position < logits_first_ || position - logits_first_ >= logits_count_) {
    const std::size_t room = std::max<std::size_t>(kLogitsBytes / (vocabulary * sizeof(float)), 1);
    const std::size_t some = std::min(room, count_ - position);
    logits_count_ = 0;  // in case of an error
    logits_.resize(some * vocabulary);
    THAW_TRY_DO(apply(plan_.output, &h_[position * plan_.config.dim], some, logits_.data()));
    logits_first_ = position;
    logits_count_ = some;
  }
  return std::span<const float>(logits_).subspan((position - logits_first_) * vocabulary,
                                                 vocabulary);
}

}  // namespace thaw::reference
