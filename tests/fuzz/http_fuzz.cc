// HTTP messages, on both sides: the first byte chooses the side and how the rest is cut into reads.
// However it is cut, the same messages must come out.
#include <cstdlib>
#include <string>

#include "base/random.h"
#include "runtime/http/reader.h"

using namespace thaw;
using namespace thaw::http;

namespace {

// All that a reader makes of `bytes`, as text. `cuts`: null to feed it all at once.
std::string read(MessageReader::Side side, std::string_view bytes, Random* cuts) {
  MessageReader reader(side, kHeadBytesMax);
  std::string seen;
  for (int messages = 0; messages < 16; ++messages) {
    Result<Done> fed = reader.feed({});
    while (fed.has_value() && !reader.done() && !bytes.empty()) {
      const std::size_t step =
          cuts ? 1 + cuts->below(std::min<std::size_t>(bytes.size(), 20)) : bytes.size();
      fed = reader.feed(bytes.substr(0, step));
      bytes.remove_prefix(step);
    }
    if (fed.has_value() && !reader.done()) fed = reader.end_of_bytes();
    if (reader.head_done()) {
      seen += reader.head().method + " " + reader.head().target + " " +
              std::to_string(reader.head().status) + "\n";
      for (const Field& field : reader.head().fields) seen += field.name + ":" + field.value + "\n";
    }
    // What kind of error may depend on the cuts: Beast looks at a head in pieces only when its end
    // has come, so that a bad one without an end is cut short rather than bad.
    if (!fed.has_value()) return seen + "error";
    seen += "body " + reader.body() + "\n";
    for (const Field& field : reader.trailers()) seen += field.name + ":" + field.value + "\n";
    reader.next();
  }
  return seen;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0 || size > 16'000) return 0;  // beyond that, limits would depend on the cuts
  const auto side =
      data[0] % 2 == 0 ? MessageReader::Side::kRequests : MessageReader::Side::kAnswers;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  Random cuts(data[0]);
  if (read(side, bytes, nullptr) != read(side, bytes, &cuts)) std::abort();
  return 0;
}
