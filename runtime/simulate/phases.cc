#include "runtime/simulate/phases.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/str.h"

namespace thaw::simulate {
namespace {

using Json = nlohmann::json;
using std::chrono::nanoseconds;

constexpr double kYearSeconds = 366 * 86400.0;
constexpr double kRateMax = 1e9;

nanoseconds from_seconds(double seconds) {
  return nanoseconds(static_cast<std::int64_t>(std::min(seconds, kYearSeconds) * 1e9));
}

// The number called `key` of `object`, if it has one.
std::optional<double> number(const Json& object, const char* key) {
  const auto at = object.find(key);
  if (at == object.end() || !at->is_number()) return std::nullopt;
  return at->get<double>();
}

// What `thaw run --json` tells of one answer.
bool take_run(const Json& run, Phases& phases) {
  const auto timings = run.find("timings"), usage = run.find("usage");
  if (timings == run.end() || usage == run.end() || !timings->is_object() || !usage->is_object()) {
    return false;
  }
  const double prompt =
      number(*usage, "prompt_tokens").value_or(0) - number(*usage, "cached_tokens").value_or(0);
  const auto prefill = number(*timings, "prefill_ms");
  if (prefill && prompt > 0 && *prefill > 0) phases.prefill_tokens_per_s = prompt / *prefill * 1e3;
  const auto rate = number(*timings, "decode_tokens_per_s");
  if (rate && *rate > 0) phases.decode_tokens_per_s = *rate;
  const auto open = number(*timings, "open_ms");
  if (open) phases.start = from_seconds(*open / 1e3);
  return prefill || rate || open;
}

}  // namespace

nanoseconds Phases::to_first_token(std::uint32_t prompt_tokens) const {
  return overhead + from_seconds(prompt_tokens / prefill_tokens_per_s);
}

nanoseconds Phases::to_end(std::uint32_t prompt_tokens, std::uint32_t output_tokens) const {
  const std::uint32_t decoded = output_tokens == 0 ? 0 : output_tokens - 1;
  return to_first_token(prompt_tokens) + from_seconds(decoded / decode_tokens_per_s);
}

Phases Phases::on(double vcpus_given) const {
  const double share = std::min(1.0, vcpus_given / vcpus);
  Phases slower = *this;
  slower.start = from_seconds(std::chrono::duration<double>(start).count() / share);
  slower.overhead = from_seconds(std::chrono::duration<double>(overhead).count() / share);
  slower.prefill_tokens_per_s *= share;
  slower.decode_tokens_per_s *= share;
  slower.vcpus = std::min(vcpus, vcpus_given);
  return slower;
}

Result<Done> check(const Phases& phases) {
  const auto wrong = [](std::string_view name, double found, std::string_view wanted) {
    return fail(Code::kInvalid, cat("phases: ", name, " ", found, ", want ", wanted));
  };
  const double start = std::chrono::duration<double>(phases.start).count();
  const double overhead = std::chrono::duration<double>(phases.overhead).count();
  if (!(start >= 0 && start < kYearSeconds)) return wrong("start", start, "0 s to a year");
  if (!(overhead >= 0 && overhead < kYearSeconds))
    return wrong("overhead", overhead, "0 s to a year");
  const auto sound = [](double rate) { return rate > 0 && rate <= kRateMax; };
  if (!sound(phases.prefill_tokens_per_s)) {
    return wrong("prefill_tokens_per_s", phases.prefill_tokens_per_s, "more than 0, at most 1e9");
  }
  if (!sound(phases.decode_tokens_per_s)) {
    return wrong("decode_tokens_per_s", phases.decode_tokens_per_s, "more than 0, at most 1e9");
  }
  if (!(phases.vcpus > 0 && phases.vcpus <= 1024)) {
    return wrong("vcpus", phases.vcpus, "more than 0, at most 1024");
  }
  return Done{};
}

Result<Phases> read_phases(std::string_view json, std::string_view name, Phases phases) {
  const Json all = Json::parse(json.begin(), json.end(), nullptr, false);
  if (!all.is_object()) {
    return fail(Code::kInvalid, cat("phases '", name,
                                    "': found no JSON object, want one, as 'thaw "
                                    "bench --json' prints"));
  }
  bool known = take_run(all, phases);
  const auto take = [&](const char* key, auto&& use) {
    const auto value = number(all, key);
    if (!value) return;
    known = true;
    use(*value);
  };
  take("threads", [&](double value) { phases.vcpus = value; });
  take("vcpus", [&](double value) { phases.vcpus = value; });
  take("start_ms", [&](double value) { phases.start = from_seconds(value / 1e3); });
  take("overhead_ms", [&](double value) { phases.overhead = from_seconds(value / 1e3); });
  take("prefill_tokens_per_s", [&](double value) { phases.prefill_tokens_per_s = value; });
  take("decode_tokens_per_s", [&](double value) { phases.decode_tokens_per_s = value; });
  if (!known) {
    return fail(Code::kInvalid, cat("phases '", name,
                                    "': found nothing known, want start_ms, overhead_ms, "
                                    "prefill_tokens_per_s, decode_tokens_per_s or vcpus"));
  }
  if (auto sound = check(phases); !sound) {
    return fail(Code::kInvalid, cat("phases '", name, "': ", sound.error().message));
  }
  return phases;
}

}  // namespace thaw::simulate
