#include "handler/model/engine.h"

#include <algorithm>

#include "base/check.h"
#include "base/str.h"
#include "handler/model/chunk_pass.h"

namespace thaw::model {
namespace {

// Tokens whose activations fit the budget: everything that Engine::Scratch holds per row.
std::uint32_t chunk_for(const Config& c, const EngineOptions& options,
                        const kernels::KernelSet& set) {
  if (options.chunk_tokens != 0) return std::min(options.chunk_tokens, kChunkTokensMax);
  const std::size_t floats = std::size_t{2} * c.dim + std::size_t{c.heads} * c.head_dim +
                             std::size_t{c.kv_heads} * (c.head_dim + c.value_dim) +
                             std::size_t{c.heads} * c.value_dim + std::size_t{2} * c.ffn_dim +
                             std::size_t{2} * c.rope_pairs;
  const std::size_t widest = round_up(
      std::max({std::size_t{c.dim}, std::size_t{c.ffn_dim}, std::size_t{c.heads} * c.value_dim}),
      kernels::kGroupCols);
  const std::size_t block = set.token_block(kChunkTokensMax);
  const std::size_t packed = set.packed_bytes(kChunkTokensMax, widest, kernels::kRefinedMax);
  const std::size_t bytes = floats * sizeof(float) + packed / kChunkTokensMax;
  const std::size_t tokens = options.activation_bytes / bytes / block * block;
  return static_cast<std::uint32_t>(std::clamp<std::size_t>(tokens, block, kChunkTokensMax));
}

}  // namespace

Engine::Engine(const Plan& plan, const kernels::KernelSet& set, ThreadPool& pool,
               const EngineOptions& options)
    : plan_(plan),
      set_(set),
      pool_(pool),
      kv_(plan.kv_block_bytes(), options.kv_bytes_max),
      chunk_tokens_(chunk_for(plan.config, options, set)),
      supply_(options.supply),
      scratch_(std::make_unique<Scratch>()) {
  scratch_->threads.resize(pool.threads());
}

Engine::~Engine() = default;

std::unique_ptr<Session> Engine::new_session() {
  return std::make_unique<Session>(kv_, plan_.kv_shape(), plan_.config.layers);
}

Result<Done> Engine::forward(std::span<const BatchItem> items, const LogitsSink& sink) {
  const Config& c = plan_.config;
  for (const BatchItem& item : items) {
    const std::size_t end = item.session->position() + item.tokens.size();
    if (end > c.context_tokens) {
      return fail(Code::kLimit, cat("evaluate: ", end, " tokens, the model's context is ",
                                    c.context_tokens, "; shorten the prompt"));
    }
    for (const Token token : item.tokens) {
      if (token >= c.vocabulary) {
        return fail(Code::kInvalid,
                    cat("evaluate: token ", token, ", the vocabulary has ", c.vocabulary));
      }
    }
  }
  for (std::size_t i = 0; i < items.size(); ++i) {
    Result<Done> room =
        items[i].session->reserve(static_cast<std::uint32_t>(items[i].tokens.size()));
    if (room) continue;
    for (std::size_t j = 0; j < i; ++j) items[j].session->truncate(items[j].session->position());
    return room;
  }

  // Chunks take tokens item by item; a long item spans chunks, short ones share them.
  std::size_t item = 0;
  std::size_t taken = 0;  // tokens of `item` already evaluated
  std::vector<Segment> segments;
  std::vector<std::pair<std::size_t, std::size_t>> wanted;  // item, index in it
  while (item < items.size()) {
    segments.clear();
    wanted.clear();
    std::size_t rows = 0;
    while (item < items.size() && rows < chunk_tokens_) {
      const BatchItem& from = items[item];
      const std::size_t take = std::min(from.tokens.size() - taken, chunk_tokens_ - rows);
      const std::size_t end = taken + take;
      const bool whole = end == from.tokens.size();
      std::size_t logits = from.logits == LogitsWanted::kAll ? take : 0;
      if (from.logits == LogitsWanted::kLast && whole) logits = std::min<std::size_t>(take, 1);
      if (take > 0) {
        segments.push_back({from.session, from.tokens.subspan(taken, take), rows,
                            from.session->position(), logits});
      }
      for (std::size_t i = end - logits; i < end; ++i) wanted.emplace_back(item, i);
      rows += take;
      taken = whole ? 0 : end;
      if (whole) ++item;
    }
    if (segments.empty()) continue;
    ChunkPass pass(*this, segments);
    THAW_TRY_DO(pass.run());
    for (const Segment& segment : segments) {
      segment.session->advance(static_cast<std::uint32_t>(segment.tokens.size()));
    }
    THAW_TRY_DO(pass.logits([&](std::size_t i, std::span<const float> logits) {
      return sink(wanted[i].first, wanted[i].second, logits);
    }));
  }
  return Done{};
}

}  // namespace thaw::model
