// The body of take_multiplied() where a third of the bytes is multiplied while the checksum's own
// instruction takes the rest: half as fast again as that alone, twice as fast with two pairs at
// once (Zen 3). Included by crc32c_multiply.cc for each width, in a namespace that has Lanes
// (kPairs pairs of words), lanes_at(), everywhere(), begun_with(), moved_onto() and joined();
// THAW_CRC_HERE is what to compile for.

constexpr std::size_t kLineBytes = 16 * kPairs;
constexpr std::size_t kStepBytes = 2 * kLineBytes;  // of each of six streams

// Takes six streams' length off the front of `bytes`, as long as they can be: the first two are
// multiplied, in four registers; four go through the instruction. Precondition: they have a step
// each.
THAW_CRC_HERE std::uint64_t six_streams(std::uint64_t crc, Bytes& bytes) {
  const std::size_t steps = std::min(kStreamMax, bytes.size() / 6) / kStepBytes;
  const std::size_t stream = steps * kStepBytes;
  const Lanes move = everywhere(kMove<512 * kPairs>);
  const std::byte* lines = bytes.data();
  const std::byte* streams = lines + 2 * stream;
  Lanes a = begun_with(crc, lanes_at(lines));
  Lanes b = lanes_at(lines + kLineBytes);
  Lanes c = lanes_at(lines + 2 * kLineBytes);
  Lanes d = lanes_at(lines + 3 * kLineBytes);
  std::uint64_t sums[4] = {};
  for (std::size_t i = 1; i < steps; ++i, streams += kStepBytes) {
    lines += 4 * kLineBytes;
    a = moved_onto(a, move, lanes_at(lines));
    step_streams<kPairs>(sums, streams, stream);
    b = moved_onto(b, move, lanes_at(lines + kLineBytes));
    step_streams<kPairs>(sums, streams + kStepBytes / 4, stream);
    c = moved_onto(c, move, lanes_at(lines + 2 * kLineBytes));
    step_streams<kPairs>(sums, streams + kStepBytes / 2, stream);
    d = moved_onto(d, move, lanes_at(lines + 3 * kLineBytes));
    step_streams<kPairs>(sums, streams + kStepBytes / 4 * 3, stream);
  }
  step_streams<4 * kPairs>(sums, streams, stream);
  d = moved_onto(c, everywhere(kMove<128 * kPairs>), d);
  d = moved_onto(b, everywhere(kMove<256 * kPairs>), d);
  d = moved_onto(a, everywhere(kMove<384 * kPairs>), d);
  crc = reduced(joined(d));
  for (const std::uint64_t sum : sums) {
    crc = followed_by(crc, kLoweredSteps[stream / kLeastStep]) ^ sum;
  }
  bytes = bytes.subspan(6 * stream);
  return crc;
}

THAW_CRC_HERE std::uint64_t take(std::uint64_t crc, Bytes& bytes) {
  while (bytes.size() >= 6 * kStreamLeast) crc = six_streams(crc, bytes);
  return crc;
}
