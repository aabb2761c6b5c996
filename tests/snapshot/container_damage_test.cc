// The container, damaged: by a bit, by a cut, and by a hand that puts the checksums right again.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>

#include "snapshot_fixture.h"

namespace thaw::snapshot {
namespace {

bool is_corrupt(const Result<Done>& result) {
  return !result && result.error().code == Code::kCorrupt;
}

TEST(DamagedSnapshot, EveryFlippedBitOfHeaderDirectoryAndContentsIsFound) {
  Small small;
  const std::uint64_t directory = small.header().directory_offset;
  const std::uint64_t checksums = small.entry(3).offset;
  std::size_t flips = 0;
  for (std::size_t at = 0; at < small.file.size(); ++at) {
    const bool is_dense = at < sizeof(Header) || at >= directory ||
                          (at >= checksums && at < checksums + 8) || (at >= 4096 && at < 4096 + 16);
    for (unsigned bit = is_dense ? 0 : static_cast<unsigned>(at % 8); bit < 8; ++bit) {
      const auto flip = static_cast<std::byte>(1u << bit);
      small.file[at] ^= flip;
      const auto found = check(small.file);
      ASSERT_FALSE(found) << "byte " << at << " bit " << bit;
      // Another major version is damage as well as not; everything else is known to be damage.
      const bool is_major = at == 4 || at == 5;
      ASSERT_EQ(found.error().code, is_major ? Code::kUnsupported : Code::kCorrupt)
          << "byte " << at << " bit " << bit << ": " << found.error().message;
      small.file[at] ^= flip;
      ++flips;
      if (!is_dense) break;
    }
  }
  EXPECT_GT(flips, small.file.size());
  EXPECT_TRUE(check(small.file));
}

TEST(DamagedSnapshot, EveryCutAndEveryExtensionIsFoundOnOpening) {
  Small small;
  const Blob whole = small.file;
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const Blob cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    ASSERT_TRUE(is_corrupt(check(cut, false))) << size;
  }
  for (const std::size_t more : {1, 64, 4096, 1 << 20}) {
    Blob extended = whole;
    extended.resize(whole.size() + more);
    EXPECT_TRUE(is_corrupt(check(extended, false))) << more;
  }
}

TEST(DamagedSnapshot, MendingASoundOneChangesNothing) {
  Small small;
  const Blob before = small.file;
  mend(small.file);
  EXPECT_EQ(small.file, before);
}

TEST(DamagedSnapshot, AnotherMajorVersionIsUnsupportedAndSaysWhatToDo) {
  Small small;
  small.header().version_major = 2;
  const auto opened = small.check_mended();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::kUnsupported);
  EXPECT_EQ(opened.error().message,
            "open 's': format 2.0, this build reads 1.x; thaw it with a 2.x build, or freeze it "
            "anew");
}

TEST(DamagedSnapshot, ALaterMinorVersionMayUseWhatIsReserved) {
  Small small;
  small.header().version_minor = kVersionMinor + 1;
  small.header().reserved[27] = 1;
  small.entry(1).reserved = 5;
  EXPECT_TRUE(small.check_mended(true));
}

TEST(DamagedSnapshot, ReservedFieldsOfThisVersionMustBeZero) {
  for (std::size_t index = 0; index < sizeof(Header::reserved); ++index) {
    Small small;
    small.header().reserved[index] = 1;
    EXPECT_TRUE(is_corrupt(small.check_mended())) << index;
  }
  Small small;
  small.entry(0).reserved = std::uint64_t{1} << 63;
  EXPECT_TRUE(is_corrupt(small.check_mended()));
}

TEST(DamagedSnapshot, UnknownFlagsAreUnsupported) {
  Small small;
  small.entry(1).flags = 1;
  const auto opened = small.check_mended();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::kUnsupported);
}

TEST(DamagedSnapshot, UnknownTypesArePassedOver) {
  Small small;
  small.entry(0).type = 4'000'000'000u;
  EXPECT_TRUE(small.check_mended(true));
}

// One wrong field each, all checksums right: open refuses it as corrupt.
struct Wrong {
  std::string_view what;
  std::function<void(Small&)> make;
};

