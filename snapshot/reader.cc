#include "snapshot/reader.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/crc32c.h"
#include "base/str.h"
#include "snapshot/name.h"

namespace thaw::snapshot {
namespace {

bool all_zero(Bytes bytes) {
  // Eight at a time: a snapshot with weights has up to 2 MiB of padding.
  for (; bytes.size() >= 8; bytes = bytes.subspan(8)) {
    if (load<std::uint64_t>(bytes.data()) != 0) return false;
  }
  return std::all_of(bytes.begin(), bytes.end(),
                     [](std::byte byte) { return byte == std::byte{}; });
}

// What is read of either end of a file when it is opened: small sections; directory and checksums.
constexpr std::size_t kBeginBytes = 2u << 20, kEndBytes = 64u << 10;

// Checks a mapped file's header and directory, and lists its sections. One use, by open().
class Checker {
 public:
  Checker(const std::string& path, Bytes file) : path_(path), file_(file) {}

  Result<std::vector<Section>> sections() {
    THAW_TRY_DO(check_header());
    THAW_TRY_DO(check_directory());
    return std::move(sections_);
  }

 private:
  Error corrupt(std::string_view found) const {
    return fail(Code::kCorrupt, cat("open ", quote(path_), ": ", found,
                                    "; the file is damaged: copy it again or freeze it anew"));
  }

  Result<Done> check_header();
  Result<Done> check_directory();
  Result<Done> check_entry(const DirectoryEntry& entry, const std::string& where);
  Result<Done> check_names_differ() const;
  Result<Done> check_checksums() const;
  // What later minor versions put into fields that are zero today is theirs; in ours it is damage.
  bool is_ours() const { return header_.version_minor <= kVersionMinor; }

