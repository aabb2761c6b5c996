#include "runtime/simulate/lines.h"

#include <charconv>

#include "base/str.h"

namespace thaw::simulate {

Error Lines::wrong(std::string_view found, std::string_view wanted) const {
  // What a file holds may be long or no text at all; a message is one line.
  std::string shown(found.substr(0, 40));
  for (char& c : shown) {
    if (c < ' ' || c > '~') c = '?';
  }
  return fail(Code::kInvalid,
              cat("trace '", name_, "': line ", number_, ": found '", shown, "', want ", wanted));
}

Result<std::optional<std::string_view>> Lines::next() {
  while (true) {
    const std::size_t end = buffer_.find('\n', begin_);
    if (end != std::string::npos || (ended_ && begin_ < buffer_.size())) {
      const std::size_t stop = end == std::string::npos ? buffer_.size() : end;
      std::string_view line(buffer_.data() + begin_, stop - begin_);
      begin_ = end == std::string::npos ? stop : stop + 1;
      ++number_;
      if (line.size() > kTraceLineBytesMax) {
        return wrong("a longer line", cat("at most ", kTraceLineBytesMax, " bytes"));
      }
      if (line.ends_with('\r')) line.remove_suffix(1);
      return std::optional(line);
    }
    if (ended_) return std::optional<std::string_view>();
    buffer_.erase(0, begin_);
    begin_ = 0;
    if (buffer_.size() > kTraceLineBytesMax) {
      ++number_;
      return wrong("a longer line", cat("at most ", kTraceLineBytesMax, " bytes"));
    }
    constexpr std::size_t kChunkBytes = 256 << 10;
    const std::size_t before = buffer_.size();
    buffer_.resize(before + kChunkBytes);
    THAW_TRY(count, read_(buffer_.data() + before, kChunkBytes));
    buffer_.resize(before + count);
    ended_ = count == 0;
  }
}

void split_fields(std::string_view line, std::vector<std::string_view>& fields) {
  fields.clear();
  while (true) {
    const std::size_t comma = line.find(',');
    fields.push_back(line.substr(0, comma));
    if (comma == std::string_view::npos) return;
    line.remove_prefix(comma + 1);
  }
}

std::optional<double> number_in(std::string_view text, double max) {
  double value = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = end.ec == std::errc() && end.ptr == text.data() + text.size();
  if (!whole || !(value >= 0 && value <= max)) return std::nullopt;
  return value;
}

}  // namespace thaw::simulate
