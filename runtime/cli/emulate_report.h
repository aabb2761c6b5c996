// What an emulation came to, for people and for programs: counts, times, cost.
#pragma once

#include <cstdio>
#include <map>
#include <string>

#include "runtime/cost/money.h"
#include "runtime/emulator/ledger.h"

namespace thaw::cli {

// What Lambda would ask for it, x86 and without the free tier.
cost::Money lambda_cost(const emulator::Totals& totals, bool arm = false);

// A table of each function's starts and endings, and a line of what it would have cost.
void print_report(const std::map<std::string, emulator::Totals>& totals, std::FILE* to);
// The same as one JSON object.
std::string report_json(const std::map<std::string, emulator::Totals>& totals);
// One invocation as a JSON object: {"type": "invocation", ...}. Times are in milliseconds.
std::string record_json(const emulator::LedgerEntry& record);
std::string log_json(Clock::Wall time, std::string_view line);  // {"type": "log", ...}

}  // namespace thaw::cli
