// One chunk of tokens through the whole model: the forward pass itself. Internal to engine.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <vector>

#include "handler/model/engine.h"

namespace thaw::model {

// 64-byte aligned memory that grows when asked for more and keeps no contents when it does.
class AlignedBuffer {
 public:
  std::byte* bytes(std::size_t count);
  float* floats(std::size_t count) {
    return reinterpret_cast<float*>(bytes(count * sizeof(float)));
  }

 private:
  struct Free {
    void operator()(std::byte* block) const { std::free(block); }
  };
  std::unique_ptr<std::byte, Free> block_;
  std::size_t size_ = 0;
};

// Consecutive tokens of one session in a chunk.
struct Segment {
  Session* session = nullptr;
  std::span<const Token> tokens;
  std::size_t first_row = 0;         // of the chunk's rows
  std::uint32_t first_position = 0;  // in the session
  std::size_t wanted = 0;            // of its last tokens the logits
};

// Memory that chunks reuse. Shapes in floats, rows are tokens of the chunk.
struct Engine::Scratch {
  AlignedBuffer x;         // [rows, dim]                   the residual stream
  AlignedBuffer h;         // [rows, max(dim, ...)]         normed input, then a product's output
  AlignedBuffer query;     // [rows, heads * head_dim]
  AlignedBuffer key;       // [rows, kv_heads * head_dim]
  AlignedBuffer value;     // [rows, kv_heads * value_dim]
  AlignedBuffer attended;  // [rows, heads * value_dim]
  AlignedBuffer gate;      // [rows, ffn_dim]
  AlignedBuffer up;        // [rows, ffn_dim]
  AlignedBuffer packed;    // what KernelSet::pack writes, for the widest input
  AlignedBuffer cosine;    // [rows, rope_pairs]
  AlignedBuffer sine;      // [rows, rope_pairs]
  AlignedBuffer logits;    // [kLogitsRows, vocabulary]
  AlignedBuffer partials;  // of attention by splits: [kv_heads, splits, queries, partial_floats]
  std::vector<std::size_t> ends;  // of a product's tasks
  struct PerThread {
    AlignedBuffer matmul;
    AlignedBuffer partials;
    AlignedBuffer attend;
  };
  std::vector<PerThread> threads;
};

class ChunkPass {
 public:
  // Precondition: room is reserved in every session.
  ChunkPass(Engine& engine, std::span<const Segment> segments);

  // Runs all layers; the residual stream is then ready for logits(). Errors: what the supply says
  // of the embedding's rows.
  Result<Done> run();
  // The wanted logits, in order, through `sink`(how many before, logits). Errors: the sink's, and
  // what the supply says of everything that the logits come from.
  Result<Done> logits(const std::function<Result<Done>(std::size_t, std::span<const float>)>& sink);

 private:
  struct Product {
    const kernels::Matrix* matrix;
    float* y;
  };

  // How a segment's attention is divided into tasks; the same in each layer.
  struct AttentionCut {
    std::size_t splits = 0;
    std::size_t tile = 0;  // tokens of a task
    bool by_splits = false;
    std::size_t first_task = 0;
    std::size_t partials_at = 0, split_floats = 0;  // of one kv head, by splits
  };

  Bytes embedding_of(Token token) const;
  void read_ahead();
  Result<Done> embed();
  void prepare_rope();
  void layer(std::uint32_t index);
  void keep_wanted();
  void attention_inputs(std::uint32_t index);
  void attend(std::uint32_t index);
  void cut_attention();
  float* partials_of(const AttentionCut& cut, std::uint32_t kv_head, std::uint32_t split);
  void attend_one_split(std::uint32_t index, const Segment& segment, const AttentionCut& cut,
                        std::uint32_t kv_head, std::uint32_t split, unsigned thread);
  void attend_tile(std::uint32_t index, const Segment& segment, std::uint32_t kv_head,
                   std::size_t begin, std::size_t end, unsigned thread);
  kernels::Queries queries_of(std::uint32_t index, const Segment& segment, std::uint32_t kv_head,
                              std::size_t begin, std::size_t end) const;
  void merge(const kernels::Queries& queries, const float* partials, std::size_t row);
  void take_restored(std::uint32_t index, const Segment& segment, std::uint32_t kv_head,
                     std::uint32_t split);
  // The input of a product: [rows, cols], with `refined` as in kernels::Activations. Its packed
  // form, where quantised matrices can read it, is in scratch_.packed.
  kernels::Activations input(const float* x, std::size_t cols, std::size_t rows,
                             std::size_t refined);
  // x += h where `residual`, then h = rms_norm(x), packed.
  kernels::Activations norm_and_pack(const float* weight, bool residual);
  kernels::Activations pack(const float* x, std::size_t cols, std::size_t rows,
                            std::size_t refined);
  const std::vector<std::size_t>& cut(std::size_t panels, std::size_t tile);
  // Panels [begin, end) of a product, brought in before and checked after.
  void multiply_panels(const Product& product, std::size_t begin, std::size_t end,
                       const kernels::Activations& in, std::byte* scratch);
  // A vector of weights, read by one thread: brought in, and checked.
  void take(const float* vector, std::size_t count);
  // Several products of the same input in one parallel step; y rows are as wide as the matrix.
  void multiply(std::span<const Product> products, const kernels::Activations& in);

  const Plan& plan_;
  const kernels::KernelSet& set_;
  ThreadPool& pool_;
  Engine::Scratch& scratch_;
  snapshot::Supply* const supply_;
  std::span<const Segment> segments_;
  std::size_t rows_ = 0;
  std::vector<Segment> kept_;            // segments_ once the last layer's keys are stored
  std::vector<AttentionCut> attention_;  // of each segment
  std::vector<std::size_t> merged_;      // the segments that are cut by splits
  std::size_t attention_tasks_ = 0;
};

}  // namespace thaw::model
