#include "runtime/emulator/metrics_page.h"

#include <cstdio>
#include <map>

#include "base/str.h"

namespace thaw::emulator {
namespace {

constexpr Ending kEndings[] = {Ending::kAnswered,  Ending::kFailed,      Ending::kTimedOut,
                               Ending::kThrottled, Ending::kUnavailable, Ending::kLost};

std::string number(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}

class Page {
 public:
  void metric(std::string_view name, std::string_view type, std::string_view help) {
    name_ = name;
    text_ += cat("# HELP ", name, " ", help, "\n# TYPE ", name, " ", type, "\n");
  }
  // Names of functions hold nothing that would need an escape.
  void sample(std::string_view function, std::string_view label, std::string_view value,
              double number_of) {
    text_ += cat(name_, "{function=\"", function, "\"");
    if (!label.empty()) text_ += cat(",", label, "=\"", value, "\"");
    text_ += cat("} ", number(number_of), "\n");
  }
  void line(std::string_view suffix, std::string_view labels, double number_of) {
    text_ += cat(name_, suffix, "{", labels, "} ", number(number_of), "\n");
  }
  std::string take() { return std::move(text_); }

 private:
  std::string name_, text_;
};

void add_times(Page& page, const std::string& function, std::string_view start,
               const cost::Quantiles& times) {
  if (times.count() == 0) return;
  const std::string labels = cat("function=\"", function, "\",start=\"", start, "\"");
  for (const double share : {0.5, 0.95, 0.99}) {
    page.line("", cat(labels, ",quantile=\"", number(share), "\""),
              static_cast<double>(times.at(share).count()) / 1e9);
  }
  page.line("_sum", labels,
            static_cast<double>(times.mean().count()) / 1e9 * static_cast<double>(times.count()));
  page.line("_count", labels, static_cast<double>(times.count()));
}

}  // namespace

std::string metrics_page(const std::map<std::string, Totals>& totals,
                         const std::vector<FunctionState>& states) {
  Page page;
  page.metric("thaw_emulator_invocations_total", "counter", "Invocations, by how they ended.");
  for (const auto& [name, one] : totals) {
    for (const Ending ending : kEndings) {
      page.sample(name, "ending", name_of(ending), static_cast<double>(one.of(ending)));
    }
  }
  page.metric("thaw_emulator_starts_total", "counter", "Invocations that ran, by their start.");
  for (const auto& [name, one] : totals) {
    page.sample(name, "start", "cold", static_cast<double>(one.cold));
    page.sample(name, "start", "warm", static_cast<double>(one.warm));
  }
  page.metric("thaw_emulator_billed_seconds_total", "counter", "Billed duration.");
  for (const auto& [name, one] : totals) {
    page.sample(name, "", "", static_cast<double>(one.billed_ms) / 1e3);
  }
  page.metric("thaw_emulator_gigabyte_seconds_total", "counter", "Billed duration times memory.");
  for (const auto& [name, one] : totals) page.sample(name, "", "", one.gb_seconds);
  page.metric("thaw_emulator_answer_bytes_total", "counter", "Bytes of answers.");
  for (const auto& [name, one] : totals) {
    page.sample(name, "", "", static_cast<double>(one.answer_bytes));
  }
  page.metric("thaw_emulator_response_seconds", "summary",
              "From an invocation's arrival to its whole answer.");
  for (const auto& [name, one] : totals) {
    add_times(page, name, "cold", one.cold_times);
    add_times(page, name, "warm", one.warm_times);
  }
  page.metric("thaw_emulator_instances", "gauge", "Instances, by state.");
  for (const FunctionState& state : states) {
    page.sample(state.name, "state", "starting", state.now.starting);
    page.sample(state.name, "state", "idle", state.now.idle);
    page.sample(state.name, "state", "leased", state.now.leased);
    page.sample(state.name, "state", "stopping", state.now.stopping);
  }
  page.metric("thaw_emulator_waiting", "gauge", "Invocations that wait for an instance.");
  for (const FunctionState& state : states) {
    page.sample(state.name, "", "", static_cast<double>(state.now.waiting));
  }
  return page.take();
}

}  // namespace thaw::emulator