  const std::string& path_;
  Bytes file_;
  Header header_{};
  std::uint64_t end_ = sizeof(Header);  // of what is known to be in use so far
  std::vector<Section> sections_;
};

Result<Done> Checker::check_header() {
  if (file_.size() < sizeof(Header)) {
    return corrupt(cat(file_.size(), " bytes, a header alone has ", sizeof(Header)));
  }
  header_ = load<Header>(file_.data());
  if (header_.magic != kMagic) {
    return fail(Code::kCorrupt,
                cat("open ", quote(path_), ": not a thaw snapshot: it does not begin with 'THAW'; ",
                    "'thaw freeze' makes one from a model"));
  }
  // The version comes before the checksum: another major version may compute that differently.
  if (header_.version_major != kVersionMajor) {
    return fail(Code::kUnsupported,
                cat("open ", quote(path_), ": format ", header_.version_major, '.',
                    header_.version_minor, ", this build reads ", kVersionMajor,
                    ".x; thaw it with a ", header_.version_major, ".x build, or freeze it anew"));
  }
  if (crc32c(file_.first(offsetof(Header, header_crc32c))) != header_.header_crc32c) {
    return corrupt("the header's checksum is wrong");
  }
  if (header_.file_bytes != file_.size()) {
    return fail(Code::kCorrupt,
                cat("open ", quote(path_), ": ", file_.size(), " bytes, its header says ",
                    header_.file_bytes, "; the copy was cut short or extended: copy it again"));
  }
  const auto is_zero = [](std::uint8_t byte) { return byte == 0; };
  if (is_ours() &&
      !std::all_of(std::begin(header_.reserved), std::end(header_.reserved), is_zero)) {
    return corrupt("reserved bytes of the header are not zero");
  }
  return Done{};
}

Result<Done> Checker::check_directory() {
  const std::uint64_t count = header_.section_count;
  if (count == 0 || count > kSectionCountMax) {
    return corrupt(cat(count, " sections, from 1 to ", kSectionCountMax, " can be"));
  }
  const std::uint64_t bytes = count * sizeof(DirectoryEntry);
  if (header_.directory_offset % kSectionAlign != 0 || bytes > file_.size() ||
      header_.directory_offset != file_.size() - bytes) {
    return corrupt(cat("a directory of ", count, " sections at ", header_.directory_offset,
                       ", it should end the file of ", file_.size(), " bytes"));
  }
  const Bytes directory = file_.subspan(header_.directory_offset, bytes);
  if (crc32c(directory) != header_.directory_crc32c) {
    return corrupt("the directory's checksum is wrong");
  }
  sections_.reserve(count);
  for (std::uint64_t index = 0; index < count; ++index) {
    const auto entry = load<DirectoryEntry>(directory.data() + index * sizeof(DirectoryEntry));
    THAW_TRY_DO(check_entry(entry, cat("section ", index, ' ')));
    const auto* name = reinterpret_cast<const char*>(directory.data()) +
                       index * sizeof(DirectoryEntry) + offsetof(DirectoryEntry, name);
    sections_.push_back({static_cast<SectionType>(entry.type),
                         std::string_view(name, std::strlen(name)), entry.offset,
                         file_.subspan(entry.offset, entry.bytes)});
    end_ = entry.offset + entry.bytes;
  }
  THAW_TRY_DO(check_names_differ());
  return check_checksums();
}

Result<Done> Checker::check_entry(const DirectoryEntry& entry, const std::string& where) {
  const char* const name_end = std::end(entry.name);
  const char* const zero = std::find(std::begin(entry.name), name_end, '\0');
  if (zero == name_end) return corrupt(cat(where, "has a name without an end"));
  if (std::any_of(zero, name_end, [](char letter) { return letter != '\0'; })) {
    return corrupt(cat(where, "has bytes after its name"));
  }
  if (!is_plain_text(std::string_view(entry.name, static_cast<std::size_t>(zero - entry.name)))) {
    return corrupt(cat(where, "has a name that is not plain UTF-8"));
  }
  if (entry.flags != 0) {
    return fail(Code::kUnsupported,
                cat("open ", quote(path_), ": ", where, "has flags ", entry.flags,
                    " that this build does not know; thaw it with a newer build"));
  }
  if (is_ours() && entry.reserved != 0) return corrupt(cat(where, "has reserved bytes set"));
  const std::uint64_t alignment = alignment_of(static_cast<SectionType>(entry.type));
  if (entry.offset % alignment != 0) {
    return corrupt(cat(where, "begins at ", entry.offset, ", not a multiple of ", alignment));
  }
  if (entry.offset < end_) {
    return corrupt(
        cat(where, "begins at ", entry.offset, ", before the end of what precedes it, ", end_));
  }
  // The subtraction cannot wrap: the directory lies inside the file.
  if (entry.offset > header_.directory_offset ||
      entry.bytes > header_.directory_offset - entry.offset) {
    return corrupt(cat(where, "has ", entry.bytes, " bytes at ", entry.offset,
                       ", past the directory at ", header_.directory_offset));
  }
  return Done{};
}

Result<Done> Checker::check_names_differ() const {
  std::vector<std::pair<SectionType, std::string_view>> names;
  names.reserve(sections_.size());
  for (const Section& section : sections_) names.emplace_back(section.type, section.name);
  std::sort(names.begin(), names.end());
  const auto twin = std::adjacent_find(names.begin(), names.end());
  if (twin == names.end()) return Done{};
  return corrupt(cat("two sections of type ", static_cast<std::uint32_t>(twin->first),
                     " are named ", quote(twin->second)));
}

Result<Done> Checker::check_checksums() const {
  const Section& last = sections_.back();
  if (last.type != SectionType::kChecksums || !last.name.empty()) {
    return corrupt("the last section is not that of the checksums");
  }
  for (const Section& section : std::span(sections_).first(sections_.size() - 1)) {
    if (section.type == SectionType::kChecksums) return corrupt("checksums are there twice");
  }
  const std::uint64_t granules = (last.offset + kGranuleBytes - 1) / kGranuleBytes;
  if (last.bytes.size() != granules * sizeof(std::uint32_t)) {
    return corrupt(cat(last.bytes.size(), " bytes of checksums, ", granules, " granules need ",
                       granules * sizeof(std::uint32_t)));
  }
  return Done{};
}

// The sections that share bytes with [begin, end), for a message.
std::string sections_within(std::span<const Section> sections, std::uint64_t begin,
                            std::uint64_t end) {
  std::string names;
  for (const Section& section : sections) {
    if (section.offset >= end || section.offset + section.bytes.size() <= begin) continue;
    names.append(names.empty() ? " in section " : ", ").append(name_of(section.type));
    if (!section.name.empty()) names.append(1, ' ').append(quote(section.name));
  }
  return names.empty() ? " in the header or padding" : names;
}

Error damaged(const std::string& path, std::string_view found) {
  return fail(Code::kCorrupt, cat("verify ", quote(path), ": ", found,
                                  "; the file is damaged: copy it again or freeze it anew"));
}

}  // namespace

Result<std::unique_ptr<Reader>> Reader::open(Files& files, const std::string& path) {
  THAW_TRY(mapping, files.map(path));
  // Header and directory lie at the ends of the file: from a disk, both are read at once, the first
  // as one huge page (asked for in small ones it takes 5 ms instead of 2). What cannot be read is
  // told when it is used.
  const Bytes file = mapping->bytes();
  if (!file.empty() && !mapping->is_cached(0)) {
    mapping->will_need(file.last(std::min(kEndBytes, file.size())));
    (void)mapping->populate(file.first(std::min(kBeginBytes, file.size())));
  }
  std::unique_ptr<Reader> reader(new Reader());
  reader->path_ = path;
  reader->mapping_ = std::move(mapping);
  THAW_TRY(sections, Checker(reader->path_, reader->mapping_->bytes()).sections());
  reader->sections_ = std::move(sections);
  return reader;
}

std::uint64_t Reader::file_bytes() const { return mapping_->bytes().size(); }

std::uint16_t Reader::version_minor() const {
  return load<Header>(mapping_->bytes().data()).version_minor;
}

Error Reader::granule_error(std::uint64_t granule, std::uint32_t found) const {
  const Section& checksums = sections_.back();
  const std::uint64_t begin = granule * kGranuleBytes;
  const std::uint64_t end = std::min(begin + kGranuleBytes, checksums.offset);
  const auto wanted = load<std::uint32_t>(checksums.bytes.data() + granule * sizeof(std::uint32_t));
  return damaged(path_, cat("granule ", granule, " (bytes ", begin, " to ", end,
                            sections_within(sections_, begin, end), "): checksum ", found,
                            ", the file says ", wanted));
}

Result<Done> Reader::verify() const {
  const Bytes file = mapping_->bytes();
  const auto corrupt = [&](std::string_view found) { return damaged(path_, found); };
  const Section& checksums = sections_.back();
  for (std::uint64_t begin = 0; begin < checksums.offset; begin += kGranuleBytes) {
    const std::uint64_t end = std::min(begin + kGranuleBytes, checksums.offset);
    const std::uint64_t granule = begin / kGranuleBytes;
    const auto wanted =
        load<std::uint32_t>(checksums.bytes.data() + granule * sizeof(std::uint32_t));
    const std::uint32_t found = crc32c(file.subspan(begin, end - begin));
    if (found != wanted) return granule_error(granule, found);
  }
  // A checksum says that nothing changed since writing; padding must be zero whoever wrote it.
  std::uint64_t end = sizeof(Header);
  for (const Section& section : sections_) {
    if (!all_zero(file.subspan(end, section.offset - end))) {
      return corrupt(cat("padding from ", end, " to ", section.offset, " is not zero"));
    }
    end = section.offset + section.bytes.size();
  }
  return check_end();
}

Result<Done> Reader::check_end() const {
  const std::uint64_t end = sections_.back().offset + sections_.back().bytes.size();
  const auto directory = load<Header>(bytes().data()).directory_offset;
  if (all_zero(bytes().subspan(end, directory - end))) return Done{};
  return damaged(path_, cat("padding from ", end, " to ", directory, " is not zero"));
}

}  // namespace thaw::snapshot
