// Single safetensors files, sound and hostile.
#include "snapshot/safetensors/safetensors.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/random.h"
#include "safetensors_builder.h"

namespace thaw::safetensors {
namespace {

constexpr std::string_view kSound =
    R"({"__metadata__":{"format":"pt"},)"
    R"("b":{"dtype":"BF16","shape":[2,3],"data_offsets":[8,20]},)"
    R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
    R"("none":{"dtype":"I64","shape":[0,4],"data_offsets":[20,20]},)"
    R"("one":{"dtype":"U8","shape":[],"data_offsets":[20,21]}}   )";

Result<std::unique_ptr<Model>> open_single(MemoryFiles& files, const Blob& file) {
  files.files["d/model.safetensors"] = file;
  return Model::open(files, "d");
}

// How a single file of this header and so much data is refused; nothing where it is not.
std::optional<Error> refused(std::string_view header, std::size_t data_bytes) {
  MemoryFiles files;
  const auto model = open_single(files, file_of(header, data_bytes));
  return model ? std::nullopt : std::optional(model.error());
}

TEST(Safetensors, ReadsTensorsSortedByName) {
  MemoryFiles files;
  const auto model = open_single(files, file_of(kSound, 21));
  ASSERT_TRUE(model) << model.error().message;
  const auto tensors = (*model)->tensors();
  ASSERT_EQ(tensors.size(), 4u);
  EXPECT_EQ(tensors[0].name, "a");
  EXPECT_EQ(tensors[0].type, Type::kF32);
  EXPECT_EQ(tensors[0].shape, std::vector<std::uint64_t>{2});
  EXPECT_EQ(tensors[0].bytes.size(), 8u);
  EXPECT_EQ(tensors[0].bytes[7], std::byte{7});
  EXPECT_EQ(tensors[1].name, "b");
  EXPECT_EQ(tensors[1].type, Type::kBf16);
  EXPECT_EQ(tensors[1].shape, (std::vector<std::uint64_t>{2, 3}));
  EXPECT_EQ(tensors[1].bytes.size(), 12u);
  EXPECT_EQ(tensors[1].bytes[0], std::byte{8});
  EXPECT_EQ(tensors[2].name, "none");
  EXPECT_TRUE(tensors[2].bytes.empty());
  EXPECT_EQ(tensors[3].name, "one");
  EXPECT_TRUE(tensors[3].shape.empty());
  EXPECT_EQ(tensors[3].bytes[0], std::byte{20});
  for (const Tensor& tensor : tensors) EXPECT_EQ((*model)->find(tensor.name), &tensor);
  EXPECT_EQ((*model)->find("c"), nullptr);
  EXPECT_EQ((*model)->find("__metadata__"), nullptr);
}

TEST(Safetensors, ReadsEveryTypeAtItsSize) {
  struct Known {
    std::string_view name;
    Type type;
    std::size_t bytes;
  };
  constexpr Known kKnown[] = {
      {"F32", Type::kF32, 4},        {"F16", Type::kF16, 2},        {"BF16", Type::kBf16, 2},
      {"F64", Type::kF64, 8},        {"I64", Type::kI64, 8},        {"I32", Type::kI32, 4},
      {"I16", Type::kI16, 2},        {"I8", Type::kI8, 1},          {"U8", Type::kU8, 1},
      {"BOOL", Type::kBool, 1},      {"F8_E4M3", Type::kF8E4m3, 1}, {"F8_E5M2", Type::kF8E5m2, 1},
      {"F8_E8M0", Type::kF8E8m0, 1}, {"U16", Type::kU16, 2},        {"U32", Type::kU32, 4},
      {"U64", Type::kU64, 8},
  };
  for (const Known& known : kKnown) {
    EXPECT_EQ(name_of(known.type), known.name);
    EXPECT_EQ(element_bytes(known.type), known.bytes);
    MemoryFiles files;
    const auto model = open_single(
        files, file_of(cat(R"({"t":{"dtype":")", known.name, R"(","shape":[3],"data_offsets":[0,)",
                           3 * known.bytes, "]}}"),
                       3 * known.bytes));
    ASSERT_TRUE(model) << model.error().message;
    EXPECT_EQ((*model)->tensors()[0].type, known.type);
  }
}

TEST(Safetensors, AnEmptyModelAndNamesWithEscapesAreSound) {
  EXPECT_FALSE(refused("{}", 0));
  EXPECT_FALSE(refused(R"({"__metadata__":{}})", 0));
  MemoryFiles files;
  const auto model = open_single(
      files,
      file_of("{\"\\u00e9\\n\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1));
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_NE((*model)->find("\u00e9\n"), nullptr);
}

struct Wrong {
  std::string_view what;
  Code code;
  std::string header;
  std::size_t data_bytes;
};

void expect_refused(const std::vector<Wrong>& wrongs) {
  for (const Wrong& wrong : wrongs) {
    const auto error = refused(wrong.header, wrong.data_bytes);
    ASSERT_TRUE(error) << wrong.what;
    EXPECT_EQ(error->code, wrong.code) << wrong.what << ": " << error->message;
    EXPECT_TRUE(error->message.starts_with("open 'd/model.safetensors': ")) << error->message;
    EXPECT_EQ(error->message.find('\n'), std::string::npos) << wrong.what;
    EXPECT_LT(error->message.size(), 300u) << wrong.what;
  }
}

TEST(HostileSafetensors, Headers) {
  const std::string good = tensor("a", "U8", "[4]", "[0,4]");
  expect_refused({
      {"empty", Code::kCorrupt, "", 0},
      {"space in front", Code::kCorrupt, " {}", 0},
      {"byte order mark", Code::kCorrupt, "\xef\xbb\xbf{}", 0},
      {"array", Code::kCorrupt, "[]", 0},
      {"no end", Code::kCorrupt, "{", 0},
      {"junk after the end", Code::kCorrupt, "{}x", 0},
      {"two documents", Code::kCorrupt, "{}{}", 0},
      {"zeros after the end", Code::kCorrupt, std::string("{}\0\0", 4), 0},
      {"comment", Code::kCorrupt, "{/**/}", 0},
      {"no UTF-8", Code::kCorrupt, "{\"\xff\":1}", 0},
      {"tensor is a number", Code::kCorrupt, R"({"a":1})", 0},
      {"tensor is null", Code::kCorrupt, R"({"a":null})", 0},
      {"tensor is text", Code::kCorrupt, R"({"a":"x"})", 0},
      {"tensor is an array", Code::kCorrupt, R"({"a":[]})", 0},
      {"tensor twice", Code::kCorrupt, cat('{', good, ',', tensor("a", "U8", "[4]", "[4,8]"), '}'),
       8},
      {"tensor twice, at one place", Code::kCorrupt, cat('{', good, ',', good, '}'), 4},
      {"metadata twice", Code::kCorrupt, R"({"__metadata__":{},"__metadata__":{}})", 0},
      {"metadata key twice", Code::kCorrupt, R"({"__metadata__":{"x":"1","x":"2"}})", 0},
      {"metadata of a number", Code::kCorrupt, R"({"__metadata__":{"x":1}})", 0},
      {"metadata of an object", Code::kCorrupt, R"({"__metadata__":{"x":{}}})", 0},
      {"metadata is text", Code::kCorrupt, R"({"__metadata__":"x"})", 0},
      {"deep", Code::kCorrupt, cat(R"({"a":)", std::string(100'000, '[')), 0},
  });
}

TEST(HostileSafetensors, Fields) {
  expect_refused({
      {"no dtype", Code::kCorrupt, R"({"a":{"shape":[4],"data_offsets":[0,4]}})", 4},
      {"no shape", Code::kCorrupt, R"({"a":{"dtype":"U8","data_offsets":[0,4]}})", 4},
      {"no offsets", Code::kCorrupt, R"({"a":{"dtype":"U8","shape":[4]}})", 4},
      {"nothing", Code::kCorrupt, R"({"a":{}})", 0},
      {"dtype twice", Code::kCorrupt,
       R"({"a":{"dtype":"U8","dtype":"U8","shape":[4],"data_offsets":[0,4]}})", 4},
      {"another key", Code::kCorrupt,
       R"({"a":{"dtype":"U8","x":1,"shape":[4],"data_offsets":[0,4]}})", 4},
      {"dtype is a number", Code::kCorrupt, R"({"a":{"dtype":1}})", 4},
      {"dtype is an array", Code::kCorrupt, R"({"a":{"dtype":["U8"]}})", 4},
      {"shape is a number", Code::kCorrupt, R"({"a":{"shape":4}})", 4},
      {"shape is text", Code::kCorrupt, R"({"a":{"shape":"4"}})", 4},
      {"shape is an object", Code::kCorrupt, R"({"a":{"shape":{}}})", 4},
      {"type F4", Code::kUnsupported, cat('{', tensor("a", "F4", "[4]", "[0,2]"), '}'), 2},
      {"type in small letters", Code::kUnsupported,
       cat('{', tensor("a", "u8", "[4]", "[0,4]"), '}'), 4},
      {"negative extent", Code::kCorrupt, cat('{', tensor("a", "U8", "[-4]", "[0,4]"), '}'), 4},
      {"fraction of an extent", Code::kCorrupt, cat('{', tensor("a", "U8", "[4.0]", "[0,4]"), '}'),
       4},
      {"extent of 2^64", Code::kCorrupt,
       cat('{', tensor("a", "U8", "[18446744073709551616]", "[0,4]"), '}'), 4},
      {"extent is null", Code::kCorrupt, cat('{', tensor("a", "U8", "[null]", "[0,4]"), '}'), 4},
      {"extent is true", Code::kCorrupt, cat('{', tensor("a", "U8", "[true]", "[0,4]"), '}'), 4},
      {"extent is an array", Code::kCorrupt, cat('{', tensor("a", "U8", "[[4]]", "[0,4]"), '}'), 4},
      {"17 dimensions", Code::kLimit,
       cat('{', tensor("a", "U8", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", "[0,1]"), '}'), 1},
  });
}

TEST(HostileSafetensors, Offsets) {
  const auto one = [](std::string_view type, std::string_view shape, std::string_view offsets) {
    return cat('{', tensor("a", type, shape, offsets), '}');
  };
  const auto two = [](std::string_view first, std::string_view second) {
    return cat('{', tensor("a", "U8", "[4]", first), ',', tensor("b", "U8", "[4]", second), '}');
  };
  expect_refused({
      {"one offset", Code::kCorrupt, one("U8", "[4]", "[0]"), 4},
      {"three offsets", Code::kCorrupt, one("U8", "[4]", "[0,4,8]"), 4},
      {"end before begin", Code::kCorrupt, one("U8", "[4]", "[4,0]"), 4},
      {"too few bytes", Code::kCorrupt, one("F32", "[2]", "[0,4]"), 4},
      {"too many bytes", Code::kCorrupt, one("U8", "[2]", "[0,4]"), 4},
      {"past the end", Code::kCorrupt, one("U8", "[4]", "[0,4]"), 3},
      {"data left over", Code::kCorrupt, one("U8", "[4]", "[0,4]"), 5},
      {"data and no tensor", Code::kCorrupt, "{}", 1},
      {"hole in front", Code::kCorrupt, one("U8", "[4]", "[1,5]"), 5},
      {"hole between", Code::kCorrupt, two("[0,4]", "[5,9]"), 9},
      {"overlap", Code::kCorrupt, two("[0,4]", "[3,7]"), 7},
      {"same place", Code::kCorrupt, two("[0,4]", "[0,4]"), 4},
      {"size wraps to 0", Code::kCorrupt, one("F32", "[4611686018427387904]", "[0,0]"), 0},
      {"shape wraps to 0", Code::kCorrupt, one("U8", "[4294967296,4294967296]", "[0,0]"), 0},
      {"shape wraps, then 0", Code::kCorrupt, one("U8", "[4294967296,4294967296,0]", "[0,0]"), 0},
      {"2^64 - 1", Code::kCorrupt, one("U8", "[18446744073709551615]", "[0,18446744073709551615]"),
       4},
  });
}

TEST(HostileSafetensors, HeaderLengths) {
  const auto code = [](std::uint64_t length, std::size_t size) {
    Blob file = file_of("{}", 0);
    file.resize(size);
    store(file.data(), length);
    MemoryFiles files;
    const auto model = open_single(files, file);
    return model ? std::nullopt : std::optional(model.error().code);
  };
  EXPECT_EQ(code(2, 10), std::nullopt);
  EXPECT_EQ(code(3, 10), Code::kCorrupt);
  EXPECT_EQ(code(1, 10), Code::kCorrupt);
  EXPECT_EQ(code(0, 10), Code::kCorrupt);
  EXPECT_EQ(code(kHeaderBytesMax, 10), Code::kCorrupt);
  EXPECT_EQ(code(kHeaderBytesMax + 1, 10), Code::kLimit);
  EXPECT_EQ(code(~std::uint64_t{0}, 10), Code::kLimit);
}

TEST(HostileSafetensors, EveryCutOfASoundFileIsRefused) {
  const Blob whole = file_of(kSound, 21);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    MemoryFiles files;
    const auto model =
        open_single(files, Blob(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)));
    ASSERT_FALSE(model) << size;
    ASSERT_EQ(model.error().code, Code::kCorrupt) << size;
  }
}

TEST(HostileSafetensors, EveryFlippedBitIsRefusedOrReadWithinBounds) {
  Blob file = file_of(kSound, 21);
  std::size_t refusals = 0;
  std::size_t sum = 0;
  for (std::size_t at = 0; at < file.size(); ++at) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      const auto flip = static_cast<std::byte>(1u << bit);
      file[at] ^= flip;
      MemoryFiles files;
      const auto model = open_single(files, file);
      refusals += model ? 0 : 1;
      if (model) {
        for (const Tensor& found : (*model)->tensors()) {
          for (const std::byte byte : found.bytes) sum += static_cast<std::size_t>(byte);
        }
      }
      file[at] ^= flip;
    }
  }
  EXPECT_GT(sum, 0u);
  EXPECT_GT(refusals, kSound.size() * 4);  // most of a header is structure
}

TEST(HostileSafetensors, RandomlyOverwrittenFilesAreRefusedOrReadWithinBounds) {
  constexpr std::uint64_t kSeed = 41;
  Random random(kSeed);
  const Blob whole = file_of(kSound, 21);
  constexpr std::string_view kLetters = "{}[]\",:0123456789-.eE\\u truefalsn";
  for (int round = 0; round < 20'000; ++round) {
    Blob file = whole;
    for (std::uint64_t edits = 1 + random.below(4); edits > 0; --edits) {
      file[random.below(file.size())] =
          static_cast<std::byte>(kLetters[random.below(kLetters.size())]);
    }
    MemoryFiles files;
    const auto model = open_single(files, file);
    if (!model) continue;
    std::size_t bytes = 0;
    for (const Tensor& found : (*model)->tensors()) bytes += found.bytes.size();
    ASSERT_EQ(bytes, 21u) << "seed " << kSeed << ", round " << round;
  }
}

}  // namespace
}  // namespace thaw::safetensors
