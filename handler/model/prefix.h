// Token prefixes whose KV cache lies in the snapshot, ready to be used in place. Sections of types
// kIdentity, kPrefix and kPrefixKv: plain structs, written by handler/freeze, checked here once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "handler/model/engine.h"
#include "handler/model/kv_cache.h"
#include "handler/model/plan.h"
#include "snapshot/sections.h"

namespace thaw::model {

inline constexpr std::uint32_t kPrefixVersion = 1;
inline constexpr std::uint32_t kIdentityVersion = 1;
inline constexpr std::size_t kPrefixesMax = 64;             // of a snapshot; each is looked at once
inline constexpr std::uint32_t kPrefixTokensMax = 1 << 20;  // of one; no context is longer
inline constexpr std::uint64_t kPrefixBlockAlign = 4096;    // bytes; so that a block can be mapped
inline constexpr std::string_view kSystemPrefix = "system";  // the name of the system message's

struct Digest {  // XXH3-128
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  bool operator==(const Digest&) const = default;
};

// What a KV cache depends on, beside its tokens and the arithmetic's version.
struct Origin {
  Digest model;          // section kModel: configuration and rope
  Digest weights;        // kTensors, kWeights and kEmbedding, one after the other
  Digest tokenizer;      // kTokenizer
  Digest chat_template;  // kTemplate; of no bytes where there is none
};

struct Identity {             // section kIdentity
  std::uint32_t version;      // kIdentityVersion
  std::uint32_t reserved[3];  // zero
  Origin origin;              // of this snapshot
};
static_assert(sizeof(Identity) == 80);

// How keys and values are kept. Values never change; a quantised form would be another.
enum class KvForm : std::uint32_t {
  kF16Panels = 1,  // as attention reads it (kernels::KvShape), all layers of 64 positions a block
};

struct PrefixHead {                  // start of section kPrefix; u32 tokens[tokens] follow it
  std::uint32_t version;             // kPrefixVersion
  std::uint32_t arithmetic_version;  // kernels::kArithmeticVersion it was computed with
  std::uint32_t kv_form;             // KvForm
  std::uint32_t tokens;              // 1 to kPrefixTokensMax, and at most the context
  std::uint32_t layers;
  std::uint32_t kv_heads;
  std::uint32_t key_dim;
  std::uint32_t value_dim;
  std::uint64_t block_stride;  // from one block of section kPrefixKv to the next
  std::uint64_t reserved[3];   // zero
  Origin origin;               // of the snapshot it was computed with
};
static_assert(sizeof(PrefixHead) == 128);

// The head of a prefix of `tokens` tokens, computed with `plan`.
PrefixHead make_prefix_head(const Plan& plan, const Origin& origin, std::uint32_t tokens);

// Errors: kNotFound (a snapshot of an older build), kUnsupported, kCorrupt.
Result<Origin> read_origin(const snapshot::Sections& sections);

struct Prefix {
  std::string_view name;
  std::span<const Token> tokens;
  KvView kv;
};

// The stored prefixes of a snapshot. Immutable; borrows the sections for its life.
class Prefixes {
 public:
  Prefixes() = default;  // none

  // Looks at each prefix's head, not at its KV. One that does not fit (made for other weights,
  // tokenizer, template or arithmetic, or of a later form) is left out, and a warning names it.
  // Errors: kCorrupt  sizes that contradict each other or the model
  //         kLimit    more than kPrefixesMax
  static Result<Prefixes> open(const snapshot::Sections& sections, const Plan& plan);

  std::span<const Prefix> all() const { return prefixes_; }
  const Prefix* find(std::string_view name) const;  // null: none
  std::span<const std::string> warnings() const { return warnings_; }

  struct Match {
    const Prefix* prefix = nullptr;  // null: no token in common
    std::uint32_t tokens = 0;        // in common, from the start
  };
  // The prefix with which `tokens` has most tokens in common, part of one included. Allocates
  // nothing.
  Match longest(std::span<const Token> tokens) const;

 private:
  std::vector<Prefix> prefixes_;
  std::vector<std::string> warnings_;
};

}  // namespace thaw::model
