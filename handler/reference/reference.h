// The model evaluated plainly in float32, to measure what thaw's own arithmetic costs. Takes
// nothing from the engine or the kernels but the values of the stored weights: activations, keys
// and values stay float32, softmax is the textbook's, sums that are cheap are float64.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "handler/model/engine.h"
#include "handler/model/plan.h"
#include "snapshot/supply.h"

namespace thaw::reference {

inline constexpr std::uint64_t kActivationBytesMax = std::uint64_t{8} << 30;  // of all tokens
inline constexpr std::size_t kLogitsBytes = std::size_t{64} << 20;  // of the positions held at once

struct ReferenceOptions {
  unsigned threads = 1;  // at most kProductsAtOnceMax are used
  // Brings the weights in and checks them; outlives the reference. Null: they are there, and sound.
  snapshot::Supply* supply = nullptr;
  // Called after each layer: how many are done, of how many. May be empty.
  std::function<void(std::size_t done, std::size_t total)> progress;
};

// One thread at a time; has threads of its own. Memory: for each token some floats (twice the
// width, queries, keys, values, twice the feed-forward's width), the logits of kLogitsBytes, and
// slices of one matrix at a time; never a whole model.
class Reference {
 public:
  // Evaluates all layers for all tokens; the plan outlives it.
  // Errors: kUnsupported  this build has no OpenBLAS
  //         kInvalid      no tokens, or one that is not in the vocabulary
  //         kLimit        more tokens than the model's context, or than kActivationBytesMax holds
  //         kCorrupt, kIo  what the supply says of the weights
  static Result<std::unique_ptr<Reference>> evaluate(const model::Plan& plan,
                                                     std::span<const model::Token> tokens,
                                                     const ReferenceOptions& options);

  // The logits at a position [vocabulary], valid until the next call. The positions that follow
  // are computed with it, so ascending order is the cheap one.
  // Errors: kCorrupt, kIo, as above. Precondition: position < the number of tokens.
  Result<std::span<const float>> logits(std::size_t position);

 private:
  Reference(const model::Plan& plan, std::size_t count, const ReferenceOptions& options);

  // After it, h_ holds what the output matrix is multiplied by.
  Result<Done> run(std::span<const model::Token> tokens, const ReferenceOptions& options);
  Result<Done> embed(std::span<const model::Token> tokens);
  void make_rope();
  Result<Done> attention(const model::LayerPlan& layer);
  Result<Done> feed_forward(const model::LayerPlan& layer);
  // Their steps, each over all tokens. Biases and norms that the model lacks are null.
  Result<Done> normed(const float* weight);  // h = rms_norm(x)
  Result<Done> add_bias(const float* bias, std::vector<float>& x);
  Result<Done> norm_heads(const float* weight, std::size_t heads, std::vector<float>& x);
  void rotate(std::size_t heads, std::vector<float>& x);
  void attend();
  void attend_block(std::size_t head, std::size_t first, std::vector<float>& scores);
  Result<Done> add_product(const kernels::Matrix& matrix, const std::vector<float>& in);

  // out [rows, matrix.rows] = in [rows, matrix.cols] times the matrix, transposed.
  Result<Done> apply(const kernels::Matrix& matrix, const float* in, std::size_t rows, float* out);
  // Weights that are read next: brought in and found sound.
  Result<Done> take(Bytes bytes);
  Result<Done> take(const float* vector, std::size_t count);
  void each_token(const std::function<void(std::size_t token)>& work);

  const model::Plan& plan_;
  const std::size_t count_;  // tokens
  snapshot::Supply* const supply_;
  ThreadPool pool_;
  std::vector<std::vector<float>> scratch_;  // of each thread
  // Rows are tokens.
  std::vector<float> x_;           // [count, dim]  the residual stream
  std::vector<float> h_;           // [count, dim]  normed, or what is added next
  std::vector<float> query_;       // [count, heads * head_dim]
  std::vector<float> key_;         // [count, kv_heads * head_dim]
  std::vector<float> value_;       // [count, kv_heads * value_dim]
  std::vector<float> attended_;    // [count, heads * value_dim]
  std::vector<float> gate_, up_;   // [count, ffn_dim]
  std::vector<float> cos_, sin_;   // [count, rope_pairs]
  std::vector<float> logits_;      // [some, vocabulary]
  std::size_t logits_first_ = 0;   // the position of the first of them
  std::size_t logits_count_ = 0;
};

}  // namespace thaw::reference
