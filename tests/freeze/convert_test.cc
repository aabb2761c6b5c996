#include "handler/freeze/convert.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/random.h"
#include "kernels/pack.h"

namespace thaw::freeze {
namespace {

using gguf::Type;
using kernels::Kind;

constexpr std::uint64_t kRows = 5;
constexpr std::uint64_t kCols = 512;

// A tensor of random blocks whose scales and minima (f16, the first bytes of a block) are sane.
struct Blocks {
  std::vector<std::byte> bytes;
  SourceTensor tensor;

  Blocks(Type type, std::uint64_t cols = kCols) {
    const gguf::TypeInfo& info = *gguf::find_type(static_cast<std::uint32_t>(type));
    Random random(7);
    bytes.resize(kRows * cols / info.block_elements * info.block_bytes);
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.below(256));
    for (std::size_t at = 0; at < bytes.size(); at += info.block_bytes) {
      store(bytes.data() + at, static_cast<std::uint16_t>(0x2000 + random.below(0x1800)));
      if (info.block_bytes < 8) continue;
      store(bytes.data() + at + 2, static_cast<std::uint16_t>(0x2000 + random.below(0x1800)));
    }
    tensor = {model::Role::kQuery, 0, "blk.0.attn_q.weight", type, kRows, cols, bytes};
  }

  std::vector<float> values() const {
    std::vector<float> out(kRows * tensor.cols);
    EXPECT_TRUE(gguf::dequantise(tensor.type, bytes, out));
    return out;
  }

