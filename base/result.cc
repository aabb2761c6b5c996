#include "base/result.h"

namespace thaw {

std::string_view name_of(Code code) {
  switch (code) {
    case Code::kInvalid: return "invalid";
    case Code::kNotFound: return "not found";
    case Code::kUnsupported: return "unsupported";
    case Code::kCorrupt: return "corrupt";
    case Code::kIo: return "io";
    case Code::kLimit: return "limit";
    case Code::kUnavailable: return "unavailable";
    case Code::kDeadline: return "deadline";
    case Code::kCancelled: return "cancelled";
  }
  return "unknown";
}

}  // namespace thaw
