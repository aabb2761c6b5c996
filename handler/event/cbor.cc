#include "handler/event/cbor.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

#include "base/str.h"
#include "handler/event/encoding.h"
#include "handler/event/json.h"
#include "handler/event/json_writer.h"
#include "handler/event/utf8.h"

namespace thaw::event {
namespace {

enum Major : unsigned char { kUnsigned, kNegative, kBytes, kText, kArray, kMap, kTag, kSimple };
constexpr unsigned kIndefinite = 31;
constexpr std::uint64_t kUnbounded = ~std::uint64_t{0};

double from_half(std::uint64_t bits) {
  const int exponent = static_cast<int>(bits >> 10 & 31);
  const double mantissa = static_cast<double>(bits & 1023);
  const double magnitude = exponent == 0    ? std::ldexp(mantissa, -24)
                           : exponent == 31 ? std::nan("")
                                            : std::ldexp(mantissa + 1024, exponent - 25);
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

// Reads value by value; the way from the root to the value being read is a bounded list.
class Converter {
 public:
  Converter(std::string_view bytes, std::string& to) : bytes_(bytes), writer_(to) {}

  Result<Done> run() {
    do {
      THAW_TRY_DO(one());
      close_what_is_full();
    } while (!open_.empty());
    return at_ == bytes_.size() ? Result<Done>(Done{}) : wrong("something behind its end");
  }

 private:
  struct Open {
    bool map;
    std::uint64_t left;  // items, keys and values counted each; kUnbounded: until a break
    bool at_key;         // in a map, what comes next
  };
  struct Head {
    unsigned char major;
    unsigned info;
    std::uint64_t argument;
  };

  Error wrong(std::string_view what) const {
    return fail(Code::kCorrupt, cat("CBOR: byte ", at_, ": ", what, "; the data is damaged"));
  }

  Result<Head> head() {
    if (at_ == bytes_.size()) return wrong("cut short");
    const auto first = static_cast<unsigned char>(bytes_[at_++]);
    Head head{static_cast<unsigned char>(first >> 5), first & 31u, first & 31u};
    if (head.info < 24 || head.info == kIndefinite) return head;
    if (head.info > 27) return wrong("a reserved length");
    const std::size_t size = std::size_t{1} << (head.info - 24);
    if (bytes_.size() - at_ < size) return wrong("cut short");
    head.argument = 0;
    for (std::size_t i = 0; i < size; ++i) {
      head.argument = head.argument << 8 | static_cast<unsigned char>(bytes_[at_++]);
    }
    return head;
  }

  Result<Done> one() {
    if (++values_ > json::kValuesMax) {
      return fail(Code::kLimit, cat("CBOR: more than ", json::kValuesMax, " values, the limit"));
    }
    THAW_TRY(head, head());
    while (head.major == kTag) {
      if (head.info == kIndefinite) return wrong("a tag without a number");
      THAW_TRY(next, this->head());
      head = next;
    }
    const bool key = !open_.empty() && open_.back().map && open_.back().at_key;
    if (head.major == kSimple && head.info == kIndefinite) return broken_off(key);
    if (!open_.empty() && open_.back().left != kUnbounded) --open_.back().left;
    if (!open_.empty()) open_.back().at_key = !key;
    return key ? write_key(head) : write(head);
  }

  Result<Done> broken_off(bool key) {
    if (open_.empty() || open_.back().left != kUnbounded || (open_.back().map && !key)) {
      return wrong("a break where nothing ends");
    }
    open_.back().left = 0;
    return Done{};
  }

  void close_what_is_full() {
    while (!open_.empty() && open_.back().left == 0) {
      open_.back().map ? writer_.end_object() : writer_.end_array();
      open_.pop_back();
    }
  }

  // A string, its parts joined where it comes in parts.
  Result<std::string> string(const Head& head) {
    if (head.info != kIndefinite) {
      if (bytes_.size() - at_ < head.argument) return wrong("cut short");
      std::string piece(bytes_.substr(at_, static_cast<std::size_t>(head.argument)));
      at_ += piece.size();
      if (head.major == kText && !is_utf8(piece)) return wrong("text that is not UTF-8");
      return piece;
    }
    std::string joined;
    while (true) {
      THAW_TRY(part, this->head());
      if (part.major == kSimple && part.info == kIndefinite) return joined;
      if (part.major != head.major || part.info == kIndefinite)
        return wrong("a part of another kind");
      THAW_TRY(piece, string(part));
      joined += piece;
    }
  }

  Result<Done> write_key(const Head& head) {
    if (head.major == kText || head.major == kBytes) {
      THAW_TRY(text, string(head));
      writer_.key(head.major == kText ? text : base64_encode(text));
      return Done{};
    }
    if (head.major > kNegative || head.info == kIndefinite || head.argument > 0x7FFFFFFFFFFFFFFFu) {
      return wrong("a key that is no name");
    }
    const auto number = static_cast<std::int64_t>(head.argument);
    writer_.key(cat(head.major == kUnsigned ? number : -1 - number));
    return Done{};
  }

  Result<Done> open(const Head& head) {
    if (open_.size() == json::kDepthMax) {
      return fail(Code::kLimit, cat("CBOR: more than ", json::kDepthMax, " levels, the limit"));
    }
    const bool map = head.major == kMap;
    std::uint64_t left = kUnbounded;
    if (head.info != kIndefinite) {
      // Each item takes a byte at least, so that a count is bounded by what is there.
      if (head.argument > bytes_.size() - at_) return wrong("cut short");
      left = map ? head.argument * 2 : head.argument;
    }
    map ? writer_.begin_object() : writer_.begin_array();
    open_.push_back({map, left, map});
    return Done{};
  }

  Result<Done> write(const Head& head) {
    switch (head.major) {
      case kUnsigned:
      case kNegative: return write_integer(head);
      case kBytes: {
        THAW_TRY(bytes, string(head));
        writer_.value(base64_encode(bytes));
        return Done{};
      }
      case kText: {
        THAW_TRY(text, string(head));
        writer_.value(text);
        return Done{};
      }
      case kArray:
      case kMap: return open(head);
      default: return write_simple(head);
    }
  }

  Result<Done> write_integer(const Head& head) {
    if (head.info == kIndefinite) return wrong("a number without an end");
    if (head.major == kUnsigned) {
      writer_.value(head.argument);
    } else if (head.argument <= 0x7FFFFFFFFFFFFFFFu) {
      writer_.value(-1 - static_cast<std::int64_t>(head.argument));
    } else {
      writer_.value(-1.0 - static_cast<double>(head.argument));
    }
    return Done{};
  }

  Result<Done> write_simple(const Head& head) {
    constexpr unsigned kFalse = 20, kTrue = 21, kHalf = 25, kSingle = 26, kDouble = 27;
    switch (head.info) {
      case kFalse: writer_.value(false); break;
      case kTrue: writer_.value(true); break;
      case kHalf: writer_.value(from_half(head.argument)); break;
      case kSingle:
        writer_.value(double{std::bit_cast<float>(static_cast<std::uint32_t>(head.argument))});
        break;
      case kDouble: writer_.value(std::bit_cast<double>(head.argument)); break;
      default: writer_.null();  // null, undefined, and what has no meaning yet
    }
    return Done{};
  }

  std::string_view bytes_;
  json::Writer writer_;
  std::size_t at_ = 0;
  std::size_t values_ = 0;
  std::vector<Open> open_;
};

}  // namespace

bool looks_like_cbor(std::string_view bytes) {
  // A map of few entries, of a counted number, or of an unknown one.
  const auto first = static_cast<unsigned char>(bytes.empty() ? '\0' : bytes.front());
  return first >= 0xA1 && first <= 0xBF;
}

Result<std::string> cbor_to_json(std::string_view bytes) {
  std::string to;
  Converter converter(bytes, to);
  THAW_TRY_DO(converter.run());
  return to;
}

}  // namespace thaw::event
