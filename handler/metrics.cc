#include "handler/metrics.h"

#include "base/str.h"

namespace thaw::handler {
namespace {

double seconds(std::chrono::nanoseconds time) { return static_cast<double>(time.count()) / 1e9; }

void begin(std::string& to, std::string_view name, std::string_view type, std::string_view help) {
  to += cat("# HELP ", name, " ", help, "\n# TYPE ", name, " ", type, "\n");
}

void write_counter(std::string& to, std::string_view name, std::string_view help,
                   std::uint64_t value) {
  begin(to, name, "counter", help);
  to += cat(name, " ", value, "\n");
}

void write_counters(std::string& to, std::string_view name, std::string_view help,
                    std::string_view label,
                    const std::map<std::string_view, std::uint64_t>& values) {
  if (values.empty()) return;
  begin(to, name, "counter", help);
  for (const auto& [key, count] : values) {
    to += cat(name, "{", label, "=\"", key, "\"} ", count, "\n");
  }
}

}  // namespace

template <std::size_t kBounds>
void Metrics::Histogram<kBounds>::add(std::span<const double, kBounds> bounds, double value) {
  std::size_t at = 0;
  while (at < kBounds && value > bounds[at]) ++at;
  ++counts[at];
  sum += value;
}

void Metrics::invocation_began() {
  const std::lock_guard lock(mutex_);
  ++in_flight_;
}

void Metrics::invocation_ended(std::string_view source, bool failed) {
  const std::lock_guard lock(mutex_);
  --in_flight_;
  ++invocations_[{source, failed}];
}

void Metrics::http_answered(std::string_view route, int status) {
  const std::lock_guard lock(mutex_);
  ++answers_[{route, status}];
}

void Metrics::generated(const Generation& generation, const GenerationTimes& times) {
  const std::lock_guard lock(mutex_);
  const Usage& usage = generation.usage;
  ++finished_[name_of(generation.finish_reason)];
  prompt_tokens_ += usage.prompt_tokens;
  cached_tokens_ += usage.cached_tokens;
  completion_tokens_ += usage.completion_tokens;
  reasoning_tokens_ += usage.reasoning_tokens;
  total_.add(kLatencyBounds, seconds(times.total));
  if (times.first_text.count() > 0) first_text_.add(kLatencyBounds, seconds(times.first_text));
  if (usage.completion_tokens > 1) {
    per_token_.add(kLatencyBounds, seconds(generation.phases.decode) / usage.completion_tokens);
  }
}

void Metrics::generation_failed(Code code) {
  const std::lock_guard lock(mutex_);
  ++failed_[name_of(code)];
}

void Metrics::write(std::string& to, std::string_view name, std::string_view help,
                    const Latencies& of) {
  begin(to, name, "histogram", help);
  std::uint64_t count = 0;
  for (std::size_t i = 0; i < kLatencyBounds.size(); ++i) {
    count += of.counts[i];
    to += cat(name, "_bucket{le=\"", kLatencyBounds[i], "\"} ", count, "\n");
  }
  count += of.counts.back();
  to += cat(name, "_bucket{le=\"+Inf\"} ", count, "\n", name, "_sum ", of.sum, "\n", name,
            "_count ", count, "\n");
}

std::string Metrics::text(std::span<const Gauge> gauges) const {
  std::string to;
  const std::lock_guard lock(mutex_);
  begin(to, "thaw_invocations_in_flight", "gauge", "Invocations that are being answered.");
  to += cat("thaw_invocations_in_flight ", in_flight_, "\n");
  if (!invocations_.empty()) {
    begin(to, "thaw_invocations_total", "counter", "Invocations answered, by source of the event.");
    for (const auto& [key, count] : invocations_) {
      to += cat("thaw_invocations_total{source=\"", key.first, "\",outcome=\"",
                key.second ? "failed" : "ok", "\"} ", count, "\n");
    }
  }
  if (!answers_.empty()) {
    begin(to, "thaw_http_responses_total", "counter", "HTTP answers, by route and status.");
    for (const auto& [key, count] : answers_) {
      to += cat("thaw_http_responses_total{route=\"", key.first, "\",status=\"", key.second, "\"} ",
                count, "\n");
    }
  }
  write_counters(to, "thaw_generations_total", "Generations that came to an end, by its reason.",
                 "finish_reason", finished_);
  write_counters(to, "thaw_generation_errors_total", "Generations that failed, by error.", "code",
                 failed_);
  write_counter(to, "thaw_prompt_tokens_total", "Tokens of prompts.", prompt_tokens_);
  write_counter(to, "thaw_cached_tokens_total", "Tokens of prompts that a stored prefix had.",
                cached_tokens_);
  write_counter(to, "thaw_completion_tokens_total", "Tokens generated.", completion_tokens_);
  write_counter(to, "thaw_reasoning_tokens_total", "Tokens generated while thinking.",
                reasoning_tokens_);
  write(to, "thaw_time_to_first_text_seconds", "From the request to its first text.", first_text_);
  write(to, "thaw_time_per_output_token_seconds", "Decoding, per token.", per_token_);
  write(to, "thaw_generation_seconds", "From the request to the end of its generation.", total_);
  std::string_view last;
  for (const Gauge& gauge : gauges) {
    if (gauge.name != last) begin(to, gauge.name, "gauge", gauge.help);
    last = gauge.name;
    to += gauge.name;
    if (!gauge.label.empty()) to += cat("{", gauge.label, "}");
    to += cat(" ", gauge.value, "\n");
  }
  return to;
}

}  // namespace thaw::handler
