// Several ways to run one trace, side by side: as JSON and as a drawing.
#pragma once

#include <string>
#include <vector>

#include "runtime/cost/bill.h"
#include "runtime/simulate/simulation.h"

namespace thaw::simulate {

struct Row {
  Setup setup;
  Outcome outcome;
  cost::Bill trace;  // what the trace itself comes to
  cost::Bill month;  // what a month of it comes to
};

// Money of the trace's length for a million invocations of it.
double dollars_per_million(const Row& row);

std::string json_of(const std::vector<Row>& rows, const std::string& title);
// Bars of p50, p95 and p99 latency and of a month's price, in SVG. Needs no fonts, no scripts.
std::string svg_of(const std::vector<Row>& rows, const std::string& title);

}  // namespace thaw::simulate