TEST(DamagedSnapshot, EveryWrongFieldIsRefusedThoughTheChecksumsAreRight) {
  constexpr std::uint64_t kHuge = ~std::uint64_t{0};
  const std::vector<Wrong> wrongs = {
      {"magic", [](Small& s) { s.header().magic ^= 1; }},
      {"file_bytes", [](Small& s) { s.header().file_bytes += 1; }},
      {"no sections", [](Small& s) { s.header().section_count = 0; }},
      {"fewer sections", [](Small& s) { s.header().section_count -= 1; }},
      {"more sections", [](Small& s) { s.header().section_count += 1; }},
      {"too many sections", [](Small& s) { s.header().section_count = kSectionCountMax + 1; }},
      {"most sections", [](Small& s) { s.header().section_count = 0xFFFFFFFF; }},
      {"directory elsewhere", [](Small& s) { s.header().directory_offset -= kSectionAlign; }},
      {"directory unaligned", [](Small& s) { s.header().directory_offset -= 64; }},
      {"directory past the end", [](Small& s) { s.header().directory_offset = kHuge - 4095; }},
      {"section unaligned", [](Small& s) { s.entry(1).offset += 64; }},
      {"section over the header", [](Small& s) { s.entry(0).offset = 0; }},
      {"section over another", [](Small& s) { s.entry(1).offset = s.entry(0).offset; }},
      {"section into the next", [](Small& s) { s.entry(0).bytes = 4097; }},
      {"section past the directory", [](Small& s) { s.entry(3).bytes = 4097; }},
      {"section past the file", [](Small& s) { s.entry(2).bytes = 1 << 30; }},
      {"section of all bytes", [](Small& s) { s.entry(2).bytes = kHuge; }},
      {"section at the very end", [](Small& s) { s.entry(2).offset = kHuge - 4095; }},
      {"weights at a page", [](Small& s) { s.entry(0).type = 7; }},
      {"sections out of order", [](Small& s) { std::swap(s.entry(0), s.entry(1)); }},
      {"name without end", [](Small& s) { std::memset(s.entry(1).name, 'x', 32); }},
      {"bytes after the name", [](Small& s) { s.entry(1).name[31] = 'x'; }},
      {"control character", [](Small& s) { s.entry(1).name[0] = '\x1b'; }},
      {"no UTF-8", [](Small& s) { s.entry(1).name[0] = '\xff'; }},
      {"twins", [](Small& s) { s.entry(2).name[0] = 'a'; }},
      {"no checksums", [](Small& s) { s.entry(3).type = 4; }},
      {"checksums not last", [](Small& s) { std::swap(s.entry(2).type, s.entry(3).type); }},
      {"checksums named", [](Small& s) { s.entry(3).name[0] = 'c'; }},
      {"checksums twice", [](Small& s) { s.entry(1).type = 1; }},
      {"checksums too few", [](Small& s) { s.entry(3).bytes = 0; }},
      {"checksums too many", [](Small& s) { s.entry(3).bytes = 8; }},
  };
  for (const Wrong& wrong : wrongs) {
    Small small;
    wrong.make(small);
    const auto opened = small.check_mended();
    ASSERT_FALSE(opened) << wrong.what;
    EXPECT_EQ(opened.error().code, Code::kCorrupt) << wrong.what << ": " << opened.error().message;
    EXPECT_EQ(opened.error().message.find('\n'), std::string::npos);
    EXPECT_TRUE(opened.error().message.starts_with("open 's': ")) << opened.error().message;
  }
}

TEST(DamagedSnapshot, PaddingThatIsNotZeroIsFoundThoughTheChecksumsAreRight) {
  Small small;
  const std::uint64_t places[] = {64,
                                  4095,
                                  small.entry(0).offset + small.entry(0).bytes,
                                  small.entry(1).offset - 1,
                                  small.entry(2).offset + small.entry(2).bytes,
                                  small.entry(3).offset + small.entry(3).bytes,
                                  small.header().directory_offset - 1};
  for (const std::uint64_t place : places) {
    Small damaged;
    damaged.file[place] = std::byte{1};
    EXPECT_TRUE(damaged.check_mended(false)) << place;  // opening reads no padding
    const auto verified = damaged.check_mended(true);
    ASSERT_TRUE(is_corrupt(verified)) << place;
    EXPECT_NE(verified.error().message.find("padding"), std::string::npos);
  }
}

TEST(DamagedSnapshot, VerifyNamesTheGranuleAndItsSections) {
  Blob file = write({{SectionType::kManifest, "", blob("{}")},
                     {SectionType::kPrefix, "hello", Blob(3 << 20, std::byte{1})}});
  file[(2 << 20) + 99] ^= std::byte{4};
  const auto verified = check(file);
  ASSERT_TRUE(is_corrupt(verified));
  EXPECT_NE(verified.error().message.find("granule 2 "), std::string::npos);
  EXPECT_NE(verified.error().message.find("prefix 'hello'"), std::string::npos);
}

