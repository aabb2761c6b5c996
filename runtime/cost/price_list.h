// What platforms ask: a table of figures, each with its date and source.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace thaw::cost {

// One figure, or the part of a tiered one that holds from `from` on.
struct PriceTier {
  double from = 0;  // of a month's quantity
  double value = 0;
};

struct PriceFigure {
  std::vector<PriceTier> tiers;  // ascending, the first from 0
  std::string unit, date, source;
};

// Values copy. Immutable once read.
class PriceList {
 public:
  static constexpr std::size_t kFileBytesMax = 1 << 20;
  static constexpr std::size_t kLineBytesMax = 1000;

  // Those of prices.csv as this program was built.
  static const PriceList& built_in();
  // The rows of `text` in place of these, item by item; `name` is for messages.
  // Errors: kInvalid  a row that is not prices.csv's form, or names a figure that is not there: its
  //                   line, found, wanted
  Result<PriceList> with(std::string_view text, std::string_view name) const;

  // Precondition: prices.csv has it.
  const PriceFigure& figure(std::string_view platform, std::string_view item) const;
  double value(std::string_view platform, std::string_view item) const;  // of its first tier
  // What `quantity` of a month comes to, tier by tier.
  double total(std::string_view platform, std::string_view item, double quantity) const;
  const auto& figures() const { return figures_; }

 private:
  std::map<std::pair<std::string, std::string>, PriceFigure> figures_;  // platform, item
};

}  // namespace thaw::cost
