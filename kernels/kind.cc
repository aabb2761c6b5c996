#include "kernels/kind.h"

#include "base/check.h"

namespace thaw::kernels {
namespace {

constexpr KindInfo kKinds[] = {
    {Kind::kF32, "f32", 1, 4, 64, true},        {Kind::kF16, "f16", 1, 2, 32, true},
    {Kind::kBf16, "bf16", 1, 2, 32, true},      {Kind::kQ8, "q8", 32, 34, 544, false},
    {Kind::kQ4, "q4", 32, 18, 288, false},      {Kind::kQ4m, "q4m", 32, 20, 320, false},
    {Kind::kQ4k, "q4k", 256, 144, 2304, false}, {Kind::kQ5k, "q5k", 256, 176, 2816, false},
    {Kind::kQ6k, "q6k", 256, 210, 3360, false},
};

}  // namespace

std::span<const KindInfo> kinds() { return kKinds; }

const KindInfo* find_kind(std::uint32_t value) {
  for (const KindInfo& kind : kKinds) {
    if (static_cast<std::uint32_t>(kind.kind) == value) return &kind;
  }
  return nullptr;
}

const KindInfo& info(Kind kind) {
  const KindInfo* found = find_kind(static_cast<std::uint32_t>(kind));
  THAW_CHECK(found != nullptr);
  return *found;
}

std::optional<Kind> kind_named(std::string_view name) {
  for (const KindInfo& kind : kKinds) {
    if (kind.name == name) return kind.kind;
  }
  return std::nullopt;
}

std::optional<std::uint64_t> rows_bytes(Kind kind, std::uint64_t rows, std::uint64_t cols) {
  const KindInfo& facts = info(kind);
  if (cols % facts.block_cols != 0) return std::nullopt;
  const auto row = checked_mul(cols / facts.block_cols, facts.row_block_bytes);
  if (!row) return std::nullopt;
  return checked_mul(rows, *row);
}

std::optional<std::uint64_t> panels_bytes(Kind kind, std::uint64_t rows, std::uint64_t cols) {
  const KindInfo& facts = info(kind);
  if (cols % facts.block_cols != 0) return std::nullopt;
  const auto panel = checked_mul(cols / facts.block_cols, facts.panel_block_bytes);
  const auto padded = checked_add(rows, kPanelRows - 1);
  if (!panel || !padded) return std::nullopt;
  return checked_mul(*padded / kPanelRows, *panel);
}

}  // namespace thaw::kernels
