// GGUF files, sound ones and hostile ones.
#include "snapshot/gguf/gguf.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <numeric>

#include "base/random.h"
#include "gguf_builder.h"
#include "memory_files.h"

namespace thaw::gguf {
namespace {

// What a Builder gives, opened; `file` outlives what was opened from it.
struct Opened {
  explicit Opened(const Blob& bytes) {
    files.files["m.gguf"] = bytes;
    auto result = File::open(files, "m.gguf");
    if (result) {
      file = std::move(*result);
    } else {
      error = result.error();
    }
  }
  explicit Opened(const Builder& builder) : Opened(builder.build()) {}

  MemoryFiles files;
  std::unique_ptr<File> file;
  Error error;
};

Blob data(std::size_t size) {
  Blob bytes(size);
  for (std::size_t at = 0; at < size; ++at) bytes[at] = static_cast<std::byte>(at * 7 + 1);
  return bytes;
}

Builder sound() {
  Builder builder;
  builder.text("general.architecture", "llama")
      .number("llama.block_count", std::uint32_t{2})
      .number("llama.rope.freq_base", 1e4f)
      .texts("tokenizer.ggml.tokens", {"a", "", "bc"})
      .numbers<float>("tokenizer.ggml.scores", {0.5f, -1.0f, 2.0f})
      .number("tokenizer.ggml.add_bos_token", true)
      .tensor("token_embd.weight", Type::kF32, {4, 3}, data(48))
      .tensor("blk.0.attn_q.weight", Type::kQ8_0, {64, 2}, data(136))
      .tensor("output_norm.weight", Type::kF16, {4}, data(8));
  return builder;
}

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

constexpr std::uint64_t kBig = std::uint64_t{1} << 32;
constexpr std::uint64_t kHuge = std::uint64_t{1} << 60;
constexpr std::uint64_t kAll = ~std::uint64_t{0};

// One thing wrong each.
struct Wrong {
  std::string_view what;
  Code code;
  std::function<void(Builder&)> make;
};

void expect_refused(const std::vector<Wrong>& wrongs) {
  for (const Wrong& wrong : wrongs) {
    Builder builder;
    wrong.make(builder);
    const Opened opened(builder);
    ASSERT_FALSE(opened.file) << wrong.what;
    EXPECT_EQ(opened.error.code, wrong.code) << wrong.what << ": " << opened.error.message;
    EXPECT_TRUE(opened.error.message.starts_with("open 'm.gguf': ")) << opened.error.message;
    EXPECT_EQ(opened.error.message.find('\n'), std::string::npos) << wrong.what;
    EXPECT_LT(opened.error.message.size(), 300u) << wrong.what;
  }
}

// The value of a string array that claims `count` strings of which the first claims `length`.
std::vector<std::byte> claimed_strings(std::uint64_t count, std::uint64_t length) {
  std::vector<std::byte> value;
  append(value, std::uint32_t{8});
  append(value, count);
  append(value, length);
  return value;
}

std::vector<std::byte> claimed_array(std::uint32_t element, std::uint64_t count) {
  std::vector<std::byte> value;
  append(value, element);
  append(value, count);
  append(value, std::uint64_t{0});
  return value;
}

TEST(HostileGguf, Headers) {
  expect_refused({
      {"magic", Code::kCorrupt, [](Builder& b) { b.magic ^= 1; }},
      {"version 1", Code::kUnsupported, [](Builder& b) { b.version = 1; }},
      {"version 4", Code::kUnsupported, [](Builder& b) { b.version = 4; }},
      {"version 0", Code::kUnsupported, [](Builder& b) { b.version = 0; }},
      {"big-endian", Code::kUnsupported, [](Builder& b) { b.version = 0x03000000; }},
      {"2^60 tensors", Code::kCorrupt, [](Builder& b) { b.tensor_count = kHuge; }},
      {"2^64 - 1 tensors", Code::kCorrupt, [](Builder& b) { b.tensor_count = kAll; }},
      {"a tensor too many", Code::kCorrupt,
       [](Builder& b) { b.tensor("a", Type::kI8, {64}, data(64)).tensor_count = 2; }},
      {"2^60 keys", Code::kCorrupt, [](Builder& b) { b.key_count = kHuge; }},
      {"2^64 - 1 keys", Code::kCorrupt, [](Builder& b) { b.key_count = kAll; }},
      {"a key too many", Code::kCorrupt,
       [](Builder& b) { b.text("a", std::string(50, 'x')).key_count = 2; }},
  });
}

TEST(HostileGguf, Keys) {
  const auto one = [](std::uint8_t value) { return std::vector<std::byte>{std::byte{value}}; };
  expect_refused({
      {"key without name", Code::kCorrupt, [](Builder& b) { b.text("", "no name here"); }},
      {"key too long", Code::kCorrupt, [](Builder& b) { b.text(std::string(65536, 'k'), "x"); }},
      {"key twice", Code::kCorrupt, [](Builder& b) { b.text("a", "1").text("a", "2"); }},
      {"type 13", Code::kCorrupt, [=](Builder& b) { b.raw("a", 13, one(0)); }},
      {"type 2^32 - 1", Code::kCorrupt, [=](Builder& b) { b.raw("a", ~0u, one(0)); }},
      {"truth of 2", Code::kCorrupt, [=](Builder& b) { b.raw("a", 7, one(2)); }},
      {"string of 2^60", Code::kCorrupt,
       [](Builder& b) {
         std::vector<std::byte> value;
         append(value, kHuge);
         b.raw("a", 8, value);
       }},
      {"string past the end", Code::kCorrupt,
       [](Builder& b) {
         std::vector<std::byte> value;
         append(value, std::uint64_t{3});
         append(value, std::uint16_t{0});
         b.raw("a", 8, value);
       }},
  });
}

TEST(HostileGguf, Arrays) {
  expect_refused({
      {"array of type 13", Code::kCorrupt, [](Builder& b) { b.raw("a", 9, claimed_array(13, 1)); }},
      {"empty array of type 99", Code::kCorrupt,
       [](Builder& b) { b.raw("a", 9, claimed_array(99, 0)); }},
      {"array of 2^60 bytes", Code::kCorrupt,
       [](Builder& b) { b.raw("a", 9, claimed_array(0, kHuge)); }},
      {"array of 2^61 doubles", Code::kCorrupt,  // 2^64 bytes: 0, if the product wrapped
       [](Builder& b) { b.raw("a", 9, claimed_array(12, kHuge * 2)); }},
      {"array of 2^60 arrays", Code::kCorrupt,
       [](Builder& b) { b.raw("a", 9, claimed_array(9, kHuge)); }},
      {"array of 2^60 strings", Code::kCorrupt,
       [](Builder& b) { b.raw("a", 9, claimed_strings(kHuge, 0)); }},
      {"array of a string of 2^64 - 1", Code::kCorrupt,
       [](Builder& b) { b.raw("a", 9, claimed_strings(1, kAll)); }},
      {"array with a truth of 2", Code::kCorrupt,
       [](Builder& b) {
         std::vector<std::byte> value;
         append(value, std::uint32_t{7});
         append(value, std::uint64_t{2});
         append(value, std::uint16_t{0x0201});
         b.raw("a", 9, value);
       }},
  });
}

TEST(HostileGguf, Alignments) {
  expect_refused({
      {"0", Code::kCorrupt, [](Builder& b) { b.number("general.alignment", 0u); }},
      {"24", Code::kCorrupt, [](Builder& b) { b.number("general.alignment", 24u); }},
      {"text", Code::kCorrupt, [](Builder& b) { b.text("general.alignment", "32"); }},
      {"u64", Code::kCorrupt, [](Builder& b) { b.number("general.alignment", std::uint64_t{32}); }},
      {"past the file", Code::kCorrupt,
       [](Builder& b) {
         b.number("general.alignment", 0x80000000u).tensor("a", Type::kI8, {1}, data(1));
       }},
  });
}

TEST(HostileGguf, Tensors) {
  expect_refused({
      {"no name", Code::kCorrupt, [](Builder& b) { b.tensor("", Type::kI8, {64}, data(64)); }},
      {"twice", Code::kCorrupt,
       [](Builder& b) {
         b.tensor("a", Type::kI8, {32}, data(32)).tensor("a", Type::kI8, {32}, data(32));
       }},
      {"five dimensions", Code::kCorrupt,
       [](Builder& b) {
         b.tensor("a", Type::kI8, {1, 1, 1, 1, 1}, data(1));
       }},
      {"no elements", Code::kCorrupt,
       [](Builder& b) {
         b.tensor("a", Type::kI8, {4, 0}, data(64));
       }},
      {"type 4, which is no more", Code::kUnsupported,
       [](Builder& b) { b.tensor("a", 4, {32}, data(64)); }},
      {"type 1000", Code::kUnsupported, [](Builder& b) { b.tensor("a", 1000, {32}, data(64)); }},
      {"half a block", Code::kCorrupt,
       [](Builder& b) {
         b.tensor("a", Type::kQ4_0, {48, 2}, data(54));
       }},
      {"scalar of blocks", Code::kCorrupt,
       [](Builder& b) { b.tensor("a", Type::kQ4_0, {}, data(18)); }},
      {"2^64 elements", Code::kCorrupt,
       [](Builder& b) {
         b.tensor("a", Type::kI8, {kBig, kBig}, data(64));
       }},
      {"2^96 elements", Code::kCorrupt,
       [](Builder& b) {
         b.tensor("a", Type::kI8, {kBig, kBig, kBig}, data(64));
       }},
      {"2^64 bytes", Code::kCorrupt,
       [](Builder& b) {
         b.tensor("a", Type::kF64, {kBig, kBig / 8}, data(64));
       }},
      {"2^63 bytes", Code::kCorrupt,
       [](Builder& b) {
         b.tensor("a", Type::kF32, {kBig, kBig / 8}, data(64));
       }},
      {"past the end", Code::kCorrupt,
       [](Builder& b) { b.tensor("a", Type::kI8, {65}, data(64)); }},
      {"offset unaligned", Code::kCorrupt,
       [](Builder& b) { b.tensor("a", Type::kI8, {8}, data(64), 8); }},
      {"offset at the end", Code::kCorrupt,
       [](Builder& b) { b.tensor("a", Type::kI8, {8}, data(64), 64); }},
      {"offset past the end", Code::kCorrupt,
       [](Builder& b) { b.tensor("a", Type::kI8, {8}, data(64), kBig); }},
      {"offset near 2^64", Code::kCorrupt,
       [](Builder& b) { b.tensor("a", Type::kI8, {64}, data(64), ~std::uint64_t{0} - 31); }},
      {"same place", Code::kCorrupt,
       [](Builder& b) {
         b.tensor("a", Type::kI8, {32}, data(32)).tensor("b", Type::kI8, {1}, data(32), 0);
       }},
      {"overlap by a byte", Code::kCorrupt,
       [](Builder& b) {
         b.tensor("b", Type::kI8, {32}, data(32), 32).tensor("a", Type::kI8, {33}, data(32), 0);
       }},
      {"name with a terminal's escape", Code::kUnsupported,
       [](Builder& b) { b.tensor("\x1b[2J\n" + std::string(5000, 'x'), 1000, {32}, data(64)); }},
  });
}

// Reads all that a File lends out.
std::size_t read_everything(const File& file) {
  std::size_t sum = 0;
  for (const char* key : {"general.architecture", "llama.block_count", "llama.rope.freq_base",
                          "tokenizer.ggml.tokens", "tokenizer.ggml.scores",
                          "tokenizer.ggml.add_bos_token", "general.alignment"}) {
    sum += file.has(key) ? 1 : 0;
    sum += file.integer(key).value_or(0);
    sum += file.boolean(key).value_or(false) ? 1 : 0;
    sum += file.number(key).has_value() ? 1 : 0;
    sum += file.text(key).value_or("").size();
    if (const auto texts = file.texts(key)) {
      for (const auto text : *texts) sum += text.size();
    }
    if (const auto numbers = file.numbers(key)) sum += numbers->size();
    if (const auto integers = file.integers(key)) sum += integers->size();
  }
  for (const Tensor& tensor : file.tensors()) {
    for (const std::byte byte : tensor.bytes) sum += static_cast<std::size_t>(byte);
    sum += file.find(tensor.name)->rows();
  }
  return sum;
}

TEST(HostileGguf, EveryCutOfASoundFileIsRefused) {
  const Blob whole = sound().build();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const Opened opened(Blob(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)));
    ASSERT_FALSE(opened.file) << size;
    ASSERT_EQ(opened.error.code, Code::kCorrupt) << size << ": " << opened.error.message;
  }
  EXPECT_TRUE(Opened(whole).file);
}

