// Tables and numbers as people read them.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

namespace thaw::cli {

// Rows of cells, columns as wide as their widest cell; the columns named in `right` (by index) are
// set flush right. The first row is a heading.
class Table {
 public:
  explicit Table(std::vector<std::size_t> right) : right_(std::move(right)) {}
  void add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  void print(std::FILE* to) const;

 private:
  std::vector<std::size_t> right_;
  std::vector<std::vector<std::string>> rows_;
};

std::string megabytes(std::uint64_t bytes);     // "98.4 MB"
std::string decimal(double value, int digits);  // "12.3"
std::string milliseconds(double seconds);       // "1.24 ms"

}  // namespace thaw::cli
