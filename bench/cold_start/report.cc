#include "bench/cold_start/report.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/str.h"

namespace thaw::cold_start {
namespace {

// What a bar is made of; the others are sums of these, or part of one.
constexpr std::pair<std::string_view, std::string_view> kColours[] = {
    {"exec", "#7f8c8d"},     {"map", "#16a085"},       {"verify", "#f39c12"},
    {"plan", "#8e44ad"},     {"tokenizer", "#d35400"}, {"engine", "#2c3e50"},
    {"tokenise", "#e67e22"}, {"prefix", "#27ae60"},    {"read", "#e84393"},
    {"prefill", "#2980b9"},
};

std::string number(double value, int digits) {
  char text[40];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

std::string escaped(std::string_view text) {
  std::string out;
  for (const char letter : text) {
    if (letter == '<') {
      out += "&lt;";
    } else if (letter == '&') {
      out += "&amp;";
    } else {
      out += letter;
    }
  }
  return out;
}

std::string rectangle(double x, double y, double width, double height, std::string_view fill,
                      const std::string& title) {
  return cat("<rect x=\"", number(x, 1), "\" y=\"", number(y, 1), "\" width=\"",
             number(std::max(width, 0.5), 1), "\" height=\"", number(height, 1), "\" fill=\"", fill,
             "\"><title>", escaped(title), "</title></rect>\n");
}

std::string words(double x, double y, std::string_view text, std::string_view anchor = "start") {
  return cat("<text x=\"", number(x, 1), "\" y=\"", number(y, 1), "\" text-anchor=\"", anchor,
             "\">", escaped(text), "</text>\n");
}

constexpr double kLeft = 300, kRight = 900, kBar = 16, kStep = 26;

std::string phase_bars(const std::vector<Row>& rows, const Floor& floor, double& y) {
  // A row that is far longer than the first would leave nothing to see of the others.
  const auto is_shown = [&](const Row& row) {
    return !row.phases.empty() && median(row.first_ms) < 20 * median(rows.front().first_ms);
  };
  double longest = floor.warm_ms();
  for (const Row& row : rows) {
    if (is_shown(row)) longest = std::max(longest, median(row.first_ms));
  }
  const double scale = (kRight - kLeft) / longest;
  std::string out;
  for (const Row& row : rows) {
    if (!is_shown(row)) continue;
    out += words(kLeft - 8, y + 12, row.name, "end");
    double at = 0;
    const auto add = [&](std::string_view name, double ms, std::string_view fill) {
      out += rectangle(kLeft + at * scale, y, ms * scale, kBar, fill,
                       cat(name, " ", number(ms, 2), " ms"));
      at += ms;
    };
    double read = 0;  // waits within the prefill
    for (const auto& [name, ms] : median_phases(row)) {
      if (name == "read") read = ms;
      for (const auto& [known, fill] : kColours) {
        if (name == known) add(name, name == "prefill" ? ms - read : ms, fill);
      }
    }
    add("first token to first byte, and between", std::max(0.0, median(row.first_ms) - at),
        "#bdc3c7");
    out += words(kLeft + at * scale + 6, y + 12, cat(number(median(row.first_ms), 1), " ms"));
    y += kStep;
  }
  out += words(kLeft - 8, y + 12, "floor, warm", "end");
  out += rectangle(kLeft, y, floor.warm_ms() * scale, kBar, "none\" stroke=\"#c0392b", "floor");
  out += words(kLeft + floor.warm_ms() * scale + 6, y + 12, cat(number(floor.warm_ms(), 1), " ms"));
  y += kStep + 6;
  double x = 40;
  for (const auto& [name, fill] : kColours) {
    out += rectangle(x, y, 12, 12, fill, std::string(name));
    out += words(x + 16, y + 11, name);
    x += 92;
  }
  y += 40;
  return out;
}

std::string log_bars(const std::vector<Row>& rows, double& y) {
  double longest = 10;
  for (const Row& row : rows) longest = std::max(longest, median(row.first_ms));
  const double decades = std::ceil(std::log10(longest));
  const auto width = [&](double ms) {
    return (kRight - kLeft) * std::max(0.0, std::log10(std::max(ms, 1.0))) / decades;
  };
  std::string out;
  const double top = y;
  for (const Row& row : rows) {
    if (row.failure.empty() && row.first_ms.empty()) continue;
    out += words(kLeft - 8, y + 12, row.name, "end");
    if (row.failure.empty()) {
      const double ms = median(row.first_ms);
      out += rectangle(kLeft, y, width(ms), kBar, row.phases.empty() ? "#95a5a6" : "#2980b9",
                       row.name);
      out += words(kLeft + width(ms) + 6, y + 12, cat(number(ms, ms < 100 ? 1 : 0), " ms"));
    } else {
      out += words(kLeft, y + 12, "failed");
    }
    y += kStep;
  }
  for (int decade = 0; decade <= static_cast<int>(decades); ++decade) {
    const double x = kLeft + (kRight - kLeft) * decade / decades;
    out += cat("<line x1=\"", number(x, 1), "\" x2=\"", number(x, 1), "\" y1=\"", number(top, 1),
               "\" y2=\"", number(y, 1), "\" stroke=\"#ddd\"/>\n");
    out += words(x, y + 14, cat(number(std::pow(10, decade), 0), " ms"), "middle");
  }
  y += 30;
  return out;
}

}  // namespace

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

PhaseTimes median_phases(const Row& row) {
  PhaseTimes out;
  if (row.phases.empty()) return out;
  for (const auto& [name, first] : row.phases.front()) {
    std::vector<double> values;
    for (const PhaseTimes& run : row.phases) {
      for (const auto& [other, ms] : run) {
        if (other == name) values.push_back(ms);
      }
    }
    out.emplace_back(name, median(values));
  }
  return out;
}

double Floor::warm_ms() const { return empty_process_ms + std::max(arithmetic_ms, weights_ms); }

void print_table(const std::vector<Row>& rows, const Floor& floor, std::FILE* to) {
  std::fprintf(to, "%-44s %5s %10s %10s %10s %8s %9s\n", "exec to first byte", "runs", "median ms",
               "least ms", "/next ms", "anon MB", "x floor");
  for (const Row& row : rows) {
    if (!row.failure.empty()) {
      std::fprintf(to, "%-44s failed: %s\n", row.name.c_str(), row.failure.c_str());
      continue;
    }
    if (row.first_ms.empty()) continue;  // not asked for
    const double ms = median(row.first_ms);
    std::fprintf(to, "%-44s %5zu %10.2f %10.2f %10.2f %8.1f %9.2f\n", row.name.c_str(),
                 row.first_ms.size(), ms,
                 *std::min_element(row.first_ms.begin(), row.first_ms.end()), median(row.next_ms),
                 median(row.anonymous_megabytes), ms / std::max(floor.warm_ms(), 1e-9));
  }
  std::fprintf(to,
               "floor, warm: %.2f ms = empty process %.2f + max(arithmetic %.2f, weights %.2f); "
               "disk: %.1f ms\n",
               floor.warm_ms(), floor.empty_process_ms, floor.arithmetic_ms, floor.weights_ms,
               floor.disk_ms);
  std::fprintf(to, "disk %.2f GB/s, memory %.1f GB/s, integers %.0f Gop/s\n",
               floor.disk_bytes_per_second / 1e9, floor.read_bytes_per_second / 1e9,
               floor.integer_ops_per_second / 1e9);
}

std::string json_of(const std::vector<Row>& rows, const Floor& floor) {
  nlohmann::ordered_json all;
  for (const Row& row : rows) {
    nlohmann::ordered_json one{{"name", row.name},
                               {"failure", row.failure},
                               {"first_ms", row.first_ms},
                               {"next_ms", row.next_ms},
                               {"anonymous_mb", row.anonymous_megabytes}};
    for (const auto& [name, ms] : median_phases(row)) one["phases"][name] = ms;
    all["rows"].push_back(one);
  }
  all["floor"] = {{"warm_ms", floor.warm_ms()},
                  {"empty_process_ms", floor.empty_process_ms},
                  {"arithmetic_ms", floor.arithmetic_ms},
                  {"weights_ms", floor.weights_ms},
                  {"disk_ms", floor.disk_ms}};
  return all.dump(2);
}

Result<std::pair<std::vector<Row>, Floor>> read_json(const std::string& text) {
  const auto bad = fail(Code::kInvalid, "draw: the file holds no results of bench_cold_start");
  const auto all = nlohmann::ordered_json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!all.is_object() || !all.contains("rows") || !all.contains("floor")) return bad;
  std::pair<std::vector<Row>, Floor> out;
  try {
    for (const auto& one : all["rows"]) {
      Row row;
      row.name = one.at("name");
      row.failure = one.at("failure");
      row.first_ms = one.at("first_ms").get<std::vector<double>>();
      row.next_ms = one.at("next_ms").get<std::vector<double>>();
      row.anonymous_megabytes = one.at("anonymous_mb").get<std::vector<double>>();
      if (one.contains("phases")) {
        PhaseTimes phases;
        for (const auto& [name, ms] : one["phases"].items()) phases.emplace_back(name, ms);
        row.phases.push_back(std::move(phases));
      }
      out.first.push_back(std::move(row));
    }
    const auto& floor = all["floor"];
    out.second.empty_process_ms = floor.at("empty_process_ms");
    out.second.arithmetic_ms = floor.at("arithmetic_ms");
    out.second.weights_ms = floor.at("weights_ms");
    out.second.disk_ms = floor.at("disk_ms");
  } catch (const nlohmann::json::exception&) {
    return bad;
  }
  return out;
}

std::string svg_of(const std::vector<Row>& rows, const Floor& floor, const std::string& title) {
  double y = 40;
  std::string body = words(20, 24, title);
  body += phase_bars(rows, floor, y);
  body += log_bars(rows, y);
  return cat(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"1000\" height=\"", number(y + 10, 0),
      "\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" "
      "fill=\"white\"/>\n",
      body, "</svg>\n");
}

}  // namespace thaw::cold_start
