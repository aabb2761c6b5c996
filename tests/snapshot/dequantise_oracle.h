// Every format's formula written a second time, from its description, in double and with running
// pointers, so that it shares neither order nor bugs with snapshot/gguf/dequantise.cc.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "snapshot/gguf/gguf.h"

namespace thaw::gguf::oracle {

using Byte = std::uint8_t;
using Block = std::vector<Byte>;
using Values = std::vector<double>;

struct Format {
  Type type;
  std::function<Values(const Block&)> values;
  std::vector<std::size_t> halves;  // where f16 scales lie in a block
};

std::vector<Format> formats();

double half(const Byte* from);
Values q4_0(const Block& block);
Values q8_k(const Block& block);

}  // namespace thaw::gguf::oracle
