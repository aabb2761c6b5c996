// CBOR (RFC 8949) to JSON: Tablestore's triggers send their events so.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace thaw::event {

// Whether bytes can be an event in CBOR: they begin with a map, which no JSON text does.
bool looks_like_cbor(std::string_view bytes);

// The one value that `bytes` are, as JSON text. Byte strings become base64, tags are dropped, what
// JSON lacks (undefined, infinities) becomes null, and keys that are no text are spelt as text.
// Errors: kCorrupt  cut short, something left over, a length or form out of range, text not UTF-8
//         kLimit    nested deeper than JSON may be here, more values than it may have
Result<std::string> cbor_to_json(std::string_view bytes);

}  // namespace thaw::event
