#include "handler/model/prefix.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "base/str.h"
#include "snapshot/reader.h"
#include "snapshot/writer.h"
#include "tests/golden/golden.h"
#include "tests/model/allocations.h"
#include "tests/snapshot/memory_files.h"

namespace thaw::model {
namespace {

using snapshot::SectionType;

struct Made {
  std::string name;
  Blob head;  // the kPrefix section
  std::optional<Blob> kv;
};

// A golden model's plan, and snapshots of made-up prefixes for it.
class PrefixTest : public testing::Test {
 protected:
  PrefixTest() : golden_(golden::freeze_golden("llama-f32")), plan_(golden_->plan) {
    origin_ = *read_origin(*golden_->reader);
  }

  std::size_t stride() const { return round_up(plan_.kv_block_bytes(), kPrefixBlockAlign); }

  Made prefix(std::string name, std::vector<Token> tokens) const {
    const auto count = static_cast<std::uint32_t>(tokens.size());
    const PrefixHead head = make_prefix_head(plan_, origin_, count);
    const Bytes head_bytes = std::as_bytes(std::span(&head, 1));
    const Bytes token_bytes = std::as_bytes(std::span(tokens));
    Made made{std::move(name), {head_bytes.begin(), head_bytes.end()}, {}};
    made.head.insert(made.head.end(), token_bytes.begin(), token_bytes.end());
    made.kv = Blob((count + 63) / 64 * stride(), std::byte{1});
    return made;
  }

  // The prefixes of a snapshot that has these; `identity` as given, none where it is empty.
  Result<Prefixes> open(const std::vector<Made>& prefixes, const Blob& identity) {
    auto writer = snapshot::Writer::create(files_, "s");
    if (!identity.empty()) {
      EXPECT_TRUE((*writer)->add(SectionType::kIdentity, {}, identity));
    }
    for (const Made& made : prefixes) {
      EXPECT_TRUE((*writer)->add(SectionType::kPrefix, made.name, made.head));
    }
    for (const Made& made : prefixes) {
      if (!made.kv) continue;
      EXPECT_TRUE((*writer)->add(SectionType::kPrefixKv, made.name, *made.kv));
    }
    EXPECT_TRUE((*writer)->finish());
    reader_ = *snapshot::Reader::open(files_, "s");
    return Prefixes::open(*reader_, plan_);
  }
  Result<Prefixes> open(const std::vector<Made>& prefixes) { return open(prefixes, identity()); }

  Blob identity() const {
    Identity identity{};
    identity.version = kIdentityVersion;
    identity.origin = origin_;
    const Bytes bytes = std::as_bytes(std::span(&identity, 1));
    return {bytes.begin(), bytes.end()};
  }

  // What open() says once a field of the head is changed.
  template <class T>
  Result<Prefixes> with_field(std::size_t offset, T value) {
    Made made = prefix("p", {1, 2, 3});
    store(made.head.data() + offset, value);
    return open({made});
  }

