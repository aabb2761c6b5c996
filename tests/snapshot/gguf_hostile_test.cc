// GGUF files that are wrong in one place each, cut short, or overwritten at random.
#include <gtest/gtest.h>

#include <functional>

#include "base/random.h"
#include "gguf_samples.h"

namespace thaw::gguf {
namespace {

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

}  // namespace
}  // namespace thaw::gguf
