#include "runtime/cost/price_list.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <utility>

#include "base/check.h"
#include "base/str.h"
#include "runtime/cost/built_in_prices.h"

namespace thaw::cost {
namespace {

constexpr std::string_view kHeading = "platform,item,from,value,unit,date,source";

std::vector<std::string_view> split(std::string_view line) {
  std::vector<std::string_view> fields;
  while (true) {
    const std::size_t comma = line.find(',');
    fields.push_back(line.substr(0, comma));
    if (comma == std::string_view::npos) return fields;
    line.remove_prefix(comma + 1);
  }
}

std::optional<double> number(std::string_view text) {
  double value = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = end.ec == std::errc() && end.ptr == text.data() + text.size();
  return whole && std::isfinite(value) && value >= 0 ? std::optional(value) : std::nullopt;
}

bool is_date(std::string_view text) {
  if (text.size() != 10) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 4 || i == 7;
    if (dash ? text[i] != '-' : text[i] < '0' || text[i] > '9') return false;
  }
  return true;
}

}  // namespace

const PriceList& PriceList::built_in() {
  static const PriceList list = [] {
    PriceList empty;
    Result<PriceList> read = empty.with(kBuiltInPrices, "prices.csv");
    THAW_CHECK(read.has_value());  // a test reads it
    return *std::move(read);
  }();
  return list;
}

Result<PriceList> PriceList::with(std::string_view text, std::string_view name) const {
  std::size_t number_of_line = 0;
  const auto wrong = [&](std::string_view found, std::string_view wanted) {
    return fail(Code::kInvalid, cat("prices '", name, "': line ", number_of_line, ": found '",
                                    found.substr(0, 60), "', want ", wanted));
  };
  if (text.size() > kFileBytesMax) {
    return fail(Code::kLimit, cat("prices '", name, "': ", text.size(), " bytes, at most ",
                                  kFileBytesMax, " are read"));
  }
  PriceList next = *this;
  std::map<std::pair<std::string, std::string>, PriceFigure> read;
  bool headed = false;
  while (!text.empty()) {
    ++number_of_line;
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.size() > kLineBytesMax) return wrong("a longer line", "at most 1000 bytes");
    if (line.empty() || line.starts_with('#')) continue;
    if (!std::exchange(headed, true)) {
      if (line != kHeading) return wrong(line, cat("the heading ", kHeading));
      continue;
    }
    const auto fields = split(line);
    if (fields.size() != 7) return wrong(cat(fields.size(), " fields"), "7 fields");
    const std::pair key{std::string(fields[0]), std::string(fields[1])};
    if (!figures_.empty() && figures_.count(key) == 0) {
      return wrong(cat(key.first, ",", key.second), "a platform and item of prices.csv");
    }
    const auto from = number(fields[2]), value = number(fields[3]);
    if (!from) return wrong(fields[2], "a quantity, 0 or more");
    if (!value) return wrong(fields[3], "a number, 0 or more");
    if (!is_date(fields[5])) return wrong(fields[5], "a date, YYYY-MM-DD");
    PriceFigure& figure = read[key];
    if (figure.tiers.empty() ? *from != 0 : *from <= figure.tiers.back().from) {
      return wrong(fields[2], figure.tiers.empty() ? "0 in an item's first row"
                                                   : "more than in the item's row before");
    }
    figure.tiers.push_back({*from, *value});
    figure.unit = fields[4];
    figure.date = fields[5];
    figure.source = fields[6];
  }
  if (!headed) {
    ++number_of_line;
    return wrong("", cat("the heading ", kHeading));
  }
  for (auto& [key, figure] : read) next.figures_[key] = std::move(figure);
  return next;
}

const PriceFigure& PriceList::figure(std::string_view platform, std::string_view item) const {
  const auto at = figures_.find({std::string(platform), std::string(item)});
  THAW_CHECK(at != figures_.end());
  return at->second;
}

double PriceList::value(std::string_view platform, std::string_view item) const {
  return figure(platform, item).tiers.front().value;
}

double PriceList::total(std::string_view platform, std::string_view item, double quantity) const {
  const std::vector<PriceTier>& tiers = figure(platform, item).tiers;
  double sum = 0;
  for (std::size_t i = 0; i < tiers.size() && quantity > tiers[i].from; ++i) {
    const double to = i + 1 < tiers.size() ? std::min(quantity, tiers[i + 1].from) : quantity;
    sum += (to - tiers[i].from) * tiers[i].value;
  }
  return sum;
}

}  // namespace thaw::cost
