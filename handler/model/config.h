// The model's sections in a snapshot: plain structs, used where they lie in the map. Written by
// handler/freeze, checked once by plan.h. Fields only append; unknown versions are refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace thaw::model {

inline constexpr std::uint32_t kModelVersion = 1;

// What the model calls itself. How it computes is in the fields below, not here.
enum class Architecture : std::uint32_t { kLlama = 1, kQwen2 = 2, kQwen3 = 3 };
// "llama", "qwen2", "qwen3"; "unknown" for others.
std::string_view name_of(Architecture architecture);

// Bounds that hostile sections are held to, far above any published dense model.
inline constexpr std::uint32_t kLayersMax = 1024;
inline constexpr std::uint32_t kDimMax = 1u << 17;
inline constexpr std::uint32_t kHeadsMax = 4096;
inline constexpr std::uint32_t kVocabularyMax = 1u << 22;
inline constexpr std::uint32_t kContextMax = 1u << 24;

struct Config {           // start of section kModel; u64 rope_turns[rope_pairs] follow it
  std::uint32_t version;  // kModelVersion
  std::uint32_t arithmetic_version;  // kernels::kArithmeticVersion it was frozen for
  std::uint32_t architecture;        // Architecture
  std::uint32_t layers;
  std::uint32_t dim;
  std::uint32_t heads;
  std::uint32_t kv_heads;   // divides heads
  std::uint32_t head_dim;   // of queries and keys
  std::uint32_t value_dim;  // of values
  std::uint32_t ffn_dim;
  std::uint32_t vocabulary;
  std::uint32_t context_tokens;    // the longest sequence
  std::uint32_t rope_pairs;        // <= head_dim / 2
  std::uint32_t rope_interleaved;  // 1: pairs (2i, 2i+1); 0: (i, i + rope_pairs)
  float rope_factor;               // multiplies sine and cosine (YaRN); else 1
  float rms_epsilon;
  float attention_scale;
  std::uint32_t reserved[15];  // zero
};
static_assert(sizeof(Config) == 128);

// Every size within its bounds, and those that must agree agreeing.
// Errors: kUnsupported  another version of the model sections or of the arithmetic
//         kCorrupt      naming the field, what was found and the bounds
Result<Done> validate(const Config& config);

// What a tensor is for. Values never change.
enum class Role : std::uint32_t {
  kEmbedding = 1,   // [vocabulary, dim]; panels and the output matrix too where tied, else rows
  kOutputNorm = 2,  // [1, dim]
  kOutput = 3,      // [vocabulary, dim]; absent where tied
  kAttentionNorm = 10,
  kQuery = 11,  // [heads * head_dim, dim]
  kKey = 12,    // [kv_heads * head_dim, dim]
  kValue = 13,  // [kv_heads * value_dim, dim]
  kQueryBias = 14,
  kKeyBias = 15,
  kValueBias = 16,
  kQueryNorm = 17,  // [1, head_dim]
  kKeyNorm = 18,
  kAttentionOutput = 19,  // [dim, heads * value_dim]
  kFeedForwardNorm = 30,
  kGate = 31,  // [ffn_dim, dim]
  kUp = 32,
  kDown = 33,  // [dim, ffn_dim]
};
// "attention_norm" and so on; "unknown" for others.
std::string_view name_of(Role role);
// "layers.3.key", "embedding": what tables and messages call a tensor.
std::string tensor_name(Role role, std::uint32_t layer);

// The shape that a config gives a tensor: rows and columns; vectors are one row. Nothing for a role
// that this build does not know. Precondition: the sizes fit (plan.h checks).
struct Shape {
  std::uint32_t rows = 0;
  std::uint32_t cols = 0;
  bool is_vector = false;
};
std::optional<Shape> shape_of(const Config& config, Role role);

enum class Layout : std::uint32_t { kPanels = 1, kRows = 2 };  // kernels/kind.h

struct TensorEntry {  // section kTensors is an array of these, in forward order
  std::uint32_t role;
  std::uint32_t layer;
  std::uint32_t kind;  // kernels::Kind; vectors are f32, rows
  std::uint32_t layout;
  std::uint32_t rows;
  std::uint32_t cols;
  std::uint32_t section;   // snapshot::SectionType it lies in
  std::uint32_t reserved;  // zero
  std::uint64_t offset;    // in that section; 64-byte aligned
  std::uint64_t bytes;
};
static_assert(sizeof(TensorEntry) == 48);

}  // namespace thaw::model