TEST(HostileGguf, EveryFlippedBitIsRefusedOrReadWithinBounds) {
  Blob file = sound().build();
  std::size_t refused = 0;
  std::size_t sum = 0;
  for (std::size_t at = 0; at < file.size(); ++at) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      const auto flip = static_cast<std::byte>(1u << bit);
      file[at] ^= flip;
      const Opened opened(file);
      if (opened.file) {
        sum += read_everything(*opened.file);  // under asan, a read out of bounds ends the program
      } else {
        ++refused;
      }
      file[at] ^= flip;
    }
  }
  EXPECT_GT(sum, 0u);
  EXPECT_GT(refused, 24u * 8);  // header and structure; a flip in names, values and data is valid
}

TEST(HostileGguf, RandomlyOverwrittenFilesAreRefusedOrReadWithinBounds) {
  constexpr std::uint64_t kSeed = 21;
  Random random(kSeed);
  const Blob whole = sound().build();
  for (int round = 0; round < 20'000; ++round) {
    Blob file = whole;
    for (std::uint64_t edits = 1 + random.below(4); edits > 0; --edits) {
      // Mostly whole numbers, small or huge: what counts and lengths are made of.
      const std::size_t at = random.below(file.size() - 8);
      const std::uint64_t value = random.next() >> random.below(64);
      std::memcpy(&file[at], &value, random.below(2) == 0 ? 8 : 4);
    }
    const Opened opened(file);
    if (opened.file) read_everything(*opened.file);
  }
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
