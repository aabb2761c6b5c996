// Which kind a foreign tensor becomes, and its rows in that kind.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/result.h"
#include "handler/freeze/source.h"
#include "kernels/kind.h"

namespace thaw::freeze {

// What `--weights` asks: keep what is there, or the smallest kind wanted.
enum class Weights : unsigned char { kKeep, kQ8, kQ4, kQ4m, kQ4k };

struct KindChoice {
  kernels::Kind kind{};
  bool is_exact = false;  // every weight keeps its value
};

// kKeep: the kind that loses nothing, else the one that loses least. Otherwise the kind asked for,
// but never more bits than the source has; the embedding and the output matrix keep at least 8
// bits, and matrices whose width is no multiple of the kind's block take the nearest that fits.
// Errors: kUnsupported: a tensor this build cannot hold or read, named.
Result<KindChoice> choose_kind(const SourceTensor& tensor, Weights weights);

// Rows [first, first + count) in the rows layout of `kind`. `floats` is scratch.
//   to [rows_bytes(kind, count, cols)]
// Errors: kCorrupt (a weight that is not finite, named).
Result<Done> convert_rows(const SourceTensor& tensor, kernels::Kind kind, std::uint64_t first,
                          std::uint64_t count, std::span<std::byte> to, std::vector<float>& floats);

}  // namespace thaw::freeze
