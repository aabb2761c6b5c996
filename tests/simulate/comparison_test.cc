#include "runtime/simulate/comparison.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace thaw::simulate {
namespace {

using namespace std::chrono_literals;

Row row_of(const std::string& name) {
  Row row;
  row.setup.name = name;
  GeneratorOptions options;
  options.length = 100s;
  auto arrivals = generate(options);
  row.outcome = *simulate(**arrivals, row.setup);
  row.trace = cost::bill(row.setup.shape, row.outcome.usage, cost::PriceList::built_in());
  row.month = month_of(row.outcome, row.setup, cost::PriceList::built_in(), false);
  return row;
}

TEST(Comparison, SaysTheSameInJson) {
  const std::vector<Row> rows = {row_of("a"), row_of("b")};
  const auto all = nlohmann::json::parse(json_of(rows, "a trace"), nullptr, false);
  ASSERT_TRUE(all.is_object());
  ASSERT_EQ(all["setups"].size(), 2u);
  const auto& first = all["setups"][0];
  EXPECT_EQ(first["name"], "a");
  EXPECT_EQ(first["arrived"], rows[0].outcome.arrived);
  EXPECT_EQ(first["served"].get<std::uint64_t>() + first["refused"].get<std::uint64_t>(),
            rows[0].outcome.arrived);
  EXPECT_DOUBLE_EQ(first["cost"]["dollars"], rows[0].trace.total.dollars());
  double sum = 0;
  for (const auto& line : first["cost_month"]["lines"]) sum += line["dollars"].get<double>();
  EXPECT_NEAR(sum, first["cost_month"]["dollars"].get<double>(), 1e-9);
  EXPECT_GE(first["latency"]["p95_ms"], first["latency"]["p50_ms"]);
}

TEST(Comparison, DrawsEverySetupAndEscapesItsName) {
  const std::string svg = svg_of({row_of("<a & b>"), row_of("c")}, "x < y");
  EXPECT_TRUE(svg.starts_with("<svg "));
  EXPECT_TRUE(svg.ends_with("</svg>\n"));
  EXPECT_NE(svg.find("&lt;a &amp; b&gt;"), std::string::npos);
  EXPECT_EQ(svg.find("<a &"), std::string::npos);
  std::size_t bars = 0;
  for (std::size_t at = svg.find("<rect x="); at != std::string::npos;
       at = svg.find("<rect x=", at + 1)) {
    ++bars;
  }
  EXPECT_EQ(bars, 2u * 3 + 2);
}

TEST(Comparison, PricesAMillionOfTheSame) {
  Row row = row_of("a");
  EXPECT_NEAR(dollars_per_million(row),
              row.trace.total.dollars() * 1e6 / static_cast<double>(row.outcome.served), 1e-9);
  EXPECT_EQ(dollars_per_million(Row{}), 0);
}

}  // namespace
}  // namespace thaw::simulate
