// What the runs came to: a table, a JSON document, and a picture of the phases side by side.
#pragma once

#include <algorithm>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace thaw::cold_start {

using PhaseTimes = std::vector<std::pair<std::string, double>>;  // name, ms; in order

// All runs of one way to start.
struct Row {
  std::string name;
  std::vector<double> first_ms;
  std::vector<double> next_ms;     // of functions
  std::vector<PhaseTimes> phases;  // of functions, a run each
  std::vector<double> anonymous_megabytes;
  std::string failure;  // why a run failed; the row is then shown so
};

double median(std::vector<double> values);  // 0 of none
// Phase by phase, the median over the runs.
PhaseTimes median_phases(const Row& row);

struct Floor {
  double empty_process_ms = 0;
  double arithmetic_ms = 0;  // of the new tokens at 60 % of the integer peak
  double weights_ms = 0;     // one pass over the weights at memory bandwidth
  double disk_ms = 0;        // the source file at the disk's best
  double disk_bytes_per_second = 0, read_bytes_per_second = 0, integer_ops_per_second = 0;
  double warm_ms() const;
  double cold_ms() const { return std::max(disk_ms, warm_ms()); }
};

void print_table(const std::vector<Row>& rows, const Floor& floor, std::FILE* to);
std::string json_of(const std::vector<Row>& rows, const Floor& floor);
// What json_of() wrote, to be drawn again. Errors: kInvalid.
Result<std::pair<std::vector<Row>, Floor>> read_json(const std::string& text);
// The upper half: functions' phases on one scale; the lower: every row on a logarithmic one.
std::string svg_of(const std::vector<Row>& rows, const Floor& floor, const std::string& title);

}  // namespace thaw::cold_start
