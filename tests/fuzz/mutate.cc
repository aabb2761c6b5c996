#include "mutate.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace thaw::fuzz {
namespace {

// Counts, sizes and offsets at these values are where readers go wrong.
constexpr std::uint64_t kExtremes[] = {0,
                                       1,
                                       2,
                                       0x7F,
                                       0x80,
                                       0xFF,
                                       0x7FFF,
                                       0x8000,
                                       0xFFFF,
                                       0x10000,
                                       0x7FFFFFFF,
                                       0x80000000,
                                       0xFFFFFFFF,
                                       0xFFFFFFF8,
                                       0x100000000,
                                       0x7FFFFFFFFFFFFFFF,
                                       0x8000000000000000,
                                       0xFFFFFFFFFFFFFFFF,
                                       0xFFFFFFFFFFFFFFC0,
                                       0x2000000000000001};

// A place and a length inside of `input`, short pieces more often than long ones.
struct Piece {
  std::size_t at = 0;
  std::size_t length = 0;
};
Piece piece_of(const Input& input, Random& random) {
  if (input.empty()) return {};
  const std::size_t at = random.below(input.size());
  const std::size_t room = input.size() - at;
  const std::size_t longest = std::min<std::size_t>(room, std::size_t{1} << random.below(13));
  return {at, 1 + random.below(longest)};
}

auto place(Input& input, std::size_t at) { return input.begin() + static_cast<std::ptrdiff_t>(at); }

void change_integer(Input& input, Random& random) {
  const std::size_t width = std::size_t{1} << random.below(4);
  if (input.size() < width) return;
  std::size_t at = random.below(input.size() - width + 1);
  if (random.below(2) == 0) at -= at % width;  // files like their integers aligned
  std::uint64_t value = 0;
  std::memcpy(&value, &input[at], width);
  if (random.below(3) == 0) {
    value += random.below(33) - 16;
  } else {
    value = kExtremes[random.below(std::size(kExtremes))];
  }
  if (random.below(8) == 0) value = std::uint64_t{input.size()} + random.below(9) - 4;
  std::memcpy(&input[at], &value, width);
}

void insert_from(Input& input, const Input& from, Random& random) {
  const Piece piece = piece_of(from, random);
  const std::size_t at = random.below(input.size() + 1);
  const Input copy(from.begin() + static_cast<std::ptrdiff_t>(piece.at),
                   from.begin() + static_cast<std::ptrdiff_t>(piece.at + piece.length));
  input.insert(place(input, at), copy.begin(), copy.end());
}

void overwrite_from(Input& input, const Input& from, Random& random) {
  const Piece piece = piece_of(from, random);
  if (input.empty() || piece.length == 0) return;
  const std::size_t at = random.below(input.size());
  const std::size_t length = std::min(piece.length, input.size() - at);
  std::memmove(&input[at], from.data() + piece.at, length);
}

void change(Input& input, const std::vector<Input>& corpus, Random& random) {
  const Input& other = corpus[random.below(corpus.size())];
  const Piece piece = piece_of(input, random);
  switch (random.below(9)) {
    case 0:
    case 1:
      if (!input.empty()) input[piece.at] ^= static_cast<std::uint8_t>(1u << random.below(8));
      break;
    case 2:
      if (!input.empty()) input[piece.at] = static_cast<std::uint8_t>(random.below(256));
      break;
    case 3:
    case 4: change_integer(input, random); break;
    case 5: input.erase(place(input, piece.at), place(input, piece.at + piece.length)); break;
    case 6: insert_from(input, random.below(2) == 0 ? Input(input) : other, random); break;
    case 7: overwrite_from(input, random.below(2) == 0 ? Input(input) : other, random); break;
    case 8:
      if (random.below(2) == 0) {
        input.resize(piece.at);
      } else {
        std::fill(place(input, piece.at), place(input, piece.at + piece.length), std::uint8_t{0});
      }
      break;
  }
}

}  // namespace

Input mutate(const std::vector<Input>& corpus, std::size_t bytes_max, Random& random) {
  Input input = corpus[random.below(corpus.size())];
  const std::uint64_t changes = 1 + random.below(8);
  for (std::uint64_t i = 0; i < changes; ++i) change(input, corpus, random);
  if (input.size() > bytes_max) input.resize(bytes_max);
  return input;
}

}  // namespace thaw::fuzz
