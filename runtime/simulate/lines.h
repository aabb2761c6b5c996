// Lines of a file that may be larger than memory, and fields of a line.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/simulate/arrivals.h"

namespace thaw::simulate {

// One thread at a time.
class Lines {
 public:
  Lines(ReadBytes read, std::string name) : read_(std::move(read)), name_(std::move(name)) {}
  // The next line without its end; valid until the next call. Nothing at the end of the file.
  // Errors: kInvalid (a line longer than kTraceLineBytesMax), and those of the file.
  Result<std::optional<std::string_view>> next();
  // "trace 'x.csv': line 7: found '...', want ...": kInvalid.
  Error wrong(std::string_view found, std::string_view wanted) const;
  std::uint64_t number() const { return number_; }  // of the last line, counted from 1

 private:
  ReadBytes read_;
  std::string name_;
  std::string buffer_;
  std::size_t begin_ = 0;
  bool ended_ = false;
  std::uint64_t number_ = 0;
};

// `line` at its commas; no quotes, as none of these formats has them.
void split_fields(std::string_view line, std::vector<std::string_view>& fields);
// A whole number or a decimal, nothing around it; finite and within 0 and `max`.
std::optional<double> number_in(std::string_view text, double max);

}  // namespace thaw::simulate
