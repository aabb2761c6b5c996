#include <algorithm>
#include <bit>
#include <limits>
#include <string>

#include "checks.h"
#include "kernels/float16.h"
#include "kernels/scalar.h"

namespace thaw::kernels::test {
namespace {

// A layer's keys and values of positions [0, count). Everything else in its blocks is NaN, which
// nothing may read into a result.
struct Cache {
  KvShape shape;
  std::vector<Aligned> blocks;
  std::vector<const std::byte*> pointers;
};

Cache make_cache(const KvShape& shape, std::uint32_t count, std::size_t key_pattern,
                 std::size_t value_pattern, Random& random) {
  Cache cache = {shape, {}, {}};
  std::vector<float> keys(std::size_t{shape.kv_heads} * shape.key_dim);
  std::vector<float> values(std::size_t{shape.kv_heads} * shape.value_dim);
  for (std::uint32_t position = 0; position < count; ++position) {
    if (position % kKvBlockPositions == 0) cache.blocks.emplace_back(shape.block_bytes(), 0xff);
    fill_input(key_pattern, random, keys);
    fill_input(value_pattern, random, values);
    scalar_set().store_kv(shape, keys.data(), values.data(), position, cache.blocks.back().data());
  }
  for (const Aligned& block : cache.blocks) cache.pointers.push_back(block.data());
  return cache;
}

// A question to ask of a cache, its queries [tokens, stride] with a gap and at any alignment.
struct Question {
  std::uint32_t tokens = 1;
  std::uint32_t heads = 1;
  std::uint32_t kv_head = 0;
  std::uint32_t first_position = 0;
  float scale = 1;
  std::size_t pattern = 0;
};

struct Answer {
  std::vector<float> partials;  // [splits, queries, partial_floats]
  std::vector<float> y;         // [tokens, heads * value_dim + gap]
};

constexpr std::size_t kGap = 5;  // floats between the rows of queries and of y

std::vector<float> make_queries(const Cache& cache, const Question& question, Random& random) {
  const std::size_t width = std::size_t{question.heads} * cache.shape.key_dim;
  std::vector<float> q(1 + question.tokens * (width + kGap), kUntouched);
  for (std::size_t t = 0; t < question.tokens; ++t) {
    fill_input(question.pattern, random, std::span(q).subspan(1 + t * (width + kGap), width));
  }
  return q;
}

Queries view_of(const Cache& cache, const Question& question, const std::vector<float>& q) {
  Queries queries;
  queries.q = q.data() + 1;
  queries.stride = std::size_t{question.heads} * cache.shape.key_dim + kGap;
  queries.tokens = question.tokens;
  queries.heads = question.heads;
  queries.kv_head = question.kv_head;
  queries.first_position = question.first_position;
  queries.scale = question.scale;
  queries.blocks = cache.pointers.data();
  return queries;
}

std::vector<float> merge(const KernelSet& set, const KvShape& shape, const Queries& queries,
                         const std::vector<float>& partials) {
  const std::size_t stride = std::size_t{queries.heads} * shape.value_dim + kGap;
  std::vector<float> y(queries.tokens * stride, kUntouched);
  set.attend_merge(shape, queries, partials.data(), y.data(), stride);
  return y;
}

Answer attend(const KernelSet& set, const KvShape& shape, const Queries& queries) {
  const std::size_t split_floats = queries.count() * partial_floats(shape);
  Answer answer;
  answer.partials.assign(queries.splits() * split_floats, kUntouched);
  Aligned scratch(set.attend_scratch_bytes(shape, queries.count()), 0x7f);
  for (std::uint32_t s = queries.splits(); s-- > 0;) {  // their order is free
    set.attend_split(shape, queries, s, answer.partials.data() + s * split_floats, scratch.data());
  }
  answer.y = merge(set, shape, queries, answer.partials);
  return answer;
}

// What ARITHMETIC.md leaves open of a partial result: the maximum's sign where it is zero, all of
// it beside a NaN, and the unused floats.
std::string compare_partial(std::span<const float> found, std::span<const float> wanted,
                            std::size_t value_dim, bool seen) {
  if (!seen) return difference(found, std::vector<float>(found.size(), kUntouched));
  if (!same(found[1], wanted[1]))
    return "sum, " + difference(found.subspan(1, 1), wanted.subspan(1, 1));
  if (found[1] == found[1] && found[0] != wanted[0]) {
    return "maximum, " + difference(found.first(1), wanted.first(1));
  }
  const std::string text = difference(found.subspan(16, value_dim), wanted.subspan(16, value_dim));
  return text.empty() ? text : "values, " + text;
}

std::string compare_partials(const KvShape& shape, const Queries& queries, const Answer& found,
                             const Answer& wanted) {
  const std::size_t floats = partial_floats(shape);
  for (std::uint32_t s = 0; s < queries.splits(); ++s) {
    for (std::size_t query = 0; query < queries.count(); ++query) {
      const auto token = static_cast<std::uint32_t>(query / queries.heads);
      const bool seen = queries.first_position + token >= s * kSplitPositions;
      const std::size_t at = (s * queries.count() + query) * floats;
      const std::string text =
          compare_partial(std::span(found.partials).subspan(at, floats),
                          std::span(wanted.partials).subspan(at, floats), shape.value_dim, seen);
      if (!text.empty()) {
        return "split " + std::to_string(s) + " query " + std::to_string(query) + " " + text;
      }
    }
  }
  return {};
}

std::string compare(const KernelSet& set, const Cache& cache, const Question& question,
                    Random& random) {
  const std::vector<float> q = make_queries(cache, question, random);
  const Queries queries = view_of(cache, question, q);
  const Answer wanted = attend(scalar_set(), cache.shape, queries);
  const Answer found = attend(set, cache.shape, queries);
  std::string text = compare_partials(cache.shape, queries, found, wanted);
  if (text.empty()) text = difference(found.y, wanted.y);
  if (text.empty()) {
    text = difference(merge(set, cache.shape, queries, wanted.partials), wanted.y);
    if (!text.empty()) text = "merge alone, " + text;
  }
  if (text.empty()) return text;
  return std::string(set.name) + " attend key_dim=" + std::to_string(cache.shape.key_dim) +
         " value_dim=" + std::to_string(cache.shape.value_dim) +
         " tokens=" + std::to_string(question.tokens) + " heads=" + std::to_string(question.heads) +
         " first_position=" + std::to_string(question.first_position) +
         " seed=" + std::to_string(kSeed) + ": " + text;
}

std::uint16_t half_at(const Aligned& block, std::size_t index) {
  return load<std::uint16_t>(block.data() + 2 * index);
}

std::string compare_stored(const KernelSet& set, const KvShape& shape, std::size_t pattern,
                           Random& random) {
  std::vector<float> keys(std::size_t{shape.kv_heads} * shape.key_dim);
  std::vector<float> values(std::size_t{shape.kv_heads} * shape.value_dim);
  Aligned wanted(shape.block_bytes(), 0x11);
  Aligned found(shape.block_bytes(), 0x11);
  for (const std::uint32_t position : {0u, 1u, 15u, 16u, 63u, 64u + 37u, 6400u + 50u}) {
    fill_input(pattern, random, keys);
    fill_input(pattern + 1, random, values);
    // Around the largest f16, its ties, and its least denormals.
    constexpr float kEdges[] = {65504.0f, 65519.9f,   65520.0f,     65536.0f, 0x1p-24f,
                                0x1p-25f, 0x1.8p-25f, 0x1.004p-14f, 2049.0f,  0x1.0fep-15f};
    if (pattern == 0) {
      keys[position % keys.size()] = kEdges[position % std::size(kEdges)];
      values[position % values.size()] = -kEdges[position % std::size(kEdges)];
    }
    scalar_set().store_kv(shape, keys.data(), values.data(), position, wanted.data());
    set.store_kv(shape, keys.data(), values.data(), position, found.data());
  }
  for (std::size_t i = 0; i < shape.block_bytes() / 2; ++i) {
    const std::uint16_t a = half_at(found, i);
    const std::uint16_t b = half_at(wanted, i);
    if (a == b || ((a & 0x7fffu) > 0x7c00u && (b & 0x7fffu) > 0x7c00u)) continue;
    return std::string(set.name) + " store_kv key_dim=" + std::to_string(shape.key_dim) +
           " value_dim=" + std::to_string(shape.value_dim) + " half " + std::to_string(i) +
           ": found " + std::to_string(a) + ", wanted " + std::to_string(b);
  }
  return {};
}

}  // namespace

std::string check_store_kv(const KernelSet& set) {
  Random random(kSeed + 8);
  for (const KvShape shape : {KvShape{1, 64, 64},
                              {3, 64, 64},
                              {2, 1, 1},
                              {2, 7, 33},
                              {1, 24, 40},
                              {2, 80, 80},
                              {1, 128, 128},
                              {1, 192, 128},
                              {1, 576, 512}}) {
    for (std::size_t pattern = 0; pattern < kInputPatterns; ++pattern) {
      const std::string text = compare_stored(set, shape, pattern, random);
      if (!text.empty()) return text;
    }
  }
  return {};
}

std::string check_attention_dims(const KernelSet& set) {
  Random random(kSeed + 9);
  constexpr std::uint32_t kDims[][2] = {{1, 1},   {8, 8},   {16, 16}, {24, 24},   {40, 40},
                                        {64, 64}, {80, 80}, {96, 96}, {128, 128}, {192, 128},
                                        {7, 33},  {64, 1},  {1, 17},  {576, 512}, {16, 600}};
  std::uint32_t turn = 0;
  for (const auto& [key_dim, value_dim] : kDims) {
    const Cache cache = make_cache({2, key_dim, value_dim}, 530, 0, 0, random);
    for (const std::uint32_t last : {0u, 16u, 64u, 512u, 529u}) {
      ++turn;
      const std::uint32_t tokens = std::min(1 + turn % 3, last + 1);
      // Scaled so that a few positions dominate: a wrong one shows.
      const Question question = {tokens, 1 + turn % 5, turn % 2, last + 1 - tokens, 0.7f, 0};
      const std::string text = compare(set, cache, question, random);
      if (!text.empty()) return text;
    }
  }
  return {};
}

std::string check_attention_contexts(const KernelSet& set) {
  Random random(kSeed + 10);
  for (const KvShape shape : {KvShape{1, 64, 64}, KvShape{2, 40, 24}}) {
    const Cache cache = make_cache(shape, 1600, 0, 0, random);
    std::uint32_t turn = 0;
    for (const std::uint32_t context :
         {1u, 2u, 15u, 16u, 17u, 63u, 64u, 65u, 511u, 512u, 513u, 1024u, 1025u, 1600u}) {
      for (const std::uint32_t tokens : {1u, 2u, 5u, 18u}) {
        if (tokens > context) continue;
        const Question question = {tokens,
                                   1 + ++turn % 4,
                                   turn % shape.kv_heads,
                                   context - tokens,
                                   0.125f * static_cast<float>(turn % 3 + 1),
                                   0};
        const std::string text = compare(set, cache, question, random);
        if (!text.empty()) return text;
      }
    }
  }
  return {};
}

std::string check_attention_extremes(const KernelSet& set) {
  Random random(kSeed + 11);
  for (std::size_t pattern = 0; pattern < kInputPatterns; ++pattern) {
    for (std::size_t other = 0; other < 3; ++other) {
      const std::size_t keys = other == 1 ? pattern : 0;
      const std::size_t values = other == 2 ? pattern : 0;
      const Cache cache = make_cache({1, 20, 36}, 520, keys, values, random);
      Question question = {2, 2, 0, 0, 0.25f, other == 0 ? pattern : 0};
      for (const std::uint32_t first : {0u, 30u, 511u, 518u}) {
        question.first_position = first;
        const std::string text = compare(set, cache, question, random);
        if (!text.empty()) {
          return "pattern " + std::to_string(pattern) + " of " + std::to_string(other) + ": " +
                 text;
        }
      }
    }
  }
  return {};
}

std::string check_attention_chunks(const KernelSet& set) {
  Random random(kSeed + 12);
  const Cache cache = make_cache({1, 64, 80}, 560, 0, 0, random);
  for (const std::uint32_t first : {0u, 11u, 480u, 505u}) {
    const Question question = {40, 3, 0, first, 0.3f, 0};
    const std::vector<float> q = make_queries(cache, question, random);
    const Queries together = view_of(cache, question, q);
    const Answer whole = attend(set, cache.shape, together);
    const std::size_t stride = whole.y.size() / question.tokens;
    for (std::uint32_t t = 0; t < question.tokens; ++t) {
      Queries alone = together;
      alone.q += t * together.stride;
      alone.tokens = 1;
      alone.first_position += t;
      const std::string text = difference(attend(set, cache.shape, alone).y,
                                          std::span(whole.y).subspan(t * stride, stride));
      if (!text.empty()) {
        return std::string(set.name) + " attend: token " + std::to_string(t) + " from " +
               std::to_string(first) + " alone and among 40: " + text;
      }
    }
  }
  return {};
}

}  // namespace thaw::kernels::test
