// Sound GGUF files, and all that can be asked of them.
#include "snapshot/gguf/gguf.h"

#include <gtest/gtest.h>

#include <limits>

#include "gguf_samples.h"

namespace thaw::gguf {
namespace {

TEST(Gguf, ReadsKeysOfEveryType) {
  Builder builder;
  builder.number("u8", std::uint8_t{200})
      .number("i8", std::int8_t{-3})
      .number("u16", std::uint16_t{60000})
      .number("i16", std::int16_t{-300})
      .number("u32", std::uint32_t{4'000'000'000})
      .number("i32", std::int32_t{-70000})
      .number("u64", std::uint64_t{1} << 63)
      .number("i64", std::int64_t{1} << 40)
      .number("f32", 0.25f)
      .number("f64", 1e300)
      .number("yes", true)
      .number("no", false)
      .text("text", "hello")
      .text("empty", "");
  Opened opened(builder);
  ASSERT_TRUE(opened.file) << opened.error.message;
  const File& file = *opened.file;
  EXPECT_EQ(file.integer("u8"), 200u);
  EXPECT_EQ(file.integer("u16"), 60000u);
  EXPECT_EQ(file.integer("u32"), 4'000'000'000u);
  EXPECT_EQ(file.integer("u64"), std::uint64_t{1} << 63);
  EXPECT_EQ(file.integer("i64"), std::uint64_t{1} << 40);
  for (const char* key : {"i8", "i16", "i32", "f32", "f64", "yes", "text", "absent"}) {
    EXPECT_FALSE(file.integer(key)) << key;  // negative, or no integer
  }
  EXPECT_EQ(file.number("f32"), 0.25);
  EXPECT_EQ(file.number("f64"), 1e300);
  EXPECT_EQ(file.number("i8"), -3.0);
  EXPECT_EQ(file.number("i16"), -300.0);
  EXPECT_EQ(file.number("i32"), -70000.0);
  EXPECT_FALSE(file.number("text"));
  EXPECT_FALSE(file.number("yes"));
  EXPECT_EQ(file.boolean("yes"), true);
  EXPECT_EQ(file.boolean("no"), false);
  EXPECT_FALSE(file.boolean("u8"));
  EXPECT_EQ(file.text("text"), "hello");
  EXPECT_EQ(file.text("empty"), "");
  EXPECT_FALSE(file.text("u8"));
  EXPECT_TRUE(file.has("no"));
  EXPECT_FALSE(file.has("absent"));
  EXPECT_FALSE(file.has(""));
  EXPECT_EQ(file.path(), "m.gguf");
  EXPECT_TRUE(file.tensors().empty());
}

TEST(Gguf, ReadsArraysOfEveryType) {
  Builder builder;
  builder.numbers<std::uint8_t>("u8", {0, 255})
      .numbers<std::int8_t>("i8", {-128, 127})
      .numbers<std::uint16_t>("u16", {65535})
      .numbers<std::int16_t>("i16", {-32768})
      .numbers<std::uint32_t>("u32", {1, 4'000'000'000})
      .numbers<std::int32_t>("i32", {-5, 6})
      .numbers<std::uint64_t>("u64", {7})
      .numbers<std::uint64_t>("huge", {7, std::uint64_t{1} << 63})
      .numbers<std::int64_t>("i64", {std::numeric_limits<std::int64_t>::min()})
      .numbers<float>("f32", {1.5f, -2.5f})
      .numbers<double>("f64", {0.125})
      .numbers<bool>("bool", {true, false})
      .numbers<float>("none", {})
      .texts("texts", {"x", "", "yz"})
      .texts("no texts", {});
  Opened opened(builder);
  ASSERT_TRUE(opened.file) << opened.error.message;
  const File& file = *opened.file;
  using Integers = std::vector<std::int64_t>;
  using Numbers = std::vector<float>;
  EXPECT_EQ(file.integers("u8"), (Integers{0, 255}));
  EXPECT_EQ(file.integers("i8"), (Integers{-128, 127}));
  EXPECT_EQ(file.integers("u16"), (Integers{65535}));
  EXPECT_EQ(file.integers("i16"), (Integers{-32768}));
  EXPECT_EQ(file.integers("u32"), (Integers{1, 4'000'000'000}));
  EXPECT_EQ(file.integers("i32"), (Integers{-5, 6}));
  EXPECT_EQ(file.integers("u64"), (Integers{7}));
  EXPECT_FALSE(file.integers("huge"));
  EXPECT_EQ(file.integers("i64"), (Integers{std::numeric_limits<std::int64_t>::min()}));
  EXPECT_FALSE(file.integers("f32"));
  EXPECT_FALSE(file.integers("bool"));
  EXPECT_FALSE(file.integers("texts"));
  EXPECT_EQ(file.numbers("f32"), (Numbers{1.5f, -2.5f}));
  EXPECT_EQ(file.numbers("f64"), (Numbers{0.125f}));
  EXPECT_EQ(file.numbers("i32"), (Numbers{-5, 6}));
  EXPECT_EQ(file.numbers("none"), Numbers{});
  EXPECT_FALSE(file.numbers("texts"));
  EXPECT_FALSE(file.numbers("absent"));
  EXPECT_EQ(file.texts("texts"), (std::vector<std::string_view>{"x", "", "yz"}));
  EXPECT_EQ(file.texts("no texts"), std::vector<std::string_view>{});
  EXPECT_FALSE(file.texts("f32"));
  EXPECT_FALSE(file.text("texts"));
  EXPECT_FALSE(file.integer("u64"));  // an array is no number
  EXPECT_FALSE(file.number("f64"));
}

TEST(Gguf, ReadsTensorsWhereTheyLie) {
  Opened opened(sound());
  ASSERT_TRUE(opened.file) << opened.error.message;
  const auto tensors = opened.file->tensors();
  ASSERT_EQ(tensors.size(), 3u);
  EXPECT_EQ(tensors[0].name, "token_embd.weight");
  EXPECT_EQ(tensors[0].type, Type::kF32);
  EXPECT_EQ(tensors[0].shape, (std::vector<std::uint64_t>{4, 3}));
  EXPECT_EQ(tensors[0].cols(), 4u);
  EXPECT_EQ(tensors[0].rows(), 3u);
  EXPECT_TRUE(std::ranges::equal(tensors[0].bytes, data(48)));
  EXPECT_TRUE(std::ranges::equal(tensors[1].bytes, data(136)));
  EXPECT_EQ(tensors[2].rows(), 1u);
  EXPECT_TRUE(std::ranges::equal(tensors[2].bytes, data(8)));
  for (const Tensor& tensor : tensors) EXPECT_EQ(opened.file->find(tensor.name), &tensor);
  EXPECT_EQ(opened.file->find("token_embd"), nullptr);
  EXPECT_EQ(opened.file->find("zzz"), nullptr);
}

TEST(Gguf, ReadsScalarsAndFourDimensionsAndAnyOrder) {
  Builder builder;
  builder.tensor("scalar", Type::kF32, {}, data(4))
      .tensor("four", Type::kQ4_0, {32, 3, 5, 7}, data(18 * 105))
      .tensor("first", Type::kI8, {3}, data(3));
  Opened opened(builder);
  ASSERT_TRUE(opened.file) << opened.error.message;
  EXPECT_EQ(opened.file->find("scalar")->cols(), 1u);
  EXPECT_EQ(opened.file->find("scalar")->rows(), 1u);
  EXPECT_EQ(opened.file->find("four")->rows(), 105u);
  EXPECT_EQ(opened.file->find("four")->bytes.size(), 18u * 105);
  // Data may lie in another order than the tensors are listed in.
  Builder swapped;
  swapped.tensor("b", Type::kI8, {32}, data(32), 32).tensor("a", Type::kI8, {32}, data(32), 0);
  EXPECT_TRUE(Opened(swapped).file);
}

TEST(Gguf, VersionTwoReadsAsThreeAndAnyAlignmentHolds) {
  Builder builder = sound();
  builder.version = 2;
  EXPECT_TRUE(Opened(builder).file);
  for (const std::uint32_t alignment : {1u, 8u, 64u, 4096u}) {
    Builder aligned;
    aligned.alignment(alignment)
        .tensor("a", Type::kI8, {3}, data(3))
        .tensor("b", Type::kF32, {1}, data(4));
    Opened opened(aligned);
    ASSERT_TRUE(opened.file) << alignment << ": " << opened.error.message;
    EXPECT_TRUE(std::ranges::equal(opened.file->find("b")->bytes, data(4)));
  }
}

TEST(Gguf, NestedArraysArePassedOverToALimit) {
  const auto nested = [](unsigned depth) {
    std::vector<std::byte> value;
    for (unsigned level = 1; level < depth; ++level) {
      append(value, std::uint32_t{9});
      append(value, std::uint64_t{1});
    }
    append(value, std::uint32_t{0});
    append(value, std::uint64_t{2});
    append(value, std::uint16_t{0});
    Builder builder;
    builder.raw("nested", 9, value).text("after", "here");
    return builder;
  };
  Opened four(nested(4));
  ASSERT_TRUE(four.file) << four.error.message;
  EXPECT_EQ(four.file->text("after"), "here");
  EXPECT_FALSE(four.file->integers("nested"));
  EXPECT_TRUE(four.file->has("nested"));
  for (const unsigned depth : {5u, 100u, 100'000u}) {
    EXPECT_EQ(Opened(nested(depth)).error.code, Code::kUnsupported) << depth;
  }
}

TEST(Gguf, AnAbsentFileIsNotFound) {
  MemoryFiles files;
  EXPECT_EQ(File::open(files, "none").error().code, Code::kNotFound);
}

TEST(Gguf, KnowsTheBlocksOfEveryType) {
  std::size_t known = 0;
  for (std::uint32_t number = 0; number < 100; ++number) {
    const TypeInfo* const info = find_type(number);
    if (info == nullptr) continue;
    ++known;
    EXPECT_EQ(static_cast<std::uint32_t>(info->type), number);
    EXPECT_FALSE(info->name.empty());
  }
  EXPECT_EQ(known, 32u);
  EXPECT_EQ(find_type(12)->name, "Q4_K");
  EXPECT_EQ(find_type(12)->block_elements, 256u);
  EXPECT_EQ(find_type(12)->block_bytes, 144u);
  EXPECT_EQ(find_type(5), nullptr);
}

}  // namespace
}  // namespace thaw::gguf