  std::unique_ptr<golden::Frozen> golden_;
  const Plan& plan_;
  Origin origin_;
  MemoryFiles files_;
  std::unique_ptr<snapshot::Reader> reader_;
};

void expect_corrupt(const Result<Prefixes>& opened, std::string_view part) {
  ASSERT_FALSE(opened) << part;
  EXPECT_EQ(opened.error().code, Code::kCorrupt) << opened.error().message;
  EXPECT_NE(opened.error().message.find(part), std::string::npos) << opened.error().message;
  EXPECT_NE(opened.error().message.find("'p'"), std::string::npos) << opened.error().message;
}

void expect_ignored(const Result<Prefixes>& opened, std::string_view why) {
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_TRUE(opened->all().empty());
  ASSERT_EQ(opened->warnings().size(), 1u);
  const std::string& warning = opened->warnings()[0];
  EXPECT_NE(warning.find("'p'"), std::string::npos) << warning;
  EXPECT_NE(warning.find(why), std::string::npos) << warning;
  EXPECT_EQ(warning.find('\n'), std::string::npos);
}

TEST_F(PrefixTest, LendsTokensAndBlocksWhereTheyLie) {
  const auto opened = open({prefix("a", std::vector<Token>(65, 7)), prefix("b", {1, 2, 3})});
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_TRUE(opened->warnings().empty());
  ASSERT_EQ(opened->all().size(), 2u);
  const Prefix& a = opened->all()[0];
  EXPECT_EQ(a.name, "a");
  EXPECT_EQ(a.tokens.size(), 65u);
  EXPECT_EQ(a.kv.positions, 65u);
  const Bytes kv = *reader_->section(SectionType::kPrefixKv, "a");
  EXPECT_EQ(a.kv.block(0), kv.data());
  EXPECT_EQ(a.kv.block(1), kv.data() + stride());
  EXPECT_EQ(opened->find("b")->tokens[2], 3u);
  EXPECT_EQ(opened->find("c"), nullptr);
}

TEST_F(PrefixTest, ASnapshotWithoutPrefixesHasNone) {
  const auto opened = open({}, {});
  ASSERT_TRUE(opened);
  EXPECT_TRUE(opened->all().empty());
  EXPECT_EQ(opened->longest(std::vector<Token>{1, 2}).prefix, nullptr);
}

TEST_F(PrefixTest, FindsTheOneWithMostTokensInCommon) {
  const auto opened =
      open({prefix("short", {1, 2, 3}), prefix("long", {1, 2, 4, 5, 6}), prefix("other", {9})});
  ASSERT_TRUE(opened);
  const auto expect = [&](std::vector<Token> tokens, std::string_view name, std::uint32_t count) {
    const auto match = opened->longest(tokens);
    EXPECT_EQ(match.tokens, count);
    EXPECT_EQ(match.prefix == nullptr ? "" : match.prefix->name, name);
  };
  expect({}, "", 0);
  expect({7, 1, 2}, "", 0);
  expect({1}, "short", 1);
  expect({1, 2, 3, 4}, "short", 3);
  expect({1, 2, 4}, "long", 3);
  expect({1, 2, 4, 5, 7, 7}, "long", 4);
  expect({1, 2, 4, 5, 6, 1, 1}, "long", 5);
  expect({9, 1}, "other", 1);
}

TEST_F(PrefixTest, FindsTheLongestOfRandomOnesAsASimpleSearchDoes) {
  constexpr std::uint64_t kSeed = 5;
  SCOPED_TRACE(cat("seed ", kSeed));
  Random random(kSeed);
  const auto some = [&](std::size_t most) {
    std::vector<Token> tokens(1 + random.below(most));
    for (Token& token : tokens) token = static_cast<Token>(random.below(2));
    return tokens;
  };
  std::vector<Made> made;
  std::vector<std::vector<Token>> stored;
  for (std::size_t i = 0; i < kPrefixesMax; ++i) {
    stored.push_back(some(12));
    made.push_back(prefix(cat("p", i), stored.back()));
  }
  const auto opened = open(made);
  ASSERT_TRUE(opened);
  for (int round = 0; round < 500; ++round) {
    const std::vector<Token> tokens = some(14);
    std::uint32_t best = 0;
    for (const auto& one : stored) {
      std::uint32_t n = 0;
      while (n < one.size() && n < tokens.size() && one[n] == tokens[n]) ++n;
      best = std::max(best, n);
    }
    const auto match = opened->longest(tokens);
    EXPECT_EQ(match.tokens, best);
    if (best > 0) {
      EXPECT_TRUE(std::equal(tokens.begin(), tokens.begin() + best, match.prefix->tokens.begin()));
    }
  }
}

TEST_F(PrefixTest, FindsWithoutAllocation) {
  const auto opened = open({prefix("a", {1, 2, 3}), prefix("b", {1, 2, 4})});
  ASSERT_TRUE(opened);
  const std::vector<Token> tokens = {1, 2, 4, 9};
  const std::uint64_t before = allocations();
  const auto match = opened->longest(tokens);
  EXPECT_EQ(allocations(), before);
  EXPECT_EQ(match.tokens, 3u);
  const std::vector<Token> another(tokens);
  EXPECT_EQ(allocations(), before + 1) << "the counter does not count";
}

TEST_F(PrefixTest, IgnoresOneThatDoesNotFitAndNamesIt) {
  const auto flip = [&](std::size_t offset) {
    return load<std::uint64_t>(prefix("p", {1, 2, 3}).head.data() + offset) ^ 1;
  };
  constexpr std::size_t kOrigin = offsetof(PrefixHead, origin);
  expect_ignored(with_field(offsetof(PrefixHead, version), 9u), "version 9");
  expect_ignored(with_field(offsetof(PrefixHead, kv_form), 2u), "form 2");
  expect_ignored(with_field(offsetof(PrefixHead, arithmetic_version), 99u), "version 99");
  for (const std::size_t half : {0u, 8u}) {
    const auto other = [&](std::size_t member, std::string_view why) {
      const std::size_t at = kOrigin + member + half;
      expect_ignored(with_field(at, flip(at)), why);
    };
    other(offsetof(Origin, model), "model configuration");
    other(offsetof(Origin, weights), "other weights");
    other(offsetof(Origin, tokenizer), "tokenizer");
    other(offsetof(Origin, chat_template), "chat template");
  }
  expect_ignored(open({prefix("p", {1})}, {}), "identity");
  Blob later = identity();
  store(later.data(), std::uint32_t{7});
  expect_ignored(open({prefix("p", {1})}, later), "version 7");
}

TEST_F(PrefixTest, KeepsThoseThatFitBesideOneThatDoesNot) {
  Made other = prefix("other", {1, 2});
  store(other.head.data() + offsetof(PrefixHead, arithmetic_version), std::uint32_t{99});
  const auto opened = open({prefix("a", {1}), other, prefix("b", {2})});
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->all().size(), 2u);
  EXPECT_EQ(opened->warnings().size(), 1u);
}

TEST_F(PrefixTest, RefusesEveryFieldThatContradictsTheModel) {
  expect_corrupt(with_field(offsetof(PrefixHead, tokens), 0u), "0 tokens");
  expect_corrupt(with_field(offsetof(PrefixHead, tokens), 513u), "513 tokens, from 1 to 512");
  expect_corrupt(with_field(offsetof(PrefixHead, tokens), ~0u), "tokens");
  expect_corrupt(with_field(offsetof(PrefixHead, tokens), 2u), "for 2 tokens");
  expect_corrupt(with_field(offsetof(PrefixHead, tokens), 4u), "for 4 tokens");
  for (const std::size_t field : {offsetof(PrefixHead, layers), offsetof(PrefixHead, kv_heads),
                                  offsetof(PrefixHead, key_dim), offsetof(PrefixHead, value_dim)}) {
    for (const std::uint32_t value : {0u, 1u << 30, ~0u}) {
      expect_corrupt(with_field(field, value), "a KV cache of");
    }
  }
  for (const std::uint64_t value : {std::uint64_t{0}, std::uint64_t{64}, ~std::uint64_t{0}}) {
    expect_corrupt(with_field(offsetof(PrefixHead, block_stride), value), "blocks of");
  }
  for (std::size_t i = 0; i < 3; ++i) {
    expect_corrupt(with_field(offsetof(PrefixHead, reserved) + 8 * i, 1u), "reserved");
  }
}

TEST_F(PrefixTest, RefusesEveryLengthThatIsCut) {
  const Made whole = prefix("p", std::vector<Token>(70, 3));
  for (std::size_t size = 0; size < whole.head.size(); ++size) {
    Made cut = whole;
    cut.head.resize(size);
    expect_corrupt(open({cut}), "");
  }
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, stride(), 2 * stride() - 1,
                                 2 * stride() + 1, 3 * stride()}) {
    Made cut = whole;
    cut.kv->resize(size);
    expect_corrupt(open({cut}), "a KV cache of");
  }
  Made without = whole;
  without.kv.reset();
  expect_corrupt(open({without}), "missing");
  Made longer = whole;
  longer.head.push_back(std::byte{0});
  expect_corrupt(open({longer}), "for 70 tokens");
  for (std::size_t size = 1; size < sizeof(Identity); ++size) {
    Blob cut = identity();
    cut.resize(size);
    const auto opened = open({whole}, cut);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, Code::kCorrupt);
  }
}

