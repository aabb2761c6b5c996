// The scalar set against float64 evaluation of the same weights, within bounds that follow from
// the number of roundings, and its bits against those that version 2 of the arithmetic gave.
#include "kernels/scalar.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/crc32c.h"
#include "checks.h"
#include "gguf_blocks.h"
#include "kernels/float16.h"
#include "kernels/pack.h"

namespace thaw::kernels {
namespace {

constexpr std::uint64_t kSeed = 19;
constexpr double kRounding = 0x1p-24;

// The relative error that n roundings can add up to (Higham, "Accuracy and Stability", 3.1).
double gamma_of(std::size_t n) {
  const double some = static_cast<double>(n) * kRounding;
  return some / (1 - some);
}

std::vector<float> multiply(const Matrix& w, const std::vector<float>& x, std::size_t tokens,
                            std::size_t refined = 0) {
  const KernelSet& set = scalar_set();
  Activations in = {x.data(), w.cols, tokens, w.cols, refined};
  test::Aligned packed(info(w.kind).is_float ? 0 : set.packed_bytes(tokens, w.cols, in.refined));
  if (!info(w.kind).is_float) set.pack(in, 0, tokens, packed.data());
  in.packed = packed.data();
  std::vector<float> y(tokens * w.rows);
  test::Aligned scratch(set.scratch_bytes(w.kind, w.cols, tokens));
  set.matmul(w, 0, w.panel_count(), in, y.data(), w.rows, scratch.data());
  return y;
}

// The exact weights of a row, and the minimum M of each: the weight is D * u + M.
struct ExactRow {
  std::vector<double> w;
  std::vector<double> m;

