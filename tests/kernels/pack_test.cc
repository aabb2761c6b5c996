#include "kernels/pack.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/random.h"
#include "checks.h"
#include "gguf_blocks.h"

namespace thaw::kernels {
namespace {

constexpr std::uint64_t kSeed = 13;

std::vector<std::byte> random_bytes(std::size_t count, Random& random) {
  std::vector<std::byte> bytes(count);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.next());
  return bytes;
}

std::size_t cols_of(Kind kind) { return info(kind).is_float ? 5 : 2 * info(kind).block_cols; }

// The panels of a matrix given in the rows layout.
test::Aligned pack(Kind kind, Bytes rows, std::size_t row_count, std::size_t cols) {
  test::Aligned panels(*panels_bytes(kind, row_count, cols), 0xee);
  const std::size_t row_bytes = rows.size() / row_count;
  const std::size_t panel_bytes = *panels_bytes(kind, kPanelRows, cols);
  for (std::size_t row = 0; row < row_count; row += kPanelRows) {
    const std::size_t count = std::min(kPanelRows, row_count - row);
    pack_panel(kind, rows.subspan(row * row_bytes, count * row_bytes), count, cols,
               {panels.data() + row / kPanelRows * panel_bytes, panel_bytes});
  }
  return panels;
}

class Pack : public testing::TestWithParam<KindInfo> {
 protected:
  Kind kind() const { return GetParam().kind; }
};

std::string kind_name(const testing::TestParamInfo<KindInfo>& at) {
  return std::string(at.param.name);
}

INSTANTIATE_TEST_SUITE_P(All, Pack, testing::ValuesIn(kinds().begin(), kinds().end()), kind_name);

TEST_P(Pack, AnyBytesComeBackForEveryCountOfRows) {
  Random random(kSeed);
  const std::size_t cols = cols_of(kind());
  for (std::size_t rows = 1; rows <= 33; ++rows) {
    const auto bytes = random_bytes(*rows_bytes(kind(), rows, cols), random);
    const test::Aligned panels = pack(kind(), bytes, rows, cols);
    const Matrix matrix = {kind(), static_cast<std::uint32_t>(rows),
                           static_cast<std::uint32_t>(cols), panels.data()};
    std::vector<std::byte> back(bytes.size() / rows);
    for (std::size_t row = 0; row < rows; ++row) {
      std::fill(back.begin(), back.end(), std::byte{0x77});
      unpack_row(matrix, row, back);
      ASSERT_EQ(std::memcmp(back.data(), bytes.data() + row * back.size(), back.size()), 0)
          << "row " << row << " of " << rows;
    }
  }
}

// Every bit of a panel that no row owns is zero, and packing writes all of it.
TEST_P(Pack, AbsentRowsAreZero) {
  const std::size_t cols = cols_of(kind());
  std::vector<std::byte> ones(*rows_bytes(kind(), 1, cols), std::byte{0xff});
  std::size_t bits = 0;
  const test::Aligned panel = pack(kind(), ones, 1, cols);
  for (std::size_t i = 0; i < panel.size(); ++i) {
    bits += static_cast<std::size_t>(std::popcount(std::to_integer<unsigned>(panel.data()[i])));
  }
  EXPECT_EQ(bits, 8 * ones.size());
  std::vector<std::byte> full(16 * ones.size(), std::byte{0xff});
  const test::Aligned whole = pack(kind(), full, 16, cols);
  EXPECT_TRUE(std::all_of(whole.data(), whole.data() + whole.size(),
                          [](std::byte byte) { return byte == std::byte{0xff}; }));
}

TEST_P(Pack, DequantisedRowsAreGgufsRoundedAsThePageSays) {
  Random random(kSeed + 1);
  const std::size_t cols = cols_of(kind());
  for (int round = 0; round < 50; ++round) {
    const auto bytes = random_bytes(*rows_bytes(kind(), 1, cols), random);
    std::vector<float> found(cols);
    dequantise_row(kind(), bytes, found);
    const std::vector<double> exact = test::gguf_row(kind(), bytes, cols);
    for (std::size_t k = 0; k < cols; ++k) {
      // Where float64 itself rounds, rounding twice could matter in a tie alone, which random
      // scales don't meet. A zero's sign is not GGUF's.
      const auto wanted = static_cast<float>(exact[k]);
      ASSERT_TRUE(found[k] == wanted || test::same(found[k], wanted)) << k << " " << exact[k];
    }
    const test::Aligned panel = pack(kind(), bytes, 1, cols);
    std::vector<float> again(cols);
    dequantise_row({kind(), 1, static_cast<std::uint32_t>(cols), panel.data()}, 0, again);
    EXPECT_EQ(test::difference(again, found), "");
  }
}

TEST_P(Pack, ARowOfAMatrixIsThatRow) {
  Random random(kSeed + 2);
  const std::size_t cols = cols_of(kind());
  const std::size_t rows = 21;
  const auto bytes = random_bytes(*rows_bytes(kind(), rows, cols), random);
  const test::Aligned panels = pack(kind(), bytes, rows, cols);
  const Matrix matrix = {kind(), rows, static_cast<std::uint32_t>(cols), panels.data()};
  for (std::size_t row = 0; row < rows; ++row) {
    std::vector<float> wanted(cols);
    std::vector<float> found(cols);
    dequantise_row(kind(), Bytes(bytes).subspan(row * bytes.size() / rows, bytes.size() / rows),
                   wanted);
    dequantise_row(matrix, row, found);
    EXPECT_EQ(test::difference(found, wanted), "") << row;
  }
}

// Where kind.h says each plane lies: a row block with one field set, and the one byte that it
// makes.
struct Place {
  Kind kind;
  const char* field;
  std::size_t row_byte;  // in the row's block
  int row_bits;
  std::size_t row;  // of the panel
  std::size_t panel_byte;
  int panel_bits;
};

TEST(PackPlaces, AreThoseOfTheSpecification) {
  const Place places[] = {
      {Kind::kQ8, "column 0", 2, 0x5a, 0, 0, 0x5a},
      {Kind::kQ8, "column 31", 33, 0x81, 15, 7 * 64 + 4 * 15 + 3, 0x81},
      {Kind::kQ8, "scale", 0, 0x12, 3, 512 + 6, 0x12},
      {Kind::kQ4, "column 5", 2 + 5, 0x0b, 2, 64 + 8 + 1, 0x0b},
      {Kind::kQ4, "column 21", 2 + 5, 0xc0, 2, 64 + 8 + 1, 0xc0},
      {Kind::kQ4, "scale, upper half", 1, 0x3c, 15, 256 + 31, 0x3c},
      {Kind::kQ4m, "column 15", 4 + 15, 0x09, 7, 3 * 64 + 28 + 3, 0x09},
      {Kind::kQ4m, "minimum", 2, 0x77, 1, 288 + 2, 0x77},
      {Kind::kQ4k, "column 37", 16 + 5, 0x30, 4, 256 + 64 + 16 + 1, 0x03},
      {Kind::kQ4k, "column 255", 16 + 127, 0xf0, 15, 7 * 256 + 3 * 64 + 63, 0xf0},
      {Kind::kQ4k, "sub-scale 1, low bits", 4 + 1, 0x0d, 3, 2112 + 16 + 3, 0x0d},
      {Kind::kQ4k, "sub-scale 1, high bits", 4 + 1, 0x20, 3, 2112 + 128 + 3, 0x20},
      {Kind::kQ4k, "sub-scale 6, high bits", 4 + 2, 0xc0, 3, 2112 + 128 + 48 + 3, 0x03},
      {Kind::kQ4k, "sub-minimum 2, low bits", 8 + 2, 0x06, 0, 2112 + 32, 0x60},
      {Kind::kQ4k, "sub-minimum 7, low bits", 12 + 3, 0xa0, 9, 2112 + 112 + 9, 0xa0},
      {Kind::kQ4k, "sub-minimum 7, high bits", 8 + 3, 0x40, 9, 2112 + 128 + 48 + 9, 0x40},
      {Kind::kQ4k, "dmin", 2, 0x11, 8, 2080 + 16, 0x11},
      {Kind::kQ5k, "column 96, fifth bit", 16 + 0, 0x08, 1, 2048 + 3 * 64 + 4, 0x01},
      {Kind::kQ5k, "column 31, fifth bit", 16 + 31, 0x01, 1, 2048 + 4 + 3, 0x80},
      {Kind::kQ5k, "column 64", 48 + 32, 0x0e, 0, 512, 0x0e},
      {Kind::kQ5k, "d", 0, 0x22, 5, 2560 + 10, 0x22},
      {Kind::kQ6k, "column 32", 32, 0x07, 0, 256, 0x07},
      {Kind::kQ6k, "column 64", 0, 0x70, 0, 512, 0x07},
      {Kind::kQ6k, "column 128 + 4, high bits", 128 + 32 + 4, 0x03, 2, 2048 + 4 * 128 + 8, 0x0c},
      {Kind::kQ6k, "column 16, high bits", 128 + 16, 0x02, 0, 2048 + 64, 0x02},
      {Kind::kQ6k, "sub-scale 9", 192 + 9, 0x80, 6, 3072 + 9 * 16 + 6, 0x80},
      {Kind::kQ6k, "scale", 208, 0x01, 14, 3328 + 28, 0x01},
      {Kind::kF16, "value", 1, 0x44, 10, 21, 0x44},
      {Kind::kF32, "value", 3, 0x3f, 10, 43, 0x3f},
  };
  for (const Place& place : places) {
    const KindInfo& facts = info(place.kind);
    std::vector<std::byte> rows(16 * facts.row_block_bytes);
    rows[place.row * facts.row_block_bytes + place.row_byte] =
        static_cast<std::byte>(place.row_bits);
    const test::Aligned panel = pack(place.kind, rows, 16, facts.block_cols);
    for (std::size_t i = 0; i < panel.size(); ++i) {
      EXPECT_EQ(std::to_integer<int>(panel.data()[i]), i == place.panel_byte ? place.panel_bits : 0)
          << facts.name << " " << place.field << " byte " << i;
    }
  }
}

}  // namespace
}  // namespace thaw::kernels