TEST_F(PrefixTest, RefusesMoreThanTheLimit) {
  std::vector<Made> made;
  for (std::size_t i = 0; i < kPrefixesMax; ++i) made.push_back(prefix(cat("p", i), {1}));
  EXPECT_TRUE(open(made));
  made.push_back(prefix("one too many", {1}));
  const auto refused = open(made);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kLimit);
}

// Whatever the section of a head holds, what is lent out lies in the file.
TEST_F(PrefixTest, StaysInBoundsWhateverByteIsChanged) {
  const Made whole = prefix("p", std::vector<Token>(70, 3));
  std::size_t used = 0;
  for (std::size_t at = 0; at < whole.head.size(); ++at) {
    for (const std::byte flip : {std::byte{0x01}, std::byte{0x80}, std::byte{0xFF}}) {
      Made changed = whole;
      changed.head[at] ^= flip;
      const auto opened = open({changed});
      if (!opened || opened->all().empty()) continue;
      used += 1;
      const Prefix& one = opened->all()[0];
      const Bytes kv = *reader_->section(SectionType::kPrefixKv);
      ASSERT_LE(one.kv.block((one.kv.positions - 1) / 64) + plan_.kv_block_bytes(),
                kv.data() + kv.size());
      ASSERT_EQ(one.tokens.size(), 70u);
    }
  }
  EXPECT_EQ(used, 3 * 70 * sizeof(Token));  // tokens may be anything: they are only compared
}

}  // namespace
}  // namespace thaw::model
