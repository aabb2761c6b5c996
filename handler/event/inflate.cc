#include "handler/event/inflate.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "base/str.h"

namespace thaw::event {
namespace {

constexpr int kCodeBitsMax = 15;
constexpr std::size_t kLiteralCodes = 288;
constexpr std::size_t kDistanceCodes = 30;
constexpr std::size_t kLengthCodes = 19;

Error damaged(std::string_view what) {
  return fail(Code::kCorrupt, cat("gunzip: ", what, "; the data is damaged, or not gzip"));
}

// CRC-32 as gzip has it (IEEE 802.3, reflected), four bits at a time: the table fits a cache line.
constexpr std::array<std::uint32_t, 16> kCrcOfNibble = [] {
  std::array<std::uint32_t, 16> table{};
  for (std::uint32_t nibble = 0; nibble < 16; ++nibble) {
    std::uint32_t crc = nibble;
    for (int bit = 0; bit < 4; ++bit) crc = (crc >> 1) ^ ((crc & 1) * 0xEDB88320u);
    table[nibble] = crc;
  }
  return table;
}();

std::uint32_t crc32_of(std::string_view bytes) {
  std::uint32_t crc = 0xFFFFFFFFu;
  for (const char letter : bytes) {
    crc ^= static_cast<unsigned char>(letter);
    crc = (crc >> 4) ^ kCrcOfNibble[crc & 15];
    crc = (crc >> 4) ^ kCrcOfNibble[crc & 15];
  }
  return ~crc;
}

// A canonical Huffman code: how many codes have each length, and the symbols in their order.
class Huffman {
 public:
  // `lengths` [symbols], 0: unused. False: more codes than bits allow, or fewer. A code of one
  // symbol in one bit, or of none, is `may_be_single`'s exception.
  bool build(std::span<const std::uint8_t> lengths, bool may_be_single) {
    counts_.fill(0);
    for (const std::uint8_t length : lengths) ++counts_[length];
    counts_[0] = 0;
    int left = 1;
    std::size_t used = 0;
    std::array<std::uint16_t, kCodeBitsMax + 1> next{};
    for (int bits = 1; bits <= kCodeBitsMax; ++bits) {
      left = left * 2 - counts_[static_cast<std::size_t>(bits)];
      if (left < 0) return false;
      next[static_cast<std::size_t>(bits)] = static_cast<std::uint16_t>(used);
      used += counts_[static_cast<std::size_t>(bits)];
    }
    for (std::size_t symbol = 0; symbol < lengths.size(); ++symbol) {
      if (lengths[symbol] != 0) {
        symbols_[next[lengths[symbol]]++] = static_cast<std::uint16_t>(symbol);
      }
    }
    return left == 0 || used == 0 || (may_be_single && used == 1 && counts_[1] == 1);
  }

  // The symbol whose code the bits from `bit()` on are; nothing where there is none.
  template <class Bit>
  std::optional<std::uint16_t> decode(Bit bit) const {
    int code = 0;
    int first = 0;
    int index = 0;
    for (std::size_t bits = 1; bits <= kCodeBitsMax; ++bits) {
      const int next = bit();
      if (next < 0) return std::nullopt;
      code |= next;
      const int count = counts_[bits];
      if (code - first < count) return symbols_[static_cast<std::size_t>(index + code - first)];
      index += count;
      first = (first + count) << 1;
      code <<= 1;
    }
    return std::nullopt;
  }

 private:
  std::array<std::uint16_t, kCodeBitsMax + 1> counts_{};
  std::array<std::uint16_t, kLiteralCodes> symbols_{};
};

// DEFLATE (RFC 1951).
class Inflater {
 public:
  Inflater(std::string_view in, std::size_t bytes_max, std::string& out)
      : in_(in), bytes_max_(bytes_max), out_(out), start_(out.size()) {}

  Result<Done> run() {
    bool last = false;
    while (!last) {
      last = bits(1) == 1;
      switch (bits(2)) {
        case 0: THAW_TRY_DO(stored()); break;
        case 1: THAW_TRY_DO(fixed()); break;
        case 2: THAW_TRY_DO(dynamic()); break;
        default: return damaged(short_ ? "cut short" : "a block of an unknown kind");
      }
    }
    return Done{};
  }

  std::size_t used() const { return at_; }  // bytes of the input, the last perhaps in part

