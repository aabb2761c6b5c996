#include "snapshot/writer.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/str.h"
#include "snapshot/name.h"

namespace thaw::snapshot {

// Bytes gather in `granule`; each full one is checksummed and written in one piece. The first is
// kept, since the header lies in it.
struct Writer::State {
  std::string path;
  std::unique_ptr<WriteFile> file;
  std::vector<std::byte> granule;         // the one being filled, less than kGranuleBytes
  std::size_t granule_written = 0;        // of its bytes, how many are in the file already
  std::vector<std::byte> first;           // a copy of granule 0, once that is full
  std::vector<std::uint32_t> checksums;   // of the granules written; [0] is set by finish()
  std::vector<DirectoryEntry> directory;  // `bytes` of the open section is set by end()
  std::uint64_t position = 0;             // bytes given to us so far
  bool open = false;                      // a section is
  bool spent = false;                     // finished, or a write has failed

  Result<Done> put(Bytes bytes);
  Result<Done> put_granule(Bytes bytes);
  Result<Done> pad_to(std::uint64_t offset);
  Result<Done> write(Bytes bytes);
  Result<Done> write_at_end(Bytes bytes);
  Error no_use() const;
};

Error Writer::State::no_use() const {
  return fail(Code::kIo, cat("write ", quote(path), ": an earlier write failed; freeze it anew"));
}

// All that reaches the file passes here, so that nothing follows a failed write.
Result<Done> Writer::State::write(Bytes bytes) {
  auto done = file->append(bytes);
  if (!done) spent = true;
  return done;
}

Result<Done> Writer::State::put_granule(Bytes bytes) {
  if (checksums.empty()) {
    first.assign(bytes.begin(), bytes.end());
    checksums.push_back(0);
  } else {
    checksums.push_back(crc32c(bytes));
  }
  const Bytes rest = bytes.subspan(std::exchange(granule_written, 0));
  return write(rest);
}

Result<Done> Writer::State::put(Bytes bytes) {
  if (spent) return no_use();
  position += bytes.size();
  while (!bytes.empty()) {
    if (granule.empty() && bytes.size() >= kGranuleBytes) {  // a whole one needs no copy
      THAW_TRY_DO(put_granule(bytes.first(kGranuleBytes)));
      bytes = bytes.subspan(kGranuleBytes);
      continue;
    }
    const std::size_t count = std::min<std::size_t>(kGranuleBytes - granule.size(), bytes.size());
    granule.insert(granule.end(), bytes.begin(), bytes.begin() + count);
    bytes = bytes.subspan(count);
    if (granule.size() == kGranuleBytes) {
      THAW_TRY_DO(put_granule(granule));
      granule.clear();
    }
  }
  return Done{};
}

Result<Done> Writer::State::pad_to(std::uint64_t offset) {
  static constexpr std::byte kZeros[kSectionAlign] = {};
  if (spent) return no_use();
  while (position < offset) {
    const std::uint64_t count = std::min<std::uint64_t>(offset - position, sizeof kZeros);
    THAW_TRY_DO(put(Bytes(kZeros, count)));
  }
  return Done{};
}

// What follows the granules: checksums and directory, which have no checksum of this kind.
Result<Done> Writer::State::write_at_end(Bytes bytes) {
  THAW_TRY_DO(write(bytes));
  position += bytes.size();
  return Done{};
}

Writer::Writer() : state_(std::make_unique<State>()) {}
Writer::~Writer() = default;

Result<std::unique_ptr<Writer>> Writer::create(Files& files, const std::string& path) {
  THAW_TRY(file, files.create(path));
  std::unique_ptr<Writer> writer(new Writer());
  writer->state_->path = path;
  writer->state_->file = std::move(file);
  writer->state_->granule.reserve(kGranuleBytes);
  THAW_TRY_DO(writer->state_->pad_to(sizeof(Header)));
  return writer;
}

Result<Done> Writer::begin(SectionType type, std::string_view name) {
  State& state = *state_;
  THAW_CHECK(!state.open);
  THAW_CHECK(type != SectionType::kChecksums);
  if (state.spent) return state.no_use();
  const auto where = [&] {
    return cat("write ", quote(state.path), ": section ", quote(name), ": ");
  };
  if (name.size() > kSectionNameMax || !is_plain_text(name)) {
    return fail(Code::kInvalid, cat(where(), "a name has at most ", kSectionNameMax,
                                    " bytes of UTF-8 without control characters"));
  }
  if (state.directory.size() + 1 >= kSectionCountMax) {  // one is for the checksums
    return fail(Code::kLimit,
                cat(where(), "a snapshot has at most ", kSectionCountMax, " sections"));
  }
  DirectoryEntry entry{};
  entry.type = static_cast<std::uint32_t>(type);
  std::copy(name.begin(), name.end(), entry.name);
  for (const DirectoryEntry& other : state.directory) {
    if (other.type == entry.type && std::memcmp(other.name, entry.name, sizeof entry.name) == 0) {
      return fail(Code::kInvalid, cat(where(), "this type has one of that name already"));
    }
  }
  entry.offset = round_up(state.position, alignment_of(type));
  THAW_TRY_DO(state.pad_to(entry.offset));
  state.directory.push_back(entry);
  state.open = true;
  return Done{};
}

Result<Done> Writer::append(Bytes bytes) {
  THAW_CHECK(state_->open);
  return state_->put(bytes);
}

Result<std::uint64_t> Writer::align(std::uint64_t alignment) {
  THAW_CHECK(state_->open);
  THAW_CHECK(std::has_single_bit(alignment));
  const std::uint64_t start = state_->directory.back().offset;
  const std::uint64_t offset = round_up(state_->position - start, alignment);
  THAW_TRY_DO(state_->pad_to(start + offset));
  return offset;
}

Result<Done> Writer::end() {
  State& state = *state_;
  THAW_CHECK(state.open);
  state.open = false;
  if (state.spent) return state.no_use();
  state.directory.back().bytes = state.position - state.directory.back().offset;
  return Done{};
}

Result<Done> Writer::add(SectionType type, std::string_view name, Bytes bytes) {
  THAW_TRY_DO(begin(type, name));
  THAW_TRY_DO(append(bytes));
  return end();
}

Result<std::unique_ptr<Sections>> Writer::read_back() {
  class Written final : public Sections {
   public:
    Written(const State& state, std::unique_ptr<Mapping> mapping) {
      path_ = state.path;
      mapping_ = std::move(mapping);
      names_ = state.directory;
      for (const DirectoryEntry& entry : names_) {
        sections_.push_back({static_cast<SectionType>(entry.type), entry.name, entry.offset,
                             mapping_->bytes().subspan(entry.offset, entry.bytes)});
      }
    }

   private:
    std::vector<DirectoryEntry> names_;
  };
  State& state = *state_;
  THAW_CHECK(!state.open);
  if (state.spent) return state.no_use();
  THAW_TRY_DO(state.write(Bytes(state.granule).subspan(state.granule_written)));
  state.granule_written = state.granule.size();
  THAW_TRY(mapping, state.file->map());
  return std::unique_ptr<Sections>(new Written(state, std::move(mapping)));
}

Result<Done> Writer::finish() {
  State& state = *state_;
  THAW_CHECK(!state.open);
  THAW_TRY_DO(state.pad_to(round_up(state.position, kSectionAlign)));
  const std::uint64_t checksums_offset = state.position;
  if (!state.granule.empty()) THAW_TRY_DO(state.put_granule(state.granule));

  DirectoryEntry checksums{};
  checksums.type = static_cast<std::uint32_t>(SectionType::kChecksums);
  checksums.offset = checksums_offset;
  checksums.bytes = state.checksums.size() * sizeof(std::uint32_t);
  state.directory.push_back(checksums);
  const Bytes directory = std::as_bytes(std::span(state.directory));

  Header header{};
  header.magic = kMagic;
  header.version_major = kVersionMajor;
  header.version_minor = kVersionMinor;
  header.directory_offset = round_up(checksums_offset + checksums.bytes, kSectionAlign);
  header.file_bytes = header.directory_offset + directory.size();
  header.section_count = static_cast<std::uint32_t>(state.directory.size());
  header.directory_crc32c = crc32c(directory);
  const Bytes header_bytes = std::as_bytes(std::span(&header, 1));
  header.header_crc32c = crc32c(header_bytes.first(offsetof(Header, header_crc32c)));
  std::copy(header_bytes.begin(), header_bytes.end(), state.first.begin());
  state.checksums[0] = crc32c(state.first);

  const std::vector<std::byte> padding(header.directory_offset - checksums_offset -
                                       checksums.bytes);
  THAW_TRY_DO(state.write_at_end(std::as_bytes(std::span(state.checksums))));
  THAW_TRY_DO(state.write_at_end(padding));
  THAW_TRY_DO(state.write_at_end(directory));
  state.spent = true;
  THAW_TRY_DO(state.file->write_at(0, header_bytes));
  return state.file->commit();
}

}  // namespace thaw::snapshot