  // What the term of column k adds to the sums at most, as it passes through them in two parts.
  double size(std::size_t k, float x) const {
    return (std::fabs(w[k] - m[k]) + std::fabs(m[k])) * std::fabs(double{x});
  }
};

// Where a block's integers begin, in kinds that have a minimum: behind the scales, up to its end.
std::size_t integers_at(Kind kind) {
  switch (kind) {
    case Kind::kQ4: return 2;
    case Kind::kQ4m: return 4;
    default: return 16;  // q4k, q5k
  }
}

ExactRow exact_row(const test::TestMatrix& matrix, std::size_t row) {
  const KindInfo& facts = info(matrix.kind);
  const std::size_t row_bytes = matrix.row_bytes.size() / matrix.rows;
  std::vector<std::byte> bytes(matrix.row_bytes.begin() + row * row_bytes,
                               matrix.row_bytes.begin() + (row + 1) * row_bytes);
  ExactRow exact = {test::gguf_row(matrix.kind, bytes, matrix.cols),
                    std::vector<double>(matrix.cols)};
  const Kind kind = matrix.kind;
  if (!facts.is_float && kind != Kind::kQ8 && kind != Kind::kQ6k) {
    for (std::size_t b = 0; b < bytes.size(); b += facts.row_block_bytes) {
      std::fill(bytes.begin() + b + integers_at(kind), bytes.begin() + b + facts.row_block_bytes,
                std::byte{0});
    }
    exact.m = test::gguf_row(kind, bytes, matrix.cols);
  }
  return exact;
}

class Scalar : public testing::TestWithParam<KindInfo> {
 protected:
  Kind kind() const { return GetParam().kind; }
  std::uint32_t cols() const { return GetParam().is_float ? 131 : 768; }
};

std::string kind_name(const testing::TestParamInfo<KindInfo>& at) {
  return std::string(at.param.name);
}

INSTANTIATE_TEST_SUITE_P(All, Scalar, testing::ValuesIn(kinds().begin(), kinds().end()), kind_name);

// Whole numbers up to 127 with a 127 in each group lose nothing when they are quantised, so only
// roundings of the sums are left: a wrong weight, scale or column shows.
TEST_P(Scalar, MatmulOfWholeNumbersIsFloat64sWithinItsRoundings) {
  Random random(kSeed);
  const std::size_t tokens = 3;
  for (const test::Weights weights : {test::Weights::kRandom, test::Weights::kAlternating}) {
    const test::TestMatrix matrix = test::make_matrix(kind(), 35, cols(), weights, random);
    std::vector<float> x(tokens * cols());
    for (std::size_t i = 0; i < x.size(); ++i) {
      x[i] = static_cast<float>(random.below(255)) - 127.0f;
      if (i % cols() % 32 == 7) x[i] = random.below(2) == 0 ? 127.0f : -127.0f;
    }
    const std::vector<float> y = multiply(matrix.view(), x, tokens);
    // A group adds one rounding for t and two fmas, and the accumulator passes through all.
    const std::size_t roundings = GetParam().is_float ? cols() : 3 * (cols() / 32) + 1;
    for (std::size_t row = 0; row < matrix.rows; ++row) {
      const ExactRow exact = exact_row(matrix, row);
      for (std::size_t t = 0; t < tokens; ++t) {
        double wanted = 0;
        double size = 0;
        for (std::size_t k = 0; k < cols(); ++k) {
          wanted += exact.w[k] * x[t * cols() + k];
          size += exact.size(k, x[t * cols() + k]);
        }
        ASSERT_LE(std::fabs(y[t * matrix.rows + row] - wanted), size * gamma_of(roundings))
            << row << " " << t;
      }
    }
  }
}

TEST_P(Scalar, MatmulIsFloat64sWithinWhatQuantisingInputsCosts) {
  Random random(kSeed + 1);
  const test::TestMatrix matrix =
      test::make_matrix(kind(), 35, cols(), test::Weights::kRandom, random);
  std::vector<float> x(cols());
  for (float& v : x) v = random.normal();
  const std::vector<float> y = multiply(matrix.view(), x, 1);
  const std::size_t roundings = GetParam().is_float ? cols() : 3 * (cols() / 32) + 1;
  for (std::size_t row = 0; row < matrix.rows; ++row) {
    const ExactRow exact = exact_row(matrix, row);
    double wanted = 0;
    double bound = 0;
    for (std::size_t k = 0; k < cols(); ++k) {
      wanted += exact.w[k] * x[k];
      bound += exact.size(k, x[k]) * gamma_of(roundings);
      if (GetParam().is_float) continue;
      float largest = 0;
      for (std::size_t i = k / 32 * 32; i < k / 32 * 32 + 32; ++i) {
        largest = std::max(largest, std::fabs(x[i]));
      }
      // Half a step, and on at most 127 steps the three roundings of s, 1/s and the product and the
      // two bits that s is short of.
      bound += std::fabs(exact.w[k]) * largest / 127 * (0.5 + 127 * 10 * kRounding);
    }
    ASSERT_LE(std::fabs(y[row] - wanted), bound) << row;
  }
}

// A second term leaves half a step of a half step: 254 times less.
TEST_P(Scalar, MatmulOfRefinedInputsIsFloat64sWithin254thOfWhatOneTermCosts) {
  if (GetParam().is_float) return;
  Random random(kSeed + 8);
  const test::TestMatrix matrix =
      test::make_matrix(kind(), 35, cols(), test::Weights::kRandom, random);
  std::vector<float> x(cols());
  for (float& v : x) v = random.normal();
  const std::vector<float> y = multiply(matrix.view(), x, 1, kRefineAll);
  for (std::size_t row = 0; row < matrix.rows; ++row) {
    const ExactRow exact = exact_row(matrix, row);
    double wanted = 0;
    double bound = 0;
    for (std::size_t k = 0; k < cols(); ++k) {
      wanted += exact.w[k] * x[k];
      bound += exact.size(k, x[k]) * gamma_of(6 * (cols() / 32) + 2);
      float largest = 0;
      for (std::size_t i = k / 32 * 32; i < k / 32 * 32 + 32; ++i) {
        largest = std::max(largest, std::fabs(x[i]));
      }
      bound += std::fabs(exact.w[k]) * largest / 127 / 254 * (0.5 + 127 * 10 * kRounding);
    }
    ASSERT_LE(std::fabs(y[row] - wanted), bound) << row;
  }
}

// Row g of the matrix sees group g alone, so its error tells whether the group was refined.
std::vector<std::size_t> refined_of(const std::vector<float>& x, std::size_t refined) {
  const auto groups = static_cast<std::uint32_t>(x.size() / kGroupCols);
  const auto cols = static_cast<std::uint32_t>(x.size());
  std::vector<std::byte> rows(*rows_bytes(Kind::kQ8, groups, cols));
  for (std::size_t g = 0; g < groups; ++g) {
    std::vector<float> weights(cols);
    weights[g * kGroupCols + 3] = 127;
    const std::size_t row_bytes = rows.size() / groups;
    quantise_row(Kind::kQ8, weights, std::span(rows).subspan(g * row_bytes, row_bytes));
  }
  test::Aligned panels(*panels_bytes(Kind::kQ8, groups, cols));
  pack_panel(Kind::kQ8, rows, groups, cols, {panels.data(), panels.size()});
  const Matrix w = {Kind::kQ8, groups, cols, panels.data()};
  const std::vector<float> y = multiply(w, x, 1, refined);
  std::vector<std::size_t> found;
  for (std::size_t g = 0; g < groups; ++g) {
    const double wanted = 127.0 * x[g * kGroupCols + 3];
    if (std::fabs(y[g] - wanted) < 1e-4 * std::fabs(wanted)) found.push_back(g);
  }
  return found;
}

TEST(ScalarRefined, GroupsAreTheLargestTheLowerFirstWhereTheyAreEqual) {
  using Groups = std::vector<std::size_t>;
  const float sizes[] = {1, 5, 3, 5, 0x1p-101f, 7, 5, 0.25f};
  std::vector<float> x(std::size(sizes) * kGroupCols);
  for (std::size_t g = 0; g < std::size(sizes); ++g) {
    x[g * kGroupCols] = g % 2 == 0 ? -sizes[g] : sizes[g];
    x[g * kGroupCols + 3] = sizes[g] * (60.37f / 127);  // a third of a step beside a whole one
  }
  EXPECT_EQ(refined_of(x, 0), Groups{});
  EXPECT_EQ(refined_of(x, 1), (Groups{5}));
  EXPECT_EQ(refined_of(x, 2), (Groups{1, 5}));
  EXPECT_EQ(refined_of(x, 3), (Groups{1, 3, 5}));
  EXPECT_EQ(refined_of(x, 5), (Groups{1, 2, 3, 5, 6}));
  EXPECT_EQ(refined_of(x, kRefineAll), (Groups{0, 1, 2, 3, 5, 6, 7}));  // silence is not
}

// softmax(scale * q . k) . v of one query in float64, from the f16 that were stored.
struct Reference {
  std::vector<double> y;
  std::vector<double> size;    // sum of p * |v|: what relative errors of the weights multiply
  double score_error_max = 0;  // of any score
};

Reference reference(const std::vector<float>& q, const std::vector<std::vector<float>>& keys,
                    const std::vector<std::vector<float>>& values, double scale) {
  Reference result = {std::vector<double>(values[0].size()), std::vector<double>(values[0].size()),
                      0};
  std::vector<double> scores;
  for (const std::vector<float>& key : keys) {
    double score = 0;
    double size = 0;
    for (std::size_t c = 0; c < q.size(); ++c) {
      const double k = f16_to_f32(f32_to_f16_clamped(key[c]));
      score += scale * q[c] * k;
      size += std::fabs(scale * q[c] * k);
    }
    scores.push_back(score);
    result.score_error_max = std::max(result.score_error_max, size * gamma_of(q.size() + 1));
  }
  const double m = *std::max_element(scores.begin(), scores.end());
  double sum = 0;
  for (double& score : scores) sum += score = std::exp(score - m);
  for (std::size_t j = 0; j < values.size(); ++j) {
    for (std::size_t c = 0; c < result.y.size(); ++c) {
      const double v = f16_to_f32(f32_to_f16_clamped(values[j][c]));
      result.y[c] += scores[j] / sum * v;
      result.size[c] += scores[j] / sum * std::fabs(v);
    }
  }
  return result;
}

TEST(ScalarAttention, IsSoftmaxInFloat64WithinItsRoundings) {
  Random random(kSeed + 2);
  const KvShape shape = {2, 40, 24};
  const std::uint32_t kv_head = 1;
  const std::uint32_t context = 1100;
  std::vector<test::Aligned> blocks;
  std::vector<const std::byte*> pointers;
  std::vector<std::vector<float>> keys;
  std::vector<std::vector<float>> values;
  for (std::uint32_t j = 0; j < context; ++j) {
    if (j % kKvBlockPositions == 0) blocks.emplace_back(shape.block_bytes(), 0xff);
    const std::vector<float> k = random.floats(2 * shape.key_dim);
    const std::vector<float> v = random.floats(2 * shape.value_dim);
    scalar_set().store_kv(shape, k.data(), v.data(), j, blocks.back().data());
    keys.emplace_back(k.begin() + kv_head * shape.key_dim, k.end());
    values.emplace_back(v.begin() + kv_head * shape.value_dim, v.end());
  }
  for (const test::Aligned& block : blocks) pointers.push_back(block.data());
  for (const std::uint32_t position : {0u, 1u, 17u, 511u, 512u, 1099u}) {
    std::vector<float> q = random.floats(shape.key_dim);
    const float scale = 1.5f;
    const Queries queries = {q.data(), q.size(), 1, 1, kv_head, position, scale, pointers.data()};
    std::vector<float> partials(queries.splits() * partial_floats(shape));
    test::Aligned scratch(scalar_set().attend_scratch_bytes(shape, 1));
    for (std::uint32_t s = 0; s < queries.splits(); ++s) {
      scalar_set().attend_split(shape, queries, s, &partials[s * partial_floats(shape)],
                                scratch.data());
    }
    std::vector<float> y(shape.value_dim);
    scalar_set().attend_merge(shape, queries, partials.data(), y.data(), y.size());
    const Reference wanted = reference(q, {keys.begin(), keys.begin() + position + 1},
                                       {values.begin(), values.begin() + position + 1}, scale);
    // A weight errs by its score's error and the maximum's, the difference's rounding (scores are
    // below 2^6) and exp's ulp, above and below the line; then at most a split's sums, the merges'
    // four roundings for each split, and the quotient.
    const double weight = 2 * (2 * wanted.score_error_max + 64 * kRounding + 2 * kRounding);
    const double sums =
        gamma_of(512 + 32 + 6 * queries.splits() + 2) + queries.splits() * 128 * kRounding;
    for (std::size_t c = 0; c < y.size(); ++c) {
      EXPECT_LE(std::fabs(y[c] - wanted.y[c]), wanted.size[c] * (weight + sums)) << position;
    }
  }
}

TEST(ScalarAttention, OfOnePositionIsItsValue) {
  Random random(kSeed + 3);
  const KvShape shape = {1, 8, 20};
  const std::vector<float> k = random.floats(8);
  const std::vector<float> v = random.floats(20);
  test::Aligned block(shape.block_bytes(), 0xff);
  scalar_set().store_kv(shape, k.data(), v.data(), 0, block.data());
  const std::byte* pointer = block.data();
  const std::vector<float> q = random.floats(8);
  const Queries queries = {q.data(), 8, 1, 1, 0, 0, 1.0f, &pointer};
  std::vector<float> partials(partial_floats(shape));
  test::Aligned scratch(scalar_set().attend_scratch_bytes(shape, 1));
  scalar_set().attend_split(shape, queries, 0, partials.data(), scratch.data());
  std::vector<float> y(20);
  scalar_set().attend_merge(shape, queries, partials.data(), y.data(), 20);
  for (std::size_t c = 0; c < 20; ++c) EXPECT_EQ(y[c], f16_to_f32(f32_to_f16(v[c])));
}

std::uint32_t digest(const std::vector<float>& values) {
  return crc32c(std::as_bytes(std::span(values)));
}

// Snapshots and prefixes carry kArithmeticVersion: results of old ones must stay what they were. A
// change of any of these numbers is a new version.
TEST_P(Scalar, MatmulGivesTheBitsOfVersionTwo) {
  ASSERT_EQ(kArithmeticVersion, 2u);
  Random random(kSeed + 4);
  const test::TestMatrix matrix =
      test::make_matrix(kind(), 20, GetParam().is_float ? 77 : 512, test::Weights::kRandom, random);
  std::vector<float> x(3 * matrix.cols);
  for (float& v : x) v = random.normal();
  const std::size_t refined = GetParam().is_float ? 0 : 3;
  const std::uint32_t golden[] = {0x65fc4b64, 0x5a207c87, 0xe1e92c9a, 0x57269a81, 0xa98927eb,
                                  0xc7994f06, 0x35a26d9c, 0x56946683, 0x689624bb};
  const auto index = static_cast<std::size_t>(&info(kind()) - kinds().data());
  const std::uint32_t found = digest(multiply(matrix.view(), x, 3, refined));
  EXPECT_EQ(found, golden[index]) << std::hex << "matmul 0x" << found;
}

TEST(ScalarVectors, GiveTheBitsOfVersionTwo) {
  ASSERT_EQ(kArithmeticVersion, 2u);
  Random random(kSeed + 5);
  const std::size_t n = 1003;
  std::vector<float> x(n);
  for (float& v : x) v = 8 * random.normal();
  const std::vector<float> w = random.floats(n);
  std::vector<float> norm(n);
  scalar_set().rms_norm(x.data(), w.data(), 1e-6f, n, norm.data());
  std::vector<float> silu(n);
  scalar_set().silu_mul(x.data(), w.data(), silu.data(), n);
  std::vector<float> exps(n);
  scalar_set().exp(x.data(), exps.data(), n);
  std::vector<std::uint32_t> phases(n / 2);
  for (std::uint32_t& phase : phases) phase = static_cast<std::uint32_t>(random.next());
  std::vector<float> cosine(n / 2);
  std::vector<float> sine(n / 2);
  cos_sin(phases, cosine.data(), sine.data());
  std::vector<float> turned = x;
  scalar_set().rope(turned.data(), cosine.data(), sine.data(), n / 2, true);
  const std::vector<std::uint32_t> found = {digest(norm),   digest(silu), digest(exps),
                                            digest(cosine), digest(sine), digest(turned)};
  const std::vector<std::uint32_t> golden = {0xc1c2af8c, 0x960078ae, 0xe9289f37,
                                             0xcde02b4f, 0x0a539922, 0x855b1dfa};
  EXPECT_EQ(found, golden);
}

TEST(ScalarAttention, GivesTheBitsOfVersionTwo) {
  ASSERT_EQ(kArithmeticVersion, 2u);
  Random random(kSeed + 6);
  const KvShape shape = {1, 40, 24};
  std::vector<test::Aligned> blocks;
  std::vector<const std::byte*> pointers;
  for (std::uint32_t j = 0; j < 700; ++j) {
    if (j % kKvBlockPositions == 0) blocks.emplace_back(shape.block_bytes(), 0xff);
    const std::vector<float> k = random.floats(40);
    const std::vector<float> v = random.floats(24);
    scalar_set().store_kv(shape, k.data(), v.data(), j, blocks.back().data());
  }
  for (const test::Aligned& block : blocks) pointers.push_back(block.data());
  const std::vector<float> q = random.floats(3 * 80);
  const Queries queries = {q.data(), 80, 3, 2, 0, 697, 2.0f, pointers.data()};
  const std::size_t split_floats = queries.count() * partial_floats(shape);
  std::vector<float> partials(queries.splits() * split_floats);
  test::Aligned scratch(scalar_set().attend_scratch_bytes(shape, queries.count()));
  for (std::uint32_t s = 0; s < queries.splits(); ++s) {
    scalar_set().attend_split(shape, queries, s, &partials[s * split_floats], scratch.data());
  }
  std::vector<float> y(3 * 48);
  scalar_set().attend_merge(shape, queries, partials.data(), y.data(), 48);
  const std::uint32_t golden = 0x550bc10c;
  EXPECT_EQ(digest(y), golden) << std::hex << "attend 0x" << digest(y);
}

}  // namespace
}  // namespace thaw::kernels
