#include "runtime/lambda/metrics_line.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "handler/timings.h"

namespace thaw::lambda {
namespace {

using Json = nlohmann::ordered_json;

// Names that somebody else chose: far longer than any platform's, and a line stays a line.
constexpr std::size_t kLabelBytesMax = 256;

std::string_view clipped(std::string_view text) { return text.substr(0, kLabelBytesMax); }

// The definitions of metrics beside their values.
class Line {
 public:
  void label(std::string_view name, std::string_view value) {
    values_[std::string(name)] = clipped(value);
  }
  void count(std::string_view name, std::uint64_t value) {
    define(name, "Count");
    values_[std::string(name)] = value;
  }
  void time(std::string_view name, std::chrono::nanoseconds value) {
    if (value.count() == 0) return;
    define(name, "Milliseconds");
    values_[std::string(name)] = handler::milliseconds(value);
  }

  std::string text(Clock::Wall now) && {
    Json directive;
    directive["Namespace"] = kMetricsNamespace;
    directive["Dimensions"] = Json::array({Json::array({"FunctionName"})});
    directive["Metrics"] = std::move(metrics_);
    Json head;
    head["Timestamp"] =
        std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count();
    head["CloudWatchMetrics"] = Json::array({std::move(directive)});
    Json line;
    line["_aws"] = std::move(head);
    line.update(values_);
    return line.dump(-1, ' ', true, Json::error_handler_t::replace) + "\n";
  }

 private:
  void define(std::string_view name, std::string_view unit) {
    metrics_.push_back({{"Name", name}, {"Unit", unit}});
  }

  Json metrics_ = Json::array();
  Json values_ = Json::object();
};

}  // namespace

std::string metrics_line(const MetricsLabels& labels, const Invoked& invoked, bool cold,
                         Clock::Wall now) {
  const handler::Outcome& outcome = invoked.outcome;
  Line line;
  line.label("FunctionName", labels.function_name);
  line.label("FunctionVersion", labels.function_version);
  line.label("Model", labels.model_name);
  line.label("RequestId", invoked.request_id);
  line.label("Start", cold ? "cold" : "warm");
  line.count("ColdStarts", cold ? 1 : 0);
  line.count("Errors", outcome.error ? 1 : 0);
  line.count("PromptTokens", outcome.usage.prompt_tokens);
  line.count("CachedTokens", outcome.usage.cached_tokens);
  line.count("CompletionTokens", outcome.usage.completion_tokens);
  line.count("ReasoningTokens", outcome.usage.reasoning_tokens);
  line.time("Duration", invoked.duration);
  const handler::GenerationPhases& phases = outcome.phases;
  line.time("TokeniseTime", phases.tokenise);
  line.time("PrefixTime", phases.prefix);
  line.time("ReadTime", phases.read);
  line.time("PrefillTime", phases.prefill);
  line.time("FirstTokenTime", phases.first_token);
  line.time("DecodeTime", phases.decode);
  line.time("StartToFirstTokenTime", phases.since_start);
  return std::move(line).text(now);
}

}  // namespace thaw::lambda
