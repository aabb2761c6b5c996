#include "runtime/cli/table.h"

#include <algorithm>
#include <charconv>

#include "base/str.h"

namespace thaw::cli {
namespace {

// Columns that a terminal gives a UTF-8 string: continuation bytes take none.
std::size_t width(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

}  // namespace

void Table::print(std::FILE* to) const {
  std::vector<std::size_t> widths;
  for (const auto& row : rows_) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
  }
  for (const auto& row : rows_) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string pad(widths[i] - width(row[i]), ' ');
      const bool right = std::find(right_.begin(), right_.end(), i) != right_.end();
      line += right ? pad + row[i] : row[i] + pad;
      line += "  ";
    }
    line.erase(line.find_last_not_of(' ') + 1);
    std::fprintf(to, "%s\n", line.c_str());
  }
}

std::string decimal(double value, int digits) {
  char buffer[64];
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::fixed, digits);
  return {buffer, end.ptr};
}

std::string megabytes(std::uint64_t bytes) {
  const auto value = static_cast<double>(bytes);
  if (bytes < 1000) return cat(bytes, " B");
  if (bytes < 1000 * 1000) return decimal(value / 1e3, 1) + " kB";
  if (bytes < 10ull * 1000 * 1000 * 1000) return decimal(value / 1e6, 1) + " MB";
  return decimal(value / 1e9, 1) + " GB";
}

std::string milliseconds(double seconds) { return decimal(seconds * 1e3, 2) + " ms"; }

}  // namespace thaw::cli