// A file of which only the first page and what follows `open_from` can be read.
class GuardedFiles final : public Files {
 public:
  GuardedFiles(const Blob& file, std::uint64_t open_from) : file_(file), open_from_(open_from) {}

  Result<std::unique_ptr<Mapping>> map(const std::string&) override {
    return std::unique_ptr<Mapping>(new Guarded(file_, open_from_));
  }
  Result<std::unique_ptr<ReadFile>> open(const std::string&) override { return no(); }
  Result<std::unique_ptr<WriteFile>> create(const std::string&) override { return no(); }
  Result<std::vector<thaw::DirectoryEntry>> list(const std::string&) override { return no(); }
  Result<thaw::DirectoryEntry> stat(const std::string&) override { return no(); }

 private:
  static Error no() { return fail(Code::kIo, "not here"); }

  class Guarded final : public Mapping {
   public:
    Guarded(const Blob& file, std::uint64_t open_from) : size_(file.size()) {
      void* const at =
          ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (at == MAP_FAILED) std::abort();
      base_ = static_cast<std::byte*>(at);
      std::copy(file.begin(), file.end(), base_);
      if (::mprotect(base_ + 4096, open_from - 4096, PROT_NONE) != 0) std::abort();
    }
    ~Guarded() override { ::munmap(base_, size_); }
    Bytes bytes() const override { return {base_, size_}; }

   private:
    std::size_t size_;
    std::byte* base_;
  };

  const Blob& file_;
  std::uint64_t open_from_;
};

TEST(Snapshot, OpeningTouchesNoSection) {
  Small small;
  GuardedFiles files(small.file, small.header().directory_offset);
  const auto reader = Reader::open(files, "s");  // a fault would end the program
  ASSERT_TRUE(reader) << reader.error().message;
  EXPECT_EQ((*reader)->sections().size(), 4u);
  EXPECT_TRUE((*reader)->section(SectionType::kPrefix, "b"));
}

TEST(Snapshot, OpensBeyondFourGibibytes) {
  // A sparse file of 5 GiB: header and directory as the writer would have made them.
  constexpr std::uint64_t kFar = std::uint64_t{5} << 30;
  DirectoryEntry entries[3] = {};
  entries[0] = {.type = 7,
                .flags = 0,
                .offset = kWeightsAlign,
                .bytes = kFar - kWeightsAlign,
                .reserved = 0,
                .name = {}};
  entries[1] = {.type = 12, .flags = 0, .offset = kFar, .bytes = 5, .reserved = 0, .name = {}};
  const std::uint64_t checksums = kFar + kSectionAlign;
  const std::uint64_t granules = (checksums + kGranuleBytes - 1) / kGranuleBytes;
  entries[2] = {
      .type = 1, .flags = 0, .offset = checksums, .bytes = granules * 4, .reserved = 0, .name = {}};
  Header header{};
  header.magic = kMagic;
  header.version_major = kVersionMajor;
  header.directory_offset = round_up(checksums + granules * 4, kSectionAlign);
  header.file_bytes = header.directory_offset + sizeof entries;
  header.section_count = 3;
  header.directory_crc32c = crc32c(std::as_bytes(std::span(entries)));
  header.header_crc32c = crc32c(std::as_bytes(std::span(&header, 1)).first(60));

  std::string path = testing::TempDir() + "thaw-sparse-XXXXXX";
  const int file = ::mkstemp(path.data());
  ASSERT_GE(file, 0);
  ASSERT_EQ(::ftruncate(file, static_cast<off_t>(header.file_bytes)), 0);
  EXPECT_EQ(::pwrite(file, &header, sizeof header, 0), 64);
  EXPECT_EQ(::pwrite(file, "hello", 5, static_cast<off_t>(kFar)), 5);
  EXPECT_EQ(::pwrite(file, entries, sizeof entries, static_cast<off_t>(header.directory_offset)),
            static_cast<ssize_t>(sizeof entries));
  ::close(file);
  const auto reader = Reader::open(system_files(), path);
  ::unlink(path.c_str());
  ASSERT_TRUE(reader) << reader.error().message;
  EXPECT_EQ((*reader)->section(SectionType::kWeights)->size(), kFar - kWeightsAlign);
  EXPECT_EQ(as_text(*(*reader)->section(SectionType::kPrefix)), "hello");
}

}  // namespace
}  // namespace thaw::snapshot
