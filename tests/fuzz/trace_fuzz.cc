// What a person hands to `thaw simulate`: traces, price lists, measured phases. Each is read or
// refused in one line; what is read is in order and can be replayed.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "runtime/cost/price_list.h"
#include "runtime/simulate/simulation.h"

using namespace thaw;

namespace {

void expect(bool holds) {
  if (!holds) std::abort();
}

void expect_one_line(const Error& error) { expect(error.message.find('\n') == std::string::npos); }

// The first of a trace's arrivals; a mutation may have made it tell of millions.
class Few final : public simulate::Arrivals {
 public:
  explicit Few(simulate::Arrivals& from) : from_(from) {}
  Result<std::optional<simulate::Arrival>> next() override {
    if (++count_ > 200) return std::optional<simulate::Arrival>();
    auto arrival = from_.next();
    if (arrival && *arrival) {
      expect((*arrival)->at >= last_);
      last_ = (*arrival)->at;
    }
    return arrival;
  }

 private:
  simulate::Arrivals& from_;
  int count_ = 0;
  std::chrono::nanoseconds last_{0};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto prices = cost::PriceList::built_in().with(text, "input");
  if (!prices) expect_one_line(prices.error());
  const auto phases = simulate::read_phases(text, "input", {});
  if (!phases) expect_one_line(phases.error());
  auto trace = simulate::open_trace(
      [left = text](char* to, std::size_t count) mutable {
        count = std::min(count, left.size());
        std::memcpy(to, left.data(), count);
        left.remove_prefix(count);
        return Result<std::size_t>(count);
      },
      {"input", {}, 1});
  if (!trace) {
    expect_one_line(trace.error());
    return 0;
  }
  Few few(**trace);
  simulate::Setup setup;
  setup.limits.instances_max = 3;
  const auto outcome = simulate::simulate(few, setup);
  if (!outcome) {
    expect_one_line(outcome.error());
    return 0;
  }
  expect(outcome->arrived == outcome->served + outcome->refused + outcome->timed_out);
  return 0;
}
