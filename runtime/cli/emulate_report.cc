#include "runtime/cli/emulate_report.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/str.h"
#include "runtime/cli/table.h"
#include "runtime/cost/bill.h"
#include "runtime/emulator/text.h"

namespace thaw::cli {
namespace {

using emulator::Ending;
using emulator::Totals;
using Json = nlohmann::ordered_json;

constexpr Ending kEndings[] = {Ending::kAnswered,  Ending::kFailed,      Ending::kTimedOut,
                               Ending::kThrottled, Ending::kUnavailable, Ending::kLost};

double ms(std::chrono::nanoseconds time) {
  return std::round(static_cast<double>(time.count()) / 1e3) / 1e3;
}

std::string ms_text(std::chrono::nanoseconds time) {
  return milliseconds(static_cast<double>(time.count()) / 1e9);
}

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json times_json(const cost::Quantiles& times) {
  return {{"count", times.count()},
          {"p50_ms", ms(times.at(0.5))},
          {"p95_ms", ms(times.at(0.95))},
          {"p99_ms", ms(times.at(0.99))},
          {"max_ms", ms(times.max())}};
}

void add_times(Table& table, const std::string& name, std::string_view what,
               const cost::Quantiles& times) {
  if (times.count() == 0) return;
  table.add({name, std::string(what), cat(times.count()), ms_text(times.at(0.5)),
             ms_text(times.at(0.95)), ms_text(times.at(0.99)), ms_text(times.max())});
}

}  // namespace

cost::Money lambda_cost(const Totals& totals, bool arm) {
  cost::Shape shape;
  shape.platform = arm ? cost::Platform::kLambdaArm : cost::Platform::kLambdaX86;
  shape.memory_mb = totals.memory_mb;
  cost::Usage usage;
  usage.requests = totals.cold + totals.warm;
  usage.run = std::chrono::milliseconds(totals.billed_ms);
  usage.restores = totals.restores;
  usage.streamed_bytes = totals.streamed_bytes;
  return cost::bill(shape, usage, cost::PriceList::built_in()).total;
}

void print_report(const std::map<std::string, Totals>& totals, std::FILE* to) {
  if (totals.empty()) {
    std::fprintf(to, "nothing was invoked\n");
    return;
  }
  Table table({2, 3, 4, 5, 6});
  table.add({"function", "", "count", "p50", "p95", "p99", "max"});
  for (const auto& [name, one] : totals) {
    add_times(table, name, "cold", one.cold_times);
    add_times(table, one.cold > 0 ? "" : name, "warm", one.warm_times);
    for (const Ending ending : kEndings) {
      if (ending == Ending::kAnswered || one.of(ending) == 0) continue;
      const bool first = one.cold + one.warm == 0;
      table.add(
          {first ? name : "", std::string(name_of(ending)), cat(one.of(ending)), "", "", "", ""});
    }
  }
  table.print(to);
  for (const auto& [name, one] : totals) {
    if (one.cold + one.warm == 0) continue;
    std::fprintf(to, "%s: %s s billed at %u MB, %s GB-s: %s on Lambda (x86), %s (arm64)\n",
                 name.c_str(), decimal(static_cast<double>(one.billed_ms) / 1e3, 3).c_str(),
                 one.memory_mb, decimal(one.gb_seconds, 3).c_str(), lambda_cost(one).text().c_str(),
                 lambda_cost(one, true).text().c_str());
  }
}

std::string report_json(const std::map<std::string, Totals>& totals) {
  Json functions = Json::object();
  for (const auto& [name, one] : totals) {
    Json endings = Json::object();
    for (const Ending ending : kEndings) endings[std::string(name_of(ending))] = one.of(ending);
    functions[name] = {{"invocations", one.invocations},
                       {"endings", endings},
                       {"cold", times_json(one.cold_times)},
                       {"warm", times_json(one.warm_times)},
                       {"answer_bytes", one.answer_bytes},
                       {"billed_ms", one.billed_ms},
                       {"gb_seconds", one.gb_seconds},
                       {"lambda_x86_usd", lambda_cost(one).dollars()},
                       {"lambda_arm64_usd", lambda_cost(one, true).dollars()}};
  }
  return dump(Json{{"type", "report"}, {"functions", functions}});
}

std::string record_json(const emulator::LedgerEntry& record) {
  Json json = {{"type", "invocation"},
               {"time", emulator::iso_time(record.at)},
               {"function", record.function},
               {"request_id", record.request_id},
               {"ending", name_of(record.ending)}};
  if (!record.error_type.empty()) json["error_type"] = record.error_type;
  json["waited_ms"] = ms(record.waited);
  if (!record.ran()) return dump(json);
  json["cold"] = record.cold;
  if (record.cold) json["init_ms"] = ms(record.init);
  json["first_byte_ms"] = ms(record.latency);
  json["duration_ms"] = ms(record.duration);
  json["billed_ms"] = record.billed_ms;
  json["memory_mb"] = record.memory_mb;
  json["peak_mb"] = record.peak_mb;
  json["answer_bytes"] = record.answer_bytes;
  if (!record.timing.empty()) json["timings"] = record.timing;
  return dump(json);
}

std::string log_json(Clock::Wall time, std::string_view line) {
  return dump(Json{{"type", "log"}, {"time", emulator::iso_time(time)}, {"line", line}});
}

}  // namespace thaw::cli
