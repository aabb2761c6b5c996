// Models in several safetensors files, with their index.
#include <gtest/gtest.h>

#include "base/faulty_files.h"
#include "safetensors_builder.h"
#include "snapshot/safetensors/safetensors.h"

namespace thaw::safetensors {
namespace {

// A set of two files and their index.
class Shards : public testing::Test {
 protected:
  Shards() {
    put("one.safetensors", cat('{', tensor("a", "U8", "[2]", "[0,2]"), '}'), 2);
    put("two.safetensors",
        cat('{', tensor("c", "U8", "[1]", "[0,1]"), ',', tensor("b", "U8", "[3]", "[1,4]"), '}'),
        4);
    put_index(R"({"metadata":{"total_size":6,"deep":[{"weight_map":1},null,true,-1,1.5]},)"
              R"("weight_map":{"a":"one.safetensors","b":"two.safetensors",)"
              R"("c":"two.safetensors"}})");
  }

  void put(const std::string& name, std::string_view header, std::size_t data_bytes) {
    files_.files["d/" + name] = file_of(header, data_bytes);
  }
  void put_index(std::string_view json) {
    const Bytes bytes = as_bytes(json);
    files_.files["d/model.safetensors.index.json"] = Blob(bytes.begin(), bytes.end());
  }
  void expect(Code code, std::string_view in_message = "") {
    const auto model = Model::open(files_, "d");
    ASSERT_FALSE(model);
    EXPECT_EQ(model.error().code, code) << model.error().message;
    EXPECT_NE(model.error().message.find(in_message), std::string::npos) << model.error().message;
    EXPECT_EQ(model.error().message.find('\n'), std::string::npos);
  }

  MemoryFiles files_;
};

TEST_F(Shards, AreReadAsOneModelSortedByName) {
  put("model.safetensors", "{}", 0);  // the index comes first
  const auto model = Model::open(files_, "d");
  ASSERT_TRUE(model) << model.error().message;
  const auto tensors = (*model)->tensors();
  ASSERT_EQ(tensors.size(), 3u);
  EXPECT_EQ(tensors[0].name, "a");
  EXPECT_EQ(tensors[1].name, "b");
  EXPECT_EQ(tensors[1].bytes.size(), 3u);
  EXPECT_EQ(tensors[1].bytes[0], std::byte{1});
  EXPECT_EQ(tensors[2].name, "c");
}

TEST_F(Shards, AnAbsentFileIsNotFound) {
  files_.files.erase("d/two.safetensors");
  expect(Code::kNotFound, "two.safetensors");
  files_.files.clear();
  expect(Code::kNotFound, "d/model.safetensors");
}

TEST_F(Shards, AnIndexThatDisagreesWithItsFilesIsCorrupt) {
  put_index(R"({"weight_map":{"a":"one.safetensors","b":"two.safetensors"}})");
  expect(Code::kCorrupt, "'c', which the index does not place there");
  put_index(R"({"weight_map":{"a":"one.safetensors","b":"one.safetensors",)"
            R"("c":"two.safetensors"}})");
  expect(Code::kCorrupt, "'b', which the index does not place there");
  put_index(R"({"weight_map":{"a":"one.safetensors","b":"two.safetensors",)"
            R"("c":"two.safetensors","d":"two.safetensors"}})");
  expect(Code::kCorrupt, "tensor 'd' is not in 'two.safetensors'");
  put_index(R"({"weight_map":{"a":"one.safetensors","aa":"one.safetensors",)"
            R"("b":"two.safetensors","c":"two.safetensors"}})");
  expect(Code::kCorrupt, "tensor 'aa' is not in 'one.safetensors'");
}

TEST_F(Shards, ATensorInTwoFilesIsCorrupt) {
  put("one.safetensors",
      cat('{', tensor("a", "U8", "[2]", "[0,2]"), ',', tensor("b", "U8", "[3]", "[2,5]"), '}'), 5);
  expect(Code::kCorrupt, "'b', which the index does not place there");
}

TEST_F(Shards, FileNamesThatLeaveTheDirectoryAreCorrupt) {
  for (const char* name : {"../one.safetensors", "/etc/passwd", "x/one.safetensors", "..", ".", "",
                           "a\\\\b", "one\\u0000.safetensors", "one\\n"}) {
    put_index(cat(R"({"weight_map":{"a":")", name, R"("}})"));
    expect(Code::kCorrupt, "no name of a file beside it");
  }
}

TEST_F(Shards, AnIndexThatIsNoIndexIsCorrupt) {
  for (const char* json :
       {"", "{", "[]", "{}", "null", "1", R"({"weight_map":[]})", R"({"weight_map":null})",
        R"({"weight_map":"x"})", R"({"weight_map":{"a":1}})", R"({"weight_map":{"a":{}}})",
        R"({"weight_map":{"a":["x"]}})", R"({"weight_map":{},"weight_map":{}})",
        R"({"weight_map":{"a":"one.safetensors","a":"one.safetensors"}})",
        R"({"weight_map":{"a":true}})", R"({"weight_map":-1})", R"({"weight_map":1.5})",
        R"({"metadata":{"weight_map":{"a":"one.safetensors"}}})", "\xff"}) {
    put_index(json);
    expect(Code::kCorrupt);
  }
  put_index(std::string_view("{\"weight_map\":{}}\0", 18));
  expect(Code::kCorrupt, "zero byte");
}

TEST_F(Shards, MoreFilesThanTheLimitAreRefused) {
  std::string json = R"({"weight_map":{"a":"x")";
  for (std::size_t index = 0; index < kShardCountMax; ++index) {
    json += cat(R"(,"t)", index, R"(":"f)", index, '"');
  }
  put_index(json + "}}");
  expect(Code::kLimit, "4097 files");
}

TEST_F(Shards, AFailureOfAnyFileCallIsIo) {
  std::uint64_t faults = 0;
  for (std::uint64_t call = 1;; ++call) {
    FaultyFiles files(files_, {.call = call, .only = {}});
    const auto model = Model::open(files, "d");
    if (!files.fault_happened()) {
      EXPECT_TRUE(model);
      break;
    }
    ASSERT_FALSE(model) << call;
    EXPECT_EQ(model.error().code, Code::kIo) << call;
    ++faults;
  }
  EXPECT_EQ(faults, 5u);  // stat, open and read of the index, two maps
}

}  // namespace
}  // namespace thaw::safetensors