 private:
  // Past the end all bits are zero, and that is remembered.
  std::uint32_t bits(int count) {
    while (held_bits_ < count) {
      if (at_ == in_.size()) {
        short_ = true;
        return 0;
      }
      held_ |= std::uint32_t{static_cast<unsigned char>(in_[at_++])} << held_bits_;
      held_bits_ += 8;
    }
    const std::uint32_t value = held_ & ((1u << count) - 1);
    held_ >>= count;
    held_bits_ -= count;
    return value;
  }

  int bit() {
    const std::uint32_t value = bits(1);
    return short_ ? -1 : static_cast<int>(value);
  }

  Result<Done> room(std::size_t more) const {
    if (bytes_max_ - out_.size() >= more) return Done{};
    return fail(Code::kLimit,
                cat("gunzip: more than ", bytes_max_, " bytes come out, the limit; send less"));
  }

  Result<Done> stored() {
    held_ = 0;
    held_bits_ = 0;
    const std::uint32_t length = bits(16);
    const std::uint32_t inverse = bits(16);
    if (short_ || in_.size() - at_ < length) return damaged("cut short");
    if ((length ^ inverse) != 0xFFFF) return damaged("a stored block's length is wrong");
    THAW_TRY_DO(room(length));
    out_ += in_.substr(at_, length);
    at_ += length;
    return Done{};
  }

