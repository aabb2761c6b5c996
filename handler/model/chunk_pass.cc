#include "handler/model/chunk_pass.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "kernels/pack.h"

namespace thaw::model {
namespace {

using kernels::Activations;
using kernels::Matrix;

// Rows whose logits are computed at once: the output matrix is read once for them, and the buffer
// stays small (4 * 152k * 4 bytes = 2.4 MB).
constexpr std::size_t kLogitsRows = 4;
// What is multiplied and then checked at once, so that the check finds it in a core's second cache.
constexpr std::size_t kCheckedBytes = 256 << 10;
constexpr std::size_t kTensorAlign = 64;  // where tensors begin; zeros lie between them

// Groups of a residual stream's normed row that get a second term (ARITHMETIC.md, "the forward
// pass"): the few channels that are much larger than the others lie in few groups.
constexpr std::size_t refined_groups(std::size_t cols) {
  return std::clamp<std::size_t>(cols / kernels::kGroupCols / 32, 2, kernels::kRefinedMax);
}

}  // namespace

std::byte* AlignedBuffer::bytes(std::size_t count) {
  if (count > size_) {
    const std::size_t rounded = round_up(count, 64);
    block_.reset(static_cast<std::byte*>(std::aligned_alloc(64, rounded)));
    THAW_CHECK(block_ != nullptr);
    size_ = rounded;
  }
  return block_.get();
}

ChunkPass::ChunkPass(Engine& engine, std::span<const Segment> segments)
    : plan_(engine.plan_),
      set_(engine.set_),
      pool_(engine.pool_),
      scratch_(*engine.scratch_),
      supply_(engine.supply_),
      segments_(segments) {
  for (const Segment& segment : segments) rows_ += segment.tokens.size();
}

Result<Done> ChunkPass::run() {
  const Config& c = plan_.config;
  scratch_.x.floats(rows_ * c.dim);
  scratch_.h.floats(rows_ * c.dim);
  if (supply_ != nullptr) {
    supply_->begin_use();
    read_ahead();
  }
  cut_attention();
  THAW_TRY_DO(embed());
  prepare_rope();
  const std::span<const Segment> segments = segments_;
  for (std::uint32_t i = 0; i < c.layers; ++i) layer(i);
  for (const Segment& segment : segments) {
    const Bytes restored = segment.session->unchecked().bytes();
    if (restored.empty()) continue;
    if (supply_ != nullptr) THAW_TRY_DO(supply_->fetch(restored, &pool_));
    segment.session->set_checked();
  }
  return Done{};
}

void ChunkPass::take(const float* vector, std::size_t count) {
  if (supply_ == nullptr || vector == nullptr) return;
  const Bytes bytes(reinterpret_cast<const std::byte*>(vector), count * sizeof(float));
  supply_->need(bytes);
  supply_->pass({bytes.data(), round_up(bytes.size(), kTensorAlign)});
}

// Where a token's row of the embedding lies: its panel, where the embedding is tied.
Bytes ChunkPass::embedding_of(Token token) const {
  const Config& c = plan_.config;
  if (!plan_.embedding_rows.empty()) {
    const std::size_t row_bytes = plan_.embedding_rows.size() / c.vocabulary;
    return plan_.embedding_rows.subspan(token * row_bytes, row_bytes);
  }
  const Matrix& table = plan_.tied_embedding;
  const std::size_t panel = *kernels::panels_bytes(table.kind, kernels::kPanelRows, c.dim);
  return {table.panels + token / kernels::kPanelRows * panel, panel};
}

// From a disk, what this chunk uses before the weights: rows of the embedding, which lie here and
// there, then the restored prefix.
void ChunkPass::read_ahead() {
  for (const Segment& segment : segments_) {
    for (const Token token : segment.tokens) supply_->hurry(embedding_of(token));
  }
  for (const Segment& segment : segments_) supply_->hurry(segment.session->unchecked().bytes());
}

Result<Done> ChunkPass::embed() {
  const Config& c = plan_.config;
  const bool tied = plan_.embedding_rows.empty();
  float* x = scratch_.x.floats(rows_ * c.dim);
  for (const Segment& segment : segments_) {
    for (std::size_t t = 0; t < segment.tokens.size(); ++t) {
      const Token token = segment.tokens[t];
      const std::span<float> to(x + (segment.first_row + t) * c.dim, c.dim);
      const Bytes from = embedding_of(token);
      if (tied) {
        // Checked with the other weights, when they are read as the output matrix.
        if (supply_ != nullptr) supply_->need(from);
        kernels::dequantise_row(plan_.tied_embedding, token, to);
      } else {
        if (supply_ != nullptr) THAW_TRY_DO(supply_->fetch(from));
        kernels::dequantise_row(plan_.embedding_kind, from, to);
      }
    }
  }
  return Done{};
}

void ChunkPass::prepare_rope() {
  const std::size_t pairs = plan_.config.rope_pairs;
  float* cosine = scratch_.cosine.floats(rows_ * pairs + 1);
  float* sine = scratch_.sine.floats(rows_ * pairs + 1);
  std::vector<std::uint32_t> phases(pairs);
  for (const Segment& segment : segments_) {
    for (std::size_t t = 0; t < segment.tokens.size(); ++t) {
      const auto position = static_cast<std::uint32_t>(segment.first_position + t);
      for (std::size_t p = 0; p < pairs; ++p) {
        phases[p] = kernels::phase_at(plan_.rope_turns[p], position);
      }
      const std::size_t at = (segment.first_row + t) * pairs;
      kernels::cos_sin(phases, cosine + at, sine + at);
      for (std::size_t p = 0; p < pairs; ++p) {
        cosine[at + p] *= plan_.config.rope_factor;
        sine[at + p] *= plan_.config.rope_factor;
      }
    }
  }
}

void ChunkPass::layer(std::uint32_t index) {
  const Config& c = plan_.config;
  const LayerPlan& layer = plan_.layers[index];
  const std::size_t query_cols = std::size_t{c.heads} * c.head_dim;
  const std::size_t key_cols = std::size_t{c.kv_heads} * c.head_dim;
  const std::size_t value_cols = std::size_t{c.kv_heads} * c.value_dim;
  const std::size_t attended_cols = std::size_t{c.heads} * c.value_dim;
  float* h = scratch_.h.floats(rows_ * c.dim);
  take(layer.attention_norm, c.dim);
  take(layer.query_bias, query_cols);
  take(layer.key_bias, key_cols);
  take(layer.value_bias, value_cols);
  take(layer.query_norm, c.head_dim);
  take(layer.key_norm, c.head_dim);
  take(layer.feed_forward_norm, c.dim);

  const Activations attention_in = norm_and_pack(layer.attention_norm, /*residual=*/index > 0);
  multiply({{{&layer.query, scratch_.query.floats(rows_ * query_cols)},
             {&layer.key, scratch_.key.floats(rows_ * key_cols)},
             {&layer.value, scratch_.value.floats(rows_ * value_cols)}}},
           attention_in);
  attention_inputs(index);
  if (supply_ != nullptr && index == 0) {
    for (const Segment& segment : segments_) supply_->need(segment.session->unchecked().bytes());
  }
  if (index + 1 == c.layers) keep_wanted();
  if (rows_ == 0) return;
  attend(index);
  const float* attended = scratch_.attended.floats(rows_ * attended_cols);
  multiply({{{&layer.attention_output, h}}}, pack(attended, attended_cols, rows_, 0));

  const Activations feed_forward_in = norm_and_pack(layer.feed_forward_norm, /*residual=*/true);
  float* gate = scratch_.gate.floats(rows_ * c.ffn_dim);
  float* up = scratch_.up.floats(rows_ * c.ffn_dim);
  multiply({{{&layer.gate, gate}, {&layer.up, up}}}, feed_forward_in);
  pool_.run(rows_, [&](std::size_t row, unsigned) {
    const std::size_t at = row * c.ffn_dim;
    set_.silu_mul(gate + at, up + at, gate + at, c.ffn_dim);
  });
  multiply({{{&layer.down, h}}}, pack(gate, c.ffn_dim, rows_, 0));
}

// Once the last layer's keys and values are stored, what is left serves the wanted logits alone:
// their rows move together to the front.
void ChunkPass::keep_wanted() {
  const Config& c = plan_.config;
  const std::size_t query_cols = std::size_t{c.heads} * c.head_dim;
  float* x = scratch_.x.floats(0);
  float* query = scratch_.query.floats(0);
  std::size_t rows = 0;
  for (const Segment& segment : segments_) {
    if (segment.wanted == 0) continue;
    const std::size_t left_out = segment.tokens.size() - segment.wanted;
    const std::size_t from = segment.first_row + left_out;
    std::memmove(x + rows * c.dim, x + from * c.dim, segment.wanted * c.dim * sizeof(float));
    std::memmove(query + rows * query_cols, query + from * query_cols,
                 segment.wanted * query_cols * sizeof(float));
    kept_.push_back({segment.session, segment.tokens.subspan(left_out), rows,
                     segment.first_position + static_cast<std::uint32_t>(left_out),
                     segment.wanted});
    rows += segment.wanted;
  }
  if (rows == rows_) return;
  rows_ = rows;
  segments_ = kept_;
  attention_.clear();
  merged_.clear();
  cut_attention();
}

Activations ChunkPass::input(const float* x, std::size_t cols, std::size_t rows,
                             std::size_t refined) {
  Activations in = {x, cols, rows, cols, refined};
  if (cols % kernels::kGroupCols != 0) return in;  // only float kinds have such inputs
  in.packed = scratch_.packed.bytes(set_.packed_bytes(rows, cols, refined));
  return in;
}

Activations ChunkPass::norm_and_pack(const float* weight, bool residual) {
  const Config& c = plan_.config;
  float* x = scratch_.x.floats(rows_ * c.dim);
  float* h = scratch_.h.floats(rows_ * c.dim);
  const Activations in = input(h, c.dim, rows_, refined_groups(c.dim));
  std::byte* packed = scratch_.packed.bytes(0);
  const std::size_t block = set_.token_block(rows_);
  pool_.run((rows_ + block - 1) / block, [&](std::size_t task, unsigned) {
    const std::size_t end = std::min(rows_, (task + 1) * block);
    for (std::size_t row = task * block; row < end; ++row) {
      if (residual) set_.add(x + row * c.dim, h + row * c.dim, c.dim);
      set_.rms_norm(x + row * c.dim, weight, c.rms_epsilon, c.dim, h + row * c.dim);
    }
    if (in.packed != nullptr) set_.pack(in, task, task + 1, packed);
  });
  return in;
}

Activations ChunkPass::pack(const float* x, std::size_t cols, std::size_t rows,
                            std::size_t refined) {
  const Activations in = input(x, cols, rows, refined);
  if (in.packed == nullptr) return in;
  std::byte* packed = scratch_.packed.bytes(0);
  const std::size_t block = set_.token_block(rows);
  pool_.run((rows + block - 1) / block,
            [&](std::size_t task, unsigned) { set_.pack(in, task, task + 1, packed); });
  return in;
}

void ChunkPass::multiply(std::span<const Product> products, const Activations& in) {
  std::size_t panels = 0;
  std::size_t scratch_bytes = 0;
  for (const Product& product : products) {
    panels += product.matrix->panel_count();
    scratch_bytes =
        std::max(scratch_bytes, set_.scratch_bytes(product.matrix->kind, in.cols, in.tokens));
  }
  for (Engine::Scratch::PerThread& thread : scratch_.threads) thread.matmul.bytes(scratch_bytes);
  const std::vector<std::size_t>& ends = cut(panels, set_.tile_panels(in.tokens));
  pool_.run(ends.size(), [&](std::size_t task, unsigned thread) {
    std::byte* scratch = scratch_.threads[thread].matmul.bytes(0);
    std::size_t begin = task == 0 ? 0 : ends[task - 1];
    std::size_t left = ends[task] - begin;
    for (const Product& product : products) {
      const std::size_t count = product.matrix->panel_count();
      if (begin < count) {
        const std::size_t take = std::min(left, count - begin);
        multiply_panels(product, begin, begin + take, in, scratch);
        left -= take;
        begin += take;
        if (left == 0) return;
      }
      begin -= count;
    }
  });
}

// Tasks of a product, as the panels they end at: large ones first, since weights stream best in
// long runs, ever smaller ones towards the end, so that the threads finish together.
const std::vector<std::size_t>& ChunkPass::cut(std::size_t panels, std::size_t tile) {
  std::vector<std::size_t>& ends = scratch_.ends;
  ends.clear();
  for (std::size_t begin = 0; begin < panels; begin = ends.back()) {
    const std::size_t share = (panels - begin) / (2 * pool_.threads());
    ends.push_back(std::min(panels, begin + round_up(std::max<std::size_t>(1, share), tile)));
  }
  return ends;
}

void ChunkPass::multiply_panels(const Product& product, std::size_t begin, std::size_t end,
                                const Activations& in, std::byte* scratch) {
  const Matrix& matrix = *product.matrix;
  const auto multiply_some = [&](std::size_t from, std::size_t to) {
    set_.matmul(matrix, from, to, in, product.y, matrix.rows, scratch);
  };
  if (supply_ == nullptr) return multiply_some(begin, end);
  const std::size_t panel = *kernels::panels_bytes(matrix.kind, kernels::kPanelRows, matrix.cols);
  if (!supply_->checks()) {
    supply_->need({matrix.panels + begin * panel, (end - begin) * panel});
    return multiply_some(begin, end);
  }
  const std::size_t step =
      round_up(std::max<std::size_t>(1, kCheckedBytes / panel), set_.tile_panels(in.tokens));
  for (std::size_t at = begin; at < end; at += step) {
    const std::size_t to = std::min(end, at + step);
    supply_->need({matrix.panels + at * panel, (to - at) * panel});
    multiply_some(at, to);
    const std::size_t stop =
        to == matrix.panel_count() ? round_up(to * panel, kTensorAlign) : to * panel;
    supply_->pass({matrix.panels + at * panel, stop - at * panel});
  }
}

Result<Done> ChunkPass::logits(
    const std::function<Result<Done>(std::size_t, std::span<const float>)>& sink) {
  const Config& c = plan_.config;
  float* x = scratch_.x.floats(0);
  float* h = scratch_.h.floats(0);
  float* out = scratch_.logits.floats(kLogitsRows * c.vocabulary);
  for (std::size_t at = 0; at < rows_; at += kLogitsRows) {
    const std::size_t count = std::min(kLogitsRows, rows_ - at);
    float* normed = scratch_.query.floats(kLogitsRows * c.dim);
    take(plan_.output_norm, c.dim);
    for (std::size_t i = 0; i < count; ++i) {
      // The last layer's product still waits in h.
      float* sum = normed + i * c.dim;
      std::memcpy(sum, x + (at + i) * c.dim, c.dim * sizeof(float));
      set_.add(sum, h + (at + i) * c.dim, c.dim);
      set_.rms_norm(sum, plan_.output_norm, c.rms_epsilon, c.dim, sum);
    }
    multiply({{{&plan_.output, out}}}, pack(normed, c.dim, count, kernels::kRefineAll));
    if (supply_ != nullptr) THAW_TRY_DO(supply_->settle(&pool_));
    for (std::size_t i = 0; i < count; ++i) {
      THAW_TRY_DO(sink(at + i, {out + i * c.vocabulary, c.vocabulary}));
    }
  }
  return Done{};
}

}  // namespace thaw::model
