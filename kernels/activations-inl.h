// Packed activations of a whole input: which groups of its tokens are refined, and the order of
// their terms (ARITHMETIC.md, "activations"). Included inside a set's target region, after its
// products, which place one group (matmul-inl.h says what they provide).

inline constexpr std::size_t kBlockGroups = 32 / kTilePanels;  // expanded: about 20 KiB

// A packed block of tokens: a directory, then its terms, each a packed group of the whole block.
// A group that is refined for any of the block's tokens has two terms, the second one silent for
// the tokens that it is not refined for; terms are in the order in which sums take them.
//   u32 first[runs + 1]  the first term of each run of kBlockGroups groups; then their number
//   u32 group[terms]     the group of each term
//   terms, 64-byte aligned
struct PackedShape {
  std::size_t groups = 0;
  std::size_t refined = 0;

  std::size_t runs() const { return (groups + kBlockGroups - 1) / kBlockGroups; }
  // The most terms that a block of `tokens` can have.
  std::size_t terms(std::size_t tokens) const {
    return groups + (refined < groups / tokens ? refined * tokens : groups);
  }
  std::size_t directory_bytes(std::size_t tokens) const {
    return (sizeof(std::uint32_t) * (runs() + 1 + terms(tokens)) + 63) / 64 * 64;
  }
  std::size_t block_bytes(std::size_t tokens) const {
    const std::size_t terms_bytes = terms(tokens) * packed_group_bytes(tokens);
    return directory_bytes(tokens) + (terms_bytes + 63) / 64 * 64;
  }
};

struct PackedBlock {
  const std::uint32_t* first;
  const std::uint32_t* group;
  const std::byte* terms;

  static PackedBlock at(const std::byte* block, const PackedShape& shape, std::size_t tokens) {
    const std::uint32_t* directory = reinterpret_cast<const std::uint32_t*>(block);
    return {directory, directory + shape.runs() + 1, block + shape.directory_bytes(tokens)};
  }
};

inline constexpr std::size_t kBlockTokensMax = kTokenBlock > kDirect ? kTokenBlock : kDirect;

// Tokens of each packed block of an input of so many; the last has what is left.
std::size_t token_block(std::size_t tokens) { return tokens <= kDirect ? kDirect : kTokenBlock; }

std::size_t packed_bytes(std::size_t tokens, std::size_t cols, std::size_t refined) {
  const PackedShape shape = {cols / kGroupCols, refined};
  const std::size_t block = token_block(tokens), rest = tokens % block;
  return tokens / block * shape.block_bytes(block) + (rest == 0 ? 0 : shape.block_bytes(rest));
}

// The groups that are refined for each token of a block, and for any of them, as bits.
struct RefinedGroups {
  static constexpr std::size_t kWords = kPackedColsMax / kGroupCols / 64;
  std::uint64_t any[kWords];
  std::uint32_t of[kBlockTokensMax][kRefinedMax];
  std::size_t count[kBlockTokensMax];
  bool all;

  static bool has(const std::uint64_t* bits, std::size_t g) { return bits[g / 64] >> g % 64 & 1; }
  bool has(std::size_t token, std::size_t g) const {
    if (all) return true;
    for (std::size_t i = 0; i < count[token]; ++i) {
      if (of[token][i] == g) return true;
    }
    return false;
  }
};

// The `refined` largest groups of a token, kept sorted, the largest first.
inline void choose_refined(const float* x, std::size_t groups, std::size_t refined,
                           std::size_t token, RefinedGroups& to) {
  std::uint32_t largest[kRefinedMax];
  std::size_t count = 0;
  for (std::size_t g = 0; g < groups; ++g) {
    const std::uint32_t bits = largest_of(x + g * kGroupCols);
    if (bits < kSilenceBits || bits >= kHugeBits) continue;
    if (count == refined && bits <= largest[count - 1]) continue;
    std::size_t place = count < refined ? count++ : count - 1;
    for (; place > 0 && largest[place - 1] < bits; --place) {
      largest[place] = largest[place - 1];
      to.of[token][place] = to.of[token][place - 1];
    }
    largest[place] = bits;
    to.of[token][place] = static_cast<std::uint32_t>(g);
  }
  to.count[token] = count;
  for (std::size_t i = 0; i < count; ++i) {
    to.any[to.of[token][i] / 64] |= std::uint64_t{1} << to.of[token][i] % 64;
  }
}

inline RefinedGroups refined_groups(const Activations& in, std::size_t first, std::size_t tokens) {
  const std::size_t groups = in.cols / kGroupCols;
  RefinedGroups refined;
  refined.all = in.refined >= groups;
  std::memset(refined.any, refined.all ? 0xff : 0, (groups + 63) / 64 * sizeof(std::uint64_t));
  for (std::size_t token = 0; token < tokens && !refined.all; ++token) {
    refined.count[token] = 0;
    if (in.refined == 0) continue;
    choose_refined(in.x + (first + token) * in.stride, groups, in.refined, token, refined);
  }
  return refined;
}

// What one term leaves over of a group: e = fma(-q, s, x).
//   e  [32]
inline void left_over(const float* x, float* e) {
  const float s = scale_of(largest_of(x));
  const Lanes16 r = Lanes16::set1(s == 0 ? 0.0f : 1.0f / s), scale = Lanes16::set1(s);
  for (std::size_t i = 0; i < kGroupCols; i += 16) {
    const Lanes16 from = Lanes16::load(x + i);
    fma(negate(round(mul(from, r))), scale, from).store(e + i);
  }
}

void pack(const Activations& in, std::size_t block_begin, std::size_t block_end,
          std::byte* packed) {
  const PackedShape shape = {in.cols / kGroupCols, in.refined};
  const std::size_t most = token_block(in.tokens);
  for (std::size_t block = block_begin; block < block_end; ++block) {
    const std::size_t first = block * most;
    const std::size_t tokens = in.tokens - first < most ? in.tokens - first : most;
    const RefinedGroups refined = refined_groups(in, first, tokens);
    std::byte* to = packed + block * shape.block_bytes(most);
    std::uint32_t* run = reinterpret_cast<std::uint32_t*>(to);
    std::uint32_t* group_of = run + shape.runs() + 1;
    std::byte* const terms = to + shape.directory_bytes(tokens);
    std::uint32_t term = 0;
    for (std::size_t g = 0; g < shape.groups; ++g) {
      if (g % kBlockGroups == 0) run[g / kBlockGroups] = term;
      group_of[term] = static_cast<std::uint32_t>(g);
      std::byte* place = terms + term++ * packed_group_bytes(tokens);
      for (std::size_t token = 0; token < tokens; ++token) {
        pack_group(in.x + (first + token) * in.stride + g * kGroupCols, place, tokens, token);
      }
      if (!RefinedGroups::has(refined.any, g)) continue;
      group_of[term] = static_cast<std::uint32_t>(g);
      place = terms + term++ * packed_group_bytes(tokens);
      for (std::size_t token = 0; token < tokens; ++token) {
        float rest[kGroupCols] = {};
        if (refined.has(token, g)) {
          left_over(in.x + (first + token) * in.stride + g * kGroupCols, rest);
        }
        pack_group(rest, place, tokens, token);
      }
    }
    run[shape.runs()] = term;
  }
}
