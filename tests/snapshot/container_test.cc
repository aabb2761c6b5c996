// The container: what is written is read again, byte for byte, whatever the sizes and the pieces.
#include <array>
#include <filesystem>
#include <fstream>

#include "base/faulty_files.h"
#include "snapshot_fixture.h"

namespace thaw::snapshot {
namespace {

namespace fs = std::filesystem;

// CRC-32C a bit at a time, as RFC 3720 has it: not the code under test.
std::uint32_t slow_crc32c(Bytes bytes) {
  static const std::array<std::uint32_t, 256> table = [] {
    std::array<std::uint32_t, 256> out{};
    for (std::uint32_t index = 0; index < 256; ++index) {
      std::uint32_t rest = index;
      for (int bit = 0; bit < 8; ++bit) rest = (rest >> 1) ^ ((rest & 1) * 0x82F63B78u);
      out[index] = rest;
    }
    return out;
  }();
  std::uint32_t rest = ~0u;
  for (const std::byte byte : bytes) {
    rest = (rest >> 8) ^ table[(rest ^ static_cast<std::uint32_t>(byte)) & 0xFF];
  }
  return ~rest;
}

TEST(Snapshot, ReadsBackEverySectionOfEverySizeAroundPagesAndGranules) {
  Random random(11);
  std::vector<Given> given;
  const std::size_t sizes[] = {
      0, 1, 4095, 4096, 4097, 1 << 20, (1 << 20) - 1, (1 << 20) + 1, (3 << 20) + 5, 2 << 20};
  for (const std::size_t size : sizes) {
    given.push_back({SectionType::kPrefix, "p" + std::to_string(size), random_blob(random, size)});
  }
  given.push_back({SectionType::kWeights, "", random_blob(random, 10'000)});
  given.push_back({SectionType::kMetadata, "", {}});

  MemoryFiles files;
  files.files["s"] = write(given);
  const auto reader = Reader::open(files, "s");
  ASSERT_TRUE(reader) << reader.error().message;
  const auto sections = (*reader)->sections();
  ASSERT_EQ(sections.size(), given.size() + 1);
  for (std::size_t index = 0; index < given.size(); ++index) {
    const Section& section = sections[index];
    EXPECT_EQ(section.type, given[index].type);
    EXPECT_EQ(section.name, given[index].name);
    EXPECT_EQ(section.offset % alignment_of(section.type), 0u);
    EXPECT_TRUE(std::ranges::equal(section.bytes, given[index].bytes)) << section.name;
    const auto found = (*reader)->section(given[index].type, given[index].name);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->data(), section.bytes.data());
  }
  EXPECT_EQ((*reader)->file_bytes(), files.files["s"].size());
  EXPECT_EQ((*reader)->version_minor(), kVersionMinor);
  EXPECT_EQ((*reader)->path(), "s");
  const auto verified = (*reader)->verify();
  EXPECT_TRUE(verified) << verified.error().message;
}

TEST(Snapshot, ChecksumsAreCrc32cOfEachMebibyteWithTheFinalHeader) {
  Random random(12);
  const Blob file = write({{SectionType::kTokenizer, "", random_blob(random, (2 << 20) + 77)}});
  MemoryFiles files;
  files.files["s"] = file;
  const auto reader = Reader::open(files, "s");
  ASSERT_TRUE(reader);
  const Section& checksums = (*reader)->sections().back();
  ASSERT_EQ(checksums.type, SectionType::kChecksums);
  ASSERT_EQ(checksums.bytes.size(), 3 * 4u);
  for (std::size_t granule = 0; granule < 3; ++granule) {
    const std::size_t begin = granule << 20;
    const std::size_t size = std::min<std::size_t>(1 << 20, checksums.offset - begin);
    EXPECT_EQ(load<std::uint32_t>(checksums.bytes.data() + granule * 4),
              slow_crc32c(Bytes(file).subspan(begin, size)));
  }
}

TEST(Snapshot, TheSameSectionsGiveTheSameBytesHoweverTheyArePieced) {
  Random random(13);
  const std::vector<Given> given = {
      {SectionType::kManifest, "", random_blob(random, 333)},
      {SectionType::kExperts, "x", random_blob(random, (2 << 20) + 4321)},
      {SectionType::kTemplate, "", random_blob(random, 5000)}};
  const Blob whole = write(given);
  for (int round = 0; round < 10; ++round) {
    MemoryFiles files;
    auto writer = Writer::create(files, "s");
    ASSERT_TRUE(writer);
    for (const Given& section : given) {
      ASSERT_TRUE((*writer)->begin(section.type, section.name));
      Bytes rest = section.bytes;
      while (!rest.empty()) {
        const std::uint64_t piece_max = std::uint64_t{1} << random.below(22);
        const std::size_t size = std::min<std::size_t>(rest.size(), 1 + random.below(piece_max));
        ASSERT_TRUE((*writer)->append(rest.first(size)));
        rest = rest.subspan(size);
      }
      ASSERT_TRUE((*writer)->end());
    }
    ASSERT_TRUE((*writer)->finish());
    EXPECT_TRUE(files.files["s"] == whole) << "seed 13, round " << round;
  }
}

TEST(Snapshot, AlignPadsWithZerosAndSaysWhatFollowsWhere) {
  MemoryFiles files;
  auto writer = Writer::create(files, "s");
  ASSERT_TRUE(writer);
  ASSERT_TRUE((*writer)->begin(SectionType::kWeights));
  EXPECT_EQ(*(*writer)->align(64), 0u);
  ASSERT_TRUE((*writer)->append(blob("abc")));
  EXPECT_EQ(*(*writer)->align(1), 3u);
  EXPECT_EQ(*(*writer)->align(64), 64u);
  EXPECT_EQ(*(*writer)->align(64), 64u);
  ASSERT_TRUE((*writer)->append(blob("d")));
  EXPECT_EQ(*(*writer)->align(8192), 8192u);
  ASSERT_TRUE((*writer)->end());
  ASSERT_TRUE((*writer)->finish());
  const auto reader = Reader::open(files, "s");
  ASSERT_TRUE(reader);
  const auto bytes = (*reader)->section(SectionType::kWeights);
  ASSERT_TRUE(bytes);
  Blob wanted(8192);
  store(wanted.data(), std::array{'a', 'b', 'c'});
  wanted[64] = std::byte{'d'};
  EXPECT_TRUE(std::ranges::equal(*bytes, wanted));
  EXPECT_TRUE((*reader)->verify());
}

TEST(Snapshot, WithoutSectionsIsSoundToo) {
  const Blob file = write({});
  EXPECT_EQ(file.size(), 8192u + sizeof(DirectoryEntry));
  EXPECT_TRUE(check(file));
}

TEST(Snapshot, AnAbsentSectionIsNotFoundAndNamed) {
  MemoryFiles files;
  files.files["s"] = Small().file;
  const auto reader = Reader::open(files, "s");
  ASSERT_TRUE(reader);
  const auto weights = (*reader)->section(SectionType::kWeights);
  ASSERT_FALSE(weights);
  EXPECT_EQ(weights.error().code, Code::kNotFound);
  EXPECT_NE(weights.error().message.find("weights"), std::string::npos);
  EXPECT_EQ((*reader)->section(SectionType::kPrefix, "c").error().code, Code::kNotFound);
  EXPECT_EQ((*(*reader)->section(SectionType::kPrefix)).size(), 5000u);  // the first of its type
  EXPECT_EQ((*(*reader)->section(SectionType::kPrefix, "b")).size(), 100u);
}

TEST(Snapshot, AnAbsentFileIsNotFound) {
  MemoryFiles files;
  EXPECT_EQ(Reader::open(files, "none").error().code, Code::kNotFound);
}

TEST(Snapshot, NamesEveryTypeAndNoOther) {
  for (std::uint32_t type = 1; type <= 17; ++type) {
    EXPECT_NE(name_of(static_cast<SectionType>(type)), "unknown") << type;
  }
  EXPECT_EQ(name_of(static_cast<SectionType>(0)), "unknown");
  EXPECT_EQ(name_of(static_cast<SectionType>(18)), "unknown");
}

TEST(SnapshotWriter, RefusesNamesThatDoNotFitAndTwins) {
  MemoryFiles files;
  auto writer = Writer::create(files, "s");
  ASSERT_TRUE(writer);
  const auto begun = [&](std::string_view name) {
    return (*writer)->begin(SectionType::kPrefix, name);
  };
  EXPECT_EQ(begun(std::string(32, 'x')).error().code, Code::kInvalid);
  EXPECT_EQ(begun("line\nbreak").error().code, Code::kInvalid);
  EXPECT_EQ(begun(std::string_view("a\0b", 3)).error().code, Code::kInvalid);
  EXPECT_EQ(begun("\xC3").error().code, Code::kInvalid);
  const std::string longest(31, 'x');
  ASSERT_TRUE(begun(longest));
  ASSERT_TRUE((*writer)->end());
  EXPECT_EQ(begun(longest).error().code, Code::kInvalid);
  ASSERT_TRUE((*writer)->add(SectionType::kMetadata, longest, {}));  // of another type it may be
  ASSERT_TRUE(begun("\u00e9t\u00e9"));
  ASSERT_TRUE((*writer)->end());
  ASSERT_TRUE((*writer)->finish());  // what was refused has left no trace
  const auto reader = Reader::open(files, "s");
  ASSERT_TRUE(reader);
  EXPECT_EQ((*reader)->sections().size(), 4u);
  EXPECT_TRUE((*reader)->section(SectionType::kPrefix, "\u00e9t\u00e9"));
}

TEST(SnapshotWriter, HoldsAsManySectionsAsTheFormatAndNoMore) {
  MemoryFiles files;
  auto writer = Writer::create(files, "s");
  ASSERT_TRUE(writer);
  for (std::uint32_t index = 0; index + 1 < kSectionCountMax; ++index) {
    ASSERT_TRUE((*writer)->add(SectionType::kPrefix, std::to_string(index), {}));
  }
  EXPECT_EQ((*writer)->begin(SectionType::kPrefix, "more").error().code, Code::kLimit);
  ASSERT_TRUE((*writer)->finish());
  const auto reader = Reader::open(files, "s");
  ASSERT_TRUE(reader) << reader.error().message;
  EXPECT_EQ((*reader)->sections().size(), kSectionCountMax);
  EXPECT_TRUE((*reader)->verify());
}

TEST(SnapshotWriter, NothingWorksAfterAFailedWriteAndNothingIsCommitted) {
  MemoryFiles memory;
  FaultyFiles files(memory, {.call = 1, .only = FileCall::kAppend});
  auto writer = Writer::create(files, "s");
  ASSERT_TRUE(writer);
  ASSERT_TRUE((*writer)->begin(SectionType::kPrefix));
  EXPECT_EQ((*writer)->append(Blob(2 << 20)).error().code, Code::kIo);
  EXPECT_EQ((*writer)->append(blob("a")).error().code, Code::kIo);
  EXPECT_EQ((*writer)->align(64).error().code, Code::kIo);
  EXPECT_EQ((*writer)->end().error().code, Code::kIo);
  EXPECT_EQ((*writer)->begin(SectionType::kPrefix, "b").error().code, Code::kIo);
  EXPECT_EQ((*writer)->finish().error().code, Code::kIo);
  EXPECT_TRUE(memory.files.empty());
}

// Writing to a real directory, where each call can fail.
class FaultyWriting : public testing::Test {
 protected:
  FaultyWriting() {
    std::string name = (fs::temp_directory_path() / "thaw-snapshot-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
    Random random(14);
    sections_ = {{SectionType::kManifest, "", random_blob(random, 100)},
                 {SectionType::kWeights, "", random_blob(random, (1 << 20) + 9)}};
    path_ = directory_ + "/model.thaw";
  }
  ~FaultyWriting() override { fs::remove_all(directory_); }

  Result<Done> write_to(Files& files) const {
    THAW_TRY(writer, Writer::create(files, path_));
    for (const Given& given : sections_) {
      THAW_TRY_DO(writer->add(given.type, given.name, given.bytes));
    }
    return writer->finish();
  }
  std::string contents() const {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::size_t file_count() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(directory_), fs::directory_iterator()));
  }

  std::string directory_;
  std::string path_;
  std::vector<Given> sections_;
};

TEST_F(FaultyWriting, LeavesNoFileBehindWhicheverCallFails) {
  for (const bool torn : {false, true}) {
    std::uint64_t faults = 0;
    for (std::uint64_t call = 1;; ++call) {
      FaultyFiles files(system_files(), {.call = call, .only = {}, .torn = torn});
      const auto written = write_to(files);
      if (!files.fault_happened()) {
        ASSERT_TRUE(written) << written.error().message;
        break;
      }
      ++faults;
      ASSERT_FALSE(written) << "call " << call;
      EXPECT_EQ(written.error().code, Code::kIo);
      EXPECT_EQ(file_count(), 0u) << "call " << call;
    }
    EXPECT_GE(faults, 8u);  // create, 3 granules, checksums, padding, directory, header, commit
    EXPECT_EQ(file_count(), 1u);
    fs::remove(path_);
  }
}

TEST_F(FaultyWriting, LeavesAnExistingFileAloneWhicheverCallFails) {
  std::ofstream(path_) << "what was there";
  for (std::uint64_t call = 1;; ++call) {
    FaultyFiles files(system_files(), {.call = call, .only = {}, .stays = true});
    const auto written = write_to(files);
    if (!files.fault_happened()) break;
    ASSERT_FALSE(written) << "call " << call;
    EXPECT_EQ(contents(), "what was there") << "call " << call;
    EXPECT_EQ(file_count(), 1u) << "call " << call;
  }
  EXPECT_TRUE(contents().starts_with("THAW"));
}

TEST_F(FaultyWriting, AFullDiskAtAnySizeLeavesNoFile) {
  const std::uint64_t whole = write(sections_).size();
  for (std::uint64_t room = 0; room < whole; room += 1 + whole / 40) {
    FullDiskFiles files(system_files(), room);
    EXPECT_EQ(write_to(files).error().code, Code::kIo) << room;
    EXPECT_EQ(file_count(), 0u) << room;
  }
  FullDiskFiles files(system_files(), whole);
  EXPECT_TRUE(write_to(files));
}

TEST_F(FaultyWriting, AnUnfinishedWriterLeavesNoFile) {
  {
    auto writer = Writer::create(system_files(), path_);
    ASSERT_TRUE(writer);
    ASSERT_TRUE((*writer)->add(SectionType::kWeights, "", Blob(3 << 20)));
  }
  EXPECT_EQ(file_count(), 0u);
}

TEST_F(FaultyWriting, AFailedMapIsIo) {
  ASSERT_TRUE(write_to(system_files()));
  FaultyFiles files(system_files(), {.call = 1, .only = {}});
  EXPECT_EQ(Reader::open(files, path_).error().code, Code::kIo);
}

}  // namespace
}  // namespace thaw::snapshot
