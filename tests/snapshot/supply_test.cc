#include "snapshot/supply.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "base/bus_guard.h"
#include "base/str.h"
#include "snapshot_fixture.h"

namespace thaw::snapshot {
namespace {

constexpr std::uint64_t kMiB = 1u << 20;

// A snapshot with weights of some granules, a prefix's KV behind them, small sections before.
Blob some_snapshot(std::uint64_t seed = 21) {
  Random random(seed);
  return write({{SectionType::kManifest, "", blob("{}")},
                {SectionType::kTokenizer, "", random_blob(random, 70'000)},
                {SectionType::kWeights, "", random_blob(random, 5 * kMiB + 4242)},
                {SectionType::kPrefixKv, "p", random_blob(random, 2 * kMiB)}});
}

std::unique_ptr<Reader> open(Files& files, const std::string& path) {
  auto reader = Reader::open(files, path);
  EXPECT_TRUE(reader) << (reader ? "" : reader.error().message);
  return std::move(*reader);
}

Bytes weights_of(const Reader& reader) { return *reader.section(SectionType::kWeights); }

// Passes bytes in pieces of random length, from threads side by side.
void pass_in_pieces(Granules& granules, Bytes bytes, std::uint64_t seed) {
  Random random(seed);
  std::vector<Bytes> pieces;
  while (!bytes.empty()) {
    const std::size_t count = std::min<std::size_t>(bytes.size(), 1 + random.below(200'000));
    pieces.push_back(bytes.first(count));
    bytes = bytes.subspan(count);
  }
  for (std::size_t i = pieces.size(); i > 1; --i) std::swap(pieces[i - 1], pieces[random.below(i)]);
  std::thread other([&] {
    for (std::size_t i = 0; i < pieces.size(); i += 2) granules.pass(pieces[i]);
  });
  for (std::size_t i = 1; i < pieces.size(); i += 2) granules.pass(pieces[i]);
  other.join();
}

TEST(Granules, PiecesInAnyOrderMakeAGranuleKnownWithoutReadingItAgain) {
  MemoryFiles files;
  files.files["s"] = some_snapshot();
  const auto reader = open(files, "s");
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    Granules granules(*reader);
    const Bytes weights = weights_of(*reader);
    pass_in_pieces(granules, weights, seed);
    ASSERT_TRUE(granules.settle(weights)) << seed;
    EXPECT_EQ(granules.reread_count(), 1u) << "the last one is shared with what follows";
  }
}

TEST(Granules, AFlippedBitAnywhereIsFoundWhicheverWayItsGranuleIsChecked) {
  const Blob sound = some_snapshot();
  Random random(22);
  ThreadPool pool(2);
  for (int round = 0; round < 60; ++round) {
    MemoryFiles files;
    files.files["s"] = sound;
    const auto before = open(files, "s");
    const Section& weights = before->sections()[2];
    const std::uint64_t at = weights.offset + random.below(weights.bytes.size());
    files.files["s"][at] ^= std::byte{1} << random.below(8);
    const auto reader = open(files, "s");
    Granules granules(*reader);
    if (round % 3 != 0) pass_in_pieces(granules, weights_of(*reader), random.next());
    const auto done = granules.settle(weights_of(*reader), round % 2 == 0 ? &pool : nullptr);
    ASSERT_FALSE(done) << "seed 22, round " << round;
    EXPECT_EQ(done.error().code, Code::kCorrupt);
    const std::string named = cat("granule ", at / kGranuleBytes, ' ');
    EXPECT_NE(done.error().message.find(named), std::string::npos) << done.error().message;
    // It stays so, and granules beside it are sound.
    EXPECT_FALSE(granules.settle(weights_of(*reader)));
    const std::uint64_t begin = at / kGranuleBytes * kGranuleBytes;
    EXPECT_TRUE(granules.settle(reader->bytes().first(begin)));
  }
}

TEST(Granules, PassingBytesTwiceOrNotAllDoesNoHarm) {
  MemoryFiles files;
  files.files["s"] = some_snapshot();
  const auto reader = open(files, "s");
  Granules granules(*reader);
  const Bytes weights = weights_of(*reader);
  granules.pass(weights.first(kMiB / 2));
  granules.pass(weights.first(kMiB));  // half of it again: its granule now counts too many
  granules.pass(weights.subspan(3 * kMiB));
  EXPECT_TRUE(granules.settle(weights));
}

TEST(Supply, ChecksSmallSectionsWhenItIsOpenedAndOthersWhenTheyAreUsed) {
  const Blob sound = some_snapshot();
  MemoryFiles files;
  files.files["s"] = sound;
  const std::vector<Section> sections = [&] {
    const auto reader = open(files, "s");
    return std::vector<Section>(reader->sections().begin(), reader->sections().end());
  }();
  const auto opening = [&](std::uint64_t at, Verify verify) {
    files.files["s"] = sound;
    files.files["s"][at] ^= std::byte{16};
    const auto reader = open(files, "s");
    Supply supply(*reader, Paging::kMap, verify);
    const auto opened = supply.check_opening(nullptr);
    if (!opened) return std::string("opening");
    if (!supply.settle(nullptr)) return std::string("settling");
    for (const Section& section : reader->sections()) {
      if (!supply.fetch(section.bytes)) return std::string("fetching");
    }
    return std::string("never");
  };
  const std::uint64_t in_tokenizer = sections[1].offset + 69'000;
  const std::uint64_t in_padding = sections[2].offset - 1;
  const std::uint64_t in_weights = sections[2].offset + 3 * kMiB;
  const std::uint64_t in_prefix = sections[3].offset + kMiB;
  const std::uint64_t in_checksums = sections[4].offset + 3 * 4;  // of a granule of weights
  const std::uint64_t in_last_padding = sections[4].offset + sections[4].bytes.size() + 3;
  EXPECT_EQ(opening(in_tokenizer, Verify::kLazy), "opening");
  EXPECT_EQ(opening(in_padding, Verify::kLazy), "opening");
  EXPECT_EQ(opening(in_last_padding, Verify::kLazy), "opening");
  EXPECT_EQ(opening(in_weights, Verify::kLazy), "settling");
  EXPECT_EQ(opening(in_checksums, Verify::kLazy), "settling");
  EXPECT_EQ(opening(in_prefix, Verify::kLazy), "fetching");
  for (const std::uint64_t at :
       {in_tokenizer, in_padding, in_weights, in_prefix, in_checksums, in_last_padding}) {
    EXPECT_EQ(opening(at, Verify::kEager), "opening") << at;
    EXPECT_EQ(opening(at, Verify::kOff), "never") << at;
  }
}

// Whether so many granules were checked before anybody used them; waits for them a while.
bool checks_ahead(const Supply& supply, std::uint64_t count) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (supply.counts().granules_ahead < count && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return supply.counts().granules_ahead == count;
}

TEST(Supply, ChecksWeightsAheadOfTheirUseWhileNothingIsEvaluated) {
  MemoryFiles files;
  files.files["s"] = some_snapshot();
  const auto reader = open(files, "s");
  ThreadPool pool(2), of_one(1);
  const std::uint64_t granules = 6;  // 5 MiB and some
  {
    Supply supply(*reader, Paging::kMap, Verify::kLazy);
    ASSERT_TRUE(supply.check_opening(&pool));
    EXPECT_TRUE(checks_ahead(supply, granules));
    EXPECT_TRUE(supply.settle(&pool));
  }
  const auto opened = [&](Verify verify, ThreadPool* threads, bool in_use) {
    Supply supply(*reader, Paging::kMap, verify);
    if (in_use) supply.begin_use();
    EXPECT_TRUE(supply.check_opening(threads));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    return supply.counts().granules_ahead;
  };
  EXPECT_EQ(opened(Verify::kLazy, &pool, true), 0u) << "an evaluation needs the processors";
  EXPECT_EQ(opened(Verify::kLazy, &of_one, false), 0u) << "there is one processor";
  EXPECT_EQ(opened(Verify::kOff, &pool, false), 0u);
}

TEST(Supply, TellsOfAGranuleThatWasFoundWrongAheadOfItsUse) {
  MemoryFiles files;
  files.files["s"] = some_snapshot();
  const std::uint64_t weights = open(files, "s")->sections()[2].offset;
  files.files["s"][weights + 3 * kMiB + 7] ^= std::byte{1};
  const auto reader = open(files, "s");
  ThreadPool pool(2);
  Supply supply(*reader, Paging::kMap, Verify::kLazy);
  ASSERT_TRUE(supply.check_opening(&pool));
  EXPECT_TRUE(checks_ahead(supply, 5));
  supply.begin_use();
  supply.need(weights_of(*reader));
  supply.pass(weights_of(*reader));
  const auto done = supply.settle(&pool);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::kCorrupt);
}

TEST(Supply, NamesOfItsModesAreReadAndOthersRefused) {
  EXPECT_EQ(*parse_verify("eager"), Verify::kEager);
  EXPECT_EQ(*parse_verify("lazy"), Verify::kLazy);
  EXPECT_EQ(*parse_verify("off"), Verify::kOff);
  EXPECT_EQ(parse_verify("on").error().code, Code::kInvalid);
  EXPECT_EQ(*parse_paging("map"), Paging::kMap);
  EXPECT_EQ(*parse_paging("read"), Paging::kRead);
  EXPECT_EQ(parse_paging("").error().code, Code::kInvalid);
}

// On a real file, which can be changed while it is open.
class SupplyFile : public testing::TestWithParam<Paging> {
 protected:
  void SetUp() override {
    install_bus_guard();
    put(some_snapshot());
  }
  void TearDown() override { ::unlink(path_.c_str()); }

  void put(Bytes bytes, std::uint64_t at = 0) {
    const int file = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    EXPECT_EQ(::pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(at)),
              static_cast<ssize_t>(bytes.size()));
    EXPECT_EQ(::fsync(file), 0);
    ::close(file);
  }
  void drop_from_page_cache() {
    const int file = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
    EXPECT_EQ(::posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED), 0);
    ::close(file);
  }

  const std::string path_ = cat(testing::TempDir(), "thaw-supply-", ::getpid());
};

INSTANTIATE_TEST_SUITE_P(EachWay, SupplyFile, testing::Values(Paging::kMap, Paging::kRead),
                         [](const auto& way) {
                           return way.param == Paging::kMap ? "map" : "read";
                         });

TEST_P(SupplyFile, BringsInTheFilesBytesFromTheDiskOrThePageCache) {
  const Blob wanted = some_snapshot();
  for (const bool dropped : {false, true}) {
    if (dropped) drop_from_page_cache();
    const auto reader = open(system_files(), path_);
    ThreadPool pool(2);
    Supply supply(*reader, GetParam(), Verify::kLazy);
    ASSERT_TRUE(supply.check_opening(&pool));
    const Bytes weights = weights_of(*reader);
    for (std::size_t at = 0; at < weights.size(); at += 100'000) {
      const Bytes piece = weights.subspan(at, std::min<std::size_t>(100'000, weights.size() - at));
      supply.need(piece);
      supply.pass(piece);
    }
    ASSERT_TRUE(supply.settle(nullptr));
    EXPECT_TRUE(std::equal(reader->bytes().begin(), reader->bytes().end(), wanted.begin()));
    const auto counts = supply.counts();
    // The chunks of the weights, the one before them, and that of the checksums.
    EXPECT_EQ(counts.chunks_here + counts.chunks_ahead, 5u);
    if (dropped) {
      EXPECT_EQ(counts.granules_ahead, 0u) << "page by page off a disk";
    }
  }
}

// In map mode nothing is read ahead that is in the page cache.
class SupplyReads : public SupplyFile {};
INSTANTIATE_TEST_SUITE_P(Ahead, SupplyReads, testing::Values(Paging::kRead));

TEST_P(SupplyReads, TheWeightsAlsoAfterAHurriedPrefix) {
  Random random(22);
  put(write({{SectionType::kWeights, "", random_blob(random, 24 * kMiB)},
             {SectionType::kPrefixKv, "p", random_blob(random, 4 * kMiB)}}));
  const auto reader = open(system_files(), path_);
  Supply supply(*reader, GetParam(), Verify::kLazy);
  ASSERT_TRUE(supply.check_opening(nullptr));
  supply.hurry(*reader->section(SectionType::kPrefixKv));
  // Nobody needs anything, and yet everything comes.
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (supply.counts().chunks_ahead < 12 && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_GE(supply.counts().chunks_ahead, 12u);
  supply.need(weights_of(*reader));
  EXPECT_TRUE(supply.settle(nullptr));
}

TEST_P(SupplyReads, WhatIsHurriedOnceTheWeightsAreThere) {
  Random random(23);
  put(write({{SectionType::kWeights, "", random_blob(random, 6 * kMiB)},
             {SectionType::kPrefixKv, "p", random_blob(random, 12 * kMiB)}}));
  const auto reader = open(system_files(), path_);
  Supply supply(*reader, GetParam(), Verify::kLazy);
  ASSERT_TRUE(supply.check_opening(nullptr));
  supply.need(weights_of(*reader));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // the readers are done, most likely
  const auto before = supply.counts().chunks_ahead;
  for (int i = 0; i < 3; ++i) supply.hurry(*reader->section(SectionType::kPrefixKv));
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (supply.counts().chunks_ahead < before + 5 && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_GE(supply.counts().chunks_ahead, before + 5);
}

TEST_P(SupplyFile, AFileThatLosesBytesIsAnErrorHoweverFarTheUseWas) {
  const std::uint64_t size = some_snapshot().size();
  for (const std::uint64_t left :
       {std::uint64_t{0}, std::uint64_t{100}, 2 * kMiB, 3 * kMiB + 9, size - 4096, size - 1}) {
    for (const int after : {0, 1, 2}) {
      put(some_snapshot());
      const auto reader = open(system_files(), path_);
      Supply supply(*reader, GetParam(), Verify::kLazy);
      ASSERT_TRUE(supply.check_opening(nullptr));
      const Bytes weights = weights_of(*reader);
      if (after >= 1) supply.need(weights);
      if (after >= 2) {
        ASSERT_TRUE(supply.settle(nullptr));
      }
      ASSERT_EQ(::truncate(path_.c_str(), static_cast<off_t>(left)), 0);
      supply.need(weights);
      const auto done = supply.settle(nullptr);
      ASSERT_FALSE(done) << left << " " << after;
      EXPECT_EQ(done.error().code, Code::kIo) << done.error().message;
    }
  }
}

TEST_P(SupplyFile, AFileThatIsOnlyTouchedGoesOnAndOneThatIsWrittenToDoesNot) {
  const auto reader = open(system_files(), path_);
  Supply supply(*reader, GetParam(), Verify::kLazy);
  ASSERT_TRUE(supply.check_opening(nullptr));
  supply.need(weights_of(*reader));
  ASSERT_TRUE(supply.settle(nullptr));
  const timespec times[2] = {{1'700'000'000, 0}, {1'700'000'000, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, path_.c_str(), times, 0), 0);
  ASSERT_TRUE(supply.settle(nullptr));
  const std::byte other{0x5A};
  put({&other, 1}, reader->sections()[1].offset + 5);
  const auto done = supply.settle(nullptr);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::kCorrupt);
}

}  // namespace
}  // namespace thaw::snapshot