  // What the weights are after conversion to `kind`.
  std::vector<float> converted(Kind kind) const {
    std::vector<std::byte> rows(*kernels::rows_bytes(kind, kRows, tensor.cols));
    std::vector<float> scratch;
    EXPECT_TRUE(convert_rows(tensor, kind, 0, kRows, rows, scratch));
    std::vector<float> out(kRows * tensor.cols);
    const std::size_t row_bytes = rows.size() / kRows;
    for (std::size_t row = 0; row < kRows; ++row) {
      kernels::dequantise_row(kind, Bytes(rows).subspan(row * row_bytes, row_bytes),
                              std::span(out).subspan(row * tensor.cols, tensor.cols));
    }
    return out;
  }
};

TEST(ChooseKind, KeepsWhatHasAnExactHome) {
  const std::pair<Type, Kind> exact[] = {
      {Type::kF32, Kind::kF32},  {Type::kF16, Kind::kF16},  {Type::kBf16, Kind::kBf16},
      {Type::kQ8_0, Kind::kQ8},  {Type::kQ4_0, Kind::kQ4},  {Type::kQ4_1, Kind::kQ4m},
      {Type::kQ4_K, Kind::kQ4k}, {Type::kQ5_K, Kind::kQ5k}, {Type::kQ6_K, Kind::kQ6k},
      {Type::kQ5_0, Kind::kQ8},  {Type::kIq4Nl, Kind::kQ8},
  };
  for (const auto& [type, kind] : exact) {
    const auto choice = choose_kind(Blocks(type).tensor, Weights::kKeep);
    ASSERT_TRUE(choice);
    EXPECT_EQ(choice->kind, kind) << static_cast<int>(type);
    EXPECT_TRUE(choice->is_exact) << static_cast<int>(type);
  }
}

TEST(ChooseKind, SaysSoWhereSomethingIsLost) {
  for (const Type type : {Type::kQ5_1, Type::kQ2_K, Type::kQ3_K, Type::kIq4Xs}) {
    const auto choice = choose_kind(Blocks(type).tensor, Weights::kKeep);
    ASSERT_TRUE(choice);
    EXPECT_FALSE(choice->is_exact) << static_cast<int>(type);
  }
}

TEST(ChooseKind, NeverAddsBitsToASmallerKind) {
  const auto choice = choose_kind(Blocks(Type::kQ4_K).tensor, Weights::kQ8);
  ASSERT_TRUE(choice);
  EXPECT_EQ(choice->kind, Kind::kQ4k);
  EXPECT_TRUE(choice->is_exact);
}

TEST(ChooseKind, KeepsEightBitsForTheEmbeddingAndTheOutput) {
  for (const auto role : {model::Role::kEmbedding, model::Role::kOutput}) {
    Blocks blocks(Type::kF16);
    blocks.tensor.role = role;
    EXPECT_EQ(choose_kind(blocks.tensor, Weights::kQ4k)->kind, Kind::kQ8);
  }
  EXPECT_EQ(choose_kind(Blocks(Type::kF16).tensor, Weights::kQ4k)->kind, Kind::kQ4k);
}

TEST(ChooseKind, TakesTheNearestThatFitsTheWidth) {
  EXPECT_EQ(choose_kind(Blocks(Type::kF16, 576).tensor, Weights::kQ4k)->kind, Kind::kQ4m);
  EXPECT_EQ(choose_kind(Blocks(Type::kF16, 40).tensor, Weights::kQ8)->kind, Kind::kF16);
}

TEST(ChooseKind, RefusesATypeItDoesNotKnow) {
  Blocks blocks(Type::kF32);
  blocks.tensor.type = static_cast<Type>(999);
  const auto choice = choose_kind(blocks.tensor, Weights::kKeep);
  ASSERT_FALSE(choice);
  EXPECT_EQ(choice.error().code, Code::kUnsupported);
}

TEST(ConvertRows, ExactKindsKeepEveryValue) {
  const std::pair<Type, Kind> exact[] = {
      {Type::kQ8_0, Kind::kQ8},  {Type::kQ4_0, Kind::kQ4},  {Type::kQ4_1, Kind::kQ4m},
      {Type::kQ4_K, Kind::kQ4k}, {Type::kQ5_K, Kind::kQ5k}, {Type::kQ5_0, Kind::kQ8},
      {Type::kIq4Nl, Kind::kQ8},
  };
  for (const auto& [type, kind] : exact) {
    const Blocks blocks(type);
    const std::vector<float> before = blocks.values();
    const std::vector<float> after = blocks.converted(kind);
    std::size_t differing = 0;
    for (std::size_t i = 0; i < before.size(); ++i) {
      // A minimum is added by one fma here and by two roundings there: a unit in the last place.
      const float allowed = kind == Kind::kQ4k || kind == Kind::kQ5k || kind == Kind::kQ4m
                                ? std::abs(before[i]) * 1e-5f + 1e-6f
                                : 0.0f;
      differing += !(std::abs(before[i] - after[i]) <= allowed) &&
                   !(std::isnan(before[i]) && std::isnan(after[i]));
    }
    EXPECT_EQ(differing, 0u) << static_cast<int>(type);
  }
}

TEST(ConvertRows, RequantisingStaysNear) {
  const Blocks blocks(Type::kQ5_1);
  const std::vector<float> before = blocks.values();
  const std::vector<float> after = blocks.converted(Kind::kQ8);
  for (std::size_t at = 0; at < before.size(); at += 32) {
    float largest = 0;
    for (std::size_t i = at; i < at + 32; ++i) largest = std::max(largest, std::abs(before[i]));
    for (std::size_t i = at; i < at + 32; ++i) {
      EXPECT_LE(std::abs(before[i] - after[i]), largest / 120) << i;
    }
  }
}

TEST(ConvertRows, NamesAWeightThatIsNotFinite) {
  std::vector<float> values(kRows * 64, 1.0f);
  values[2 * 64 + 9] = std::numeric_limits<float>::infinity();
  const SourceTensor tensor{
      model::Role::kQuery, 0, "q", Type::kF32, kRows, 64, std::as_bytes(std::span(values))};
  std::vector<std::byte> rows(*kernels::rows_bytes(Kind::kQ8, kRows, 64));
  std::vector<float> scratch;
  const auto done = convert_rows(tensor, Kind::kQ8, 0, kRows, rows, scratch);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::kCorrupt);
  EXPECT_NE(done.error().message.find("row 2, column 9"), std::string::npos);
}

}  // namespace
}  // namespace thaw::freeze
