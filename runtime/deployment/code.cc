#include "runtime/deployment/code.h"

#include <vector>

#include "base/bytes.h"
#include "base/str.h"

namespace thaw::deployment {
namespace {

constexpr std::uint32_t kEndMagic = 0x06054b50;
constexpr std::uint32_t kEnd64Magic = 0x06064b50;
constexpr std::uint32_t kLocator64Magic = 0x07064b50;
constexpr std::uint32_t kEntryMagic = 0x02014b50;
constexpr std::uint32_t kLocalMagic = 0x04034b50;
constexpr std::size_t kEndBytes = 22, kEntryBytes = 46, kLocalBytes = 30;
constexpr std::uint32_t kSee64 = 0xffffffff;
constexpr std::size_t kCopyBytes = 16 << 20;

struct Member {
  std::uint16_t method = 0;
  std::uint64_t offset = 0, bytes = 0;
};

// Little-endian values of a zip, each checked against its end.
struct Zip {
  Bytes bytes;
  const std::string& path;
  Error broken() const {
    return fail(Code::kCorrupt, cat("read '", path, "': not a whole zip; make it anew"));
  }
};

// Sizes and offset of an entry past 4 GB are in an extra field.
void read_extra(Bytes extra, std::uint32_t bytes32, std::uint32_t compressed32,
                std::uint32_t offset32, Member& member) {
  std::size_t at = 0;
  while (const auto size = load_at<std::uint16_t>(extra, at + 2)) {
    std::size_t field = at + 4;
    if (*load_at<std::uint16_t>(extra, at) == 1) {
      const auto next = [&](std::uint32_t small) -> std::uint64_t {
        if (small != kSee64) return small;
        const auto value = load_at<std::uint64_t>(extra, field);
        field += sizeof(std::uint64_t);
        return value.value_or(~std::uint64_t{0});
      };
      member.bytes = next(bytes32);
      (void)next(compressed32);
      member.offset = next(offset32);
    }
    at += 4 + *size;
  }
}

// Where the central directory begins.
Result<std::uint64_t> directory_of(const Zip& zip) {
  const std::size_t size = zip.bytes.size();
  if (size < kEndBytes) return zip.broken();
  for (std::size_t at = size - kEndBytes; at + (64 << 10) + kEndBytes > size; --at) {
    if (load_at<std::uint32_t>(zip.bytes, at) == kEndMagic) {
      const std::uint32_t offset = *load_at<std::uint32_t>(zip.bytes, at + 16);
      if (offset != kSee64) return std::uint64_t{offset};
      const auto locator = at < 20 ? std::nullopt : load_at<std::uint32_t>(zip.bytes, at - 20);
      if (locator != kLocator64Magic) return zip.broken();
      const auto end64 = load_at<std::uint64_t>(zip.bytes, at - 12);
      const auto magic = load_at<std::uint32_t>(zip.bytes, *end64);
      const auto directory = load_at<std::uint64_t>(zip.bytes, *end64 + 48);
      if (magic != kEnd64Magic || !directory) return zip.broken();
      return *directory;
    }
    if (at == 0) break;
  }
  return zip.broken();
}

Result<Member> find_member(const Zip& zip, const std::vector<std::string>& names) {
  THAW_TRY(begin, directory_of(zip));
  std::uint64_t at = begin;
  while (load_at<std::uint32_t>(zip.bytes, at) == kEntryMagic) {
    if (zip.bytes.size() - at < kEntryBytes) return zip.broken();
    const auto u16 = [&](std::size_t offset) {
      return *load_at<std::uint16_t>(zip.bytes, at + offset);
    };
    const auto u32 = [&](std::size_t offset) {
      return *load_at<std::uint32_t>(zip.bytes, at + offset);
    };
    const std::size_t name_bytes = u16(28), extra_bytes = u16(30), comment_bytes = u16(32);
    const std::uint64_t next = at + kEntryBytes + name_bytes + extra_bytes + comment_bytes;
    if (next > zip.bytes.size()) return zip.broken();
    const std::string_view name = as_text(zip.bytes.subspan(at + kEntryBytes, name_bytes));
    for (const std::string& wanted : names) {
      if (name != wanted) continue;
      Member member{u16(10), u32(42), u32(24)};
      read_extra(zip.bytes.subspan(at + kEntryBytes + name_bytes, extra_bytes), u32(24), u32(20),
                 u32(42), member);
      return member;
    }
    at = next;
  }
  return fail(Code::kNotFound,
              cat("read '", zip.path, "': it holds no '", one_line(names.front()), "'"));
}

// The snapshot of a package, out of it and into `to`.
Result<Done> unpack(const std::string& path, const std::vector<std::string>& names,
                    const std::string& to, Files& files) {
  THAW_TRY(map, files.map(path));
  const Zip zip{map->bytes(), path};
  THAW_TRY(member, find_member(zip, names));
  if (member.method != 0) {
    return fail(Code::kUnsupported,
                cat("read '", path,
                    "': the snapshot in it is compressed; unzip it into a folder "
                    "and name that folder"));
  }
  const auto magic = load_at<std::uint32_t>(zip.bytes, member.offset);
  const auto name_bytes = load_at<std::uint16_t>(zip.bytes, member.offset + 26);
  const auto extra_bytes = load_at<std::uint16_t>(zip.bytes, member.offset + 28);
  if (magic != kLocalMagic || !name_bytes || !extra_bytes) return zip.broken();
  const std::uint64_t begin = member.offset + kLocalBytes + *name_bytes + *extra_bytes;
  if (begin > zip.bytes.size() || member.bytes > zip.bytes.size() - begin) return zip.broken();
  THAW_TRY(file, files.create(to));
  for (std::uint64_t done = 0; done < member.bytes; done += kCopyBytes) {
    const auto part = std::min<std::uint64_t>(kCopyBytes, member.bytes - done);
    THAW_TRY_DO(file->append(zip.bytes.subspan(begin + done, part)));
  }
  return file->commit();
}

// Of a path: what stands behind its last slash.
std::string_view last_of(std::string_view path) { return path.substr(path.rfind('/') + 1); }

bool is_file(Files& files, const std::string& path) {
  const auto entry = files.stat(path);
  return entry && !entry->is_directory;
}

}  // namespace

Result<std::string> find_snapshot(const TemplateFunction& function,
                                  const std::string& template_directory,
                                  const std::string& unpacked, Files& files,
                                  StateFiles& state_files) {
  const std::vector<std::string> names = {function.handler, function.handler + ".thaw"};
  const std::string code =
      function.code.starts_with('/') ? function.code : cat(template_directory, "/", function.code);
  for (const std::string& directory : {code, template_directory}) {
    for (const std::string& name : names) {
      if (const std::string path = cat(directory, "/", name); is_file(files, path)) return path;
    }
  }
  const auto package = files.stat(code);
  if (!package || package->is_directory) {
    return fail(Code::kNotFound, cat("emulate '", one_line(function.options.name),
                                     "': no snapshot '", one_line(names[0]), "' in its code '",
                                     one_line(code),
                                     "' nor beside the template; make one with 'thaw "
                                     "freeze', or name another folder"));
  }
  // Named by what it was taken from, so that another package is another file; and below `unpacked`,
  // whatever the template says.
  const std::string directory =
      cat(unpacked, "/", last_of(function.options.name), "-", package->bytes);
  const std::string to =
      cat(directory, "/", last_of(names[0].ends_with(".thaw") ? names[0] : names[1]));
  THAW_TRY_DO(state_files.make_directory(directory));
  THAW_TRY_DO(unpack(code, names, to, files));
  return to;
}

}  // namespace thaw::deployment
