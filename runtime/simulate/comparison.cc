#include "runtime/simulate/comparison.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/str.h"

namespace thaw::simulate {
namespace {

using Json = nlohmann::ordered_json;
using std::chrono::nanoseconds;

double milliseconds(nanoseconds time) { return static_cast<double>(time.count()) / 1e6; }

Json json_of(const cost::Quantiles& times) {
  return {{"count", times.count()},
          {"mean_ms", milliseconds(times.mean())},
          {"p50_ms", milliseconds(times.at(0.5))},
          {"p95_ms", milliseconds(times.at(0.95))},
          {"p99_ms", milliseconds(times.at(0.99))},
          {"max_ms", milliseconds(times.max())}};
}

Json json_of(const cost::Bill& bill) {
  Json lines = Json::array();
  for (const cost::BillLine& line : bill.lines) {
    lines.push_back({{"item", line.item},
                     {"quantity", line.quantity},
                     {"unit", line.unit},
                     {"dollars", line.amount.dollars()}});
  }
  return {{"dollars", bill.total.dollars()}, {"lines", lines}};
}

Json json_of(const Row& row) {
  const Outcome& out = row.outcome;
  Json refused = Json::object();
  for (std::size_t i = 0; i < kReasonCount; ++i) {
    if (out.refused_for[i] == 0) continue;
    refused[std::string(name_of(static_cast<warmpool::Reason>(i)))] = out.refused_for[i];
  }
  return {{"name", row.setup.name},
          {"platform", cost::name_of(row.setup.shape.platform)},
          {"memory_mb", row.setup.shape.memory_mb},
          {"vcpus", row.setup.shape.vcpus},
          {"arrived", out.arrived},
          {"served", out.served},
          {"cold", out.cold},
          {"timed_out", out.timed_out},
          {"refused", out.refused},
          {"refused_for", refused},
          {"latency", json_of(out.latency)},
          {"cold_latency", json_of(out.cold_latency)},
          {"warm_latency", json_of(out.warm_latency)},
          {"first_token", json_of(out.first_token)},
          {"waited", json_of(out.waited)},
          {"starts", out.starts},
          {"prewarmed", out.prewarmed},
          {"functions", out.functions},
          {"instances_peak", out.instances_peak},
          {"concurrency_peak", out.leases_peak},
          {"busy_gb_s", out.busy_gb_seconds},
          {"idle_gb_s", out.idle_gb_seconds},
          {"span_s", std::chrono::duration<double>(out.span).count()},
          {"cost", json_of(row.trace)},
          {"cost_month", json_of(row.month)},
          {"dollars_per_million", dollars_per_million(row)}};
}

std::string number(double value, int digits) {
  char text[48];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '&': out += "&amp;"; break;
      default: out += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
    }
  }
  return out;
}

constexpr double kLeft = 300, kRight = 860, kBar = 10, kWidth = 1000;

std::string words(double x, double y, std::string_view text, std::string_view anchor = "start") {
  return cat("<text x=\"", number(x, 1), "\" y=\"", number(y, 1), "\" text-anchor=\"", anchor,
             "\">", escaped(text), "</text>\n");
}

std::string bar(double y, double share, std::string_view fill, const std::string& label) {
  const double width = std::max(0.5, share * (kRight - kLeft));
  return cat("<rect x=\"", number(kLeft, 1), "\" y=\"", number(y, 1), "\" width=\"",
             number(width, 1), "\" height=\"", number(kBar, 1), "\" fill=\"", fill, "\"/>\n",
             words(kLeft + width + 6, y + kBar - 1, label));
}

std::string shown(nanoseconds time) {
  const double ms = milliseconds(time);
  return ms < 10'000 ? cat(number(ms, ms < 100 ? 1 : 0), " ms") : cat(number(ms / 1e3, 1), " s");
}

}  // namespace

double dollars_per_million(const Row& row) {
  const auto requests = static_cast<double>(row.outcome.usage.requests);
  return requests == 0 ? 0 : row.trace.total.dollars() / requests * 1e6;
}

std::string json_of(const std::vector<Row>& rows, const std::string& title) {
  Json all = {{"trace", title},
              {"quantile_error_max", cost::Quantiles::kErrorMax},
              {"currency", "USD"},
              {"setups", Json::array()}};
  for (const Row& row : rows) all["setups"].push_back(json_of(row));
  return all.dump(2, ' ', false, Json::error_handler_t::replace);
}

std::string svg_of(const std::vector<Row>& rows, const std::string& title) {
  nanoseconds longest{1};
  double dearest = 1e-9;
  for (const Row& row : rows) {
    longest = std::max(longest, row.outcome.latency.at(0.99));
    dearest = std::max(dearest, row.month.total.dollars());
  }
  constexpr std::pair<double, std::string_view> kBars[] = {
      {0.5, "#2980b9"}, {0.95, "#8e44ad"}, {0.99, "#c0392b"}};
  double y = 56;
  std::string body = words(20, 44, "latency: p50, p95, p99");
  for (const Row& row : rows) {
    body += words(kLeft - 8, y + 20, row.setup.name, "end");
    for (const auto& [q, fill] : kBars) {
      const nanoseconds time = row.outcome.latency.at(q);
      body += bar(y, static_cast<double>(time.count()) / static_cast<double>(longest.count()), fill,
                  shown(time));
      y += kBar + 1;
    }
    y += 8;
  }
  y += 24;
  body += words(20, y, "a month of this traffic");
  y += 12;
  for (const Row& row : rows) {
    body += words(kLeft - 8, y + kBar - 1, row.setup.name, "end");
    body += bar(y, row.month.total.dollars() / dearest, "#27ae60", row.month.total.text());
    y += kBar + 8;
  }
  return cat("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"", number(kWidth, 0),
             "\" height=\"", number(y + 10, 0), "\" font-family=\"sans-serif\" font-size=\"12\">\n",
             "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n", words(20, 24, title), body,
             "</svg>\n");
}

}  // namespace thaw::simulate