  Result<Done> fixed() {
    std::array<std::uint8_t, kLiteralCodes> lengths{};
    for (std::size_t i = 0; i < kLiteralCodes; ++i) {
      lengths[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
    }
    std::array<std::uint8_t, 32> distances{};
    distances.fill(5);
    (void)literals_.build(lengths, false);
    (void)distances_.build(distances, false);
    return codes();
  }

  Result<Done> dynamic() {
    const std::size_t literals = bits(5) + 257;
    const std::size_t distances = bits(5) + 1;
    const std::size_t lengths = bits(4) + 4;
    if (short_) return damaged("cut short");
    if (literals > 286 || distances > kDistanceCodes) return damaged("too many codes");
    constexpr std::array<std::uint8_t, kLengthCodes> kOrder = {16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
                                                               11, 4,  12, 3, 13, 2, 14, 1, 15};
    std::array<std::uint8_t, kLengthCodes> of_lengths{};
    for (std::size_t i = 0; i < lengths; ++i) {
      of_lengths[kOrder[i]] = static_cast<std::uint8_t>(bits(3));
    }
    if (!literals_.build(of_lengths, false)) return damaged("an impossible code");
    std::array<std::uint8_t, kLiteralCodes + kDistanceCodes> all{};
    THAW_TRY_DO(read_lengths(std::span(all).first(literals + distances)));
    if (all[256] == 0) return damaged("a block without an end");
    if (!literals_.build(std::span(all).first(literals), true) ||
        !distances_.build(std::span(all).subspan(literals, distances), true)) {
      return damaged("an impossible code");
    }
    return codes();
  }

  // Lengths of codes are themselves coded, with repeats.
  Result<Done> read_lengths(std::span<std::uint8_t> to) {
    std::size_t at = 0;
    while (at < to.size()) {
      const std::optional<std::uint16_t> symbol = literals_.decode([this] { return bit(); });
      if (!symbol) return damaged(short_ ? "cut short" : "a code that means nothing");
      std::uint8_t value = 0;
      std::size_t repeat = 1;
      if (*symbol < 16) {
        value = static_cast<std::uint8_t>(*symbol);
      } else if (*symbol == 16) {
        if (at == 0) return damaged("a repeat of nothing");
        value = to[at - 1];
        repeat = 3 + bits(2);
      } else {
        repeat = *symbol == 17 ? 3 + bits(3) : 11 + bits(7);
      }
      if (repeat > to.size() - at) return damaged("too many codes");
      std::fill_n(to.begin() + static_cast<std::ptrdiff_t>(at), repeat, value);
      at += repeat;
    }
    return Done{};
  }

  Result<Done> codes() {
    constexpr std::array<std::uint16_t, 29> kLengths = {3,  4,  5,  6,   7,   8,   9,   10,  11, 13,
                                                        15, 17, 19, 23,  27,  31,  35,  43,  51, 59,
                                                        67, 83, 99, 115, 131, 163, 195, 227, 258};
    constexpr std::array<std::uint8_t, 29> kLengthBits = {
        0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
    constexpr std::array<std::uint16_t, kDistanceCodes> kDistances = {
        1,   2,   3,   4,   5,   7,    9,    13,   17,   25,   33,   49,   65,    97,    129,
        193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};
    const auto next = [this] { return bit(); };
    while (true) {
      const std::optional<std::uint16_t> symbol = literals_.decode(next);
      if (!symbol) return damaged(short_ ? "cut short" : "a code that means nothing");
      if (*symbol == 256) return Done{};
      if (*symbol < 256) {
        THAW_TRY_DO(room(1));
        out_ += static_cast<char>(*symbol);
        continue;
      }
      const std::size_t which = *symbol - 257u;
      if (which >= kLengths.size()) return damaged("a length that means nothing");
      const std::size_t length = kLengths[which] + bits(kLengthBits[which]);
      const std::optional<std::uint16_t> far = distances_.decode(next);
      if (!far || *far >= kDistanceCodes) {
        return damaged(short_ ? "cut short" : "a distance that means nothing");
      }
      const std::size_t distance = kDistances[*far] + bits(*far < 4 ? 0 : *far / 2 - 1);
      if (short_) return damaged("cut short");
      if (distance > out_.size() - start_) return damaged("a distance before the begin");
      THAW_TRY_DO(room(length));
      // Byte by byte: what is copied may overlap what is being written.
      for (std::size_t i = 0; i < length; ++i) out_ += out_[out_.size() - distance];
    }
  }

  std::string_view in_;
  std::size_t bytes_max_;
  std::string& out_;
  std::size_t start_;  // of this member in `out_`: distances do not reach over it
  std::size_t at_ = 0;
  std::uint32_t held_ = 0;
  int held_bits_ = 0;
  bool short_ = false;
  Huffman literals_;
  Huffman distances_;
};

std::uint32_t little_endian(std::string_view four) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    value |= std::uint32_t{static_cast<unsigned char>(four[i])} << (8 * i);
  }
  return value;
}

// The bytes of a member's header.
Result<std::size_t> header_bytes(std::string_view member) {
  constexpr unsigned kHeaderCrc = 2, kExtra = 4, kName = 8, kComment = 16;
  if (member.size() < 18) return damaged("cut short");
  if (!member.starts_with("\x1f\x8b\x08")) return damaged("it does not begin as gzip does");
  const auto flags = static_cast<unsigned char>(member[3]);
  if ((flags & 0xE0u) != 0) return damaged("an unknown flag");
  std::size_t at = 10;
  if ((flags & kExtra) != 0) {
    const std::size_t extra = static_cast<unsigned char>(member[at]) +
                              (std::size_t{static_cast<unsigned char>(member[at + 1])} << 8);
    at += 2 + extra;
  }
  for (const unsigned flag : {kName, kComment}) {
    if ((flags & flag) == 0) continue;
    const std::size_t zero = member.find('\0', std::min(at, member.size()));
    if (zero == std::string_view::npos) return damaged("cut short");
    at = zero + 1;
  }
  if ((flags & kHeaderCrc) == 0)
    return at > member.size() ? Result<std::size_t>(damaged("cut short")) : at;
  if (at + 2 > member.size()) return damaged("cut short");
  const std::uint32_t crc = static_cast<unsigned char>(member[at]) |
                            std::uint32_t{static_cast<unsigned char>(member[at + 1])} << 8;
  if (crc != (crc32_of(member.substr(0, at)) & 0xFFFF)) return damaged("another checksum");
  return at + 2;
}

}  // namespace

Result<std::string> gunzip(std::string_view packed, std::size_t bytes_max) {
  std::string out;
  do {
    THAW_TRY(header, header_bytes(packed));
    packed.remove_prefix(header);
    const std::size_t start = out.size();
    Inflater inflater(packed, bytes_max, out);
    THAW_TRY_DO(inflater.run());
    packed.remove_prefix(inflater.used());
    if (packed.size() < 8) return damaged("cut short");
    const std::string_view content = std::string_view(out).substr(start);
    if (little_endian(packed) != crc32_of(content)) return damaged("another checksum");
    if (little_endian(packed.substr(4)) != static_cast<std::uint32_t>(content.size())) {
      return damaged("another length");
    }
    packed.remove_prefix(8);
  } while (!packed.empty());
  return out;
}

}  // namespace thaw::event
