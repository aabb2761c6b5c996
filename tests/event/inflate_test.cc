// gunzip against zlib: what it packed comes out, and of damaged bytes both think the same.
#include "handler/event/inflate.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <optional>

#include "base/random.h"

namespace thaw::event {
namespace {

struct Packing {
  int level = Z_DEFAULT_COMPRESSION;
  int strategy = Z_DEFAULT_STRATEGY;
  bool header_fields = false;
  bool flushes = false;
};

std::string pack(std::string_view text, const Packing& how = {}) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, how.level, Z_DEFLATED, 15 + 16, 9, how.strategy), Z_OK);
  gz_header header{};
  std::string name = "name", comment = "comment", extra = "extra";
  if (how.header_fields) {
    header.name = reinterpret_cast<Bytef*>(name.data());
    header.comment = reinterpret_cast<Bytef*>(comment.data());
    header.extra = reinterpret_cast<Bytef*>(extra.data());
    header.extra_len = static_cast<uInt>(extra.size());
    header.hcrc = 1;
    EXPECT_EQ(deflateSetHeader(&stream, &header), Z_OK);
  }
  std::string packed(deflateBound(&stream, text.size()) + 4096, '\0');
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  const std::size_t half = how.flushes ? text.size() / 2 : text.size();
  std::string copy(text);
  stream.next_in = reinterpret_cast<Bytef*>(copy.data());
  stream.avail_in = static_cast<uInt>(half);
  if (how.flushes) {
    EXPECT_EQ(deflate(&stream, Z_FULL_FLUSH), Z_OK);
  }
  stream.avail_in = static_cast<uInt>(text.size() - (how.flushes ? half : 0));
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

// zlib's opinion: every member, nothing left over.
std::optional<std::string> oracle(std::string_view packed) {
  std::string out;
  std::string copy(packed);
  do {
    z_stream stream{};
    EXPECT_EQ(inflateInit2(&stream, 15 + 16), Z_OK);
    stream.next_in = reinterpret_cast<Bytef*>(copy.data());
    stream.avail_in = static_cast<uInt>(copy.size());
    int status = Z_OK;
    while (status == Z_OK) {
      char buffer[4096];
      stream.next_out = reinterpret_cast<Bytef*>(buffer);
      stream.avail_out = sizeof buffer;
      status = inflate(&stream, Z_NO_FLUSH);
      out.append(buffer, sizeof buffer - stream.avail_out);
    }
    const std::size_t used = stream.total_in;
    inflateEnd(&stream);
    if (status != Z_STREAM_END) return std::nullopt;
    copy.erase(0, used);
  } while (!copy.empty());
  return out;
}

std::string random_text(Random& random, std::size_t bytes) {
  std::string text;
  const std::uint64_t letters = 1 + random.below(256);
  while (text.size() < bytes) {
    if (text.size() > 8 && random.below(4) == 0) {  // something said before
      const std::size_t from = random.below(text.size() - 4);
      text += text.substr(from, 3 + random.below(300));
    } else {
      text += static_cast<char>(random.below(letters));
    }
  }
  return text;
}

TEST(Gunzip, GivesBackWhatZlibPacked) {
  constexpr std::uint64_t kSeed = 31;
  Random random(kSeed);
  for (int round = 0; round < 300; ++round) {
    const std::string text = random_text(random, random.below(round % 20 == 0 ? 300000 : 3000));
    Packing how;
    how.level = static_cast<int>(random.below(10));
    constexpr int kStrategies[] = {Z_DEFAULT_STRATEGY, Z_FILTERED, Z_HUFFMAN_ONLY, Z_RLE, Z_FIXED};
    how.strategy = kStrategies[random.below(5)];
    how.header_fields = random.below(2) == 1;
    how.flushes = random.below(2) == 1;
    const Result<std::string> out = gunzip(pack(text, how));
    ASSERT_TRUE(out.has_value()) << out.error().message << " seed " << kSeed;
    ASSERT_EQ(*out, text) << "seed " << kSeed;
  }
}

TEST(Gunzip, JoinsMembers) {
  const Result<std::string> out = gunzip(pack("one ") + pack("") + pack("two"));
  ASSERT_TRUE(out.has_value());
  EXPECT_EQ(*out, "one two");
}

TEST(Gunzip, StopsAtItsLimit) {
  const std::string zeros(100000, '\0');
  const std::string packed = pack(zeros);
  EXPECT_LT(packed.size(), 200u);
  EXPECT_TRUE(gunzip(packed, zeros.size()).has_value());
  const Result<std::string> over = gunzip(packed, zeros.size() - 1);
  ASSERT_FALSE(over.has_value());
  EXPECT_EQ(over.error().code, Code::kLimit);
  EXPECT_EQ(over.error().message, "gunzip: more than 99999 bytes come out, the limit; send less");
  for (const int level : {0, 1}) {  // stored, and by literals
    Packing how;
    how.level = level;
    EXPECT_EQ(gunzip(pack("abc", how), 2).error().code, Code::kLimit);
    EXPECT_TRUE(gunzip(pack("abc", how), 3).has_value());
  }
}

TEST(Gunzip, RefusesWhatIsCutShortAnywhere) {
  Packing how;
  how.header_fields = true;
  const std::string packed = pack("A text of some length, a text of some length.", how);
  for (std::size_t size = 0; size < packed.size(); ++size) {
    const Result<std::string> out = gunzip(std::string_view(packed).substr(0, size));
    ASSERT_FALSE(out.has_value()) << size;
    EXPECT_EQ(out.error().code, Code::kCorrupt) << size;
  }
}

TEST(Gunzip, ThinksOfDamagedBytesAsZlibDoes) {
  constexpr std::uint64_t kSeed = 32;
  Random random(kSeed);
  std::size_t accepted = 0;
  for (int round = 0; round < 20000; ++round) {
    Packing how;
    how.level = static_cast<int>(random.below(10));
    how.strategy = random.below(3) == 0 ? Z_FIXED : Z_DEFAULT_STRATEGY;
    std::string packed = pack(random_text(random, random.below(60)), how);
    for (std::uint64_t n = 1 + random.below(3); n > 0; --n) {
      // The header and the block's codes more often than the rest.
      const std::size_t at = random.below(random.below(2) == 0 ? 24 : packed.size());
      packed[at % packed.size()] = static_cast<char>(random.below(256));
    }
    const std::optional<std::string> wanted = oracle(packed);
    const Result<std::string> out = gunzip(packed);
    ASSERT_EQ(out.has_value(), wanted.has_value()) << "seed " << kSeed << " round " << round;
    if (wanted) {
      ASSERT_EQ(*out, *wanted);
      ++accepted;
    }
  }
  EXPECT_GT(accepted, 100u) << "some mutations change nothing that counts";
}

}  // namespace
}  // namespace thaw::event
