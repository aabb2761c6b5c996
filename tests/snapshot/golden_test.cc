// FORMAT.md's worked example is what the writer writes, byte for byte, and what the reader reads.
#include <cctype>
#include <charconv>
#include <fstream>
#include <string>

#include "snapshot_fixture.h"

namespace thaw::snapshot {
namespace {

// A byte at the front of `text`: two hex digits and then a space or the end.
std::optional<std::byte> byte_of(std::string_view text) {
  unsigned value = 0;
  if (text.size() < 2 || (text.size() > 2 && text[2] != ' ')) return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + 2, value, 16);
  if (error != std::errc() || end != text.data() + 2) return std::nullopt;
  return static_cast<std::byte>(value);
}

// Puts the bytes of a line such as "00000010  00 40 00 00  in words" into `file`, which grows; the
// words begin at column 59. The number of bytes put.
std::size_t put_line(std::string_view line, Blob& file) {
  std::size_t at = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + 8, at, 16);
  if (error != std::errc() || end != line.data() + 8) return 0;
  std::string_view rest = line.substr(0, 58).substr(8);
  std::size_t count = 0;
  while (!rest.empty()) {
    if (rest.front() == ' ') {
      rest.remove_prefix(1);
      continue;
    }
    const auto byte = byte_of(rest);
    if (!byte) break;
    if (file.size() <= at + count) file.resize(at + count + 1);
    file[at + count++] = *byte;
    rest.remove_prefix(2);
  }
  return count;
}

struct Example {
  Blob file;
  std::size_t byte_count = 0;
};

Example read_example() {
  std::ifstream document(THAW_SOURCE_DIR "/snapshot/FORMAT.md");
  Example example;
  bool is_inside = false;
  for (std::string line; std::getline(document, line);) {
    if (line.starts_with("```")) is_inside = !is_inside;
    if (is_inside && line.size() > 10) example.byte_count += put_line(line, example.file);
  }
  return example;
}

TEST(SnapshotFormat, TheWorkedExampleIsWhatTheWriterWrites) {
  const Example example = read_example();
  EXPECT_EQ(example.byte_count, 64u + 15 + 8 + 4 + 3 * 64);
  Blob prefix;
  for (std::uint8_t value = 1; value <= 8; ++value) prefix.push_back(std::byte{value});
  const Blob written = write({{SectionType::kManifest, "", blob("{\"task\":\"chat\"}")},
                              {SectionType::kPrefix, "hello", prefix}});
  ASSERT_EQ(written.size(), example.file.size());
  for (std::size_t at = 0; at < written.size(); ++at) {
    ASSERT_EQ(written[at], example.file[at]) << "at " << at;
  }
}

TEST(SnapshotFormat, TheWorkedExampleIsSound) {
  MemoryFiles files;
  files.files["s"] = read_example().file;
  const auto reader = Reader::open(files, "s");
  ASSERT_TRUE(reader) << reader.error().message;
  EXPECT_EQ(as_text(*(*reader)->section(SectionType::kManifest)), "{\"task\":\"chat\"}");
  EXPECT_EQ((*reader)->section(SectionType::kPrefix, "hello")->size(), 8u);
  EXPECT_TRUE((*reader)->verify());
}

}  // namespace
}  // namespace thaw::snapshot
