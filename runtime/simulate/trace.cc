#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "base/random.h"
#include "base/str.h"
#include "runtime/simulate/azure.h"
#include "runtime/simulate/lines.h"
#include "runtime/simulate/tokens.h"

namespace thaw::simulate {
namespace {

constexpr std::string_view kWantedAt = "seconds, 0 to ten years";
constexpr std::string_view kWantedTokens = "a whole number, 0 to 10000000";

std::optional<std::uint32_t> tokens_in(std::string_view text) {
  std::uint32_t value = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = end.ec == std::errc() && end.ptr == text.data() + text.size();
  return whole && value <= kTraceTokensMax ? std::optional(value) : std::nullopt;
}

// Numbers functions in the order in which they appear.
class Names {
 public:
  std::optional<std::uint32_t> number_of(std::string_view name) {
    const auto at = numbers_.find(std::string(name));
    if (at != numbers_.end()) return at->second;
    if (numbers_.size() >= kTraceFunctionsMax) return std::nullopt;
    const auto number = static_cast<std::uint32_t>(numbers_.size());
    numbers_.emplace(name, number);
    return number;
  }

 private:
  std::unordered_map<std::string, std::uint32_t> numbers_;
};

// What both formats of our own share.
class OwnTrace : public Arrivals {
 protected:
  OwnTrace(Lines lines, const TraceOptions& options)
      : lines_(std::move(lines)), options_(options), random_(options.seed) {}

  Result<std::optional<Arrival>> take(double at, std::optional<std::uint32_t> prompt,
                                      std::optional<std::uint32_t> output,
                                      std::string_view function) {
    Arrival arrival;
    arrival.at = std::chrono::nanoseconds(std::llround(at * 1e9));
    if (arrival.at < last_) {
      return lines_.wrong(cat(at), "arrivals in order of time; sort the trace");
    }
    last_ = arrival.at;
    draw_tokens(options_.tokens, random_, arrival);
    if (prompt) arrival.prompt_tokens = *prompt;
    if (output) arrival.output_tokens = *output;
    const auto number = names_.number_of(function);
    if (!number) {
      return lines_.wrong("another function", cat("at most ", kTraceFunctionsMax, " functions"));
    }
    arrival.function = *number;
    return std::optional(arrival);
  }

  Lines lines_;
  TraceOptions options_;

 private:
  Random random_;
  Names names_;
  std::chrono::nanoseconds last_{0};
};

class CsvTrace final : public OwnTrace {
 public:
  CsvTrace(Lines lines, const TraceOptions& options) : OwnTrace(std::move(lines), options) {}

  Result<Done> read_heading(std::string_view heading) {
    split_fields(heading, fields_);
    columns_ = fields_.size();
    for (std::size_t i = 0; i < columns_; ++i) {
      std::optional<std::size_t>* slot = nullptr;
      if (fields_[i] == "at") slot = &at_;
      if (fields_[i] == "prompt_tokens") slot = &prompt_;
      if (fields_[i] == "output_tokens") slot = &output_;
      if (fields_[i] == "function") slot = &function_;
      if (slot == nullptr || slot->has_value()) {
        return lines_.wrong(fields_[i], "at, prompt_tokens, output_tokens or function, each once");
      }
      *slot = i;
    }
    if (!at_) return lines_.wrong(heading, "a column 'at'");
    return Done{};
  }

  Result<std::optional<Arrival>> next() override {
    std::string_view line;
    do {
      THAW_TRY(read, lines_.next());
      if (!read) return std::optional<Arrival>();
      line = *read;
    } while (line.empty());
    split_fields(line, fields_);
    if (fields_.size() != columns_) {
      return lines_.wrong(cat(fields_.size(), " fields"), cat(columns_, " as in the heading"));
    }
    const auto at = number_in(fields_[*at_], kTraceSecondsMax);
    if (!at) return lines_.wrong(fields_[*at_], kWantedAt);
    std::optional<std::uint32_t> prompt, output;
    if (prompt_ && !(prompt = tokens_in(fields_[*prompt_]))) {
      return lines_.wrong(fields_[*prompt_], kWantedTokens);
    }
    if (output_ && !(output = tokens_in(fields_[*output_]))) {
      return lines_.wrong(fields_[*output_], kWantedTokens);
    }
    return take(*at, prompt, output, function_ ? fields_[*function_] : std::string_view());
  }

 private:
  std::size_t columns_ = 0;
  std::optional<std::size_t> at_, prompt_, output_, function_;
  std::vector<std::string_view> fields_;
};

class JsonTrace final : public OwnTrace {
 public:
  JsonTrace(Lines lines, std::string first, const TraceOptions& options)
      : OwnTrace(std::move(lines), options), first_(std::move(first)) {}

  Result<std::optional<Arrival>> next() override {
    std::string_view line;
    if (first_) {
      line = *first_;
    } else {
      do {
        THAW_TRY(read, lines_.next());
        if (!read) return std::optional<Arrival>();
        line = *read;
      } while (line.empty());
    }
    const auto all = nlohmann::json::parse(line.begin(), line.end(), nullptr, false);
    first_.reset();
    if (!all.is_object()) return lines_.wrong("no JSON object", "one a line");
    const auto at = all.find("at");
    if (at == all.end() || !at->is_number()) return lines_.wrong("no number 'at'", kWantedAt);
    const double seconds = at->get<double>();
    if (!(seconds >= 0 && seconds <= kTraceSecondsMax))
      return lines_.wrong(cat(seconds), kWantedAt);
    std::optional<std::uint32_t> counts[2];
    for (const int i : {0, 1}) {
      const auto value = all.find(i == 0 ? "prompt_tokens" : "output_tokens");
      if (value == all.end()) continue;
      if (!value->is_number_unsigned() || value->get<std::uint64_t>() > kTraceTokensMax) {
        return lines_.wrong(value->dump(-1, ' ', false, nlohmann::json::error_handler_t::replace),
                            kWantedTokens);
      }
      counts[i] = value->get<std::uint32_t>();
    }
    const auto function = all.find("function");
    if (function == all.end()) return take(seconds, counts[0], counts[1], {});
    if (!function->is_string()) return lines_.wrong("a function that is no text", "its name");
    return take(seconds, counts[0], counts[1], function->get_ref<const std::string&>());
  }

 private:
  std::optional<std::string> first_;  // read already, to see what it is
};

}  // namespace

Result<std::unique_ptr<Arrivals>> open_trace(ReadBytes read, const TraceOptions& options) {
  Lines lines(std::move(read), options.name);
  THAW_TRY(heading, lines.next());
  if (!heading) return lines.wrong("nothing", "a heading or a JSON object");
  std::string first(*heading);
  if (first.starts_with("\xEF\xBB\xBF")) first.erase(0, 3);  // as Windows writes
  if (first.starts_with('{')) {
    return std::unique_ptr<Arrivals>(
        std::make_unique<JsonTrace>(std::move(lines), std::move(first), options));
  }
  if (first.starts_with("HashOwner,"))
    return open_azure_functions(std::move(lines), first, options);
  if (first.starts_with("TIMESTAMP,")) return open_azure_llm(std::move(lines), first, options);
  auto trace = std::make_unique<CsvTrace>(std::move(lines), options);
  THAW_TRY_DO(trace->read_heading(first));
  return std::unique_ptr<Arrivals>(std::move(trace));
}

}  // namespace thaw::simulate
