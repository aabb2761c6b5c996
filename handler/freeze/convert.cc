#include "handler/freeze/convert.h"

#include <array>
#include <cmath>
#include <cstring>
#include <optional>

#include "base/str.h"
#include "kernels/pack.h"

namespace thaw::freeze {
namespace {

using gguf::Type;
using kernels::Kind;

// GGUF types whose rows are our rows, byte for byte.
std::optional<Kind> same_rows(Type type) {
  switch (type) {
    case Type::kF32: return Kind::kF32;
    case Type::kF16: return Kind::kF16;
    case Type::kBf16: return Kind::kBf16;
    case Type::kQ8_0: return Kind::kQ8;
    case Type::kQ4_0: return Kind::kQ4;
    case Type::kQ4_1: return Kind::kQ4m;
    case Type::kQ4_K: return Kind::kQ4k;
    case Type::kQ5_K: return Kind::kQ5k;
    case Type::kQ6_K: return Kind::kQ6k;
    default: return std::nullopt;
  }
}

bool is_float(Type type) {
  return type == Type::kF32 || type == Type::kF16 || type == Type::kBf16 || type == Type::kF64;
}

double bits_of(Type type) {
  const gguf::TypeInfo* info = gguf::find_type(static_cast<std::uint32_t>(type));
  return info == nullptr ? 0 : 8.0 * info->block_bytes / info->block_elements;
}

double bits_of(Kind kind) {
  const kernels::KindInfo& info = kernels::info(kind);
  return 8.0 * info.row_block_bytes / info.block_cols;
}

bool fits(Kind kind, std::uint64_t cols) { return cols % kernels::info(kind).block_cols == 0; }

// Q5_0 and IQ4_NL weights are an f16 scale times a small integer, which is what q8 holds.
constexpr std::array<std::int8_t, 16> kIq4Nl = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                1,    13,   25,  38,  53,  69,  89,  113};

void q5_0_to_q8(const std::byte* from, std::byte* to) {
  std::memcpy(to, from, 2);
  const auto high = load<std::uint32_t>(from + 2);
  for (unsigned j = 0; j < 32; ++j) {
    const auto byte = static_cast<unsigned>(from[6 + j % 16]);
    const unsigned low = j < 16 ? byte & 15 : byte >> 4;
    const int value = static_cast<int>(low | ((high >> j & 1) << 4)) - 16;
    to[2 + j] = static_cast<std::byte>(value);
  }
}

void iq4_nl_to_q8(const std::byte* from, std::byte* to) {
  std::memcpy(to, from, 2);
  for (unsigned j = 0; j < 32; ++j) {
    const auto byte = static_cast<unsigned>(from[2 + j % 16]);
    to[2 + j] = static_cast<std::byte>(kIq4Nl[j < 16 ? byte & 15 : byte >> 4]);
  }
}

Kind smallest_asked(Weights weights) {
  switch (weights) {
    case Weights::kQ4: return Kind::kQ4;
    case Weights::kQ4m: return Kind::kQ4m;
    case Weights::kQ4k: return Kind::kQ4k;
    default: return Kind::kQ8;
  }
}

Result<KindChoice> keep(const SourceTensor& tensor) {
  if (const auto same = same_rows(tensor.type); same && fits(*same, tensor.cols)) {
    return KindChoice{*same, true};
  }
  if (tensor.type == Type::kQ5_0 || tensor.type == Type::kIq4Nl) return KindChoice{Kind::kQ8, true};
  if (tensor.type == Type::kF64) return KindChoice{Kind::kF32, false};
  if (!fits(Kind::kQ8, tensor.cols)) return KindChoice{Kind::kF32, true};
  return KindChoice{Kind::kQ8, false};
}

}  // namespace

Result<KindChoice> choose_kind(const SourceTensor& tensor, Weights weights) {
  if (gguf::find_type(static_cast<std::uint32_t>(tensor.type)) == nullptr) {
    return fail(Code::kUnsupported,
                cat("tensor '", tensor.name, "': element type ",
                    static_cast<std::uint32_t>(tensor.type), ", unknown to this build"));
  }
  THAW_TRY(kept, keep(tensor));
  if (weights == Weights::kKeep) return kept;
  Kind kind = smallest_asked(weights);
  if (tensor.role == model::Role::kEmbedding || tensor.role == model::Role::kOutput) {
    kind = Kind::kQ8;
  }
  if (!fits(kind, tensor.cols) && kind == Kind::kQ4k) kind = Kind::kQ4m;
  if (!fits(kind, tensor.cols)) return kept;
  if (!is_float(tensor.type) && bits_of(tensor.type) <= bits_of(kind)) return kept;
  return KindChoice{kind, false};
}

Result<Done> convert_rows(const SourceTensor& tensor, Kind kind, std::uint64_t first,
                          std::uint64_t count, std::span<std::byte> to,
                          std::vector<float>& floats) {
  const gguf::TypeInfo& type = *gguf::find_type(static_cast<std::uint32_t>(tensor.type));
  const std::uint64_t row_bytes = tensor.cols / type.block_elements * type.block_bytes;
  const Bytes from = tensor.bytes.subspan(first * row_bytes, count * row_bytes);
  if (same_rows(tensor.type) == kind) {
    std::memcpy(to.data(), from.data(), to.size());
    return Done{};
  }
  const bool q5_0 = tensor.type == Type::kQ5_0 && kind == Kind::kQ8;
  if (q5_0 || (tensor.type == Type::kIq4Nl && kind == Kind::kQ8)) {
    for (std::uint64_t block = 0; block < count * tensor.cols / 32; ++block) {
      (q5_0 ? q5_0_to_q8 : iq4_nl_to_q8)(from.data() + block * type.block_bytes,
                                         to.data() + block * 34);
    }
    return Done{};
  }
  floats.resize(tensor.cols);
  const std::uint64_t to_bytes = to.size() / count;
  for (std::uint64_t row = 0; row < count; ++row) {
    THAW_TRY_DO(gguf::dequantise(tensor.type, from.subspan(row * row_bytes, row_bytes), floats));
    for (std::size_t i = 0; i < floats.size(); ++i) {
      if (!std::isfinite(floats[i])) {
        return fail(Code::kCorrupt,
                    cat("tensor '", tensor.name, "': row ", first + row, ", column ", i,
                        " is not a finite number; the model file is damaged"));
      }
    }
    kernels::quantise_row(kind, floats, to.subspan(row * to_bytes, to_bytes));
  }
  return Done{};
}

}  // namespace thaw::freeze
